"""The parser of `.qir` text: one lark grammar, errors with line, column, the line itself and what to do."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from functools import cache
from importlib import resources as package_files
from typing import Any

import lark
import numpy as np

from .errors import IrError, ParseError
from .module import Module, Output
from .op import Op, Stage, attribute_fields, op_class_named
from .types import (
    SCALAR_TYPES,
    Array,
    CalibratedType,
    CodebookType,
    ElementType,
    ScalarType,
    TensorType,
    UniformType,
)
from .value import Dense, Location, Value
from .verifier import verify


@cache
def grammar() -> lark.Lark:
    """Return the LALR parser of the grammar."""
    text = (package_files.files(__package__) / "grammar.lark").read_text(encoding="utf-8")
    return lark.Lark(text, parser="lalr", propagate_positions=True, maybe_placeholders=True)


def parse_module(text: str, blobs: Mapping[str, Array] | None = None, file: str = "<text>") -> Module:
    """Return the verified module that `text` describes.

    Args:
        text: `.qir` text.
        blobs: resources that are kept beside the text, by name.
        file: name for error messages.
    """
    try:
        tree = grammar().parse(text)
    except lark.UnexpectedInput as error:
        raise _syntax_error(error, text, file) from error
    module = _Reader(text, file, dict(blobs or {})).module(tree)
    verify(module)
    return module


def _syntax_error(error: lark.UnexpectedInput, text: str, file: str) -> ParseError:
    line, column = max(error.line, 1), max(error.column, 1)
    expected = sorted(getattr(error, "accepts", None) or getattr(error, "expected", None) or [])
    help = "expected " + " or ".join(expected[:8]).lower() if expected else "see docs/ir.md for the syntax"
    return _place_error("this is not valid .qir text here", text, file, line, column, help)


def _place_error(message: str, text: str, file: str, line: int, column: int, help: str) -> ParseError:
    lines = text.splitlines()
    source = lines[line - 1] if 0 < line <= len(lines) else ""
    start = max(0, column - 60)
    shown = source[start : start + 120]
    pointer = " " * (column - 1 - start) + "^"
    return ParseError(f"{message}\n    {shown}\n    {pointer}", place=f"{file}:{line}:{column}", help=help)


class _Reader:
    """Turns the syntax tree into a module."""

    def __init__(self, text: str, file: str, blobs: dict[str, Array]) -> None:
        self.text = text
        self.file = file
        self.blobs = blobs
        self.bytes: dict[str, bytes] = {}
        self.aliases: dict[str, ElementType] = {}
        self.values: dict[str, Value] = {}

    def error(self, node: lark.Tree[Any], message: str, help: str = "") -> ParseError:
        return _place_error(message, self.text, self.file, node.meta.line, node.meta.column, help)

    def module(self, tree: lark.Tree[Any]) -> Module:
        for blob in tree.find_data("blob"):
            self.bytes[str(blob.children[0])] = self.blob_bytes(blob)
        body: lark.Tree[Any] | None = None
        for child in tree.children:
            if child is not None and child.data == "type_alias":
                self.aliases[str(child.children[0])] = self.element(child.children[1])
            elif child is not None and child.data == "module":
                body = child
        assert body is not None  # the grammar requires a module
        name, stage, *statements = body.children
        inputs: list[Value] = []
        ops: list[Op] = []
        outputs: list[Output] = []
        attributes: list[tuple[str, str]] = []
        for node in statements:
            match node.data:
                case "module_attribute":
                    attributes.append((self.string(node.children[0]), self.string(node.children[1])))
                case "input":
                    inputs.append(self.define(node, self.name(node.children[0]), self.tensor(node.children[1])))
                case "op":
                    ops.append(self.op(node))
                case _:
                    value = self.operand(node.children[0])
                    outputs.append(Output(self.string(node.children[1]), value))
        return Module(
            str(name.children[0]),
            self.stage(tree, str(stage)),
            tuple(inputs),
            tuple(ops),
            tuple(outputs),
            tuple(attributes),
        )

    def stage(self, node: lark.Tree[Any], text: str) -> Stage:
        if text not in {s.value for s in Stage}:
            raise self.error(node, f"there is no stage {text!r}", "one of: float, quantized, integer")
        return Stage(text)

    def op(self, node: lark.Tree[Any]) -> Op:
        results: list[lark.Tree[Any]] = []
        operands: list[Value] = []
        types: list[TensorType] = []
        fields: dict[str, Any] = {}
        attributes: lark.Tree[Any] | None = None
        name = ""
        for child in node.children:
            if child is None:
                continue
            if isinstance(child, lark.Token):
                name = str(child)
            elif child.data == "value" and not name:
                results.append(child)
            elif child.data == "value":
                operands.append(self.operand(child))
            elif child.data == "attributes":
                attributes = child
            elif child.data == "tensor":
                types.append(self.tensor(child))
            else:
                fields.update(self.annotation(child))
        if len(results) != len(types):
            raise self.error(node, f"{len(results)} results have {len(types)} types", "give each result its type")
        try:
            op_class = op_class_named(name)
        except IrError as error:
            raise self.error(node, error.message, error.help) from error
        values = tuple(self.define(r, self.name(r), t) for r, t in zip(results, types, strict=True))
        fields |= self.attributes(node, op_class, attributes, values)
        try:
            return op_class(operands=tuple(operands), results=values, **fields)
        except (TypeError, IrError) as error:
            raise self.error(node, f"{name}: {error}", f"see `qcc ops {name}`") from error

    def attributes(
        self, node: lark.Tree[Any], op_class: type[Op], tree: lark.Tree[Any] | None, results: tuple[Value, ...]
    ) -> dict[str, Any]:
        known = {f.name: f for f in attribute_fields(op_class)}
        found: dict[str, Any] = {}
        for item in tree.children if tree is not None else []:
            if item is None:
                continue
            key = str(item.children[0])
            if key not in known:
                help = "attributes: " + (", ".join(known) or "none")
                raise self.error(item, f"{op_class.name} has no attribute {key!r}", help)
            found[key] = self.attribute(item.children[1], results)
        return found

    def annotation(self, node: lark.Tree[Any]) -> dict[str, Any]:
        children = [c for c in node.children if c is not None]
        match node.data:
            case "fusion":
                return {"fusion": self.string(children[0])}
            case "offsets":
                return {"offsets": tuple(self.integer(c) for c in children)}
            case "notes":
                pairs = [(self.string(c.children[0]), self.string(c.children[1])) for c in children]
                return {"notes": tuple(pairs)}
            case _:
                passes = [c for c in children[2].children if c is not None] if len(children) > 2 else []
                names = tuple(self.string(c) for c in passes)
                return {"location": Location(self.string(children[0]), self.string(children[1]), names)}

    def attribute(self, node: lark.Tree[Any], results: tuple[Value, ...]) -> Any:
        match node.data:
            case "number":
                return self.number(node)
            case "string":
                return self.string(node)
            case "true" | "false" | "none":
                return {"true": True, "false": False, "none": None}[node.data]
            case "tuple":
                return tuple(self.attribute(c, results) for c in node.children if c is not None)
            case "dense" | "resource":
                return self.dense(node, results)
            case "tensor":
                return self.tensor(node)
            case _:
                return self.element(node)

    def dense(self, node: lark.Tree[Any], results: tuple[Value, ...]) -> Dense:
        if not results:
            raise self.error(node, "constant data needs a result that gives its type")
        type = results[0].type
        dtype = type.element.storage.dtype
        if node.data == "dense":
            array = np.array(self.dense_items(node.children[0]), dtype=object)
            if array.size != type.size:
                raise self.error(node, f"{array.size} elements for {type}", "one element for each of the type")
            return Dense(array.astype(dtype).reshape(type.shape))
        key = str(node.children[0])
        if key == "elided":
            raise self.error(node, "the data of this constant was elided", "print the module with its resources")
        if key in self.blobs:
            return Dense(np.asarray(self.blobs[key]).astype(dtype).reshape(type.shape))
        if key not in self.bytes:
            raise self.error(node, f"there is no resource {key!r}", "add it to the resources section or file")
        array = np.frombuffer(self.bytes[key], dtype.newbyteorder("<"))
        if array.size != type.size:
            raise self.error(node, f"resource {key!r} holds {array.size} elements for {type}")
        return Dense(array.astype(dtype).reshape(type.shape))

    def dense_items(self, node: lark.Tree[Any]) -> Any:
        if node.data == "dense_list":
            return [self.dense_items(c) for c in node.children if c is not None]
        return self.attribute(node, ())

    def blob_bytes(self, node: lark.Tree[Any]) -> bytes:
        try:
            return base64.b64decode(str(node.children[1].children[0])[1:-1], validate=True)
        except binascii.Error as error:
            raise self.error(node, "the resource is not base64", "print the module again") from error

    def tensor(self, node: lark.Tree[Any]) -> TensorType:
        *dimensions, element = node.children
        shape = tuple(int(d) for d in str(dimensions[0]).split("x")[:-1]) if dimensions and dimensions[0] else ()
        return TensorType(shape, self.element(element))

    def element(self, node: lark.Tree[Any]) -> ElementType:
        children = node.children
        try:
            match node.data:
                case "scalar":
                    return self.scalar(node)
                case "alias":
                    if str(children[0]) not in self.aliases:
                        raise self.error(node, f"type {children[0]} is not defined", "add `type !tN = …` at the top")
                    return self.aliases[str(children[0])]
                case "calibrated":
                    low, high = float(self.number(children[1])), float(self.number(children[2]))
                    return CalibratedType(low, high, self.scalar(children[0]))
                case "uniform":
                    return self.uniform(node)
                case _:
                    entries = tuple(float(self.number(c)) for c in children[2:])
                    return CodebookType(self.scalar(children[0]), entries, self.scalar(children[1]))
        except ParseError:
            raise
        except IrError as error:
            raise self.error(node, error.message, error.help) from error

    def uniform(self, node: lark.Tree[Any]) -> UniformType:
        storage, code_range, base, axis, parameters = node.children
        low, high = (None, None) if code_range is None else tuple(map(self.integer, code_range.children))
        where = [None, None] if axis is None else [*map(self.integer, axis.children), None][:2]
        items = parameters.children if parameters.data == "parameter_list" else [parameters]
        return UniformType(
            self.scalar(storage),
            tuple(float(self.number(p.children[0])) for p in items),
            tuple(0 if p.children[1] is None else self.integer(p.children[1]) for p in items),
            where[0],
            low,
            high,
            where[1],
            self.scalar(base),
        )

    def scalar(self, node: lark.Tree[Any]) -> ScalarType:
        name = str(node.children[0])
        if name not in SCALAR_TYPES:
            raise self.error(node, f"there is no type {name!r}", "one of: " + ", ".join(SCALAR_TYPES))
        return SCALAR_TYPES[name]

    def number(self, node: lark.Tree[Any]) -> int | float:
        text = str(node.children[0])
        return int(text) if text.lstrip("+-").isdigit() else float(text)

    def integer(self, node: lark.Tree[Any]) -> int:
        number = self.number(node)
        if not isinstance(number, int):
            raise self.error(node, "an integer is needed here")
        return number

    def string(self, node: lark.Tree[Any]) -> str:
        try:
            return str(json.loads(str(node.children[0])))
        except json.JSONDecodeError as error:
            raise self.error(node, "this string has an escape that JSON does not know") from error

    def name(self, node: lark.Tree[Any]) -> str:
        child = node.children[0]
        return self.string(child) if child.data == "string" else str(child.children[0])

    def operand(self, node: lark.Tree[Any]) -> Value:
        name = self.name(node)
        if name not in self.values:
            raise self.error(node, f"%{name} is used before it is defined", "define it above this line")
        return self.values[name]

    def define(self, node: lark.Tree[Any], name: str, type: TensorType) -> Value:
        if name in self.values:
            raise self.error(node, f"%{name} is defined twice", "give each value a name of its own")
        self.values[name] = Value(name, type)
        return self.values[name]

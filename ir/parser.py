"""The parser of `.qir` text: one lark grammar, errors with line, column, the line itself and what to do."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from functools import cache
from importlib import resources as package_files
from typing import Any

import lark
import numpy as np

from .attributes import check_names
from .errors import IrError, ParseError, VerifyError
from .module import Module, Output, State
from .op import Op, Stage, attribute_fields, check_arity, op_class_named, required_attributes
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

#: What no sensible text exceeds.
MAXIMUM_NESTING = 64
MAXIMUM_DIGITS = 40


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
    reader = _Reader(text, file, dict(blobs or {}))
    module = reader.module(tree)
    try:
        verify(module)
    except VerifyError as error:
        raise reader.placed(error) from error
    return module


def _syntax_error(error: lark.UnexpectedInput, text: str, file: str) -> ParseError:
    line, column = error.line, error.column
    at_end = isinstance(error, lark.UnexpectedEOF) or (
        isinstance(error, lark.UnexpectedToken) and error.token.type == "$END"
    )
    if at_end:
        lines = text.rstrip().split("\n")
        line, column = len(lines), len(lines[-1]) + 1
    names = getattr(error, "accepts", None) or getattr(error, "expected", None) or getattr(error, "allowed", None) or ()
    expected = sorted({_terminal_text(name) for name in names})
    help = "expected " + " or ".join(expected[:8]) if expected else "see docs/ir.md for the syntax"
    message = "the text ends too early" if at_end else "this is not valid .qir text here"
    return _place_error(message, text, file, line, column, help)


def _terminal_text(name: str) -> str:
    """Return what a terminal of the grammar looks like in text."""
    patterns = {t.name: t.pattern for t in grammar().terminals}
    if name in patterns and patterns[name].type == "str":
        return repr(patterns[name].value)
    return {"$END": "the end", "NAME": "a name", "VALUE_NAME": "a value name"}.get(name, name.lower().replace("_", " "))


def _place_error(message: str, text: str, file: str, line: int, column: int, help: str) -> ParseError:
    lines = text.split("\n")
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
        self.nodes: dict[int, lark.Tree[Any]] = {}  # by id of the operation, input or output that they describe

    def placed(self, error: VerifyError) -> VerifyError:
        """Return the error at the line of what it is about."""
        node = self.nodes.get(id(error.subject))
        if node is None:
            return error
        shown = self.error(node, error.message, error.help)
        return VerifyError(shown.message, place=shown.place, help=error.help)

    def error(self, node: lark.Tree[Any], message: str, help: str = "") -> ParseError:
        help = help or "see docs/ir.md for the syntax and the rules"
        return _place_error(message, self.text, self.file, node.meta.line, node.meta.column, help)

    def module(self, tree: lark.Tree[Any]) -> Module:
        *type_aliases, body, resources = tree.children  # the grammar: aliases, one module, resources or None
        for blob in resources.children if resources is not None else []:
            self.add_blob(blob)
        for alias in type_aliases:
            if str(alias.children[0]) in self.aliases:
                raise self.error(
                    alias, f"type {alias.children[0]} is defined twice", "give each type a name of its own"
                )
            self.aliases[str(alias.children[0])] = self.element(alias.children[1])
        name, stage, *statements = body.children
        inputs: list[Value] = []
        ops: list[Op] = []
        outputs: list[Output] = []
        attributes: list[tuple[str, str]] = []
        states: list[State] = []
        for node in statements:
            match node.data:
                case "module_attribute":
                    key, text = map(self.string, node.children)
                    if key in dict(attributes):
                        raise self.error(node, f"attribute {key!r} is given twice", "remove one of them")
                    attributes.append((key, text))
                case "input":
                    inputs.append(self.define(node, self.name(node.children[0]), self.tensor(node.children[1])))
                    self.nodes[id(inputs[-1])] = node
                case "state":
                    value = self.operand(node.children[0])
                    states.append(State(value.name, self.dense(node.children[1], (value,))))
                    self.nodes[id(states[-1])] = node
                case "op":
                    ops.append(self.op(node))
                    self.nodes[id(ops[-1])] = node
                case _:
                    value = self.operand(node.children[0])
                    outputs.append(Output(self.string(node.children[1]), value))
                    self.nodes[id(outputs[-1])] = node
        module = Module(
            str(name.children[0]),
            self.stage(body, str(stage)),
            tuple(inputs),
            tuple(ops),
            tuple(outputs),
            tuple(attributes),
            tuple(states),
        )
        self.nodes[id(module)] = body
        return module

    def stage(self, node: lark.Tree[Any], text: str) -> Stage:
        if text not in {s.value for s in Stage}:
            raise self.error(node, f"there is no stage {text!r}", "one of: float, quantized, integer")
        return Stage(text)

    def op(self, node: lark.Tree[Any]) -> Op:
        results: list[lark.Tree[Any]] = []
        operands: list[Value] = []
        types: list[TensorType] = []
        annotations: list[lark.Tree[Any]] = []
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
                annotations.append(child)
        if len(results) != len(types):
            raise self.error(node, f"{len(results)} results have {len(types)} types", "give each result its type")
        try:
            op_class = op_class_named(name)
        except IrError as error:
            raise self.error(node, error.message, error.help) from error
        values = tuple(self.define(r, self.name(r), t) for r, t in zip(results, types, strict=True))
        fields = self.attributes(attributes, values) if attributes is not None else {}
        known = [f.name for f in attribute_fields(op_class)]
        try:
            check_names(name, known, required_attributes(op_class), fields)
            fields |= self.annotations(annotations)
            op = op_class(operands=tuple(operands), results=values, **fields)
            check_arity(op)
        except ParseError:
            raise
        except IrError as error:
            raise self.error(node, error.message, error.help) from error
        return op

    def annotations(self, nodes: list[lark.Tree[Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for node in nodes:
            fields = self.annotation(node)
            if found.keys() & fields.keys():
                raise self.error(node, f"{node.data} is given twice", "remove one of them")
            found |= fields
        return found

    def attributes(self, tree: lark.Tree[Any], results: tuple[Value, ...]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for item in tree.children:
            if item is None:
                continue
            key = str(item.children[0])
            if key in found:
                raise self.error(item, f"attribute {key!r} is given twice", "remove one of them")
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

    def attribute(self, node: lark.Tree[Any], results: tuple[Value, ...], depth: int = 0) -> Any:
        if depth > MAXIMUM_NESTING:
            raise self.error(
                node, f"lists are nested more than {MAXIMUM_NESTING} deep", "an attribute has fewer levels"
            )
        match node.data:
            case "number":
                return self.number(node)
            case "string":
                return self.string(node)
            case "true" | "false" | "none":
                return {"true": True, "false": False, "none": None}[node.data]
            case "tuple":
                return tuple(self.attribute(c, results, depth + 1) for c in node.children if c is not None)
            case "dense" | "resource":
                return self.dense(node, results)
            case "tensor":
                return self.tensor(node)
            case _:
                return self.element(node)

    def dense(self, node: lark.Tree[Any], results: tuple[Value, ...]) -> Dense:
        if not results:
            raise self.error(node, "constant data needs a result that gives its type", "name the result")
        type = results[0].type
        dtype = type.element.storage.dtype
        if node.data == "dense":
            return Dense(self.dense_array(node, type))
        key = str(node.children[0])
        if key == "elided":
            raise self.error(node, "the data of this constant was elided", "print the module with its resources")
        if key in self.blobs:
            array = np.asarray(self.blobs[key])
            if array.dtype != dtype or array.shape != type.shape:
                found = f"{array.dtype}{list(array.shape)}"
                raise self.error(node, f"resource {key!r} is {found}, not {type}", "save the module again")
            return Dense(array)
        if key not in self.bytes:
            raise self.error(node, f"there is no resource {key!r}", "add it to the resources section or file")
        data = self.bytes[key]
        if len(data) != type.size * dtype.itemsize:
            needed = type.size * dtype.itemsize
            raise self.error(node, f"resource {key!r} has {len(data)} bytes, {type} needs {needed}", "print it again")
        if dtype == np.bool_ and max(data, default=0) > 1:
            raise self.error(node, f"resource {key!r} has bytes other than 0 and 1", "truth values are 0 or 1")
        return Dense(np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype, copy=False).reshape(type.shape))

    def dense_array(self, node: lark.Tree[Any], type: TensorType) -> Array:
        """Return data written in place; every element must be one of the type, and the lists of the type's shape."""
        items: list[Any] = []
        self.dense_items(node.children[0], type, 0, items)
        storage = type.element.storage
        for item in items:
            if isinstance(item, bool) != (storage.bits == 1) or (isinstance(item, float) and not storage.is_float):
                raise self.error(node, f"{item} is no {storage}", f"one {storage} for each element")
            if storage.is_integer and not storage.minimum <= item <= storage.maximum:
                raise self.error(node, f"{item} does not fit {storage}", f"{storage.minimum} … {storage.maximum}")
        with np.errstate(over="ignore"):
            return np.array(items, dtype=storage.dtype).reshape(type.shape)

    def dense_items(self, node: lark.Tree[Any], type: TensorType, axis: int, items: list[Any]) -> None:
        """Append the elements below `node`, which stands for everything below one index of `axis` − 1."""
        is_list = node.data == "dense_list"
        children = [c for c in node.children if c is not None] if is_list else []
        if is_list != (axis < type.rank) or (is_list and len(children) != type.shape[axis]):
            shape = "x".join(map(str, type.shape)) or "no dimensions"
            raise self.error(node, f"the data does not have the shape of {type}", f"lists nested as {shape}")
        if not is_list:
            items.append(self.attribute(node, ()))
        for child in children:
            self.dense_items(child, type, axis + 1, items)

    def add_blob(self, node: lark.Tree[Any]) -> None:
        key = str(node.children[0])
        if key in self.bytes:
            raise self.error(node, f"resource {key!r} is given twice", "remove one of them")
        try:
            self.bytes[key] = base64.b64decode(str(node.children[1].children[0])[1:-1], validate=True)
        except ValueError as error:
            raise self.error(node, f"resource {key!r} is not base64", "print the module again") from error

    def tensor(self, node: lark.Tree[Any]) -> TensorType:
        *dimensions, element = node.children
        digits = str(dimensions[0]).split("x")[:-1] if dimensions and dimensions[0] else []
        if any(len(d) > MAXIMUM_DIGITS for d in digits):
            raise self.error(node, "a dimension has too many digits", "dimensions are below 2^40")
        try:
            return TensorType(tuple(map(int, digits)), self.element(element))
        except ParseError:
            raise
        except IrError as error:
            raise self.error(node, error.message, error.help or "see docs/ir.md") from error

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
        if not text.lstrip("+-").isdigit():
            return float(text)
        if len(text) > MAXIMUM_DIGITS:
            raise self.error(node, "this integer has too many digits", "integers have at most 64 bits")
        return int(text)

    def integer(self, node: lark.Tree[Any]) -> int:
        number = self.number(node)
        if not isinstance(number, int):
            raise self.error(node, "an integer is needed here", "write it without a point or exponent")
        return number

    def string(self, node: lark.Tree[Any]) -> str:
        try:
            return str(json.loads(str(node.children[0])))
        except json.JSONDecodeError as error:
            help = "escape quotes, backslashes and control characters as JSON does"
            raise self.error(node, "this string is not one that JSON knows", help) from error

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

"""The printer: modules as `.qir` text that parses back to an equal module.

Constants up to `INLINE_ELEMENTS` elements are printed in place; larger ones as `dense_resource<name>`, with their bytes
(little-endian, base64) in a `resources` section at the end, in a file beside the text, or elided for reading.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import MISSING
from enum import Enum
from typing import Any

import numpy as np

from .errors import IrError
from .module import Module
from .op import Op, attribute_fields
from .types import Array, ElementType, TensorType
from .value import Dense, Location, Value

INLINE_ELEMENTS = 16
ALIAS_LENGTH = 64
PLAIN_NAME = re.compile(r"(?!.*//)[A-Za-z0-9_.$/\-]+")


class Resources(Enum):
    """Where the bytes of large constants go."""

    INLINE = "inline"
    BESIDE = "beside"
    ELIDED = "elided"


class Printer:
    """Prints one module; collects type aliases and resources on the way."""

    def __init__(self, resources: Resources = Resources.INLINE, locations: bool = True) -> None:
        self.resources = resources
        self.locations = locations
        self.blobs: dict[str, Array] = {}
        self.aliases: dict[str, str] = {}

    def module(self, module: Module) -> str:
        """Return the text of the module."""
        body = [f"  attribute {json.dumps(k)} = {json.dumps(v)}" for k, v in module.attributes]
        body += [f"  input {self.value(v)} : {self.type(v.type)}" for v in module.inputs]
        body += [self.state(module.input_named(s.name), s.initial) for s in module.states]
        body += ["  " + self.op(op) for op in module.ops]
        body += [f"  output {self.value(o.value)} as {json.dumps(o.name)}" for o in module.outputs]
        lines = [f"type {alias} = {text}" for text, alias in self.aliases.items()]
        lines += [f"module @{module.name} stage {module.stage.value} {{", *body, "}"]
        if self.blobs and self.resources is Resources.INLINE:
            lines += ["resources {", *(f"  {k} = {blob_text(v)}" for k, v in self.blobs.items()), "}"]
        return "\n".join(lines) + "\n"

    def state(self, value: Value, initial: Dense) -> str:
        """Return the line that says what the state that `value` reads is before the first run."""
        return f"  state {self.value(value)} = {self.dense(initial, value.name)}"

    def value(self, value: Value) -> str:
        """Return `%name`, quoted where needed."""
        return "%" + (value.name if PLAIN_NAME.fullmatch(value.name) else json.dumps(value.name))

    def type(self, type: TensorType) -> str:
        """Return the tensor type, with an alias for a long element type."""
        return f"tensor<{''.join(f'{d}x' for d in type.shape)}{self.element(type.element)}>"

    def element(self, element: ElementType) -> str:
        """Return the element type or its alias."""
        text = str(element)
        if len(text) <= ALIAS_LENGTH:
            return text
        return self.aliases.setdefault(text, f"!t{len(self.aliases)}")

    def op(self, op: Op) -> str:
        """Return one operation on one line."""
        results = ", ".join(map(self.value, op.results))
        operands = ", ".join(map(self.value, op.operands))
        attributes = ", ".join(f"{k} = {self.attribute(v, op)}" for k, v in shown_attributes(op).items())
        text = f"{results} = {op.name}({operands})" if results else f"{op.name}({operands})"
        text += f" {{{attributes}}}" if attributes else ""
        text += " : " + ", ".join(self.type(v.type) for v in op.results)
        return text + self.annotations(op)

    def annotations(self, op: Op) -> str:
        """Return fusion, arena offsets, notes and location of an operation."""
        text = f" fusion({json.dumps(op.fusion)})" if op.fusion else ""
        text += f" at [{', '.join(map(str, op.offsets))}]" if op.offsets else ""
        if op.notes:
            text += " note {" + ", ".join(f"{json.dumps(k)} = {json.dumps(v)}" for k, v in op.notes) + "}"
        if self.locations and op.location != Location():
            where = op.location
            passes = f", [{', '.join(map(json.dumps, where.passes))}]" if where.passes else ""
            text += f" loc({json.dumps(where.file)}, {json.dumps(where.node)}{passes})"
        return text

    def attribute(self, value: Any, op: Op) -> str:
        """Return one attribute value."""
        if isinstance(value, bool):
            return "true" if value else "false"
        if value is None:
            return "none"
        if isinstance(value, int):
            return str(value)
        if isinstance(value, float):
            return repr(value)
        if isinstance(value, str):
            return json.dumps(value)
        if isinstance(value, tuple):
            return "[" + ", ".join(self.attribute(v, op) for v in value) + "]"
        if isinstance(value, TensorType):
            return self.type(value)
        if isinstance(value, ElementType):
            return self.element(value)
        if isinstance(value, Dense):
            return self.dense(value, op.results[0].name if op.results else "data")
        raise IrError(f"attribute of type {type(value).__name__} can't be printed")

    def dense(self, value: Dense, name: str) -> str:
        """Return constant data in place, or as a resource that is named after `name`."""
        array = value.array
        has_nan = array.dtype.kind == "f" and bool(np.isnan(array).any())  # a NaN has bits that text does not tell
        if array.size <= INLINE_ELEMENTS and (not has_nan or self.resources is Resources.ELIDED):
            return f"dense<{dense_text(value.array)}>"
        if self.resources is Resources.ELIDED:
            return "dense_resource<elided>"
        name = re.sub(r"[^A-Za-z0-9_.]", "_", name)
        name = name if re.match(r"[A-Za-z_]", name) else "_" + name
        key, count = name, 0
        while key in self.blobs or key == "elided":
            count += 1
            key = f"{name}_{count}"
        self.blobs[key] = value.array
        return f"dense_resource<{key}>"


def shown_attributes(op: Op) -> dict[str, Any]:
    """Return the attributes that differ from their defaults."""
    shown = {}
    for f in attribute_fields(type(op)):
        value = getattr(op, f.name)
        if f.default is MISSING or value != f.default or repr(value) != repr(f.default):  # repr tells -0.0 from 0.0
            shown[f.name] = value
    return shown


def dense_text(array: Array) -> str:
    """Return nested lists of the elements; floats as the shortest text of their own precision."""
    if array.ndim:
        return "[" + ", ".join(dense_text(a) for a in array) + "]"
    if array.dtype.kind == "b":
        return "true" if array else "false"
    return str(array[()])


def blob_text(array: Array) -> str:
    """Return the bytes of an array, little-endian, base64, in quotes."""
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return '"' + base64.b64encode(little.tobytes()).decode("ascii") + '"'


def print_module(module: Module, resources: Resources = Resources.INLINE, locations: bool = True) -> str:
    """Return the text of a module (`parse_module` reads it back unless resources are elided)."""
    return Printer(resources, locations).module(module)


def print_op(op: Op) -> str:
    """Return one operation as short text, weights and provenance left out."""
    return Printer(Resources.ELIDED, locations=False).op(op)

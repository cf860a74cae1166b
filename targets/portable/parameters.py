"""The parameters of a kernel's function: tensors read, constants in flash, tensors written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from qcc.ir import Array, TensorType, UniformType, Value, free_name, operand_names
from qcc.targets import tir
from qcc.targets.kernel import ConstantArgument, Kernel, LoweredKernel
from qcc.targets.terms import Term, array_bounds, literal, loaded
from qcc.targets.tir import Body, Buffer, Expr

#: Names that C or its headers own.
_RESERVED = frozenset(
    {"char", "const", "double", "float", "int", "long", "register", "restrict", "short", "signed", "static", "unsigned"}
    | {"exp", "log", "pow", "erf", "tanh", "sqrt", "index", "y0", "y1", "yn", "j0", "j1", "jn"}
)


def storage_dtype(type: TensorType) -> str:
    """The TIR type of an element in memory; truth values and narrow integers take a byte."""
    dtype = type.element.storage.dtype
    return "uint8" if dtype == np.bool_ else str(dtype)


def code_range(type: TensorType) -> tuple[int, int]:
    """The smallest and largest integer that an element of `type` can be."""
    element = type.element
    if isinstance(element, UniformType):
        return element.minimum, element.maximum
    return element.storage.minimum, element.storage.maximum


@dataclass(frozen=True)
class Table:
    """A constant array as the code sees it: data, and its buffer where the code has to load from it.

    Attributes:
        array: the data, in the order of memory.
        buffer: the parameter; None where all elements are equal and stand in the code.
    """

    array: Array
    buffer: Buffer | None

    def at(self, offset: Expr | int) -> Term:
        """The element at a flat offset."""
        if self.buffer is None:
            return literal(int(self.array.flat[0]))
        dtype = "uint8" if self.array.dtype == np.bool_ else str(self.array.dtype)
        bounds = (0, 0) if self.array.dtype.kind == "f" else array_bounds(self.array)
        return loaded(tir.load(self.buffer, offset), dtype, *bounds)


class Parameters:
    """Collects the parameters of a function while its body is written.

    Args:
        kernel: what the function computes.
        buffers: buffers that tensors have already, by value name.
        taken: names that other parameters have.
    """

    def __init__(self, kernel: Kernel, buffers: Mapping[str, Buffer] | None = None, taken: Iterable[str] = ()) -> None:
        self.kernel = kernel
        self.body = Body()
        self._taken = {*_RESERVED, *taken}
        known = buffers or {}
        self._roles = _roles(kernel)
        self._inputs = {
            v.name: known[v.name] if v.name in known else self._buffer(self.role(v), v.type) for v in kernel.inputs
        }
        many = len(kernel.outputs) > 1
        self._outputs = {
            v.name: known[v.name] if v.name in known else self._buffer(f"output_{i}" if many else "output", v.type)
            for i, v in enumerate(kernel.outputs)
        }
        self._constants: list[tuple[ConstantArgument, Buffer]] = []

    def _unique(self, wish: str) -> str:
        """Return `wish`, numbered where it is taken."""
        name = free_name(wish, self._taken, first=2)
        self._taken.add(name)
        return name

    def _buffer(self, wish: str, type: TensorType) -> Buffer:
        return tir.buffer(self._unique(wish), max(type.size, 1), storage_dtype(type))

    def role(self, value: Value) -> str:
        """What the first operation that reads a value calls it."""
        return self._roles.get(value.name, "x")

    def input(self, value: Value) -> Buffer:
        """The buffer of a tensor read from memory."""
        return self._inputs[value.name]

    def output(self, value: Value) -> Buffer:
        """The buffer of a tensor written."""
        return self._outputs[value.name]

    def table(self, name: str, array: Array, comment: str = "", fold: bool = True) -> Table:
        """A constant array; with `fold`, integers that are all equal stand in the code instead of in memory."""
        if fold and array.size and array.dtype.kind != "f" and np.all(array == array.flat[0]):
            return Table(array, None)
        for argument, buffer in self._constants:
            same = argument.array.dtype == array.dtype and argument.array.shape == array.shape
            if same and argument.array.tobytes() == array.tobytes():
                return Table(array, buffer)
        dtype = "uint8" if array.dtype == np.bool_ else str(array.dtype)
        unique = self._unique(name)
        buffer = tir.buffer(unique, max(array.size, 1), dtype)
        self._constants.append((ConstantArgument(unique, np.ascontiguousarray(array), comment or name), buffer))
        return Table(array, buffer)

    def finish(self) -> LoweredKernel:
        """Close the body as the kernel's function."""
        buffers = [*self._inputs.values(), *(b for _, b in self._constants), *self._outputs.values()]
        arguments: tuple[Value | ConstantArgument, ...]
        arguments = (*self.kernel.inputs, *(a for a, _ in self._constants), *self.kernel.outputs)
        return LoweredKernel(self.body.function(self.kernel.name, buffers), arguments)


def _roles(kernel: Kernel) -> dict[str, str]:
    """The name of each input: the role in which the first operation that reads it does so."""
    roles: dict[str, str] = {}
    for op in kernel.ops:
        names = operand_names(type(op))
        for position, value in enumerate(op.operands):
            role = re.sub(r"[?*]$", "", names[min(position, len(names) - 1)])
            roles.setdefault(value.name, "x" if role == "inputs" else role)
    return roles

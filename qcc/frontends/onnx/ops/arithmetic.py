"""Arithmetic of two or more tensors, with broadcasting."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import numpy as np

from qcc.ir import F32, I32, Op
from qcc.ir.ops import Add, Cast, Div, Maximum, Minimum, Mul, Pow, Sqrt, Sub
from qcc.passes import KERNEL

from ..emission import Tensor
from ..node import Node
from ..problem import Unsupported


def binary(node: Node, op_class: type[Op], a: Tensor, b: Tensor) -> Tensor:
    """Return `op_class(a, b)`; narrow integers are computed in 32 bits and wrap."""
    element = a.element
    if not element.is_integer or element.bits >= 32 or element.bits == 1:
        return node.emit(op_class, a, b)
    wide = node.emit(op_class, node.emit(Cast, a, to=I32), node.emit(Cast, b, to=I32))
    return node.emit(Cast, wide, to=element)


def _binary(op_class: type[Op]) -> Callable[[Node], Tensor]:
    """Return an importer of a binary operation."""
    return lambda node: binary(node, op_class, node.input(0), node.input(1))


def _variadic(op_class: type[Op]) -> Callable[[Node], Tensor]:
    """Return an importer that applies a binary operation to all inputs in turn."""

    def importer(node: Node) -> Tensor:
        tensors = [node.input(i) for i in range(len(node.inputs))]
        if not tensors:
            raise Unsupported("has no inputs")
        if op_class in (Maximum, Minimum):
            return reduce(lambda a, b: node.emit(op_class, a, b), tensors)
        return reduce(lambda a, b: binary(node, op_class, a, b), tensors)

    return importer


def mean(node: Node) -> Tensor:
    """Mean of all inputs."""
    total = _variadic(Add)(node)
    return node.emit(Div, total, node.known(np.asarray(len(node.inputs), total.element.dtype)))


def power(node: Node) -> Tensor:
    """Pow: squares and roots where the exponent is known to be 2 or 1/2; a base of integers is raised as real."""
    a, b = node.input(0), node.input(1)
    if b.array is not None and b.array.size == 1 and b.rank <= a.rank and not a.element.is_integer:
        exponent = float(b.array.reshape(-1)[0])
        if exponent == 2:
            return node.emit(Mul, a, a, notes=((KERNEL, "Pow"),))
        if exponent == 0.5:
            return node.emit(Sqrt, a)
        if exponent == 1:
            return a
    if a.element == b.element and not a.element.is_integer:
        return node.emit(Pow, a, b)
    to = a.element if a.element.is_float else F32
    base = a if a.element == to else node.emit(Cast, a, to=to)
    exponents = b if b.element == to else node.emit(Cast, b, to=to)
    y = node.emit(Pow, base, exponents)
    return y if y.element == a.element else node.emit(Cast, y, to=a.element)


IMPORTERS: dict[str, Callable[[Node], Tensor]] = {
    "Add": _binary(Add),
    "Div": _binary(Div),
    "Max": _variadic(Maximum),
    "Mean": mean,
    "Min": _variadic(Minimum),
    "Mul": _binary(Mul),
    "Pow": power,
    "Sub": _binary(Sub),
    "Sum": _variadic(Add),
}

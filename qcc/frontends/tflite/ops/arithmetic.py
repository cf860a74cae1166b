"""Arithmetic of two tensors, with broadcasting."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

from qcc.ir import Op
from qcc.ir.ops import Add, Div, Maximum, Minimum, Mul, Pow, Sub

from ...problem import Unsupported
from ..emission import Tensor
from ..node import Node


def _fused(op_class: type[Op]) -> Callable[[Node], Tensor]:
    """Return an importer of arithmetic with a fused activation."""
    return lambda node: node.activated(op_class, node.input(0), node.input(1))


def _binary(op_class: type[Op]) -> Callable[[Node], Tensor]:
    """Return an importer of arithmetic without one."""
    return lambda node: node.result(op_class, node.input(0), node.input(1))


def _extremum(op_class: type[Op]) -> Callable[[Node], Tensor]:
    """Return an importer of what compares codes."""
    return lambda node: node.result(op_class, node.alike(node.input(0)), node.alike(node.input(1)))


def squared_difference(node: Node) -> Tensor:
    """SQUARED_DIFFERENCE, `(a − b)²`; of real numbers and plain integers."""
    if node.is_quantized:
        raise Unsupported("of quantized values is not supported")
    difference = node.emit(Sub, node.input(0), node.input(1))
    return node.emit(Mul, difference, difference)


def add_n(node: Node) -> Tensor:
    """ADD_N: the sum of all inputs; of real numbers and plain integers."""
    if node.is_quantized:
        raise Unsupported("of quantized values is not supported")
    return reduce(lambda a, b: node.emit(Add, a, b), [node.input(i) for i in range(len(node.inputs))])


IMPORTERS: dict[str, Callable[[Node], Tensor]] = {
    "ADD": _fused(Add),
    "ADD_N": add_n,
    "DIV": _fused(Div),
    "MAXIMUM": _extremum(Maximum),
    "MINIMUM": _extremum(Minimum),
    "MUL": _fused(Mul),
    "POW": _binary(Pow),
    "SQUARED_DIFFERENCE": squared_difference,
    "SUB": _fused(Sub),
}

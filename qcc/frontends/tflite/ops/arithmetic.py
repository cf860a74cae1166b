"""Arithmetic of two tensors, with broadcasting."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

from qcc.ir import I16, Op, UniformType
from qcc.ir.ops import Add, Div, Maximum, Minimum, Mul, Pow, Sub
from qcc.passes import KERNEL, POWERS_OF_TWO

from ...problem import Unsupported
from ..emission import Tensor
from ..node import Node


def _fused(op_class: type[Op]) -> Callable[[Node], Tensor]:
    """Return an importer of arithmetic with a fused activation."""
    return lambda node: node.activated(op_class, node.input(0), node.input(1))


def _sum(op_class: type[Op]) -> Callable[[Node], Tensor]:
    """Return an importer of ADD or SUB; of 16-bit codes it says whether the file asks for powers of two."""

    def imported(node: Node) -> Tensor:
        element = node.element()
        wide = isinstance(element, UniformType) and element.storage == I16
        notes = ((KERNEL, f"{node.name} with {POWERS_OF_TWO}"),) if wide and node.option(POWERS_OF_TWO) else ()
        return node.activated(op_class, node.input(0), node.input(1), notes=notes)

    return imported


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
    "ADD": _sum(Add),
    "ADD_N": add_n,
    "DIV": _fused(Div),
    "MAXIMUM": _extremum(Maximum),
    "MINIMUM": _extremum(Minimum),
    "MUL": _fused(Mul),
    "POW": _binary(Pow),
    "SQUARED_DIFFERENCE": squared_difference,
    "SUB": _sum(Sub),
}

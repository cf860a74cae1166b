"""Reductions along axes, and the index of the largest."""

from __future__ import annotations

from collections.abc import Callable

from qcc.ir import I64, Op
from qcc.ir.ops import ArgMax, Cast, Neg, ReduceMax, ReduceMean, ReduceMin, ReduceSum

from ...axes import normalized_axes, normalized_axis
from ...problem import Unsupported
from ..emission import Tensor
from ..node import Node


def _reduction(op_class: type[Op]) -> Callable[[Node], Tensor]:
    """Return an importer of a reduction; no axes, or those of a scalar, change nothing."""

    def importer(node: Node) -> Tensor:
        x = node.input(0)
        axes = tuple(sorted(normalized_axes(tuple(dict.fromkeys(node.integers(1, "axes"))), x.rank)))
        if not x.rank:
            axes = ()
        if op_class in (ReduceMax, ReduceMin) and any(x.shape[a] == 0 for a in axes):
            raise Unsupported(f"there is no largest or smallest of no elements: {list(x.shape)}")
        if op_class is ReduceMean and (x.is_integer or any(x.shape[a] == 0 for a in axes)):
            raise Unsupported(f"of {x.type} is not supported")
        if op_class in (ReduceMax, ReduceMin):
            x = node.alike(x)
        return node.result(op_class, x, axes=axes, keep_dims=bool(node.option("keep_dims")))

    return importer


def arg_max(node: Node) -> Tensor:
    """ARG_MAX, and ARG_MIN of real numbers as that of −x: the first of equals."""
    x = node.input(0)
    axis = normalized_axis(node.integer(1, "axis"), x.rank)
    if node.name == "ARG_MIN":
        if x.is_integer or x.type.is_quantized:
            raise Unsupported(f"of {x.element} is not supported, only of real numbers")
        x = node.emit(Neg, x)
    index = node.emit(ArgMax, x, axis=axis, keep_dims=False)
    element = node.element()
    return index if element == I64 else node.emit(Cast, index, to=element)


IMPORTERS = {
    "ARG_MAX": arg_max,
    "ARG_MIN": arg_max,
    "MEAN": _reduction(ReduceMean),
    "REDUCE_MAX": _reduction(ReduceMax),
    "REDUCE_MIN": _reduction(ReduceMin),
    "SUM": _reduction(ReduceSum),
}

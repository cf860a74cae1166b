"""Reductions along axes."""

from __future__ import annotations

from collections.abc import Callable

from qcc.ir import Op
from qcc.ir.ops import Abs, ArgMax, Exp, Log, Mul, Neg, ReduceMax, ReduceMean, ReduceMin, ReduceSum, Sqrt

from ..emission import Tensor
from ..node import Node, normalized_axes, normalized_axis
from ..problem import Unsupported

# The opset from which on each reduction takes its axes as an input.
_AXES_INPUT_SINCE = {"ReduceSum": 13}


def _axes(node: Node, rank: int) -> tuple[int, ...] | None:
    """Return the axes to reduce; None where the node names none and asks for none then."""
    since = _AXES_INPUT_SINCE.get(node.op_type, 18)
    given = node.constant_ints(1, "axes") if node.opset >= since else node.get_ints("axes")
    empty_is_noop = node.get_int("noop_with_empty_axes", 0) != 0
    if not given:
        return None if empty_is_noop else tuple(range(rank))
    return normalized_axes(given, rank)


def _reduce(node: Node, op_class: type[Op], x: Tensor) -> Tensor:
    axes = _axes(node, x.rank)
    keep = node.get_int("keepdims", 1) != 0
    if axes is None or not x.rank:
        return x
    if op_class in (ReduceMax, ReduceMin) and any(x.shape[a] == 0 for a in axes):
        raise Unsupported(f"there is no largest or smallest of no elements: {list(x.shape)}")
    return node.emit(op_class, x, axes=axes, keep_dims=keep)


def _reduction(op_class: type[Op]) -> Callable[[Node], Tensor]:
    """Return an importer of a reduction that the IR has."""
    return lambda node: _reduce(node, op_class, node.input(0))


def reduce_l1(node: Node) -> Tensor:
    """ReduceL1: the sum of magnitudes."""
    return _reduce(node, ReduceSum, node.emit(Abs, node.input(0)))


def reduce_sum_square(node: Node) -> Tensor:
    """ReduceSumSquare: the sum of squares."""
    x = node.input(0)
    return _reduce(node, ReduceSum, node.emit(Mul, x, x))


def reduce_l2(node: Node) -> Tensor:
    """ReduceL2: the root of the sum of squares."""
    return node.emit(Sqrt, reduce_sum_square(node))


def reduce_log_sum(node: Node) -> Tensor:
    """ReduceLogSum: the logarithm of the sum."""
    return node.emit(Log, _reduce(node, ReduceSum, node.input(0)))


def reduce_log_sum_exp(node: Node) -> Tensor:
    """ReduceLogSumExp: the logarithm of the sum of exponentials."""
    return node.emit(Log, _reduce(node, ReduceSum, node.emit(Exp, node.input(0))))


def arg_max(node: Node) -> Tensor:
    """ArgMax, and ArgMin as that of −x."""
    x = node.input(0)
    axis = normalized_axis(node.get_int("axis", 0), x.rank)
    if node.op_type == "ArgMin":
        x = node.emit(Neg, x)
    keep, last = node.get_int("keepdims", 1) != 0, node.get_int("select_last_index", 0) != 0
    return node.emit(ArgMax, x, axis=axis, keep_dims=keep, select_last=last)


IMPORTERS: dict[str, Callable[[Node], Tensor]] = {
    "ArgMax": arg_max,
    "ArgMin": arg_max,
    "ReduceL1": reduce_l1,
    "ReduceL2": reduce_l2,
    "ReduceLogSum": reduce_log_sum,
    "ReduceLogSumExp": reduce_log_sum_exp,
    "ReduceMax": _reduction(ReduceMax),
    "ReduceMean": _reduction(ReduceMean),
    "ReduceMin": _reduction(ReduceMin),
    "ReduceSum": _reduction(ReduceSum),
    "ReduceSumSquare": reduce_sum_square,
}

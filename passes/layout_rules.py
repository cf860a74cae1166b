"""Rules that prepare a module for the choice of layouts: transposes gather where they can cancel.

Every rule has its algebra on the line above it.
"""

from __future__ import annotations

from itertools import chain

from qcc.ir import Mismatch, Op, Pattern, Rewriter, Shape, Value
from qcc.ir.ops import ArgMax, Reduction, Reshape, Transpose

#: For each axis of the smaller shape, the axes of the larger one that it is split into.
Groups = list[list[int]]


def axis_groups(small: Shape, large: Shape) -> Groups | None:
    """Return which contiguous axes of `large` make up each axis of `small`, None where `large` is no split of it."""
    groups: Groups = []
    position = 0
    for size in small:
        group: list[int] = []
        product = 1
        while position < len(large) and (product < size or not group):
            product *= large[position]
            group.append(position)
            position += 1
        if product != size or not group:
            return None
        groups.append(group)
    rest = list(range(position, len(large)))
    if any(large[axis] != 1 for axis in rest) or not groups:
        return None
    groups[-1] += rest
    return groups


# reshape(transpose(x, p)), axes split = transpose(reshape(x), p'), each axis of x split alike and p' moving the groups
class SinkBelowSplit(Pattern):
    """A transpose in front of a reshape that splits axes moves behind it."""

    root = Reshape

    def apply(self, op: Op, rewriter: Rewriter) -> Value | None:
        """Split first, then move the parts."""
        inner = rewriter.definition(op.operands[0])
        if not isinstance(inner, Transpose) or not isinstance(op, Reshape) or len(op.shape) <= inner.x.type.rank:
            return None
        groups = axis_groups(inner.result.type.shape, op.shape)
        if groups is None:
            return None
        by_axis = {axis: groups[position] for position, axis in enumerate(inner.permutation)}
        order = list(chain.from_iterable(by_axis[axis] for axis in range(len(groups))))
        split = rewriter.emit(Reshape, inner.x, shape=tuple(op.shape[axis] for axis in order))
        permutation = tuple(order.index(axis) for axis in range(len(order)))
        return rewriter.emit(Transpose, split, permutation=permutation)


# transpose(reshape(x), p), axes merged = reshape(transpose(x, p')), p' moving the groups of axes
class HoistAboveMerge(Pattern):
    """A transpose behind a reshape that merges axes moves in front of it."""

    root = Transpose

    def apply(self, op: Op, rewriter: Rewriter) -> Value | None:
        """Move the parts first, then merge."""
        inner = rewriter.definition(op.operands[0])
        if not isinstance(inner, Reshape) or not isinstance(op, Transpose) or inner.x.type.rank <= op.x.type.rank:
            return None
        groups = axis_groups(op.x.type.shape, inner.x.type.shape)
        if groups is None:
            return None
        permutation = tuple(chain.from_iterable(groups[axis] for axis in op.permutation))
        moved = rewriter.emit(Transpose, inner.x, permutation=permutation)
        return rewriter.emit(Reshape, moved, shape=op.result.type.shape)


# reduce(x, axes) without the axes = reshape(reduce(x, axes) with them as 1)
class KeepReducedAxes(Pattern):
    """A reduction keeps its axes, so that it can work in any layout; a reshape drops them."""

    root = (Reduction, ArgMax)

    def apply(self, op: Op, rewriter: Rewriter) -> Value | Mismatch | None:
        """Keep the axes."""
        if not isinstance(op, Reduction | ArgMax) or op.keep_dims or op.x.type.rank < 3:
            return None
        axes = op.axes if isinstance(op, Reduction) else (op.axis,)
        shape = list(op.x.type.shape)
        for axis in axes:
            shape[axis] = 1
        (kept,) = rewriter.emit_op(op, keep_dims=True, types=(op.result.type.with_shape(tuple(shape)),))
        return rewriter.emit(Reshape, kept, shape=op.result.type.shape)

"""Rules for operations that move elements, pads and clamps: identities, merges, pads into windows. Legal in any stage.

Every rule has its algebra on the line above it.
"""

from __future__ import annotations

import math

import numpy as np

from qcc.ir import REAL_STAGES, Array, Mismatch, Op, Pattern, Rewriter, Shape, Stage, Value
from qcc.ir.ops import (
    AvgPool2d,
    Binary,
    Broadcast,
    Clamp,
    Concat,
    Conv2d,
    Gather,
    MaxPool2d,
    Pad,
    Reshape,
    Resize,
    Slice,
    Split,
    Transpose,
)

#: Above this many elements a chain of reshapes and transposes is not searched for a gather.
GATHER_SEARCH_LIMIT = 1 << 22


def is_identity(op: Op) -> bool:
    """True where a movement, pad, clamp, pool or resize returns its first operand as it is."""
    match op:
        case Transpose():
            return op.permutation == tuple(range(len(op.permutation)))
        case Pad():
            return not any((*op.low, *op.high))
        case Clamp():
            return op.minimum == -math.inf and op.maximum == math.inf
        case Slice():
            steps = zip(op.sizes, op.strides, strict=True)
            return not any(op.starts) and all(stride == 1 or size <= 1 for size, stride in steps)
        case Split():
            return len(op.sizes) == 1
        case Concat():
            return len(op.inputs) == 1
        case Gather():
            return op.indices == tuple(range(op.x.type.shape[op.axis])) and len(op.indices_shape) == 1
        case Resize():
            return not op.resized_axes
        case AvgPool2d():
            return op.clamp is None and _is_point_window(op)
        case MaxPool2d():
            return _is_point_window(op)
        case _:
            return isinstance(op, Reshape | Broadcast)


def _is_point_window(op: AvgPool2d | MaxPool2d) -> bool:
    return op.kernel == (1, 1) and op.strides == (1, 1) and not any(op.padding)


def moves_only_unit_axes(shape: Shape, permutation: tuple[int, ...]) -> bool:
    """True where a transposition of a tensor of `shape` keeps the order of its elements."""
    kept = [axis for axis in permutation if shape[axis] != 1]
    return kept == sorted(kept)


def same_codes(*values: Value) -> bool:
    """True where nothing is quantized again between the values: all are float, or all have one element type."""
    return all(v.type.is_float for v in values) or len({v.type.element for v in values}) == 1


# op(x) = x where op moves, cuts, adds and limits nothing
class DropIdentity(Pattern):
    """An operation that returns its operand goes."""

    root = (Transpose, Pad, Clamp, Slice, Split, Concat, Gather, Resize, AvgPool2d, MaxPool2d, Reshape, Broadcast)

    def apply(self, op: Op, rewriter: Rewriter) -> Value | None:
        """Replace the result by the operand."""
        same = len(op.results) == 1 and op.operands[0].type == op.result.type
        return op.operands[0] if same and is_identity(op) else None


# reshape(reshape(x, s), t) = reshape(x, t)
class MergeReshapes(Pattern):
    """Two reshapes are one."""

    root = Reshape

    def apply(self, op: Op, rewriter: Rewriter) -> Value | None:
        """Reshape the inner operand."""
        inner = rewriter.definition(op.operands[0])
        if not isinstance(inner, Reshape):
            return None
        return rewriter.emit(Reshape, inner.x, shape=op.result.type.shape, types=(op.result.type,))


# transpose(transpose(x, p), q)[i] reads axis p[q[i]] of x
class MergeTransposes(Pattern):
    """Two transposes are one."""

    root = Transpose

    def apply(self, op: Op, rewriter: Rewriter) -> Value | None:
        """Compose the permutations."""
        inner = rewriter.definition(op.operands[0])
        if not isinstance(inner, Transpose) or not isinstance(op, Transpose):
            return None
        permutation = tuple(inner.permutation[axis] for axis in op.permutation)
        return rewriter.emit(Transpose, inner.x, permutation=permutation, types=(op.result.type,))


# transpose(x, p) = reshape(x) where the axes longer than 1 keep their order
class TransposeToReshape(Pattern):
    """A transpose that moves only axes of size 1 leaves the elements in place."""

    root = Transpose

    def apply(self, op: Op, rewriter: Rewriter) -> Value | None:
        """Reshape instead."""
        if not isinstance(op, Transpose) or is_identity(op):
            return None
        if not moves_only_unit_axes(op.x.type.shape, op.permutation):
            return None
        return rewriter.emit(Reshape, op.x, shape=op.result.type.shape, types=(op.result.type,))


# min(max(min(max(x, a), b), c), d) = min(max(x, min(max(a, c), d)), min(max(b, c), d))
class MergeClamps(Pattern):
    """Two clamps are one."""

    root = Clamp

    def apply(self, op: Op, rewriter: Rewriter) -> Value | Mismatch | None:
        """Limit the inner bounds by the outer ones."""
        inner = rewriter.definition(op.operands[0])
        if not isinstance(inner, Clamp) or not isinstance(op, Clamp):
            return None
        if not same_codes(inner.x, inner.result, op.result):
            return Mismatch("the two clamps have different types")
        low, high = intersect((inner.minimum, inner.maximum), (op.minimum, op.maximum))
        return rewriter.emit(Clamp, inner.x, minimum=low, maximum=high, types=(op.result.type,))


def intersect(inner: tuple[float, float] | None, outer: tuple[float, float]) -> tuple[float, float]:
    """Return the bounds that limit as `inner` and then `outer` do."""
    if inner is None:
        return outer
    low, high = outer
    return min(max(inner[0], low), high), min(max(inner[1], low), high)


# pad(pad(x, a, v), b, v) = pad(x, a + b, v)
class MergePads(Pattern):
    """Two pads with the same constant are one."""

    root = Pad

    def apply(self, op: Op, rewriter: Rewriter) -> Value | Mismatch | None:
        """Add the widths."""
        inner = rewriter.definition(op.operands[0])
        if not isinstance(inner, Pad) or not isinstance(op, Pad):
            return None
        if (inner.mode, op.mode) != ("constant", "constant") or inner.value != op.value:
            return Mismatch("the two pads add different values")
        if not same_codes(inner.x, inner.result, op.result):
            return Mismatch("the two pads have different types")
        low = tuple(map(sum, zip(inner.low, op.low, strict=True)))
        high = tuple(map(sum, zip(inner.high, op.high, strict=True)))
        return rewriter.emit(Pad, inner.x, low=low, high=high, value=op.value, types=(op.result.type,))


# op(pad(x, a, 0), padding p) = op(x, padding p + a): what a convolution pads is 0
# avg(pad(x, a, 0), padding p) = avg(x, padding p + a) where all taps count
# max(pad(x, a, v), padding p) = max(x, padding p + a) where v ≤ x: what a pool pads never wins
class PadIntoWindow(Pattern):
    """A pad in front of a convolution or pool becomes its padding."""

    root = (Conv2d, AvgPool2d, MaxPool2d)

    def apply(self, op: Op, rewriter: Rewriter) -> Value | Mismatch | None:
        """Add the pad's widths to the window's padding."""
        pad = rewriter.definition(op.operands[0])
        if not isinstance(pad, Pad) or not isinstance(op, Conv2d | AvgPool2d | MaxPool2d):
            return None
        if rewriter.module.stage not in REAL_STAGES or not same_codes(pad.x, pad.result):
            return Mismatch("the pad adds codes, or changes the type")
        reason = _cannot_absorb(op, pad, rewriter)
        if reason:
            return Mismatch(reason)
        before = op.padding
        added = (pad.low[1], pad.high[1], pad.low[2], pad.high[2])
        padding = tuple(a + b for a, b in zip(before, added, strict=True))
        changes = {"count_include_pad": True} if isinstance(op, AvgPool2d) else {}
        operands = (pad.x, *op.operands[1:])
        (value,) = rewriter.emit_op(op, operands=operands, padding=padding, types=(op.result.type,), **changes)
        return value


def _cannot_absorb(op: Conv2d | AvgPool2d | MaxPool2d, pad: Pad, rewriter: Rewriter) -> str:
    """Return why a window can't take a pad in, or an empty string."""
    if pad.mode != "constant":
        return f"the pad is of mode {pad.mode}"
    if any((pad.low[0], pad.high[0], pad.low[3], pad.high[3])):
        return "the pad grows batch or channels"
    if isinstance(op, MaxPool2d):
        below = pad.value <= lower_bound(rewriter.definition(pad.x))
        return "" if below else f"the padded value {pad.value} could be the largest of a window"
    if pad.value != 0:
        return f"the padded value is {pad.value}, not 0"
    if isinstance(op, AvgPool2d) and any(op.padding) and not op.count_include_pad:
        return "the pool's own padding does not count, that of the pad does"
    return ""


def lower_bound(op: Op | None) -> float:
    """Return what no element of the result of `op` lies below."""
    clamp = getattr(op, "clamp", None)
    if isinstance(op, Clamp):
        return op.minimum
    return float(clamp[0]) if clamp is not None else -math.inf


# op(broadcast(a), b) = op(a, b): arithmetic broadcasts by itself
class DropBroadcast(Pattern):
    """A broadcast in front of element-by-element arithmetic that broadcasts anyway goes."""

    root = Binary

    def apply(self, op: Op, rewriter: Rewriter) -> Value | None:
        """Read the operand of the broadcast."""
        operands = []
        for value in op.operands:
            inner = rewriter.definition(value)
            operands.append(inner.x if isinstance(inner, Broadcast) else value)
        if tuple(operands) == op.operands:
            return None
        if np.broadcast_shapes(*(v.type.shape for v in operands)) != op.result.type.shape:
            return None
        (value,) = rewriter.emit_op(op, operands=tuple(operands), types=(op.result.type,))
        return value


# reshape(transpose(reshape(x))) = gather(x, axis, indices) where the chain only reorders one axis (channel shuffle)
class ShuffleToGather(Pattern):
    """A channel shuffle, written as reshape, transpose, reshape, is a gather along one axis."""

    root = Reshape

    def apply(self, op: Op, rewriter: Rewriter) -> Value | None:
        """Follow the index of every element through the chain and look for the one axis that it reorders."""
        transpose = rewriter.definition(op.operands[0])
        if not isinstance(transpose, Transpose) or rewriter.module.stage is Stage.INTEGER:
            return None
        inner = rewriter.definition(transpose.x)
        if not isinstance(inner, Reshape) or inner.x.type != op.result.type or op.result.type.size == 0:
            return None
        shape = op.result.type.shape
        if op.result.type.size > GATHER_SEARCH_LIMIT:
            return None
        index = np.arange(op.result.type.size).reshape(inner.shape).transpose(transpose.permutation).reshape(shape)
        found = reordered_axis(index, shape)
        if found is None:
            return None
        axis, indices = found
        return rewriter.emit(Gather, inner.x, axis=axis, indices=indices, indices_shape=(len(indices),))


def reordered_axis(index: Array, shape: Shape) -> tuple[int, tuple[int, ...]] | None:
    """Return (axis, indices) where the flat indices `index` are those of a gather along one axis, else None."""
    identity = np.arange(index.size).reshape(shape)
    for axis in range(len(shape)):
        stride = math.prod(shape[axis + 1 :])
        first = np.moveaxis(index, axis, 0).reshape(shape[axis], -1)[:, 0] // stride
        if first.max() < shape[axis] and np.array_equal(np.take(identity, first, axis=axis), index):
            return axis, tuple(map(int, first))
    return None


MOVEMENT_RULES = (
    DropIdentity,
    MergeReshapes,
    MergeTransposes,
    TransposeToReshape,
    MergeClamps,
    MergePads,
    PadIntoWindow,
    DropBroadcast,
)

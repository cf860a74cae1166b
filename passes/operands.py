"""Questions that rules ask about operands: constants, single users, what the user keeps in float."""

from __future__ import annotations

import numpy as np

from qcc.ir import Array, Mismatch, Op, Pattern, Rewriter, Shape, Stage, Value

#: The topic of the note on operations that the user keeps in float.
KEEP_FLOAT = "keep-float"

#: The topic of the note on sums that may wrap as those of the kernels whose bits they keep; the reason names these.
MAY_WRAP = "may-wrap"

#: The topic of the note with the operation of the model file, where several kernels compute one operation of the IR.
KERNEL = "kernel"

#: How that note ends where a file asks for the kernel of 16-bit codes whose scales are powers of two.
POWERS_OF_TWO = "pot_scale_int16"

#: The topic of the note on operations that LiteRT's XNNPACK leaves for what the file says beside their parameters.
UNDELEGATED = "undelegated"


class FloatPattern(Pattern):
    """Base of rules about real arithmetic: tried in the float stage, on float results only."""

    def apply(self, op: Op, rewriter: Rewriter) -> Value | Mismatch | None:
        """Try the rule where it is real arithmetic."""
        if rewriter.module.stage is not Stage.FLOAT or not all(v.type.is_float for v in op.results):
            return None
        return self.apply_real(op, rewriter)

    def apply_real(self, op: Op, rewriter: Rewriter) -> Value | Mismatch | None:
        """Try the rule on an operation of real arithmetic."""
        return None


def inner_op(outer: Op, value: Value, rewriter: Rewriter) -> Op | Mismatch:
    """Return the operation that defines `value` where it can become one with its user `outer`, else why not."""
    inner = rewriter.definition(value)
    if inner is None:
        return Mismatch(f"%{value.name} is an input")
    if rewriter.use_count(value) != 1:
        return Mismatch(f"%{value.name} is used elsewhere too")
    if bool(inner.note(KEEP_FLOAT)) != bool(outer.note(KEEP_FLOAT)):
        kept = inner if inner.note(KEEP_FLOAT) else outer
        return Mismatch(f"{kept.name} stays in float: {kept.note(KEEP_FLOAT)}")
    return inner


def scalar_constant(value: Value, rewriter: Rewriter) -> float | None:
    """Return the number that a constant holds everywhere, else None."""
    array = rewriter.constant(value)
    if array is None or array.size == 0 or array.dtype.kind != "f":
        return None
    first = array.reshape(-1)[0]
    return float(first) if np.all(array == first) else None


def channel_vector(array: Array, shape: Shape) -> Array | None:
    """Return a constant that broadcasts against `shape` as one number for each index of the last axis, else None."""
    if not shape or array.ndim > len(shape):
        return None
    if array.size == 1:
        return np.full(shape[-1], array.reshape(())[()], array.dtype)
    aligned = (1,) * (len(shape) - array.ndim) + array.shape
    per_channel = aligned[-1] == shape[-1] and all(d == 1 for d in aligned[:-1])
    return array.reshape(-1) if per_channel else None

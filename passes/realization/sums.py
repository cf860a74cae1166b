"""Means and sums: an exact integer sum, then one rescale that holds the divisor."""

from __future__ import annotations

import numpy as np

from qcc.ir import Value, ops

from .realizer import Realizer, realizes


def window_total(r: Realizer, op: ops.AvgPool2d, zero_point: int = 0) -> Value:
    """Append `Σ (q − zero_point)` of each window."""
    return r.emit(
        ops.SumPool2d,
        r.codes(op.x),
        name=f"{op.result.name}_accumulator",
        kernel=op.kernel,
        strides=op.strides,
        padding=op.padding,
        dilation=op.dilation,
        input_zero_point=zero_point,
    )


@realizes(ops.AvgPool2d)
def average_pool(r: Realizer, op: ops.AvgPool2d) -> None:
    """Realize `Σ (x − z) · s_x / (n·s_y)`; n differs by position where windows reach over the border."""
    x = op.x.type.uniform()
    total = window_total(r, op, x.zero_point)
    divisors = np.maximum(op.divisors(), 1).astype(np.float64)  # a window without any tap sums to 0
    factor = np.float64(x.scale) / (divisors * np.float64(op.result.type.uniform().scale))
    r.define_rescale(op.result, total, factor, 0, op.clamp)


def total_of(r: Realizer, op: ops.ReduceMean | ops.ReduceSum, zero_point: int, codes: Value | None = None) -> Value:
    """Append `Σ (q − zero_point)`, of the operand's codes or of `codes`."""
    return r.emit(
        ops.ReduceSum,
        r.codes(op.x) if codes is None else codes,
        name=f"{op.result.name}_accumulator",
        axes=op.axes,
        keep_dims=op.keep_dims,
        input_zero_point=zero_point,
    )


def count_of(op: ops.ReduceMean | ops.ReduceSum) -> int:
    """Return how many elements one result is made of."""
    return op.x.type.size // max(op.result.type.size, 1)


@realizes(ops.ReduceMean, ops.ReduceSum)
def reduce_sum(r: Realizer, op: ops.ReduceMean | ops.ReduceSum) -> None:
    """Realize `Σ (x − z) · s_x / (n·s_y)`, n = 1 for a sum."""
    x = op.x.type.uniform()
    total = total_of(r, op, x.zero_point)
    count = count_of(op) if isinstance(op, ops.ReduceMean) else 1
    factor = np.float64(x.scale) / (count * np.float64(op.result.type.uniform().scale))
    r.define_rescale(op.result, total, factor)

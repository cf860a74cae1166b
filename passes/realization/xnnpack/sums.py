"""MEAN and SUM in the profile `litert-xnn`."""

from __future__ import annotations

import numpy as np

from qcc.ir import ops

from ..realizer import Realizer, realizes
from ..rescales import Into, in_floats
from ..sums import count_of, total_of
from ..tflite import sums as reference


@realizes(ops.ReduceMean, ops.ReduceSum, profiles=("litert-xnn",))
def mean_or_sum(r: Realizer, op: ops.ReduceMean | ops.ReduceSum) -> None:
    """Realize MEAN or SUM of n 8-bit codes as XNNPACK: `RHE(f32(f32(f32(Σ q)·S) + Z))` in binary32.

    S = f32(s_x / s_y), for a mean f32(S · f32(1 / n)); Z = f32(z_y − f32(f32(n·z_x)·S)).
    """
    own, to = op.x.type.uniform(), op.result.type.uniform()
    if own.storage_type.bits != 8:
        _of_16_bits(r, op)
        return
    f32, count = np.float32, count_of(op)
    factor = f32(own.scale) / f32(to.scale)
    if isinstance(op, ops.ReduceMean):
        factor = factor * (f32(1) / f32(count))
    offset = f32(to.zero_point) - f32(count * own.zero_point) * factor
    operands = np.asarray(factor, f32), Into.of(to).around(0), "half_even"
    in_floats(r, total_of(r, op, 0), *operands, offset=np.asarray(offset, f32), result=op.result)


def _of_16_bits(r: Realizer, op: ops.ReduceMean | ops.ReduceSum) -> None:
    """Define MEAN or SUM of 16-bit codes, which XNNPACK does not take: `RHA(f32(Σ q · f32(s_x / s_y)))` for a sum."""
    if isinstance(op, ops.ReduceMean):
        reference.mean(r, op)
        return
    own, to = op.x.type.uniform(), op.result.type.uniform()
    factor = np.asarray(np.float32(own.scale) / np.float32(to.scale), np.float32)
    in_floats(r, total_of(r, op, 0), factor, Into.of(to), "half_away", result=op.result)

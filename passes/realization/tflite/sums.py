"""AVERAGE_POOL_2D, MEAN and SUM of the profiles `tflm` and `litert-ref`."""

from __future__ import annotations

import numpy as np

from qcc.ir import I8, U8, Array, PassError, ops

from ..movement import in_own_parameters
from ..multipliers import multiplier_of
from ..realizer import Realizer, realizes
from ..rescales import Into, fixed_point
from ..sums import count_of, total_of, window_total
from .bounds import activation_bounds
from .rescales import DOUBLE, twice_rounded


@realizes(ops.AvgPool2d, profiles=("tflm",))
def average_pool(r: Realizer, op: ops.AvgPool2d) -> None:
    """Realize AVERAGE_POOL_2D: `RHA(Σ q / n)` of the codes as they are, n the taps inside the image."""
    own, to = op.x.type.uniform(), op.result.type.uniform()
    if own != to:
        in_own_parameters(r, op, average_pool)
        return
    if op.count_include_pad:
        raise PassError("TFLite's average pool does not count the padding", help="keep it in float: --keep-float")
    total = window_total(r, op)
    largest = max(abs(own.storage_type.minimum), own.storage_type.maximum)
    m, s = exact_quotients(np.maximum(op.divisors(), 1), largest)
    into = Into.of(to, activation_bounds(to, op.clamp)).around(0)
    fixed_point(r, total, m, s, into, "half_away", result=op.result)


def exact_quotients(divisors: Array, largest: int) -> tuple[Array, Array]:
    """Return (m, s) with RHA(A·m / 2^s) = RHA(A / n) for sums A of n codes of magnitude up to `largest`.

    m = ⌈2^s / n⌉ is less than 1 too large, which moves A·m / 2^s away from zero by less than
    |A| / 2^s ≤ n·largest / 2^s: ties stay on their side, and all else is at least 1/(2n) away from a tie, so that
    2^s ≥ 2·n²·largest is enough.
    """
    n = divisors.astype(np.int64)
    bound = 2 * n * n * largest
    s = np.ceil(np.log2(bound.astype(np.float64))).astype(np.int64)
    m = -(-(np.int64(1) << np.minimum(s, 62)) // n)
    if np.any(s > 62) or np.any(m >= 2**31):
        help = "keep it in float: --keep-float avg_pool2d"
        raise PassError(f"a window of {int(n.max())} elements is too large", help=help)
    powers = (n & (n - 1)) == 0
    exact = np.log2(n.astype(np.float64)).astype(np.int64)
    return np.where(powers, 1, m), np.where(powers, exact, s)


@realizes(ops.ReduceMean, profiles=("tflm",))
def mean(r: Realizer, op: ops.ReduceMean) -> None:
    """Realize MEAN: the multiplier of s_x / s_y holds 1/n, cut off: m' = ⌊m·2^k / n⌋ with the largest k that fits."""
    own, to = op.x.type.uniform(), op.result.type.uniform()
    count = max(count_of(op), 1)
    m, s = multiplier_of(float(np.float64(own.scale) / np.float64(to.scale)))
    k = min(count.bit_length() - 1, 32, 62 - s)
    total = total_of(r, op, own.zero_point)
    fixed_point(r, total, np.array((m << k) // count), np.array(s + k), Into.of(to), DOUBLE, result=op.result)


@realizes(ops.ReduceSum, profiles=("tflm",))
def total(r: Realizer, op: ops.ReduceSum) -> None:
    """Realize SUM: `MBQM(Σ (q − z_x), s_x / s_y) + z_y`."""
    own, to = op.x.type.uniform(), op.result.type.uniform()
    factor = np.float64(own.scale) / np.float64(to.scale)
    twice_rounded(r, total_of(r, op, own.zero_point), factor, Into.of(to), result=op.result)


@realizes(ops.ReduceSum, profiles=("litert-ref",))
def total_of_bytes(r: Realizer, op: ops.ReduceSum) -> None:
    """Realize SUM as LiteRT's reference kernel does: it takes signed codes for unsigned ones, operand and result alike.

    It reads 16-bit codes as bytes too, half of them, which no model can mean.
    """
    own, to = op.x.type.uniform(), op.result.type.uniform()
    if own.storage_type.bits != 8 or to.storage_type != own.storage_type:
        message = f"LiteRT's reference kernel of SUM reads {own.storage_type} codes as bytes, half of them"
        raise PassError(message, help="its results mean nothing: choose --arithmetic tflm or litert-xnn")
    if own.storage_type == U8:
        total(r, op)
        return
    unsigned = r.emit(ops.Cast, r.codes(op.x), to=U8, name=f"{op.result.name}_bytes")
    sums = total_of(r, op, own.zero_point, unsigned)
    factor = np.float64(own.scale) / np.float64(to.scale)
    into = Into(U8, to.zero_point, U8.minimum, U8.maximum)
    rescaled = twice_rounded(r, sums, factor, into, name=f"{op.result.name}_unsigned")
    r.define(op.result, ops.Cast, rescaled, to=I8)

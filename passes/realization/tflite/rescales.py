"""TFLite's rescales: QuantizeMultiplier, then two roundings, or one with 15 bits for 64-bit sums.

ARITHMETIC: m and e of M = m·2^(e−31) are TFLite's QuantizeMultiplier; the shift of the IR is s = 31 − e.
"""

from __future__ import annotations

import numpy as np

from qcc.ir import Array, PassError, Value

from ..multipliers import multipliers
from ..realizer import Realizer
from ..rescales import Into, fixed_point

DOUBLE = "double"
"""The rounding of MultiplyByQuantizedMultiplier as all builds have it by default."""

_WIDE_SHIFTS = (8, 46)
"""Shifts of the 64-bit form that the kernels allow: −31 ≤ e ≤ 7."""


def twice_rounded(
    r: Realizer,
    x: Value,
    real: Array | float,
    into: Into,
    *,
    input_zero_point: int = 0,
    result: Value | None = None,
    name: str = "",
) -> Value:
    """Append MultiplyByQuantizedMultiplier(x − z, real): doubling high product, then a shift, each rounded."""
    m, s = multipliers(np.asarray(real, np.float64))
    return fixed_point(r, x, m, s, into, DOUBLE, input_zero_point=input_zero_point, result=result, name=name)


def of_wide_sums(r: Realizer, x: Value, real: Array | float, into: Into, *, result: Value) -> Value:
    """Append the rescale of 64-bit sums: `⌊(x·r + 2^(14−e)) / 2^(15−e)⌋`, r the multiplier in 15 bits."""
    m, s = (a.astype(np.int64) for a in multipliers(np.asarray(real, np.float64)))
    reduced = np.where(m < 0x7FFF0000, (m + (1 << 15)) >> 16, 0x7FFF)
    shift = s - 16
    low, high = _WIDE_SHIFTS
    if np.any(shift > high) or np.any(shift < low):
        help = "its operands' scales and its result's differ too much: check the model's quantization"
        raise PassError("a scale ratio does not fit the 15-bit multipliers of 64-bit sums", help=help)
    return fixed_point(r, x, reduced, shift, into, "half_up", result=result)

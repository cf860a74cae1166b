"""The rescales of other profiles in vectors: two roundings of fixed point, and binary32.

* `double`: `RDPOT(⌊(x·2^L·m + 2^30) / 2^31⌋, R)`, the second rounding with ties away from zero. It is half up of a
  number that is one less where it is negative and R > 0: `y + ((y AND −R) >> 31)`.
* `double_up`: the same, the second rounding half up.
* `float`: `RHE(f32(f32(x)·S))` within the bounds: x + 1.5·2^23 has no place for a fraction, and its low bits are the
  number.

The first two need |x·2^L| < 2^30, so that the rounding term does not leave 32 bits; less where a machine's own shift
rounds (`DotInstruction.sum_limit`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qcc.targets import tir
from qcc.targets.instructions import DotInstruction
from qcc.targets.nests.lanes import halves, interleave, lanes_of, vector_type
from qcc.targets.tir import Body, Expr

MAGIC = 1.5 * 2.0**23
"""The float from which on the distance to the next is 1."""

MAGIC_BITS = int(np.float32(MAGIC).view(np.int32))
"""Its bits: those of `MAGIC + n` are `MAGIC_BITS + n` for |n| < 2^22."""


def doubled_high_product(body: Body, value: Expr, factor: Expr) -> Expr:
    """`⌊(value · factor + 2^30) / 2^31⌋` in int32 lanes, for factors that are not negative."""
    lanes = lanes_of(value)
    if lanes == 1:
        wide = tir.cast(value, "int64") * tir.cast(factor, "int64") + tir.constant(1 << 30, "int64")
        return tir.cast(wide >> tir.constant(31, "int64"), "int32")
    (even, odd), (even_factor, odd_factor) = (halves(body, n, v) for n, v in (("pairs", value), ("factors", factor)))
    nudge, down, up = (tir.splat(n, lanes // 2, "int64") for n in (1 << 30, 31, 1))
    return interleave((even * even_factor + nudge) >> down, (odd * odd_factor + nudge) << up)


def rounding_division(dot: DotInstruction, body: Body, value: Expr, shift: Expr, away: bool) -> Expr:
    """`value / 2^shift` to nearest in int32 lanes, for shifts of 0 to 31; ties go up, or away from zero."""
    lanes = lanes_of(value)
    if away:
        value = value + ((value & (_number(0, lanes) - shift)) >> _number(31, lanes))
    rounded = dot.rounding_shift(body, value, shift)
    if rounded is not None:
        return rounded
    some = tir.minimum(shift, _number(1, lanes))
    half = some << (shift - some)  # 0 for a shift of 0; 2^30, not −2^30, for one of 31
    return (value + half) >> shift


def _number(value: int, lanes: int) -> Expr:
    return tir.splat(value, lanes) if lanes > 1 else tir.constant(value)


def in_float(body: Body, accumulator: Expr, factor: Expr, zero_point: int, low: int, high: int) -> Expr:
    """`RHE(clamp(f32(f32(accumulator)·factor), low − z, high − z)) + z` in int32 lanes."""
    lanes = lanes_of(accumulator)

    def number(value: float) -> Any:
        constant = tir.number(value, "float32")
        return constant if lanes == 1 else tir.splat(constant, lanes)

    scaled = body.let("scaled", tir.product(tir.cast(accumulator, vector_type("float32", lanes)), factor))
    bounded = tir.maximum(tir.minimum(scaled, number(high - zero_point)), number(low - zero_point))
    bits = tir.reinterpret(body.let("bounded", bounded) + number(MAGIC), vector_type("int32", lanes))
    return bits - _number(MAGIC_BITS - zero_point, lanes)

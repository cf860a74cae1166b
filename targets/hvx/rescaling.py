"""Rescales of int32 lanes: the constants that the code needs, and the code, for each rounding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from qcc.targets import hexagon_instructions as hvx
from qcc.targets import tir
from qcc.targets.hexagon_instructions import LANES
from qcc.targets.nests.epilogue import HIGH_SHIFT
from qcc.targets.tir import Body, Expr

Integers = npt.NDArray[np.int64]

MOST_LEFT = 30
"""The most that a value is shifted left before the multiplication."""


@dataclass(frozen=True)
class RescaleConstants:
    """What a rescale needs for each channel.

    Attributes:
        multiplier: of the high product.
        left: shifts of the value before it.
        right: shifts of the product behind it.
        saturates: whether values are cut to what `left` allows.
    """

    multiplier: Integers
    left: Integers
    right: Integers
    saturates: bool = False


def high_constants(multiplier: npt.NDArray[Any], shift: npt.NDArray[Any], saturates: bool) -> RescaleConstants:
    """Rounded once: `((x · 2^l · m) >> 32, rounded) >> t` with `s + l = 32 + t`, `t ≥ 1`, for the total shift s ≥ 1.

    Where `x · 2^l` may leave 32 bits (`saturates`), multipliers are brought to 2³⁰ or more first. Then x can be cut to
    the bounds that `x · 2^l` allows: every result beyond 2²⁷ is the same 8-bit code.
    """
    factors, shifts = (np.asarray(a, np.int64).copy() for a in (multiplier, shift))
    if saturates:
        for _ in range(31):
            small = (factors > 0) & (factors < 2**30) & (shifts < HIGH_SHIFT)
            factors, shifts = np.where(small, factors * 2, factors), shifts + small
        shifts = np.where(factors == 0, HIGH_SHIFT, shifts)
    left = np.clip(HIGH_SHIFT - shifts, 0, MOST_LEFT)
    return RescaleConstants(factors, left, np.maximum(shifts + left - 32, 1), saturates)


def double_constants(multiplier: npt.NDArray[Any], shift: npt.NDArray[Any]) -> RescaleConstants:
    """Rounded twice: the doubling high product of `x · 2^l`, then a shift by r, `s = 31 − l + r`."""
    shifts = np.asarray(shift, np.int64)
    return RescaleConstants(np.asarray(multiplier, np.int64), np.maximum(31 - shifts, 0), np.maximum(shifts - 31, 0))


def high_product(body: Body, value: Expr, factor: Expr) -> Expr:
    """`⌊value · factor / 2³²⌋` of 32-bit lanes."""
    pair = body.let("product", hvx.EVEN_PRODUCT(value, factor))
    return hvx.UPPER(hvx.ODD_PRODUCT(pair, value, factor))


def cut(value: Expr, left: Expr) -> Expr:
    """The value within the bounds that a left shift allows."""
    most = tir.splat(2**31 - 1, LANES) >> left
    return tir.maximum(tir.minimum(value, most), ~most)


def rounded_up(body: Body, value: Expr, factor: Expr, right: Expr, half: Expr) -> Expr:
    """`⌊(⌊value · factor / 2³²⌋ + half) / 2^right⌋` with `half = 2^(right − 1)`."""
    return (body.let("upper", high_product(body, value, factor)) + half) >> right


def rounded_twice(body: Body, value: Expr, factor: Expr, right: Expr, away: bool) -> Expr:
    """The doubling high product, rounded; then `/ 2^right`, ties away from zero or up.

    With `z = y − [y < 0]` (ties away) or `z = y`, and `right ≥ 1`, the second is `(⌊z / 2^(right − 1)⌋ + 1) >> 1`.
    """
    high = hvx.ODD_ROUNDED(body.let("even", hvx.EVEN_UPPER(value, factor)), value, factor)
    high = body.let("high", high)
    one = body.let("any", tir.minimum(right, tir.splat(1, LANES)))
    if away:
        high = high + ((high >> tir.splat(31, LANES)) & (tir.splat(0, LANES) - one))
    return ((high >> (right - one)) + one) >> one

"""Roundings of floats: to whole numbers in the type of the argument, and of a product and a sum together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[Any]


def _half_even(x: Floats) -> Floats:
    """The nearest whole number, ties to even: C's rint in the default mode."""
    return np.asarray(np.rint(x))


def _half_away(x: Floats) -> Floats:
    """The nearest whole number, ties away from zero: C's round.

    What is added is the largest float below 1/2, so that the sum stays below the next whole number where x is the
    largest float below one half of it; a tie's sum is rounded up to the whole number.
    """
    below_half = np.nextafter(x.dtype.type(0.5), x.dtype.type(0))
    return np.asarray(np.trunc(x + np.copysign(below_half, x)))


#: Names of roundings and their meaning on float arrays.
FLOAT_ROUNDINGS: dict[str, Callable[[Floats], Floats]] = {"half_even": _half_even, "half_away": _half_away}


#: The bits of a binary64 number that binary32 drops, and those of a number half-way between two of its normal ones.
_DROPPED, _HALF = (1 << 29) - 1, 1 << 28

#: Below this magnitude binary32 is coarser than its 24 bits say.
_SUBNORMAL = 2.0**-125


def fused_multiply_add(a: Floats, b: Floats, c: Floats) -> Floats:
    """Return `a·b + c` of binary32 numbers rounded once, as C's fmaf.

    The product is exact in binary64, the sum there is rounded. Rounding that again to binary32 is wrong only where it
    lies half-way between two numbers of binary32 and the exact sum does not: such sums are rounded to odd first.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        product = np.multiply(a, b, dtype=np.float64)
        total = np.asarray(product + c)
        result = np.asarray(total.astype(np.float32))
        doubtful = (np.ascontiguousarray(total).view(np.int64).reshape(total.shape) & _DROPPED) == _HALF
        doubtful |= (np.abs(total) < _SUBNORMAL) & (total != 0)
        if doubtful.any():
            addend = np.broadcast_to(c, total.shape)[doubtful].astype(np.float64)
            result[doubtful] = _to_odd(np.broadcast_to(product, total.shape)[doubtful], addend).astype(np.float32)
    return result


def _to_odd(a: Floats, b: Floats) -> Floats:
    """Return `a + b` of binary64 numbers rounded to odd (Boldo and Melquiond 2008).

    An inexact sum whose last bit is 0 takes the neighbour on the side of the error; rounded again to a type of fewer
    bits it is rounded as if once.
    """
    total = a + b
    part = total - a
    error = (a - (total - part)) + (b - part)
    even = (total.view(np.int64) & 1) == 0
    toward = np.where(error > 0, np.inf, -np.inf)
    return np.asarray(np.where((error != 0) & even, np.nextafter(total, toward), total))

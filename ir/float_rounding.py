"""Roundings of floats to whole numbers, in the type of the argument."""

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

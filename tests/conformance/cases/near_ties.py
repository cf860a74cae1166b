"""Output scales that tell apart in which precision an engine forms the ratio of scales.

Ratios formed in binary32 and in binary64 differ by a part in 2^24, which random data never shows. It shows where the
one is a fraction such as 1/2 or 5/8, with which every second or eighth sum is a tie, and the other is just below.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tests.conformance.tflite_builder import Array

DISTANCE = 1.2 * 2.0**-25
"""By which part of it an exact product is below that in binary32: their ratios differ in binary32 too."""

NARROW_DISTANCE = 2.0**-26
"""By which part of a ratio one formed in binary64 is below one formed in binary32."""

TRIES = 10_000

TIES = [(2 * k + 1) / 2**bits for bits in range(1, 8) for k in range(2**bits // 2) if (2 * k + 1) / 2**bits >= 0.5]
"""Fractions from 1/2 to 1 with few bits: small sums times them are ties."""


@dataclass(frozen=True)
class Forms:
    """The ratio of one or two scales to an output's.

    Attributes:
        narrow: formed in binary32.
        mixed: the product in binary32, the quotient in binary64.
        wide: formed in binary64.
    """

    narrow: float
    mixed: float
    wide: float


def forms(scales: Sequence[float], output: float) -> Forms:
    """Return the ratio in each precision."""
    product, exact = np.prod(np.array(scales, np.float32), dtype=np.float32), np.prod(np.array(scales, np.float64))
    return Forms(
        float(product / np.float32(output)), float(np.float64(product) / output), float(exact / np.float64(output))
    )


def rounds_up(a: float, b: float) -> bool:
    """Return whether a product in binary32 is above the exact one, so that forms can lie on both sides of a tie."""
    return float(np.float32(a) * np.float32(b)) * (1 - DISTANCE) > float(np.float32(a)) * float(np.float32(b))


def near_tie_scale(rng: np.random.Generator, scales: Sequence[float], narrow_alone: bool, about: float = 0.0) -> float:
    """Return an output scale.

    Args:
        narrow_alone: whether `mixed` is on the side of `wide`, below the tie, or on that of `narrow`.
        about: for sums of 64 bits, whose multiplier is cut to 15 bits: an output scale of the right size; the ratio is
            near one that is half-way between two such multipliers.
    """
    product = float(np.prod(np.array(scales, np.float32), dtype=np.float32))
    distance = NARROW_DISTANCE if narrow_alone or about else DISTANCE
    for number in range(TRIES):
        tie = TIES[number % len(TIES)]
        if about:
            tie = (2 * int(rng.integers(2**14, 2**15)) + 1) / 2**16 * 2.0 ** np.round(np.log2(product / about))
        output = float(np.float32(product / tie))
        found = forms(scales, output)
        above = (found.narrow,) if narrow_alone else (found.narrow, found.mixed)
        below = (found.mixed, found.wide) if narrow_alone else (found.wide,)
        if min(above) >= tie and max(below) < tie * (1 - distance):
            return output
    raise AssertionError(f"no output scale near a tie for {scales}")


def codes_near(rng: np.random.Generator, shape: Sequence[int], type: str, zero: int, radius: int) -> Array:
    """Return codes about a zero point."""
    info = np.iinfo(type)
    return np.clip(zero + rng.integers(-radius, radius + 1, shape), info.min, info.max).astype(type)

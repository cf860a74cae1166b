"""Integer rescaling as the reference kernels of TensorFlow Lite Micro define it, in 64-bit NumPy integers.

Straight from the mathematics (ARITHMETIC.md §2); shares nothing with the compiler under test.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Ints: TypeAlias = npt.NDArray[np.int64]
Array: TypeAlias = npt.NDArray[Any]


def ints(values: Any) -> Ints:
    return np.asarray(values, np.int64)


def wrap32(x: Ints) -> Ints:
    """Return the two's-complement 32-bit value."""
    return ints((x + 2**31) % 2**32 - 2**31)


def saturate(x: Ints, bits: int) -> Ints:
    return ints(np.clip(x, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1))


def half_away(x: float) -> int:
    """Return the nearest integer of a binary64 value, ties away from zero."""
    whole = math.floor(abs(x))
    return int(math.copysign(whole + (abs(x) - whole >= 0.5), x))


def half_away_f32(x: Array) -> Ints:
    """Return the nearest integers of binary32 values, ties away from zero."""
    wide = np.abs(np.asarray(x, np.float64))
    whole = np.floor(wide)
    return ints(np.copysign(whole + (wide - whole >= 0.5), x))


def quantize_multiplier(real: float) -> tuple[int, int]:
    """Return (m, e) with real ≈ m·2^(e−31)."""
    if real == 0:
        return 0, 0
    fraction, exponent = math.frexp(real)
    m = half_away(fraction * 2**31)
    if abs(m) == 2**31:
        m, exponent = m // 2, exponent + 1
    return (0, 0) if exponent < -31 else (m, exponent)


def multipliers(reals: Array) -> tuple[Ints, Ints]:
    """Return `quantize_multiplier` of each."""
    pairs = [quantize_multiplier(float(r)) for r in np.asarray(reals, np.float64).reshape(-1)]
    shape = np.shape(reals)
    return ints([m for m, _ in pairs]).reshape(shape), ints([e for _, e in pairs]).reshape(shape)


def srdhm(a: Ints, b: Ints | int, bits: int = 32) -> Ints:
    """Return ⌊(a·b + half) / 2^(bits−1)⌋, saturated: the high half of the doubled product."""
    return saturate((ints(a) * ints(b) + 2 ** (bits - 2)) >> (bits - 1), bits)


def rdpot(x: Ints, n: Ints | int) -> Ints:
    """Return x / 2^n to nearest, ties away from zero."""
    n = ints(n)
    magnitude = (np.abs(x) + ((ints(1) << n) >> 1)) >> n
    return ints(np.where(x < 0, -magnitude, magnitude))


def srmpot(x: Ints, k: int, bits: int = 32) -> Ints:
    """Return x·2^k, saturated for k > 0, rounded for k < 0."""
    return saturate(x << k, bits) if k > 0 else rdpot(x, -k)


def rescale(x: Ints, m: Ints | int, e: Ints | int) -> Ints:
    """Return x·m·2^(e−31), rounded twice (variant D)."""
    m, e = ints(m), ints(e)
    shifted = wrap32(ints(x) << np.maximum(e, 0))
    return rdpot(srdhm(shifted, m), np.maximum(-e, 0))


def rescale_64(x: Ints, m: Ints | int, e: Ints | int) -> Ints:
    """Return x·m·2^(e−31) with a 16-bit multiplier, ties up (variant Q64, for 64-bit sums)."""
    m, e = ints(m), ints(e)
    reduced = np.where(m < 0x7FFF0000, (m + 2**15) >> 16, 0x7FFF)
    return ints((ints(x) * reduced + (ints(1) << (14 - e))) >> (15 - e))


def clz32(x: Ints) -> Ints:
    """Return the leading zeros of positive 32-bit values."""
    return ints(31 - np.floor(np.log2(np.asarray(x, np.float64))))

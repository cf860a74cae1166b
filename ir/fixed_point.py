"""Exact fixed-point arithmetic: multipliers, shifts and the roundings of the field's integer kernels.

The roundings are the variants of the TFLite, gemmlowp and CMSIS-NN kernels in mathematical form: with multiplier m and
shift s, real M = m / 2^s. A kernel's own exponent e of M = m·2^(e−31) is e = 31 − s.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .errors import IrError, nearest
from .types import Array


def quantize_multiplier(real: float, largest_exponent: int = 30) -> tuple[int, int]:
    """Return (m, s) with real ≈ m / 2^s, 2^30 ≤ m < 2^31 and 31 − largest_exponent ≤ s ≤ 62.

    (0, 31) stands for 0 and what is below 2^−32. The mantissa is rounded half away from zero, as TFLite's
    QuantizeMultiplier does.

    Raises:
        IrError: for a negative or non-finite number, and for one that rounds to 2^largest_exponent or more.
    """
    if not math.isfinite(real) or real < 0:
        raise IrError(f"a multiplier must be finite and not negative, not {real}")
    if real == 0:
        return 0, 31
    mantissa, exponent = math.frexp(real)
    multiplier = math.floor(mantissa * 2**31 + 0.5)
    if multiplier == 2**31:
        multiplier, exponent = 2**30, exponent + 1
    if exponent < -31:
        return 0, 31
    if exponent > largest_exponent:
        raise IrError(f"a multiplier of {real} does not fit: it must be below 2^{largest_exponent}")
    return multiplier, 31 - exponent


def rounding_divide_by_pot(x: Array, exponent: Array) -> Array:
    """Return x / 2^exponent rounded to nearest, ties away from zero (gemmlowp's RoundingDivideByPOT)."""
    mask = (np.int64(1) << exponent) - 1
    threshold = (mask >> 1) + (x < 0)
    return np.asarray((x >> exponent) + ((x & mask) > threshold))


def saturating_rounding_doubling_high_mul(a: Array, b: Array) -> Array:
    """Return ⌊(a·b + 2^30) / 2^31⌋, 2^31−1 for a = b = −2^31: ARM's SQRDMULH on 32 bits."""
    return np.asarray(np.minimum((a * b + (np.int64(1) << 30)) >> 31, 2**31 - 1))


def wrap32(x: Array) -> Array:
    """Return x reduced to two's-complement 32 bits, as int64."""
    return x.astype(np.int32).astype(np.int64)


def _half_up(x: Array, multiplier: Array, shift: Array) -> Array:
    """Variant S: ⌊(x·m + 2^(s−1)) / 2^s⌋, rounded once, ties toward +∞."""
    half = np.where(shift > 0, np.int64(1) << np.maximum(shift - 1, 0), 0)
    total = np.asarray(x * multiplier)
    total += half
    total >>= shift
    return total


def _double(x: Array, multiplier: Array, shift: Array) -> Array:
    """Variant D: RDPOT(SRDHM(x·2^L, m), R), the default of TFLite Micro and CMSIS-NN."""
    left, right = np.maximum(31 - shift, 0), np.maximum(shift - 31, 0)
    return rounding_divide_by_pot(saturating_rounding_doubling_high_mul(wrap32(x << left), multiplier), right)


def _double_up(x: Array, multiplier: Array, shift: Array) -> Array:
    """Variant R: as D, the second rounding with ties toward +∞ (SQRDMULH, then SRSHL)."""
    left, right = np.maximum(31 - shift, 0), np.maximum(shift - 31, 0)
    high = (wrap32(x << left) * multiplier + (np.int64(1) << 30)) >> 31
    return np.asarray((high + ((np.int64(1) << right) >> 1)) >> right)


def _half_away(x: Array, multiplier: Array, shift: Array) -> Array:
    """RHA(x·m / 2^s): rounded once, ties away from zero."""
    return rounding_divide_by_pot(np.asarray(x * multiplier), shift)


#: Names of roundings and their meaning on (x, multiplier, shift), int64 arrays.
ROUNDINGS: dict[str, Callable[[Array, Array, Array], Array]] = {
    "half_up": _half_up,
    "half_away": _half_away,
    "double": _double,
    "double_up": _double_up,
}


def rescale(x: Array, multiplier: Array, shift: Array, rounding: str) -> Array:
    """Return round(x · multiplier / 2^shift) as int64, by the rounding named.

    x must fit 32 bits for the double roundings; for the others its product with the multiplier must fit 64.
    """
    if rounding not in ROUNDINGS:
        raise IrError(f"there is no rounding {rounding!r}", help=nearest(rounding, list(ROUNDINGS)))
    wide, factor, places = (np.asarray(a).astype(np.int64, copy=False) for a in (x, multiplier, shift))
    return ROUNDINGS[rounding](wide, factor, places)

"""Real factors as integers over powers of two."""

from __future__ import annotations

import math

import numpy as np

from qcc.ir import Array, IrError, PassError, ScalarType, quantize_multiplier

#: A factor from which on any nonzero integer becomes a code beyond every 8- or 16-bit type: it can be cut there.
SATURATING = 2.0**18
#: Largest shift of a sum's rescale, so that the sum and its rounding term stay within 32 bits.
LARGEST_SUM_SHIFT = 30
#: The help where scales, which a quantized model brings along and calibration finds, admit no multiplier.
FAR_APART = "its operands' scales and its result's differ too much: check the model's scales or the calibration data"


def multipliers(real: Array, bits: int = 31) -> tuple[Array, Array]:
    """Return (m, s) with real ≈ m / 2^s: m i32 of `bits` magnitude bits, s i8, of the shape of `real`.

    The relative error is at most 2^−bits, the absolute one below 2^−32 where a factor is too small for any m.

    Raises:
        PassError: for a factor that is not finite or too large.
    """
    flat = np.asarray(real, np.float64).reshape(-1)
    found = {value: _multiplier(value, bits) for value in set(flat.tolist())}
    pairs = [found[value] for value in flat.tolist()]
    m = np.array([p[0] for p in pairs], np.int32).reshape(np.shape(real))
    s = np.array([p[1] for p in pairs], np.int8).reshape(np.shape(real))
    return m, s


def multiplier_of(real: float, largest_exponent: int = 30) -> tuple[int, int]:
    """Return `quantize_multiplier` of a ratio of scales, not negative; a PassError where it has none."""
    try:
        return quantize_multiplier(real, largest_exponent)
    except IrError as error:
        raise PassError(f"a scale ratio of {real:g} has no multiplier", help=FAR_APART) from error


def _multiplier(real: float, bits: int) -> tuple[int, int]:
    m, s = multiplier_of(abs(real))
    drop = 31 - bits
    if drop and m:
        m, s = (m + (1 << (drop - 1))) >> drop, s - drop
        if s < 0:
            raise PassError(f"a scale ratio of {real:g} has no multiplier of {bits} bits", help="keep it in float")
        if m == 1 << bits and s > 0:
            m, s = m >> 1, s - 1
    return (-m if real < 0 else m), s


def multipliers_into(storage: ScalarType, real: Array, bits: int = 31) -> tuple[Array, Array]:
    """Return `multipliers` of factors into `storage`, cut at ±2^18 where it has at most 16 bits.

    The results are the same: with |factor| ≥ 2^18 every nonzero integer saturates, and zero gives zero.
    """
    factors = np.asarray(real, np.float64)
    return multipliers(np.clip(factors, -SATURATING, SATURATING) if storage.bits <= 16 else factors, bits)


def sum_shift(factors: list[Array], bits: int, constant: float = 0.0) -> int:
    """Return n such that Σ (q_i − z_i)·RHE(factor_i·2^n) + constant·2^n + 2^(n−1) fits 32 bits for `bits`-bit codes.

    |q − z| < 2^bits and α ≤ 2^(29−bits), so each of at most two products stays below 2^29; the constant stays within
    2^28, and n ≤ 30 keeps the rounding term at 2^29.

    Raises:
        PassError: where no n of at least 0 does it.
    """
    largest = max((float(np.max(np.abs(f), initial=0.0)) for f in factors), default=0.0)
    n = LARGEST_SUM_SHIFT
    if largest > 0:
        n = min(n, 29 - bits - math.frexp(largest)[1])
    if constant > 0:
        n = min(n, 28 - math.frexp(constant)[1])
    if n < 0:
        help = f"{FAR_APART}, or keep it in float"
        raise PassError(f"a sum with scale ratio {max(largest, constant):g} does not fit 32 bits", help=help)
    return n

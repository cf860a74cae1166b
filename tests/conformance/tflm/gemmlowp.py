"""Fixed-point exponentials, reciprocals, logistic and tanh on 32-bit raws (ARITHMETIC.md §3.18)."""

from __future__ import annotations

import numpy as np

from tests.conformance.tflm.fixed_point import Ints, ints, rdpot, saturate, srdhm

ONE = 2**31 - 1
"""1.0 in Q0.31."""

EXP_MINUS_EIGHTH = 1895147668
THIRD = 715827883
POWERS = {-2: 1672461947, -1: 1302514674, 0: 790015084, 1: 290630308, 2: 39332535, 3: 720401, 4: 242}
"""exp(−2^k) in Q0.31."""


def exp(a: Ints, integer_bits: int) -> Ints:
    """Return exp(a) in Q0.31 of a ≤ 0 with `integer_bits`."""
    fraction_bits = 31 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    r = (a & (quarter - 1)) - quarter
    x = saturate(r << integer_bits, 32) + 2**28
    x2 = srdhm(x, x)
    x3, x4 = srdhm(x2, x), srdhm(x2, x2)
    tail = rdpot(srdhm(rdpot(x4, 2) + x3, THIRD) + x2, 1)
    value = EXP_MINUS_EIGHTH + srdhm(ints(EXP_MINUS_EIGHTH), x + tail)
    rest = r - a
    for k, factor in POWERS.items():
        if k < integer_bits:
            value = np.where(rest & (1 << (fraction_bits + k)), srdhm(value, factor), value)
    if integer_bits > 5:
        value = np.where(a < -(1 << (36 - integer_bits)), 0, value)
    return ints(np.where(a == 0, ONE, value))


def _newton(a: Ints) -> Ints:
    """Return 2/(1 + a) in Q2.29 halves: the iteration that both quotients share."""
    half = (a + ONE + np.where(a + ONE >= 0, 1, -1)) // 2
    x = 1515870810 + srdhm(half, -1010580540)
    for _ in range(3):
        x = x + saturate(4 * srdhm(x, 2**29 - srdhm(half, x)), 32)
    return ints(x)


def reciprocal(a: Ints) -> Ints:
    """Return 1/(1 + a) of Q0.31 in Q0.31, 0 ≤ a < 1."""
    return saturate(2 * _newton(a), 32)


def one_minus_over_one_plus(a: Ints) -> Ints:
    """Return (1 − a)/(1 + a) of Q0.31 in Q0.31, 0 ≤ a < 1."""
    return saturate(4 * (_newton(a) - 2**29), 32)


def logistic(a: Ints, integer_bits: int) -> Ints:
    positive = reciprocal(exp(-np.abs(a), integer_bits))
    return ints(np.where(a > 0, positive, np.where(a < 0, ONE - positive, 2**30)))


def tanh(a: Ints, integer_bits: int) -> Ints:
    t = one_minus_over_one_plus(exp(-np.abs(a), integer_bits + 1))
    return ints(np.where(a > 0, t, np.where(a < 0, -t, 0)))

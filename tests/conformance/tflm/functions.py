"""Functions of one number: logistic, tanh, ELU, hard swish (§3.19, §3.22)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tests.conformance.tflm import gemmlowp
from tests.conformance.tflm.fixed_point import (
    Array,
    Ints,
    half_away,
    half_away_f32,
    ints,
    quantize_multiplier,
    rdpot,
    rescale,
    saturate,
    srdhm,
)
from tests.conformance.tflm.kernel import Call, finish, kernel


def sigmoid_table() -> Ints:
    """Return the 256 entries of 65536·σ(i/24), bent so that interpolation errs least."""

    def g(t: float) -> float:
        return 65536 / (1 + math.exp(-t / 24))

    entries = [math.floor(g(i) + 0.5 * (g(i + 0.5) - 0.5 * (g(i) + g(i + 1))) + 0.5) for i in range(256)]
    entries[255] = 65535
    return ints(entries)


@kernel("LOGISTIC")
def logistic(call: Call) -> Sequence[Array]:
    if call.output.type == "int16":
        return [_logistic_16(call)]
    return [_fixed_point_8(call, lambda x: rdpot(gemmlowp.logistic(x, 4), 23) - 128)]


@kernel("TANH")
def tanh(call: Call) -> Sequence[Array]:
    if call.output.type == "int16":
        return [_tanh_16(call)]
    return [_fixed_point_8(call, lambda x: rdpot(gemmlowp.tanh(x, 4), 24))]


def _fixed_point_8(call: Call, function: object) -> Ints:
    """Return the function of the input as Q4.27; far out it is the lowest or the highest code."""
    assert callable(function)
    fraction, left = math.frexp(float(call.info(0).scale) * 2**27)
    radius = math.floor(15 * 2**27 / 2**left)
    x = call.centred(0)
    inside = np.abs(x) < radius
    q4 = rescale(np.where(inside, x, 0), half_away(fraction * 2**31), left)
    value = np.clip(function(q4), -128, 127)
    return ints(np.where(inside, value, np.where(x <= -radius, -128, 127)))


def _table_position(call: Call, exponents: tuple[int, ...]) -> Ints:
    """Return the input in units of 1/(3·4096): exact for powers of two that fit, else by a 15-bit multiplier."""
    scale = call.info(0).scale
    log = math.log2(scale)
    power = round(log)
    if abs(np.float32(log) - np.float32(power)) < 1e-3 and 12 + power in exponents:
        return ints(call.codes(0) * (3 << (12 + power)))
    multiplier, shift = float(scale) * 4096.0 * 3.0, 0
    while multiplier <= 32767.0 / 2.0 and shift <= 30:
        multiplier, shift = multiplier * 2.0, shift + 1
    return ints((call.codes(0) * int(multiplier) + ((1 << shift) >> 1)) >> shift)


def _interpolated(magnitude: Ints, bits: int, saturated: int) -> Ints:
    table = sigmoid_table()
    index = np.minimum(magnitude >> bits, 254)
    low, high = table[index], table[index + 1]
    inside = (low << bits) + (magnitude & ((1 << bits) - 1)) * (high - low)
    return ints(np.where(magnitude >> bits >= 255, saturated, inside))


def _logistic_16(call: Call) -> Ints:
    d = _table_position(call, (0,))
    r = _interpolated(np.abs(d), 9, 0x7FFF << 10)
    return ints(np.where(d >= 0, r + 2**9, 2**25 - r + 2**9 - 1) >> 10)


def _tanh_16(call: Call) -> Ints:
    d = _table_position(call, (0, 1))
    r = _interpolated(np.abs(d), 8, 0xFFFF << 8)
    return ints(np.where(d >= 0, r - 2**23 + 2**7, -r + 2**23 + 2**7 - 1) >> 8)


@kernel("ELU")
def elu(call: Call) -> Sequence[Array]:
    """A table: binary32 throughout, `exp(x) − 1` as written, rounded half away."""
    x = call.info(0).scale * call.centred(0).astype(np.float32)
    with np.errstate(over="ignore"):
        exponential = np.float32(np.exp(x.astype(np.float64))) - np.float32(1)
    y = np.where(x < 0, exponential, x).astype(np.float32) * (np.float32(1) / call.output.scale)
    return [finish(half_away_f32(np.clip(y, -1e9, 1e9)), call.output)]


@kernel("HARD_SWISH")
def hard_swish(call: Call) -> Sequence[Array]:
    fine = np.float32(1 / 128) * call.info(0).scale
    output_m, output_e = quantize_multiplier(float(fine / call.output.scale))
    reluish_m, reluish_e = quantize_multiplier(float(fine / np.float32(3 / 32768)))
    h = ints((call.centred(0) * 128).astype(np.int16))
    product = srdhm(h, _high_half(output_m), 16)
    r = saturate(h << (reluish_e - 1), 16) if reluish_e > 0 else h
    r = srdhm(r, _high_half(reluish_m), 16)
    r = saturate(r << 1, 16) if reluish_e > 0 else r
    r = _rdpot16(r, -reluish_e) if reluish_e < 0 else r
    r = (r + 2**15) >> 1
    exact = r * product
    truncated = ints(np.where(exact < 0, -(np.abs(exact) >> 15), exact >> 15))
    return [finish(_rdpot16(truncated, -output_e), call.output)]


def _rdpot16(x: Ints, n: int) -> Ints:
    """Divide by 2^n in int16 as C computes it: `(x >> n) + ((x & mask) > (mask >> 1) + (x < 0))`, mask cut to int16."""
    mask = int(np.array([(1 << n) - 1]).astype(np.int16)[0])
    return ints((x >> n) + ((x & mask) > (mask >> 1) + (x < 0)))


def _high_half(m: int) -> int:
    """Return a 31-bit multiplier in 15 bits."""
    return 32767 if m >= 2**31 - 1 - 2**15 else (m + 2**15) >> 16

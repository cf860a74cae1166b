"""Softmax in fixed point: 8 bits (§3.17) and 16 bits by two interpolated tables (§3.20, §3.21)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from tests.conformance.tflm import gemmlowp
from tests.conformance.tflm.fixed_point import (
    Array,
    Ints,
    clz32,
    half_away_f32,
    ints,
    quantize_multiplier,
    rdpot,
    rescale,
    saturate,
    srdhm,
    wrap32,
)
from tests.conformance.tflm.kernel import Call, kernel

INTEGER_BITS = 5


@kernel("SOFTMAX")
def softmax(call: Call) -> Sequence[Array]:
    return [_softmax_16(call) if call.info(0).type == "int16" else _softmax_8(call)]


def _softmax_8(call: Call) -> Ints:
    scaled = float(np.float32(call.options.beta)) * float(call.info(0).scale) * 2 ** (31 - INTEGER_BITS)
    m, left = quantize_multiplier(min(scaled, 2.0**31 - 1))
    lowest_difference = -math.floor((2**INTEGER_BITS - 1) * 2 ** (31 - INTEGER_BITS) / 2**left)
    q = call.codes(0)
    difference = q - q.max(axis=-1, keepdims=True)
    counts = difference >= lowest_difference
    exponential = gemmlowp.exp(srdhm(wrap32(np.where(counts, difference, 0) << left), m), INTEGER_BITS)
    total = np.where(counts, rdpot(exponential, 12), 0).sum(axis=-1, keepdims=True)
    zeros = clz32(total)
    inverse = gemmlowp.reciprocal(wrap32((total << zeros) - 2**31))
    lowest, highest = call.output.limits
    bits = 16 if call.output.type == "int16" else 8
    shift = 12 - zeros + 31 - bits
    codes = np.where(shift > 31, 0, rdpot(srdhm(inverse, exponential), np.minimum(shift, 31))) + lowest
    return ints(np.where(counts, np.clip(codes, lowest, highest), lowest))


@cache
def _table(function: Callable[[Array], Array], input_scale: float, input_zero_point: int) -> Ints:
    """Return 513 samples of a function of [−32768, 32767] codes in units of 2/65535, in binary32."""
    f32 = np.float32
    low, high = (f32(input_scale) * f32(q - input_zero_point) for q in (-32768, 32767))
    out_low, out_high = (f32(2.0) / f32(65535) * f32(q) for q in (-32768, 32767))
    step = f32((high - low) / f32(512))
    factor = f32(f32(65536) / f32(out_high - out_low))
    i = np.arange(512, dtype=np.float32)

    def rounded(x: Array) -> Array:
        return half_away_f32(x).astype(np.float32)

    here, middle, following = (
        function(x.astype(np.float32)) * factor
        for x in (low + i * step, low + i * step + step / f32(2), low + (i + 1) * step)
    )
    error = rounded((following + rounded(here)) / f32(2)) - rounded(middle)
    table = rounded(here) - rounded(error / f32(2))
    last = rounded(function(np.asarray([high], np.float32)) * factor)
    return saturate(ints(np.concatenate([table, last])), 16)


def _exponential(x: Array) -> Array:
    return np.exp(x.astype(np.float64)).astype(np.float32)


def _inverse_of_one_plus(x: Array) -> Array:
    return np.float32(1) / (np.float32(1) + x)


def lookup(table: Ints, x: Ints) -> Ints:
    """Return a table of 513 samples at 16-bit codes, interpolated."""
    index, offset = 256 + (x >> 7), x & 127
    slope = ints((table[index + 1] - table[index]).astype(np.int16))
    return ints((table[index] + ((slope * offset + 64) >> 7)).astype(np.int16))


def _softmax_16(call: Call) -> Ints:
    f32 = np.float32
    exponential = _table(_exponential, float(f32(10.0) / f32(65535)), 32767)
    inverse = _table(_inverse_of_one_plus, float(f32(1.0) / f32(65535)), -32768)
    real = float(call.info(0).scale) * float(np.float32(call.options.beta)) / (10.0 / 65535.0)
    q = call.codes(0)
    difference = rescale(q - q.max(axis=-1, keepdims=True), *quantize_multiplier(real))
    e = lookup(exponential, saturate(difference + 32767, 16))
    total = e.sum(axis=-1, keepdims=True)
    zeros = clz32(total)
    above_one = saturate((((total << (zeros - 1)) + 2**13) >> 14) - 2**15 - 2**16, 16)
    r = lookup(inverse, above_one)
    return ints(np.clip((e * r + (ints(1) << (30 - zeros))) >> (31 - zeros), 0, 32767))

"""Reductions over axes (§3.10, §3.11) and the norm (§3.28)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.conformance.tflm.fixed_point import (
    Array,
    Ints,
    clz32,
    ints,
    quantize_multiplier,
    rdpot,
    rescale,
    saturate,
    srdhm,
    wrap32,
)
from tests.conformance.tflm.kernel import Call, finish, kernel


def _axes(call: Call) -> tuple[int, ...]:
    rank = call.value(0).ndim
    return tuple(sorted({int(a) % rank for a in call.value(1).reshape(-1)}))


@kernel("MEAN", "SUM")
def mean_or_sum(call: Call) -> Sequence[Array]:
    axes = _axes(call)
    count = int(np.prod([call.info(0).shape[a] for a in axes]))
    total = call.codes(0).sum(axis=axes) - call.info(0).zero_point * count
    m, e = quantize_multiplier(float(call.info(0).scale) / float(call.output.scale))
    if call.name == "MEAN":
        shift = min(count.bit_length() - 1, 32, 31 + e)
        m, e = (m << shift) // count, e - shift
    return [finish(rescale(wrap32(ints(total)), m, e), call.output)]


@kernel("REDUCE_MAX")
def reduce_max(call: Call) -> Sequence[Array]:
    return [call.value(0).max(axis=_axes(call))]


@kernel("REDUCE_MIN")
def reduce_min(call: Call) -> Sequence[Array]:
    return [call.value(0).min(axis=_axes(call))]


@kernel("ARG_MAX")
def arg_max(call: Call) -> Sequence[Array]:
    return [call.value(0).argmax(axis=int(call.value(1).reshape(())))]


@kernel("ARG_MIN")
def arg_min(call: Call) -> Sequence[Array]:
    return [call.value(0).argmin(axis=int(call.value(1).reshape(())))]


@kernel("L2_NORMALIZATION")
def l2_normalization(call: Call) -> Sequence[Array]:
    x = call.centred(0)
    squares = (x * x).sum(axis=-1)
    pairs = [inverse_square_root(int(a)) for a in squares.reshape(-1)]
    v = ints([p[0] for p in pairs]).reshape(*squares.shape, 1)
    t = ints([p[1] for p in pairs]).reshape(*squares.shape, 1)
    if call.output.type == "uint8":
        return [finish(rescale(128 * x, v, t), call.output)]
    return [finish(rescale(x, v, t + 7), call.output)]


def inverse_square_root(a: int) -> tuple[int, int]:
    """Return (v, t): 1/√a ≈ v·2^(t−31)."""
    if a <= 1:
        return 2**31 - 1, 0
    shift = 11
    while a >= 2**29:
        a, shift = a // 4, shift + 1
    left = (int(clz32(ints(a))) - 1) // 2 - 1
    shift, a = shift - left, a << (2 * left)
    half = rdpot(ints(a >> 1), 1)
    x: Ints = ints(2**28)
    for _ in range(5):
        cube = saturate(64 * srdhm(srdhm(x, x), x), 32)
        x = saturate(8 * (srdhm(ints(2**28 + 2**27), x) - srdhm(half, cube)), 32)
    v = int(srdhm(x, 1518500250))
    if shift < 0:
        v, shift = v << -shift, 0
    return v, -shift

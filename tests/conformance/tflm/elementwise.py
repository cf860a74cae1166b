"""Arithmetic element by element: sums, products, comparisons, changes of scale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.conformance.tflm.fixed_point import Array, half_away_f32, ints, quantize_multiplier, rescale
from tests.conformance.tflm.kernel import RELU, RELU_N1_TO_1, Call, bound_code, finish, kernel


@kernel("ADD")
def add(call: Call) -> Sequence[Array]:
    s1, s2, s = (float(i.scale) for i in (call.info(0), call.info(1), call.output))
    bits = 15 if call.output.type == "int16" else 20
    twice = 2 * max(s1, s2)
    reals = (s1 / twice, s2 / twice, twice / (2**bits * s))
    return _sum(call, reals, bits, 1)


@kernel("SUB")
def sub(call: Call) -> Sequence[Array]:
    """The factors are formed in binary32."""
    s1, s2, s = call.info(0).scale, call.info(1).scale, call.output.scale
    bits = 15 if call.output.type == "int16" else 20
    twice = np.float32(2) * max(s1, s2)
    reals = (float(s1 / twice), float(s2 / twice), float(twice / (np.float32(2**bits) * s)))
    return _sum(call, reals, bits, -1)


def _sum(call: Call, reals: tuple[float, float, float], bits: int, sign: int) -> Sequence[Array]:
    (m1, e1), (m2, e2), (m, e) = (quantize_multiplier(r) for r in reals)
    a = rescale(call.centred(0) << bits, m1, e1)
    b = rescale(call.centred(1) << bits, m2, e2)
    return [finish(rescale(a + sign * b, m, e), call.output, call.options.fusedActivationFunction)]


@kernel("MUL")
def mul(call: Call) -> Sequence[Array]:
    m, e = quantize_multiplier(float(call.info(0).scale) * float(call.info(1).scale) / float(call.output.scale))
    product = rescale(call.centred(0) * call.centred(1), m, e)
    return [finish(product, call.output, call.options.fusedActivationFunction)]


@kernel("MAXIMUM")
def maximum(call: Call) -> Sequence[Array]:
    return [np.maximum(call.value(0), call.value(1))]


@kernel("MINIMUM")
def minimum(call: Call) -> Sequence[Array]:
    return [np.minimum(call.value(0), call.value(1))]


@kernel("ABS")
def absolute(call: Call) -> Sequence[Array]:
    magnitude = np.abs(call.centred(0))
    if call.info(0).scale != call.output.scale:
        magnitude = rescale(magnitude, *quantize_multiplier(float(call.info(0).scale / call.output.scale)))
    return [finish(magnitude, call.output)]


@kernel("RELU")
def relu(call: Call) -> Sequence[Array]:
    return _activation(call, RELU)


@kernel("RELU_N1_TO_1")
def relu_n1_to_1(call: Call) -> Sequence[Array]:
    return _activation(call, RELU_N1_TO_1)


def _activation(call: Call, activation: int) -> Sequence[Array]:
    ratio = quantize_multiplier(float(call.info(0).scale / call.output.scale))
    return [finish(rescale(call.centred(0), *ratio), call.output, activation)]


@kernel("RELU6")
def relu6(call: Call) -> Sequence[Array]:
    """The codes are clamped as they are: input and output are taken to have the same parameters."""
    x = call.info(0)
    return [np.clip(call.codes(0), x.zero_point, min(bound_code(6, x), x.limits[1]))]


@kernel("LEAKY_RELU")
def leaky_relu(call: Call) -> Sequence[Array]:
    """A negative α is applied as the negative of the product with its magnitude."""
    s_x, s_y = call.info(0).scale, call.output.scale
    x = call.centred(0)
    positive = rescale(x, *quantize_multiplier(float(s_x / s_y)))
    below = float(s_x * np.float32(call.options.alpha) / s_y)
    negative = rescale(x, *quantize_multiplier(abs(below))) * (-1 if below < 0 else 1)
    return [finish(ints(np.where(x >= 0, positive, negative)), call.output)]


@kernel("PRELU")
def prelu(call: Call) -> Sequence[Array]:
    s_x, s_a, s_y = (float(i.scale) for i in (call.info(0), call.info(1), call.output))
    x, a = np.broadcast_arrays(call.centred(0), call.centred(1))
    positive = rescale(x, *quantize_multiplier(s_x / s_y))
    negative = rescale(x * a, *quantize_multiplier(s_x * s_a / s_y))
    return [finish(ints(np.where(x >= 0, positive, negative)), call.output)]


@kernel("QUANTIZE")
def quantize(call: Call) -> Sequence[Array]:
    x, y = call.info(0), call.output
    if x.type == "float32":
        ratio = half_away_f32(np.clip(call.value(0) / y.scale, -(2.0**31), 2.0**31))
        return [finish(ratio, y)]
    return [finish(rescale(call.centred(0), *quantize_multiplier(float(x.scale) / float(y.scale))), y)]


@kernel("DEQUANTIZE")
def dequantize(call: Call) -> Sequence[Array]:
    return [(float(call.info(0).scale) * call.centred(0)).astype(np.float32)]

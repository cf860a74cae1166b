"""Weights of 4 bits, layers without a bias, unusual dimensions of scales: kernels that LiteRT takes for these alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.conformance.cases.case import Case, Maker
from tests.conformance.cases.products import bias_of, output_scale, weights_of, windowed
from tests.conformance.conformance import results
from tests.conformance.tflite_builder import Tensor

SIZE = (9, 7)


def weights(m: Maker, shape: tuple[int, ...], axis: int) -> Tensor:
    """Add weights of 4 bits, per channel in half of the cases."""
    codes = m.rng.integers(-8, 8, shape).astype(np.int8)
    scale = m.scales(0.25, shape[axis]) if m.pick(True, False) else m.scale(0.25)
    return m.builder.constant("w", codes, scale, axis=axis, type="int4")


def layer(m: Maker, narrow: bool = True) -> Case:
    """Return a fully connected layer; rows of an odd number of weights do not begin with a byte."""
    depth, channels = m.size(2, 24), m.size(1, 17)
    m.traits += [f"{depth}x{channels}"]
    x = m.input("x", (4, depth))
    w = weights(m, (channels, depth), 0) if narrow else weights_of(m, (channels, depth), 0)
    b = None if m.kind == "int16" else bias_of(m, x, w, channels)
    y = m.result((4, channels), output_scale(m, x.scale[0] * w.scale[0], depth) / (8 if narrow else 1))
    m.builder.op("FULLY_CONNECTED", [x, w, b], [y], version=5, fused_activation_function=m.activation())
    return m.case(y)


def convolution(m: Maker) -> Case:
    """Return a convolution, or a depthwise one: with fewer channels than a vector has, and with some left over."""
    depthwise = m.op == "DEPTHWISE_CONV_2D"
    depth, kernel, padding = m.size(1, 12), m.pick((3, 3), (3, 2), (1, 1)), m.pick("SAME", "VALID")
    channels = depth * m.pick(1, 2, 3) if depthwise else m.size(1, 9)
    stride = m.pick(1, 2)
    dilation = m.pick(1, 2) if stride == 1 else 1
    m.traits += [f"{depth}x{channels} k{kernel} s{stride} d{dilation} {padding}"]
    x = m.input("x", (1, *SIZE, depth))
    w = weights(m, (1, *kernel, channels), 3) if depthwise else weights(m, (channels, *kernel, depth), 0)
    b = bias_of(m, x, w, channels, optional=False)
    terms = kernel[0] * kernel[1] * (1 if depthwise else depth)
    shape = [windowed(SIZE[i], kernel[i], stride, dilation, padding) for i in range(2)]
    y = m.result((1, *shape, channels), output_scale(m, x.scale[0] * w.scale[0], terms) / 8)
    options: dict[str, Any] = {"stride_h": stride, "stride_w": stride, "padding": padding}
    options |= {"dilation_h_factor": dilation, "dilation_w_factor": dilation}
    options |= {"depth_multiplier": channels // depth} if depthwise else {}
    m.builder.op(m.op, [x, w, b], [y], version=6, fused_activation_function=m.activation(), **options)
    return m.case(y)


def undelegated(m: Maker) -> Case:
    """Return a layer or a convolution of uint8 codes whose weights have one scale along a dimension other than 0."""
    axis = 1 if m.op == "FULLY_CONNECTED" else 3
    shapes = {"DEPTHWISE_CONV_2D": (1, 2, 2, 20), "FULLY_CONNECTED": (20, 20)}
    x = m.input("x", (4, 20) if axis == 1 else (1, 8, 8, 20))
    codes = m.codes(shapes.get(m.op, (20, 2, 2, 20)))
    w = m.builder.constant("w", codes, m.scale(0.02), m.zero_point(), axis=axis)
    b = bias_of(m, x, w, 20, optional=False)
    size = 9 if m.op == "TRANSPOSE_CONV" else 7
    terms = {"DEPTHWISE_CONV_2D": 4, "FULLY_CONNECTED": 20}.get(m.op, 80)
    y = m.result((4, 20) if axis == 1 else (1, size, size, 20), output_scale(m, x.scale[0] * w.scale[0], terms))
    options: dict[str, Any] = {} if axis == 1 else {"padding": "VALID", "stride_h": 1, "stride_w": 1}
    if m.op == "DEPTHWISE_CONV_2D":
        options["depth_multiplier"] = 1
    inputs = [m.numbers("shape", y.shape), w, x, b] if m.op == "TRANSPOSE_CONV" else [x, w, b]
    m.builder.op(m.op, inputs, [y], version=3, **options)
    return m.case(y)


def differing(cases: list[Case]) -> list[str]:
    found = results(cases)
    return [
        f"{r.profile} {r.case.label}: {r.refusal or r.comparison}" for r in found if r.refusal or r.comparison.wrong
    ]


@pytest.mark.parametrize(("kind", "count"), [("int8", 12), pytest.param("int16", 24, marks=pytest.mark.slow)])
def test_layers_of_4_bits(kind: str, count: int) -> None:
    assert differing([layer(Maker("FULLY_CONNECTED", kind, n)) for n in range(200, 200 + count)]) == []


@pytest.mark.slow
def test_layers_of_16_bit_codes_without_a_bias() -> None:
    assert differing([layer(Maker("FULLY_CONNECTED", "int16", n), narrow=False) for n in range(100, 140)]) == []


@pytest.mark.slow
@pytest.mark.parametrize("op", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_convolutions_of_4_bits(op: str) -> None:
    assert differing([convolution(Maker(op, "int8", n)) for n in range(100, 124)]) == []


@pytest.mark.slow
@pytest.mark.parametrize("op", ["CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED"])
def test_uint8_weights_with_a_scale_along_another_dimension(op: str) -> None:
    cases = [undelegated(Maker(op, "uint8", n)) for n in range(8)]
    found = results(cases, ("litert-ref", "litert-xnn"))
    assert [f"{r.profile} {r.case.label}: {r.refusal}" for r in found if r.refusal or r.comparison.wrong] == []

"""int8 in ONNX Runtime's default session (profile `ort-default`), code by code: one thread, no session options."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

import qcc
from qcc.frontends.onnx import import_model
from qcc.ir import Array, Module
from qcc.verification import outputs_behind_floats
from tests.frontends.quantized_onnx import (
    MICROSOFT,
    Graph,
    Parameters,
    evaluated,
    float_operations,
    integer_module,
    session,
)

RNG = np.random.default_rng(19)
X, Y, Z = Parameters(np.int8, 0.0271, 3), Parameters(np.int8, 0.31, -7), Parameters(np.int8, 0.043, 11)


def pair(g: Graph, x: str, p: Parameters) -> str:
    return g.dequantize(g.quantize(x, p), p)


def weights(g: Graph, shape: tuple[int, ...], channels: bool, x: Parameters = X) -> list[str]:
    """Dequantized weights and bias, for an operand of parameters x."""
    scales = RNG.uniform(0.001, 0.01, shape[0]) if channels else 0.0073
    codes = g.constant(RNG.integers(-127, 128, shape).astype(np.int8))
    zeros = np.zeros(np.shape(scales), np.int8)
    axis = {"axis": 0} if channels else {}
    w = g.dequantize(codes, Parameters(np.int8, scales, zeros), **axis)
    bias = g.constant(RNG.integers(-2000, 2000, shape[0]).astype(np.int32))
    units = np.asarray(scales, np.float32) * np.float32(x.scale)
    return [w, g.dequantize(bias, Parameters(np.int32, units, np.zeros(np.shape(scales), np.int32)), **axis)]


def image(*shape: int) -> Array:
    return RNG.normal(0, 1.7, shape).astype(np.float32)


def found(module: Module, x: Array) -> list[Array]:
    """Return the outputs of a module whose input and outputs may be codes."""
    (value,) = module.inputs
    codes = value.type.uniform().quantize(x) if value.type.is_quantized else x
    types = [o.value.type for o in module.outputs]
    results = evaluated(module, {value.name: codes})
    return [t.uniform().dequantize(y) if t.is_quantized else y for t, y in zip(types, results, strict=True)]


def check(model: onnx.ModelProto, images: list[Array], floats: list[str]) -> Module:
    """Hold a model's module against the default session, and say which of its operations are in float."""
    module = integer_module(model, arithmetic="ort-default")
    assert sorted(float_operations(module)) == sorted(floats)
    assert not outputs_behind_floats(module)
    runner = session(model, int8=False)
    for x in images:
        for mine, expected in zip(found(module, x), runner.run(None, {"x": x}), strict=True):
            np.testing.assert_array_equal(mine, expected)
    return module


CONVOLUTIONS: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((1, 3, 16, 16), (8, 3, 3, 3), {"pads": [1] * 4}),  # more pixels than products: one block
    ((1, 20, 12, 12), (9, 20, 3, 3), {"pads": [1] * 4}),  # 128
    ((1, 24, 9, 8), (17, 24, 3, 3), {"pads": [0, 1, 2, 1]}),  # 256: at most 64 pixels
    ((1, 70, 5, 6), (5, 70, 3, 3), {"pads": [1] * 4}),  # 512: at most 32
    ((1, 130, 8, 8), (6, 130, 3, 3), {"pads": [1] * 4, "strides": [2, 2]}),  # 1,024: at most 16
    ((1, 300, 7, 7), (66, 300, 1, 1), {}),
    ((2, 6, 9, 9), (4, 6, 3, 2), {"strides": [1, 2], "dilations": [2, 1], "pads": [2, 0, 1, 1]}),
]


@pytest.mark.parametrize("channels", [False, True])
@pytest.mark.parametrize(("shape", "kernel", "attributes"), CONVOLUTIONS)
def test_convolution_of_codes_read_twice(shape: Any, kernel: Any, attributes: dict[str, Any], channels: bool) -> None:
    g = Graph()
    x = pair(g, g.input("x", shape), X)
    y = pair(g, g.node("Conv", x, *weights(g, kernel, channels), kernel_shape=kernel[2:], **attributes), Y)
    module = check(g.model(y, x), [image(*shape) for _ in range(4)], ["conv2d"])
    assert any(op.name == "conv2d" and op.exact_floats for op in module.ops)


def test_codes_read_once_take_the_integer_kernels() -> None:
    g = Graph()
    x = pair(g, g.input("x", (1, 3, 8, 8)), X)
    y = pair(g, g.node("Relu", g.node("Conv", x, *weights(g, (4, 3, 3, 3), False))), Y)
    check(g.model(y), [image(1, 3, 8, 8)], [])


def residual(channels: bool = False) -> onnx.ModelProto:
    """A convolution whose result two operations read, one behind a ReLU, a sum and a product."""
    g = Graph()
    x = pair(g, g.input("x", (1, 5, 8, 8)), X)
    first = g.node("Relu", g.node("Conv", x, *weights(g, (12, 5, 3, 3), channels), pads=[1] * 4))
    positive, last = Parameters(np.int8, 0.05, -128), Parameters(np.int8, 0.4, 0)
    a = pair(g, first, positive)
    b = pair(g, g.node("Conv", a, *weights(g, (12, 12, 3, 3), channels, positive), pads=[1] * 4), Z)
    c = pair(g, g.node("Add", a, b), Y)
    d = pair(g, g.node("Mul", c, a), last)
    return g.model(pair(g, g.node("Conv", d, *weights(g, (3, 12, 1, 1), channels, last)), Y))


def test_sums_and_products_around_a_residual_connection() -> None:
    check(residual(), [image(1, 5, 8, 8) for _ in range(20)], ["conv2d", "clamp", "conv2d", "add", "mul"])


def test_a_sum_with_itself_and_one_with_a_constant() -> None:
    g = Graph()
    x = pair(g, g.input("x", (1, 4, 8, 8)), X)
    twice = pair(g, g.node("Add", x, x), Z)
    constant = g.dequantize(g.constant(RNG.integers(-128, 128, (4, 1, 1)).astype(np.int8)), X)
    y = pair(g, g.node("Add", twice, constant), Y)
    check(g.model(y), [image(1, 4, 8, 8) for _ in range(5)], ["add", "add"])


def test_uint8_is_left_alone() -> None:
    g = Graph()
    p = Parameters(np.uint8, 0.05, 117)
    x = pair(g, g.input("x", (1, 4, 8, 8)), p)
    check(g.model(pair(g, g.node("Add", x, x), p)), [image(1, 4, 8, 8)], [])


def test_integer_operations_of_the_model_stay_integer() -> None:
    g = Graph()
    codes = g.quantize(g.input("x", (1, 4, 8, 8)), X)
    w = g.constant(RNG.integers(-127, 128, (6, 4, 3, 3)).astype(np.int8))
    scale, zero = g.parameters(Parameters(np.int8, 0.0073))
    y = g.node("QLinearConv", codes, *g.parameters(X), w, scale, zero, *g.parameters(Y))
    total = g.node("QLinearAdd", codes, *g.parameters(X), codes, *g.parameters(X), *g.parameters(Z), domain=MICROSOFT)
    # What else reads the codes works on real numbers.
    product = pair(g, g.node("Mul", g.dequantize(codes, X), g.dequantize(total, Z)), Y)
    model = g.model(g.dequantize(y, Y), product)
    check(model, [image(1, 4, 8, 8) for _ in range(5)], ["mul"])


def test_depthwise_and_single_channels_stay_integer() -> None:
    g = Graph()
    x = pair(g, g.input("x", (1, 4, 8, 8)), X)
    y = pair(g, g.node("Conv", x, *weights(g, (4, 1, 3, 3), False), group=4), Y)
    z = pair(g, g.node("Conv", x, *weights(g, (1, 4, 3, 3), False)), Y)
    module = integer_module(g.model(y, z), arithmetic="ort-default")
    assert float_operations(module) == []


@pytest.mark.parametrize("target", ["c", pytest.param("x86_64-linux-gnu+avx2", marks=pytest.mark.slow)])
def test_compiled_code_has_the_bits_too(target: str) -> None:
    model = residual(channels=True)
    artifact = qcc.compile(import_model(model, "m.onnx"), target=target, arithmetic="ort-default")
    assert artifact.manifest["arithmetic_profile"] == "ort-default"
    runner = session(model, int8=False)
    for x in (image(1, 5, 8, 8) for _ in range(10)):
        (mine,) = artifact.run({"x": x}).values()
        np.testing.assert_array_equal(mine, runner.run(None, {"x": x})[0])

"""Quantized ONNX models that nobody's quantizer wrote: every opset, halves in float, weights of 4 bits, options.

Expectations are ONNX Runtime's: every bit where the last operation is quantized, 1e-5 of the largest number where it
is a sum of real numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import qcc
from qcc.frontends.onnx import import_model
from qcc.ir import Array, Module, PassError, UsageError, evaluate
from tests.frontends.quantized_onnx import Graph, Parameters, evaluated, float_operations, integer_module, session
from tests.frontends.test_onnx_against_onnxruntime import RELATIVE, reference

INPUT = Parameters(np.uint8, 0.031, 117)
HIDDEN = Parameters(np.uint8, 0.4, 120)
UNIT = Parameters(np.uint8, 1 / 256)
RESULT = Parameters(np.uint8, 3.0, 120)
WEIGHT = Parameters(np.int8, 0.011)
RNG = np.random.default_rng(5)
IMAGE = RNG.normal(0, 2, (2, 4, 8, 8)).astype(np.float32)
FIRST, SECOND = (RNG.integers(-127, 128, shape).astype(np.int8) for shape in ((6, 4, 3, 3), (5, 6, 3, 3)))


def pair(g: Graph, x: str, p: Parameters) -> str:
    """Quantize and dequantize."""
    return g.dequantize(g.quantize(x, p), p)


def conv(g: Graph, x: str, codes: Array, quantized: bool = True) -> str:
    """A convolution by quantized weights, or by the same numbers in float."""
    weight = g.dequantize(g.constant(codes), WEIGHT) if quantized else g.constant(codes * np.float32(WEIGHT.scale))
    return g.node("Conv", x, weight, kernel_shape=[3, 3], pads=[1, 1, 1, 1])


def integer_results(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> Array:
    """Return the result of a model's integer module, as real numbers."""
    return integer_results_of(integer_module(model), feeds["x"])


def integer_results_of(module: Module, x: Array) -> Array:
    """Return the result of an integer module, as real numbers."""
    type = module.inputs[0].type
    (found,) = evaluated(module, {"x": type.uniform().quantize(x) if type.is_quantized else x})
    type = module.outputs[0].value.type
    return type.uniform().dequantize(found) if type.is_quantized else found


def of_opset(opset: int) -> onnx.ModelProto:
    """A small QDQ classifier; since opset 13 with a scale for each output channel of its convolution."""
    g = Graph()
    x = pair(g, g.input("x", IMAGE.shape), INPUT)
    if opset < 13:
        y = conv(g, x, FIRST)
    else:
        scales = g.constant(np.linspace(0.005, 0.02, 6).astype(np.float32))
        weight = g.node("DequantizeLinear", g.constant(FIRST), scales, g.constant(np.zeros(6, np.int8)), axis=0)
        y = g.node("Conv", x, weight, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    y = pair(g, g.node("Relu", y), HIDDEN)
    y = pair(g, g.node("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2]), HIDDEN)
    matrix = g.dequantize(g.constant(RNG.integers(-127, 128, (96, 5)).astype(np.int8)), WEIGHT)
    return g.model(pair(g, g.node("MatMul", g.node("Flatten", y), matrix), RESULT), opset=opset)


@pytest.mark.parametrize("opset", [10, 12, 14, 16, 18, 19, 20, 21, 23])
def test_one_model_in_every_opset(opset: int) -> None:
    model = of_opset(opset)
    assert float_operations(integer_module(model)) == []
    np.testing.assert_array_equal(integer_results(model, {"x": IMAGE}), session(model).run(None, {"x": IMAGE})[0])


def half(which: str) -> onnx.ModelProto:
    """A model of which a part is quantized."""
    g = Graph()
    x = g.input("x", IMAGE.shape)
    match which:
        case "first":
            y = conv(g, g.node("Sigmoid", pair(g, conv(g, pair(g, x, INPUT), FIRST), HIDDEN)), SECOND, False)
        case "second":
            y = pair(g, conv(g, pair(g, conv(g, x, FIRST, False), HIDDEN), SECOND), RESULT)
        case "input":
            y = conv(g, conv(g, pair(g, x, INPUT), FIRST, False), SECOND, False)
        case "weights":
            y = conv(g, conv(g, x, FIRST), SECOND)
        case "output":
            y = pair(g, conv(g, conv(g, x, FIRST, False), SECOND, False), RESULT)
        case "around":
            y = g.node("Softplus", pair(g, conv(g, pair(g, x, INPUT), FIRST), HIDDEN))
            y = pair(g, conv(g, pair(g, y, INPUT), SECOND), RESULT)
        case _:
            y = pair(g, conv(g, pair(g, x, INPUT), FIRST), HIDDEN)
            y = g.node("Add", pair(g, g.node("Relu", y), HIDDEN), g.node("Tanh", y))
    return g.model(y)


ARITHMETIC = {"conv2d", "sigmoid", "tanh", "add", "log"}
IN_FLOAT = {
    "first": ["sigmoid", "conv2d"],
    "second": ["conv2d"],
    "input": ["conv2d", "conv2d"],
    "weights": ["conv2d", "conv2d"],
    "output": ["conv2d", "conv2d"],
    "around": ["add", "log", "add"],  # ln(1 + exp(−|x|)) + max(x, 0)
    "both": ["tanh", "add"],
}
"""Operations of a half that stay in float."""


@pytest.mark.parametrize("which", IN_FLOAT)
def test_a_half_is_quantized(which: str) -> None:
    model = half(which)
    (expected,) = session(model).run(None, {"x": IMAGE})
    found = integer_results(model, {"x": IMAGE})
    if which in ("second", "output", "around"):
        np.testing.assert_array_equal(found, expected)
    else:
        np.testing.assert_allclose(found, expected, rtol=0, atol=RELATIVE * np.abs(expected).max())
    assert [n for n in float_operations(integer_module(model)) if n in ARITHMETIC] == IN_FLOAT[which]


LAYERS: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "tensor": ((6, 4, 3, 3), (), {}),
    "channel": ((6, 4, 3, 3), (6,), {"axis": 0}),
    "rows": ((32, 6), (2, 6), {"axis": 0, "block_size": 16}),
    "columns": ((32, 6), (32, 3), {"axis": 1, "block_size": 2}),
}
"""Shape of the weights, that of their scales, and attributes of their DequantizeLinear."""


def narrow_model(type: int, layer: str, quantized: bool, zero: bool) -> tuple[onnx.ModelProto, dict[str, Array]]:
    """A convolution or a product by weights of 4 bits, perhaps between quantized tensors."""
    shape, scales, attributes = LAYERS[layer]
    g, low, dtype = Graph(), -8 if type == TensorProto.INT4 else 0, helper.tensor_dtype_to_np_dtype(type)
    scale = g.constant(RNG.uniform(0.05, 0.2, scales).astype(np.float32))
    points = [g.constant(np.asarray(RNG.integers(0, 4, scales)).astype(dtype))] if zero else []
    codes = g.constant(RNG.integers(low, low + 16, shape).astype(dtype))
    w = g.node("DequantizeLinear", codes, scale, *points, **attributes)
    array = IMAGE if len(shape) == 4 else IMAGE.reshape(-1, 32)[:3]
    x = g.input("x", array.shape)
    y = g.node("Conv" if len(shape) == 4 else "MatMul", pair(g, x, INPUT) if quantized else x, w)
    return g.model(pair(g, y, HIDDEN) if quantized else y), {"x": array}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("type", [TensorProto.INT4, TensorProto.UINT4])
def test_weights_of_4_bits(type: int, layer: str) -> None:
    for quantized, zero in ((False, True), (True, False), (True, True)):
        model, feeds = narrow_model(type, layer, quantized, zero)
        (expected,) = reference(model, feeds)  # as they stand: optimized, blocks are multiplied by rounded inputs
        found = integer_results(model, feeds)
        if quantized:
            np.testing.assert_array_equal(found, expected)
        else:
            np.testing.assert_allclose(found, expected, rtol=0, atol=RELATIVE * np.abs(expected).max())


def network(batch: int | str = 2) -> onnx.ModelProto:
    """Two quantized convolutions with a quantized sigmoid between."""
    g = Graph()
    y = pair(g, conv(g, pair(g, g.input("x", IMAGE.shape), INPUT), FIRST), HIDDEN)
    y = pair(g, conv(g, pair(g, g.node("Sigmoid", y), UNIT), SECOND), RESULT)
    model = g.model(g.node("Flatten", y))
    if isinstance(batch, str):
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = batch
    return model


@pytest.mark.parametrize("kept", ["conv2d", "Sigmoid.*", ".*"])
def test_keep_float_on_a_quantized_model(kept: str) -> None:
    model = network()
    module = integer_module(model, keep_float=(kept,))
    wanted = {"conv2d": ["conv2d", "conv2d"], "Sigmoid.*": ["sigmoid"]}
    assert [n for n in float_operations(module) if n not in ("dequantize", "transpose")] == wanted.get(
        kept, ["conv2d", "sigmoid", "conv2d", "reshape"]
    )
    np.testing.assert_array_equal(integer_results_of(module, IMAGE), session(model).run(None, {"x": IMAGE})[0])


def test_what_is_kept_must_be_there() -> None:
    with pytest.raises(PassError, match="no value or node has a name that 'zzz' matches") as caught:
        integer_module(network(), keep_float=("zzz",))
    names = caught.value.help.removeprefix("one of: ").split(", ")
    assert len(names) == len(set(names))


def test_recipes_on_a_quantized_model() -> None:
    with pytest.raises(UsageError, match="the module is quantized already: --recipe can't change it") as caught:
        integer_module(network(), recipe="int8-per-tensor")
    assert "--recipe float computes it in float" in caught.value.help


@pytest.mark.slow
def test_a_quantized_model_in_float() -> None:
    module = import_model(network())
    (found,) = qcc.compile(module, target="c", recipe="float").run({"x": IMAGE}).values()
    np.testing.assert_array_equal(found, session(network()).run(None, {"x": IMAGE})[0])


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 3])
def test_a_batch_of_any_size(batch: int, tmp_path: Path) -> None:
    model = network("N")
    onnx.save(model, tmp_path / "m.onnx")
    images = RNG.normal(0, 2, (6, 4, 8, 8)).astype(np.float32)
    (found,) = qcc.compile(tmp_path / "m.onnx", target="c", batch=batch).run({"x": images}).values()
    np.testing.assert_array_equal(found, session(model).run(None, {"x": images})[0])


def test_shapes_of_open_dimensions() -> None:
    model = network()
    for axis, name in ((0, "N"), (2, "H"), (3, "W")):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = name
    image = IMAGE[:1, :, :6, :5]
    (found,) = evaluate(import_model(model, shapes={"x": image.shape}), {"x": image}).values()
    np.testing.assert_array_equal(found, session(model).run(None, {"x": image})[0])

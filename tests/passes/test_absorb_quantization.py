"""Models as exporters write them become operations on quantized values, and nothing is lost on the way."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import pytest

from qcc.compiler import CompileOptions, choose_pipeline
from qcc.frontends.onnx import import_model
from qcc.ir import Array, Module, Stage, UsageError, evaluate
from qcc.passes import DEFAULT_PASSES, KEEP_FLOAT, Part, PassContext, PassManager, Pipeline, make_pass
from tests.frontends.quantized_onnx import (
    MICROSOFT,
    Graph,
    Parameters,
    evaluated,
    float_operations,
    integer_module,
    session,
)

U8 = Parameters(np.uint8, 0.031, 117)
OTHER = Parameters(np.uint8, 0.05, 9)
WIDE = Parameters(np.uint8, 0.4, 120)
WEIGHT = Parameters(np.int8, 0.011)
RNG = np.random.default_rng(5)
KERNEL = RNG.integers(-127, 128, (6, 4, 3, 3)).astype(np.int8)
IMAGE = RNG.normal(0, 2, (1, 4, 8, 8)).astype(np.float32)


def absorbed(
    model: onnx.ModelProto, interface: bool = True, keep_float: Sequence[str] = ()
) -> tuple[Module, PassContext]:
    """Return the quantized module, behind canonicalization and the choice of layouts."""
    module = import_model(model, "test.onnx")
    pipeline = choose_pipeline(module, False, CompileOptions(target="c", keep_float=tuple(keep_float)))
    late = {*DEFAULT_PASSES[Part.TARGET], *DEFAULT_PASSES[Part.QUANTIZE]}
    passes = [make_pass(p.name, {"interface": interface}) if p.name == "absorb-quantization" else p for p in pipeline]
    context = PassContext()
    return PassManager(Pipeline(p for p in passes if p.name not in late)).run(module, context), context


def kinds(module: Module) -> dict[str, int]:
    return dict(Counter(op.name for op in module.ops if op.name != "constant"))


def check(model: onnx.ModelProto, feeds: dict[str, Array]) -> None:
    """Hold the integer module of a model, its outputs dequantized, against ONNX Runtime."""
    module = integer_module(model)
    codes = {}
    for value in module.inputs:
        fed = feeds[value.name]
        codes[value.name] = value.type.uniform().quantize(fed) if value.type.is_quantized else fed
    expected = session(model).run(None, feeds)
    for output, found, wanted in zip(module.outputs, evaluated(module, codes), expected, strict=True):
        type = output.value.type
        np.testing.assert_array_equal(type.uniform().dequantize(found) if type.is_quantized else found, wanted)


def qdq(g: Graph, x: str, p: Parameters) -> str:
    return g.dequantize(g.quantize(x, p), p)


def conv(g: Graph, x: str, dequantized: bool = True) -> str:
    weight = g.constant(KERNEL if dequantized else WEIGHT.arrays[0] * KERNEL.astype(np.float32))
    w = g.dequantize(weight, WEIGHT) if dequantized else qdq(g, weight, WEIGHT)
    return g.node("Conv", x, w, pads=[1, 1, 1, 1])


def image(g: Graph) -> str:
    return qdq(g, g.input("x", IMAGE.shape), U8)


def chain(between: Callable[[Graph, str], str]) -> Graph:
    """An image, a convolution, what is `between`, and a pair."""
    g = Graph()
    g.y = qdq(g, between(g, conv(g, image(g))), WIDE)  # type: ignore[attr-defined]  # remembered for `finish`
    return g


def finish(g: Graph) -> onnx.ModelProto:
    return g.model(g.y)  # type: ignore[attr-defined]  # set by `chain`


BETWEEN: dict[str, tuple[Callable[[Graph, str], str], dict[str, int]]] = {
    "nothing": (lambda g, y: y, {}),
    "relu": (lambda g, y: g.node("Relu", y), {}),
    "clip": (lambda g, y: g.node("Clip", y, *(g.constant(np.array(v, np.float32)) for v in (-3, 6))), {}),
    "max pool": (lambda g, y: g.node("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2]), {"max_pool2d": 1}),
    "relu, max pool": (lambda g, y: g.node("MaxPool", g.node("Relu", y), kernel_shape=[2, 2]), {"max_pool2d": 1}),
    "pair, max pool": (lambda g, y: g.node("MaxPool", qdq(g, y, WIDE), kernel_shape=[2, 2]), {"max_pool2d": 1}),
    "two pairs": (lambda g, y: qdq(g, qdq(g, y, WIDE), WIDE), {}),
    "pair, relu": (lambda g, y: g.node("Relu", qdq(g, y, WIDE)), {"clamp": 1}),
    "pad": (lambda g, y: g.node("Pad", qdq(g, y, WIDE), g.constant(np.array([0, 0, 1, 1, 0, 0, 1, 1]))), {"pad": 1}),
    "concat": (lambda g, y: g.node("Concat", qdq(g, y, WIDE), qdq(g, y, WIDE), axis=1), {"concat": 1}),
    "slice": (
        lambda g, y: g.node("Slice", y, *(g.constant(np.array([v])) for v in (1, 5, 2))),
        {"slice": 1},
    ),
}


@pytest.mark.parametrize("name", BETWEEN)
def test_a_chain_becomes_one_operation_on_quantized_values(name: str) -> None:
    between, more = BETWEEN[name]
    model = finish(chain(between))
    module, context = absorbed(model)
    assert module.stage is Stage.QUANTIZED
    assert module.attribute("arithmetic") == "ort"
    rest = {k: n for k, n in kinds(module).items() if k not in ("transpose", "reshape")}
    assert rest == {"conv2d": 1, **more}
    assert [v.type.is_quantized for v in (module.inputs[0], module.outputs[0].value)] == [True, True]
    assert not [r for r in context.remarks if r.pass_name == "absorb-quantization"]
    check(model, {"x": IMAGE})


def test_flatten_and_a_matrix_product_with_weights_a_column() -> None:
    g = Graph()
    y = g.node("Flatten", qdq(g, conv(g, image(g)), WIDE))
    w = Parameters(np.int8, RNG.uniform(0.001, 0.01, 10), np.zeros(10))
    weight = g.dequantize(g.constant(RNG.integers(-127, 128, (384, 10)).astype(np.int8)), w, axis=1)
    out = qdq(g, g.node("MatMul", y, weight), Parameters(np.uint8, 0.7, 128))
    model = g.model(out)
    module, _ = absorbed(model)
    assert {"conv2d", "matmul"} <= kinds(module).keys() <= {"conv2d", "matmul", "transpose", "reshape"}
    check(model, {"x": IMAGE})


def test_float_weights_behind_a_pair_are_quantized_at_import() -> None:
    g = Graph()
    model = g.model(qdq(g, conv(g, image(g), dequantized=False), WIDE))
    module, _ = absorbed(model)
    assert kinds(module)["conv2d"] == 1
    assert "dequantize" not in kinds(module)
    check(model, {"x": IMAGE})


def test_a_conversion_shared_or_written_once_for_each_use() -> None:
    for shared in (True, False):
        g = Graph()
        q = g.quantize(g.input("x", IMAGE.shape), U8)
        first = g.dequantize(q, U8)
        second = first if shared else g.dequantize(q, U8)
        parts = [qdq(g, conv(g, x), WIDE) for x in (first, second)]
        model = g.model(qdq(g, g.node("Add", *parts), WIDE))
        module, _ = absorbed(model)
        assert {"conv2d", "add"} <= kinds(module).keys() <= {"conv2d", "add", "transpose"}
        check(model, {"x": IMAGE})


def test_codes_that_travel_as_integers_keep_their_type() -> None:
    g = Graph()
    codes = g.input("x", (1, 4, 8, 8), np.uint8)
    moved = g.node("MaxPool", g.node("Transpose", codes, perm=[0, 1, 3, 2]), kernel_shape=[2, 2])
    y = g.quantize(conv(g, g.dequantize(moved, U8)), WIDE)
    model = g.model(g.node("Reshape", y, g.constant(np.array([1, -1]))))
    module, _ = absorbed(model)
    assert not set(kinds(module)) & {"quantize", "dequantize"}
    feeds = {"x": RNG.integers(0, 256, (1, 4, 8, 8)).astype(np.uint8)}
    (found,) = evaluated(integer_module(model), feeds)
    np.testing.assert_array_equal(found, session(model).run(None, feeds)[0])


def test_the_rest_stays_in_float_with_its_reason() -> None:
    g = Graph()
    y = qdq(g, conv(g, image(g)), WIDE)
    model = g.model(g.node("Tanh", y), qdq(g, g.node("Div", y, y), OTHER))
    module, context = absorbed(model)
    notes = {op.name: op.note(KEEP_FLOAT) for op in module.ops if op.note(KEEP_FLOAT)}
    assert notes["tanh"] == "its result is not quantized"
    assert "no kernel for div" in notes["div"]
    said = [r.message for r in context.remarks if r.pass_name == "absorb-quantization"]
    assert any(m.startswith("tanh stays in float: its result") for m in said)
    assert sorted(float_operations(integer_module(model))) == ["div", "tanh"]


def test_one_line_says_what_stays_in_float_and_why() -> None:
    """Dynamic quantization computes scales in float: some twenty operations for each quantization, one reason."""
    g = Graph()
    y = g.input("x", (3, 8))
    for _ in range(4):
        weight, scale = g.constant(np.eye(8, dtype=np.int8)), g.constant(np.array(0.1, np.float32))
        y = g.node("DynamicQuantizeMatMul", y, weight, scale, domain=MICROSOFT)
    _, context = absorbed(g.model(y))
    (warning,) = (r for r in context.remarks if r.severity == "warning")
    kept = sum(" stays in float: " in r.message for r in context.remarks)
    assert kept > 50
    assert warning.message.startswith(f"{kept} operations stay in float: ")
    assert warning.message.count("its result is not quantized") == 1
    assert len(warning.message) < 250


def test_quantized_batch_norms_are_no_warning() -> None:
    """fold-batch-norm leaves them to absorb-quantization, which makes integers of them."""
    g = Graph()
    y = qdq(g, conv(g, image(g)), WIDE)
    for _ in range(2):
        scale, offset = (g.dequantize(g.constant(np.full(6, 20, np.int8)), WEIGHT) for _ in range(2))
        mean, variance = g.constant(np.zeros(6, np.float32)), g.constant(np.ones(6, np.float32))
        y = qdq(g, g.node("BatchNormalization", y, scale, offset, mean, variance), OTHER)
    module, context = absorbed(g.model(y))
    assert not [r for r in context.remarks if r.severity == "warning"]
    assert not [op for op in module.ops if op.note(KEEP_FLOAT)]


def test_what_the_user_keeps_in_float_stays() -> None:
    model = finish(chain(lambda g, y: y))
    module, _ = absorbed(model, keep_float=["conv2d"])
    (op,) = (op for op in module.ops if op.name == "conv2d")
    assert op.note(KEEP_FLOAT) == "asked for by ops=conv2d"
    assert op.results[0].type.is_float


def test_the_interface_can_stay_real() -> None:
    module, _ = absorbed(finish(chain(lambda g, y: y)), interface=False)
    assert module.inputs[0].type.is_float
    assert module.outputs[0].value.type.is_float
    assert kinds(module)["quantize"] == kinds(module)["dequantize"] == 1


def test_a_bias_in_other_units_is_rounded_to_those_of_the_product() -> None:
    results = []
    for factor in (1.0, 0.5):
        g = Graph()
        x = image(g)
        w = g.dequantize(g.constant(KERNEL), WEIGHT)
        units = np.float32(U8.scale) * np.float32(WEIGHT.scale) * np.float32(factor)
        codes = (np.arange(6) * 200 / factor).astype(np.int32)
        bias = g.dequantize(g.constant(codes), Parameters(np.int32, units))
        results.append(
            evaluated(integer_module(g.model(qdq(g, g.node("Conv", x, w, bias), WIDE))), {"x": codes_of(IMAGE)})
        )
    np.testing.assert_array_equal(results[0][0], results[1][0])


def codes_of(real: Array) -> Array:
    codes: Array = np.clip(np.rint(real / np.float32(U8.scale)) + U8.zero_point, 0, 255).astype(np.uint8)
    return codes


@pytest.mark.parametrize("scales", ["input channels", "output channels"])
def test_a_bias_whose_scales_are_others_and_weights_whose_scales_run_along_another_axis(scales: str) -> None:
    """A bias in other units is absorbed, and nothing said of it; weights with a scale a row stay, with the reason."""
    g = Graph()
    weight = RNG.integers(-127, 128, (4, 6)).astype(np.int8)
    axis, count = (0, 4) if scales == "input channels" else (1, 6)
    w = g.dequantize(
        g.constant(weight), Parameters(np.int8, np.linspace(0.01, 0.02, count), np.zeros(count)), axis=axis
    )
    bias = Parameters(np.int32, np.full(6, 0.002), np.zeros(6))
    b = g.dequantize(g.constant(np.arange(6, dtype=np.int32)), bias, axis=0)
    y = g.node("Gemm", qdq(g, g.input("x", (3, 4)), U8), w, b)
    module, _ = absorbed(g.model(qdq(g, y, WIDE)))
    (op,) = (op for op in module.ops if op.name == "matmul")
    along = "weights with scales along axis 0, not along the output channels"
    assert op.note(KEEP_FLOAT) == (along if scales == "input channels" else "")


def test_two_pairs_of_different_parameters_are_two_roundings() -> None:
    g = Graph()
    x = g.input("x", (256,))
    model = g.model(qdq(g, g.node("Neg", qdq(g, qdq(g, x, U8), OTHER)), OTHER))
    real = (np.arange(256, dtype=np.float32) - 117) * np.float32(U8.scale)
    (found,) = evaluated(integer_module(model), {"x": np.arange(256, dtype=np.uint8)})
    module = import_model(model, "test.onnx")
    (spelled,) = evaluate(module, {"x": real}).values()
    np.testing.assert_array_equal((found.astype(np.float32) - 9) * np.float32(OTHER.scale), spelled)


def test_calibration_data_is_not_wanted() -> None:
    module = import_model(finish(chain(lambda g, y: y)), "test.onnx")
    with pytest.raises(UsageError, match="quantized already: --calibration can't change it"):
        choose_pipeline(module, True, CompileOptions(target="c"))


@pytest.mark.parametrize("dtype", [np.int16, np.uint16])
def test_codes_of_16_bits_stay_in_float(dtype: Any) -> None:
    g = Graph()
    p = Parameters(dtype, 0.001, 0 if dtype == np.int16 else 30000)
    model = g.model(qdq(g, g.node("Relu", qdq(g, g.input("x", (50,)), p)), p))
    module = integer_module(model)
    real = RNG.normal(0, 3, 50).astype(np.float32)
    (found,) = evaluated(module, {"x": module.inputs[0].type.uniform().quantize(real)})
    (spelled,) = evaluate(import_model(model, "test.onnx"), {"x": real}).values()
    np.testing.assert_array_equal(module.outputs[0].value.type.uniform().dequantize(found), spelled)

"""Functions, clamps, softmax, pools, reductions and movement in integer form, on all codes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcc.ir import I64, Array, Builder, Module, Op, PassError, Stage, TensorType, UniformType, evaluate, ops
from qcc.ir.types import I16, I32
from tests.passes.quantization import i8, ops_named, run

ALL = np.arange(-128, 128).astype(np.int8)
CHANNELS = 3


def unary_classes() -> list[type[ops.Unary]]:
    found, left = [], [ops.Unary]
    while left:
        children = left.pop().__subclasses__()
        left += children
        found += [c for c in children if c.name]
    return found


def one(
    op_class: type[Op], shape: tuple[int, ...], x: UniformType, y: UniformType, /, *more: Array, **given: Any
) -> Module:
    """Return the quantized module of one operation on one quantized input, with constants behind it."""
    builder = Builder("net", Stage.QUANTIZED)
    value = builder.input("x", TensorType(shape, x))
    constants = [builder.constant(a, "c") for a in more]
    probe = op_class(operands=(value, *constants), **given)
    (type,) = probe.infer()
    types = (type.with_element(y) if type.is_float else type,)
    builder.output("y", builder.emit(op_class, value, *constants, name="y", types=types, **given))
    return builder.build()


def both(module: Module, codes: Array) -> tuple[Array, Array, Module]:
    """Return what the integer and the quantized form give, and the integer form."""
    integer = run(module, "insert-rescale,fuse-tables,prove-accumulators")
    found, expected = (evaluate(m, {"x": codes})["y"].astype(np.int64) for m in (integer, module))
    return found, expected, integer


@pytest.mark.parametrize("op_class", unary_classes(), ids=lambda c: c.name)
@pytest.mark.parametrize(("x", "y"), [(i8(0.05, 10), i8(0.04, -20)), (i8(0.02, -128), i8(1 / 256, -128))])
def test_every_function_is_a_table_equal_on_all_codes(
    op_class: type[ops.Unary], x: UniformType, y: UniformType
) -> None:
    module = one(op_class, (256,), x, y)
    integer = run(module, "insert-rescale")
    with np.errstate(all="ignore"):
        real = op_class(operands=module.ops[0].operands).evaluate(x.dequantize(ALL))
        defined = ~np.isnan(np.asarray(real))
        expected = evaluate(module, {"x": ALL})["y"]
    found = evaluate(integer, {"x": ALL})["y"]
    assert np.array_equal(found[defined], expected[defined])
    assert np.all(found[~defined] == y.zero_point)
    assert len(ops_named(integer, ops.Table)) == 1


def test_constant_power_is_a_table() -> None:
    found, expected, integer = both(one(ops.Pow, (256,), i8(0.02, -128), i8(0.05), np.array(1.7, np.float32)), ALL)
    assert np.array_equal(found, expected)
    assert ops_named(integer, ops.Table)


@pytest.mark.parametrize("bounds", [(0.0, 6.0), (0.0, np.inf), (-1.0, 1.0), (0.37, 0.38)])
@pytest.mark.parametrize("x", [i8(0.05, -10), i8(0.03, -128)])
def test_clamp(bounds: tuple[float, float], x: UniformType) -> None:
    y = i8(0.05, -10)
    found, expected, integer = both(one(ops.Clamp, (256,), x, y, minimum=bounds[0], maximum=bounds[1]), ALL)
    assert np.abs(found - expected).max() <= (0 if x == y else 1)
    assert len(ops_named(integer, ops.Clamp)) == (x == y)


@pytest.mark.parametrize(
    "slope",
    [np.array([0.1, -0.3, 1.7]), np.array(0.25), np.array([[[0.1], [0.2]]]), np.ones((1, 2, 3)) * [0.5, 0.1, 2]],
    ids=["channels", "number", "rows", "broadcast channels"],
)
def test_prelu(slope: Array) -> None:
    module = one(ops.Prelu, (256, 2, CHANNELS), i8(0.0513, 10), i8(0.0607, -20), slope.astype(np.float32))
    codes = np.broadcast_to(ALL.reshape(256, 1, 1), (256, 2, CHANNELS))
    found, expected, _ = both(module, codes)
    assert np.abs(found - expected).max() <= 1
    assert np.mean(found != expected) < 0.01


@pytest.mark.parametrize("shape", [(CHANNELS,), (1,), (2, 1)], ids=["channels", "number", "rows"])
def test_a_quantized_slope_is_the_real_one(shape: tuple[int, ...]) -> None:
    """TFLite's PRELU has codes as slope; they mean what their scale and zero point say."""
    type = i8(0.0137, -7)
    slope = np.random.default_rng(1).integers(-128, 128, shape).astype(np.int8)
    x, y = i8(0.0513, 10), i8(0.0607, -20)
    real = one(ops.Prelu, (256, 2, CHANNELS), x, y, type.dequantize(slope))
    builder = Builder("net", Stage.QUANTIZED)
    value = builder.input("x", TensorType((256, 2, CHANNELS), x))
    codes = builder.constant(slope, "c", type=TensorType(shape, type))
    to = TensorType((256, 2, CHANNELS), y)
    builder.output("y", builder.emit(ops.Prelu, value, codes, name="y", types=(to,)))
    feeds = {"x": np.broadcast_to(ALL.reshape(256, 1, 1), (256, 2, CHANNELS))}
    found, expected = (evaluate(run(m, "insert-rescale"), feeds)["y"] for m in (builder.build(), real))
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(("scale", "count"), [(0.1, 10), (0.01, 1000), (1.0, 2), (1e-4, 7), (30.0, 5)])
@pytest.mark.parametrize("y", [i8(1 / 256, -128), i8(0.01, -100)], ids=["usual", "shared"])
def test_softmax_is_the_rounded_probability(scale: float, count: int, y: UniformType) -> None:
    rng = np.random.default_rng(count)
    codes = rng.integers(-128, 128, (50, count)).astype(np.int8)
    x = i8(scale, 5)
    found, _, integer = both(one(ops.Softmax, (50, count), x, y), codes)
    e = np.exp(x.scale * (codes.astype(np.float64) - codes.max(axis=1, keepdims=True)))
    steps = e / e.sum(axis=1, keepdims=True) / y.scale
    top = min(2**24, (2**31 - 1) // count)
    error = 0.5 + (count + 1) / (2 * top) / y.scale + 1e-6
    error += 0.5 / 256 / y.scale if y.scale != 1 / 256 else 0  # rounded to 1/256 first
    unclipped = np.clip(steps + y.zero_point, -128, 127)
    assert np.abs(found - unclipped).max() <= error
    (table,) = ops_named(integer, ops.SoftmaxTable)
    assert int(integer.constant(table.operands[1]).max()) * count < 2**31  # type: ignore[union-attr]  # it is a constant


@pytest.mark.parametrize("axis", [0, 1])
def test_softmax_along_any_axis(axis: int) -> None:
    codes = np.random.default_rng(0).integers(-128, 128, (4, 6)).astype(np.int8)
    found, expected, _ = both(one(ops.Softmax, (4, 6), i8(0.03, 1), i8(1 / 256, -128), axis=axis), codes)
    assert np.abs(found - expected).max() <= 1


IMAGE = (1, 6, 7, CHANNELS)


@pytest.mark.parametrize("include", [False, True])
@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (1, 1, 1, 1), (2, 0, 0, 1)])
def test_average_pool(padding: tuple[int, int, int, int], include: bool) -> None:
    module = one(
        ops.AvgPool2d, IMAGE, i8(0.05, 17), i8(0.04, -30), kernel=(3, 3), strides=(2, 1), padding=padding,
        count_include_pad=include, clamp=(-1.0, 2.0),
    )  # fmt: skip
    found, expected, _ = both(module, np.random.default_rng(1).integers(-128, 128, IMAGE).astype(np.int8))
    assert np.abs(found - expected).max() <= 1
    assert np.mean(found != expected) < 0.05


@pytest.mark.parametrize("op_class", [ops.ReduceMean, ops.ReduceSum, ops.ReduceMax, ops.ReduceMin])
@pytest.mark.parametrize("y", [i8(0.05, 17), i8(0.04, -30)], ids=["same", "other"])
def test_reductions(op_class: type[Op], y: UniformType) -> None:
    module = one(op_class, IMAGE, i8(0.05, 17), y, axes=(1, 2), keep_dims=False)
    found, expected, _ = both(module, np.random.default_rng(2).integers(-128, 128, IMAGE).astype(np.int8))
    assert np.abs(found - expected).max() <= 1


MOVEMENTS: list[tuple[type[Op], dict[str, Any]]] = [
    (ops.Reshape, {"shape": (6, 21)}),
    (ops.Transpose, {"permutation": (0, 3, 1, 2)}),
    (ops.Slice, {"starts": (0, 1, 0, 0), "sizes": (1, 2, 7, 3), "strides": (1, 2, 1, 1)}),
    (ops.Gather, {"axis": 1, "indices": (0, 5, 5), "indices_shape": (3,)}),
    (ops.Broadcast, {"shape": (2, 6, 7, 3)}),
    (ops.MaxPool2d, {"kernel": (2, 2), "strides": (2, 2), "padding": (1, 1, 1, 1)}),
    (ops.Pad, {"low": (0, 1, 0, 0), "high": (0, 0, 2, 0)}),
    (ops.Pad, {"low": (0, 1, 0, 0), "high": (0, 0, 2, 0), "value": 1.3}),
    (ops.Pad, {"low": (0, 1, 0, 0), "high": (0, 0, 2, 0), "mode": "edge"}),
    (ops.Resize, {"shape": (1, 12, 14, 3), "scales": (1.0, 2.0, 2.0, 1.0)}),
]


@pytest.mark.parametrize(("op_class", "attributes"), MOVEMENTS, ids=lambda x: getattr(x, "name", ""))
def test_movement_keeps_codes(op_class: type[Op], attributes: dict[str, Any]) -> None:
    codes = np.random.default_rng(3).integers(-128, 128, IMAGE).astype(np.int8)
    found, expected, integer = both(one(op_class, IMAGE, i8(0.05, 17), i8(0.05, 17), **attributes), codes)
    assert np.array_equal(found, expected)
    assert not ops_named(integer, ops.Rescale)


@pytest.mark.parametrize(("op_class", "attributes"), MOVEMENTS[5:], ids=lambda x: getattr(x, "name", ""))
def test_selection_rescales_where_parameters_differ(op_class: type[Op], attributes: dict[str, Any]) -> None:
    codes = np.random.default_rng(3).integers(-128, 128, IMAGE).astype(np.int8)
    found, expected, integer = both(one(op_class, IMAGE, i8(0.05, 17), i8(0.07, -30), **attributes), codes)
    assert np.abs(found - expected).max() <= 1
    assert ops_named(integer, ops.Rescale)


def test_linear_resize_is_within_a_step_an_axis() -> None:
    attributes = {"shape": (1, 13, 14, 3), "scales": (1.0, 13 / 6, 2.0, 1.0), "mode": "linear"}
    codes = np.random.default_rng(3).integers(-128, 128, IMAGE).astype(np.int8)
    found, expected, _ = both(one(ops.Resize, IMAGE, i8(0.05, 17), i8(0.05, 17), **attributes), codes)
    assert np.abs(found - expected).max() <= 1


def test_argmax_reads_codes() -> None:
    module = one(ops.ArgMax, (5, 256), i8(0.05, 17), i8(1.0), axis=1)
    codes = np.random.default_rng(4).integers(-128, 128, (5, 256)).astype(np.int8)
    found, expected, integer = both(module, codes)
    assert np.array_equal(found, expected)
    assert integer.outputs[0].value.type.element == I64


def test_concat_of_different_parameters_rescales_the_operands_first() -> None:
    builder = Builder("net", Stage.QUANTIZED)
    a = builder.input("a", TensorType((256,), i8(0.05, 17)))
    b = builder.input("b", TensorType((256,), i8(0.1, -3)))
    y = i8(0.1, -3)
    result = builder.emit(ops.Concat, a, b, axis=0, name="y", types=(TensorType((512,), y),))
    builder.output("y", result)
    module = builder.build()
    integer = run(module, "insert-rescale")
    found, expected = (evaluate(m, {"a": ALL, "b": ALL})["y"].astype(int) for m in (integer, module))
    assert np.abs(found - expected).max() <= 1
    assert np.array_equal(found[256:], ALL)
    assert len(ops_named(integer, ops.Rescale)) == 1


def test_quantize_of_a_dequantized_value_is_a_rescale() -> None:
    builder = Builder("net", Stage.QUANTIZED)
    x = builder.input("x", TensorType((256,), i8(0.05, 17)))
    to = i8(0.07, -4)
    builder.output("y", builder.emit(ops.Quantize, builder.emit(ops.Dequantize, x, name="real"), to=to, name="y"))
    module = builder.build()
    found, expected, integer = both(module, ALL)
    assert np.abs(found - expected).max() <= 1
    assert not ops_named(integer, ops.Dequantize)


def test_a_huge_scale_ratio_into_32_bits_is_not_cut() -> None:
    module = one(ops.Requantize, (3,), i8(2.0**20), UniformType(I32, (1.0,), (0,)))
    found, _, _ = both(module, np.array([1, 2, -3], np.int8))
    assert found.tolist() == [2**20, 2**21, -3 * 2**20]


def test_a_table_of_16_bit_codes_is_an_error() -> None:
    wide = UniformType(I16, (0.001,), (0,))
    with pytest.raises(PassError, match="16-bit codes has no table"):
        run(one(ops.Sigmoid, (4,), wide, wide), "insert-rescale")

"""Proven bounds: reached by the worst inputs, never left by any, errors where they leave the type."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qcc.ir import F32, I8, I32, I64, Array, Builder, Module, PassError, ScalarType, Stage, TensorType, evaluate, ops
from qcc.passes import PassContext, ProveAccumulators
from tests.passes.quantization import classifier, codes_of, quantized, random_samples, run


def bounds(module: Module, name: str) -> tuple[int, int]:
    low, high = module.definitions[name].note("accumulator").split("..")
    return int(low), int(high)


def prove(module: Module) -> Module:
    return ProveAccumulators().run(module, PassContext())


def matmul(weight: Array, zero_point: int, bias: Array | None = None, rows: int = 1) -> Module:
    b = Builder("net", Stage.INTEGER)
    x = b.input("x", TensorType((rows, weight.shape[0]), I8))
    constants = [b.constant(weight.astype(np.int8), "w")]
    if bias is not None:
        constants.append(b.constant(bias.astype(np.int32), "b"))
    b.output("y", b.emit(ops.Matmul, x, *constants, input_zero_point=zero_point, name="y"))
    return b.build()


@given(st.integers(0, 10**6), st.integers(-128, 127))
@settings(max_examples=20)
def test_bounds_are_those_of_the_worst_inputs(seed: int, zero_point: int) -> None:
    weight = np.random.default_rng(seed).integers(-127, 128, (7, 1))
    module = prove(matmul(weight, zero_point))
    most = np.where(weight.T > 0, 127, -128).astype(np.int8)
    least = np.where(weight.T > 0, -128, 127).astype(np.int8)
    found = [int(evaluate(module, {"x": x})["y"][0, 0]) for x in (least, most)]
    assert bounds(module, "y") == tuple(found)


def test_all_values_of_a_network_lie_within_their_bounds() -> None:
    module = classifier()
    samples = random_samples(module, 8)
    integer = run(quantized(module, samples), "insert-rescale,prove-accumulators")
    noted = {op.results[0].name for op in integer.ops if op.note("accumulator")}
    assert {"stem_accumulator", "residual_sum", "averaged_accumulator", "logits_accumulator"} <= noted
    extremes = [{"x": np.full((1, 8, 8, 3), v, np.float32)} for v in (-1e9, 1e9)]
    for sample in [*samples, *extremes]:
        seen: dict[str, Array] = {}
        evaluate(integer, codes_of(integer, sample), lambda v, a: seen.update({v.name: a}))  # noqa: B023  # called now
        for name in noted:
            low, high = bounds(integer, name)
            assert low <= seen[name].min()
            assert seen[name].max() <= high


def test_short_sums_are_noted_as_fit_for_16_bits() -> None:
    module = prove(matmul(np.array([[100], [27]]), 0))
    assert bounds(module, "y") == (-16256, 16129)
    assert module.definitions["y"].note("narrow-accumulator") == "i16"
    assert not prove(matmul(np.full((3, 1), 127), 0)).definitions["y"].note("narrow-accumulator")


def test_an_overflow_names_operation_channel_and_bound() -> None:
    weight = np.zeros((70_000, 3), np.int8)
    weight[:, 1] = 127
    with pytest.raises(PassError) as caught:
        prove(matmul(weight, 127))
    text = str(caught.value)
    assert "matmul %y: its sum can be -2266950000..0 in channel 1, which overflows i32" in text
    assert "--keep-float matmul" in text
    prove(matmul(weight[:60_000], 127))


@pytest.mark.parametrize("notes", [(), (("keep-float", "asked for"),)])
@pytest.mark.parametrize("element", [I32, ScalarType("i", 64)])
def test_integers_of_the_model_itself_are_no_matter_of_keep_float(
    element: ScalarType, notes: tuple[tuple[str, str], ...]
) -> None:
    b = Builder("net", Stage.INTEGER)
    x = b.input("x", TensorType((1, 4), element))
    b.output("y", b.emit(ops.Add, x, x, notes=notes))
    with pytest.raises(PassError, match="overflows") as caught:
        prove(b.build())
    assert ("--recipe float" in caught.value.help) == (element.bits == 64 or bool(notes))
    assert ("--keep-float add" in caught.value.help) == (element.bits == 32 and not notes)


def test_a_bias_counts() -> None:
    weight = np.full((1000, 1), 127)
    assert bounds(prove(matmul(weight, -128, np.array([5]))), "y") == (0, 1000 * 127 * 255 + 5)
    with pytest.raises(PassError, match="overflows i32"):
        prove(matmul(weight, -128, np.array([2**31 - 1000 * 127 * 255])))


def convolution(padding: int) -> Module:
    b = Builder("net", Stage.INTEGER)
    x = b.input("x", TensorType((1, 3, 3, 1), I8))
    w = b.constant(np.ones((1, 3, 3, 1), np.int8), "w")
    y = b.emit(ops.Conv2d, x, w, padding=(padding,) * 4, input_zero_point=100, name="y")
    b.output("y", y)
    return b.build()


@pytest.mark.parametrize("padding", [0, 1])
def test_padding_and_partial_sums_are_within_the_bounds(padding: int) -> None:
    assert bounds(prove(convolution(padding)), "y") == (-9 * 228, 9 * 27)


def rescaled(m: int, shift: int, to: object = I32, low: int = -(2**31), high: int = 2**31 - 1) -> Module:
    b = Builder("net", Stage.INTEGER)
    x = b.input("x", TensorType((4,), I32))
    multiplier, s = b.constant(np.array(m, np.int32), "m"), b.constant(np.array(shift, np.int8), "s")
    b.output("y", b.emit(ops.Rescale, x, multiplier, s, to=to, minimum=low, maximum=high, name="y"))
    return b.build()


def test_a_rescale_to_32_bits_that_would_be_cut_is_an_error() -> None:
    with pytest.raises(PassError, match="its result can be"):
        prove(rescaled(3, 0))
    prove(rescaled(1, 0))


def test_a_rescale_whose_product_leaves_64_bits_is_an_error() -> None:
    prove(rescaled(2**31 - 1, 62, I8, -128, 127))
    b = Builder("net", Stage.INTEGER)
    x = b.input("x", TensorType((4,), I32))
    m, s = b.constant(np.array(-(2**31), np.int32)), b.constant(np.array(62, np.int8))
    y = b.emit(ops.Rescale, x, m, s, to=I8, minimum=-128, maximum=127, input_zero_point=2**31 - 1, name="y")
    b.output("y", y)
    with pytest.raises(PassError, match="overflows 64 bits"):
        prove(b.build())


@pytest.mark.parametrize("op_class", [ops.Add, ops.Sub, ops.Mul])
def test_arithmetic_on_wide_values(op_class: type[ops.Binary]) -> None:
    b = Builder("net", Stage.INTEGER)
    operands = []
    for name in "ab":
        x = b.input(name, TensorType((4,), I8))
        m, s = b.constant(np.array(4, np.int32)), b.constant(np.array(0, np.int8))
        operands.append(b.emit(ops.Rescale, x, m, s, to=I32, minimum=-(2**31), maximum=2**31 - 1, name=f"{name}4"))
    b.output("y", b.emit(op_class, *operands, name="y"))
    low, high = bounds(prove(b.build()), "y")
    corners = np.array([-512, 508])
    results = [int(np.asarray(op_class(operands=()).evaluate(p, q))) for p in corners for q in corners]
    assert (low, high) == (min(results), max(results))


def test_a_softmax_sum_beyond_32_bits_is_an_error() -> None:
    b = Builder("net", Stage.INTEGER)
    x = b.input("x", TensorType((1, 1000), I8))
    table = b.constant(np.full(256, 2**23, np.int32))
    b.output("y", b.emit(ops.SoftmaxTable, x, table, name="y"))
    with pytest.raises(PassError, match="sum of exponentials"):
        prove(b.build())


def test_float_regions_are_passed_over() -> None:
    b = Builder("net", Stage.INTEGER)
    x = b.input("x", TensorType((4,), F32))
    b.output("y", b.emit(ops.Add, x, x, name="y"))
    module = b.build()
    assert prove(module) == module


def doubled(element: ScalarType, low: int, high: int, shift: int, rounding: str) -> Module:
    """A clamp, a rescale to i32, and a sum of the result with itself, which notes its bounds."""
    b = Builder("net", Stage.INTEGER)
    x = b.emit(ops.Clamp, b.input("x", TensorType((4,), element)), minimum=low, maximum=high)
    constants = b.constant(np.array(2**30, np.int32)), b.constant(np.array(shift, np.int8))
    y = b.emit(ops.Rescale, x, *constants, to=I32, rounding=rounding, minimum=-(2**29), maximum=2**29)
    b.output("y", b.emit(ops.Add, y, y, name="y"))
    return b.build()


@pytest.mark.parametrize("rounding", ["double", "double_up"])
def test_a_double_rounding_that_wraps_proves_nothing(rounding: str) -> None:
    """x·2^L keeps 32 bits: with x up to 2^26, L = 5 leaves them, and the result can be anything within the clamp."""
    module = doubled(I32, -3, 2**26, 26, rounding)
    assert bounds(prove(module), "y") == (-(2**30), 2**30)
    assert evaluate(module, {"x": np.array([2**26] * 4, np.int32)})["y"].tolist() == [-(2**30)] * 4
    assert bounds(prove(doubled(I32, -3, 2**20, 31, rounding)), "y") == (-2, 2**20)


@pytest.mark.parametrize(("rounding", "least"), [("half_up", -2), ("half_away", -4)])
def test_64_bit_operands_of_rescales(rounding: str, least: int) -> None:
    """Exact in 64 bits; ties of −3/2 go up, or away from zero."""
    assert bounds(prove(doubled(I64, -3, 2**20, 31, rounding)), "y") == (least, 2**20)
    with pytest.raises(PassError, match="overflows 64 bits"):
        prove(doubled(I64, 0, 2**34, 62, rounding))

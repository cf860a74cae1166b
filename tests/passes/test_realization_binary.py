"""Binary operations on all 65,536 pairs of codes: the correctly rounded real result, up to the stated precision."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from qcc.ir import Array, Builder, Module, PassError, Stage, TensorType, UniformType, evaluate, ops
from tests.passes.quantization import i8, ops_named, run

ALL = np.arange(-128, 128).astype(np.int8)

#: Scales and zero points of a, b and y: usual ones, ties (powers of two), very unequal ones, extremes.
PARAMETERS = [
    ((0.0235, -3), (0.0471, 12), (0.0501, -7)),
    ((0.5, 0), (0.25, 0), (1.0, 0)),
    ((0.25, -128), (0.25, 127), (0.5, 5)),
    ((0.9, 127), (0.0003, -128), (0.4, 0)),
    ((1e-4, 1), (3e-4, 2), (7.0, 3)),
    ((2.0, -1), (3.0, 1), (0.01, 0)),
]


def binary(op_class: type[ops.Binary], types: list[UniformType], clamp: tuple[float, float] | None = None) -> Module:
    """Return the quantized module of one operation on a column and a row of all codes."""
    a, b, y = types
    builder = Builder("net", Stage.QUANTIZED)
    left = builder.input("a", TensorType((256, 1), a))
    right = builder.input("b", TensorType((1, 256), b))
    result = builder.emit(op_class, left, right, name="y", clamp=clamp, types=(TensorType((256, 256), y),))
    builder.output("y", result)
    return builder.build()


def run_all(module: Module) -> Array:
    return evaluate(module, {"a": ALL.reshape(256, 1), "b": ALL.reshape(1, 256)})["y"].astype(np.int64)


def check(found: Array, numerator: Array, denominator: Array | int, error: Fraction, y: UniformType) -> None:
    """Check `found` = round half up of a number within `error` steps of numerator / denominator, + z, in the codes."""
    e, d = error.numerator, error.denominator
    low = (2 * (numerator * d - e * denominator) + denominator * d) // (2 * denominator * d) + y.zero_point
    high = (2 * (numerator * d + e * denominator) + denominator * d) // (2 * denominator * d) + y.zero_point
    assert np.all(np.clip(low, -128, 127) <= found)
    assert np.all(found <= np.clip(high, -128, 127))
    assert np.mean(low == high) > 0.5  # the error is so small that the codes are known almost everywhere


def over(*factors: float) -> Fraction:
    """Return the product of binary32 numbers, exactly."""
    total = Fraction(1)
    for factor in factors:
        total *= Fraction(factor)
    return total


def centred(type: UniformType) -> Array:
    return (ALL.astype(np.int64) - type.zero_point).astype(object)


@pytest.mark.parametrize("parameters", PARAMETERS)
@pytest.mark.parametrize("op_class", [ops.Add, ops.Sub])
def test_add_and_sub(op_class: type[ops.Binary], parameters: list[tuple[float, int]]) -> None:
    a, b, y = (i8(*p) for p in parameters)
    quantized = binary(op_class, [a, b, y])
    integer = run(quantized, "insert-rescale,fuse-tables,prove-accumulators")
    found = run_all(integer)
    ra, rb = over(a.scale) / over(y.scale), over(b.scale) / over(y.scale)
    denominator = ra.denominator * rb.denominator
    left = centred(a)[:, None] * (ra.numerator * rb.denominator)
    right = centred(b)[None, :] * (rb.numerator * ra.denominator)
    numerator = left + right if op_class is ops.Add else left - right
    (total,) = [op for op in ops_named(integer, ops.Rescale) if op.results[0].name == "y"]
    shift = int(integer.constant(total.operands[2]))  # type: ignore[arg-type]  # it is a constant
    assert shift >= min(30, 19 - int(np.ceil(np.log2(float(max(ra, rb))))))
    inexact = sum((r * 2**shift).denominator != 1 for r in (ra, rb))  # an exact factor costs nothing: ties stay ties
    check(found, numerator, denominator, Fraction(inexact * 255, 2 ** (shift + 1)), y)
    assert np.abs(found - run_all(quantized)).max() <= 1


@pytest.mark.parametrize("parameters", PARAMETERS)
def test_mul(parameters: list[tuple[float, int]]) -> None:
    a, b, y = (i8(*p) for p in parameters)
    quantized = binary(ops.Mul, [a, b, y])
    found = run_all(run(quantized, "insert-rescale,prove-accumulators"))
    ratio = over(a.scale, b.scale) / over(y.scale)
    numerator = centred(a)[:, None] * centred(b)[None, :] * ratio.numerator
    # M is off by 2^−31 of itself (and binary64's 2^−52): 65,025·M·2^−31 steps, codes saturate beyond 256 steps
    check(found, numerator, ratio.denominator, Fraction(256, 2**30), y)
    assert np.abs(found - run_all(quantized)).max() <= 1


@pytest.mark.parametrize("parameters", PARAMETERS)
def test_div(parameters: list[tuple[float, int]]) -> None:
    a, b, y = (i8(*p) for p in parameters)
    found = run_all(run(binary(ops.Div, [a, b, y]), "insert-rescale,prove-accumulators"))
    ratio = over(a.scale) / over(b.scale, y.scale)
    rows, columns = centred(a)[:, None], centred(b)[None, :]
    divisor = np.where(columns == 0, 1, columns)
    sign = np.where(divisor < 0, -1, 1)
    numerator, denominator = rows * ratio.numerator * sign, abs(divisor) * ratio.denominator
    n = min(30, 21 - int(np.floor(np.log2(min(float(ratio), 1024.0)))) - 1)
    check(found, numerator, denominator, Fraction(256, 2 ** (n + 1)), y)


def test_div_by_zero_saturates_towards_the_sign_of_the_dividend() -> None:
    a, b, y = i8(0.5, 0), i8(0.001, 0), i8(0.25, 0)
    found = run_all(run(binary(ops.Div, [a, b, y]), "insert-rescale"))
    assert list(found[[0, 127, 128, 129, 255], 128]) == [-128, -128, 0, 127, 127]


@pytest.mark.parametrize("op_class", [ops.Minimum, ops.Maximum])
@pytest.mark.parametrize("parameters", PARAMETERS[:3])
def test_minimum_and_maximum(op_class: type[ops.Binary], parameters: list[tuple[float, int]]) -> None:
    a, b, y = (i8(*p) for p in parameters)
    same = binary(op_class, [y, y, y])
    integer = run(same, "insert-rescale")
    assert not ops_named(integer, ops.Rescale)
    assert np.array_equal(run_all(integer), run_all(same))
    different = binary(op_class, [a, b, y])
    assert np.abs(run_all(run(different, "insert-rescale")) - run_all(different)).max() <= 1


@pytest.mark.parametrize("op_class", [ops.Add, ops.Sub, ops.Mul, ops.Div])
def test_a_fused_clamp_limits_the_codes(op_class: type[ops.Binary]) -> None:
    types = [i8(0.03, 3), i8(0.05, -9), i8(0.02, -50)]
    quantized = binary(op_class, types, (-0.31, 1.0))
    found = run_all(run(quantized, "insert-rescale"))
    low, high = types[2].quantize(np.array([-0.31, 1.0], np.float32))
    assert (found.min(), found.max()) == (low, high)
    if op_class is not ops.Div:
        assert np.abs(found - run_all(quantized)).max() <= 1


def with_constant(op_class: type[ops.Binary], constant: Array, first: bool, x: UniformType, y: UniformType) -> Module:
    builder = Builder("net", Stage.QUANTIZED)
    value = builder.input("x", TensorType((256, 3), x))
    other = builder.constant(constant, "c")
    operands = (other, value) if first else (value, other)
    builder.output("y", builder.emit(op_class, *operands, name="y", types=(TensorType((256, 3), y),)))
    return builder.build()


CONSTANTS = [
    np.array([0.7, -1.3, 0.001], np.float32),
    np.array(2.5, np.float32),
    np.array([[1.0, -1.0, 3.0]], np.float32),
    np.linspace(0.1, 2, 768, dtype=np.float32).reshape(256, 3),
]


@pytest.mark.parametrize("constant", CONSTANTS, ids=["channels", "number", "row", "elements"])
@pytest.mark.parametrize(
    ("op_class", "first"),
    [(ops.Add, False), (ops.Add, True), (ops.Sub, False), (ops.Sub, True), (ops.Mul, False), (ops.Mul, True),
     (ops.Div, False)],
)  # fmt: skip
def test_constant_operands(op_class: type[ops.Binary], first: bool, constant: Array) -> None:
    x, y = i8(0.02, -11), i8(0.03, 7)
    quantized = with_constant(op_class, constant, first, x, y)
    integer = run(quantized, "insert-rescale,prove-accumulators")
    codes = np.repeat(ALL[:, None], 3, axis=1)
    found = evaluate(integer, {"x": codes})["y"].astype(int)
    expected = evaluate(quantized, {"x": codes})["y"].astype(int)
    assert np.abs(found - expected).max() <= 1
    assert np.mean(found != expected) < 0.01  # ties and near ties only
    if op_class in (ops.Mul, ops.Div):
        assert [op.name for op in integer.ops].count("rescale") == 1


def test_constant_divided_by_a_value_is_a_table() -> None:
    quantized = with_constant(ops.Div, np.array(0.5, np.float32), True, i8(0.02, -11), i8(0.03, 7))
    integer = run(quantized, "insert-rescale")
    assert ops_named(integer, ops.Table)
    codes = np.repeat(ALL[:, None], 3, axis=1)
    assert np.array_equal(evaluate(integer, {"x": codes})["y"], evaluate(quantized, {"x": codes})["y"])


def test_a_scale_ratio_without_a_safe_sum_is_an_error() -> None:
    with pytest.raises(PassError, match="does not fit 32 bits") as caught:
        run(binary(ops.Add, [i8(1e6), i8(1e6), i8(1e-3)]), "insert-rescale")
    assert "%y = add" in caught.value.op


def test_dividing_by_a_zero_constant_is_an_error() -> None:
    module = with_constant(ops.Div, np.array([1, 0, 1], np.float32), False, i8(0.1), i8(0.1))
    with pytest.raises(PassError, match="divides by zero"):
        run(module, "insert-rescale")

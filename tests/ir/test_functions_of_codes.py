"""Softmax, sigmoid, norms and interpolation of codes: against exact arithmetic, the real functions, and refusals."""

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from qcc.ir import (
    F32,
    I8,
    I16,
    I32,
    U8,
    U16,
    Array,
    EvaluationError,
    FixedPoint,
    ScalarType,
    Stage,
    TensorType,
    interpolated_table,
    ops,
    sigmoid_table,
)
from tests.ir.building import random_codes, refused, run

STEP = 0.05
FIXED = np.asarray(FixedPoint().exp(np.rint(-np.arange(256) * STEP * 2**26).astype(np.int64), 5)).astype(np.int32)
REAL = np.exp(-np.arange(256) * STEP).astype(np.float32)
EXP = interpolated_table(np.exp, 10 / 65535, 32767, (-1, 1))
INVERSE = interpolated_table(lambda x: 1 / (1 + x), 1 / 65535, -32768, (-1, 1))
EVERY = np.arange(-32768, 32768).astype(np.int16)


def integer(op: Any, *arrays: Array, **attributes: Any) -> Array:
    """Evaluate an operation of the integer stage whose operands behind the first are constants."""
    elements = {np.int8: I8, np.uint8: U8, np.int16: I16}
    constants = tuple(range(1, len(arrays)))
    inputs = (elements[arrays[0].dtype.type],)
    return run(op, *arrays, stage=Stage.INTEGER, inputs=inputs, constants=constants, **attributes)


def probabilities(codes: Array, step: float, axis: int) -> Array:
    """The real softmax of codes."""
    e = np.exp((codes.astype(np.float64) - codes.max(axis=axis, keepdims=True)) * step)
    return np.asarray(e / e.sum(axis=axis, keepdims=True))


@pytest.mark.parametrize("to", [I8, U8, I16])
@pytest.mark.parametrize("axis", [0, -1])
def test_softmaxes_are_near_the_real_one(to: ScalarType, axis: int) -> None:
    codes = random_codes(20, 30)
    exact = probabilities(codes, STEP, axis) * 2.0**to.bits + to.minimum
    exact = np.minimum(exact, to.maximum)
    fixed = integer(ops.SoftmaxFixedPoint, codes, FIXED, axis=axis, to=to)
    scale: dict[str, Any] = {"output_scale": 2.0**-to.bits, "output_zero_point": to.minimum}
    real = integer(ops.SoftmaxFloatTable, codes, REAL, axis=axis, to=to, **scale)
    assert fixed.dtype == real.dtype == to.dtype
    assert np.max(np.abs(fixed - exact)) < 0.5 + 2.0 ** (to.bits - 14)
    assert np.max(np.abs(real - exact)) < 0.5 + 2.0 ** (to.bits - 20)


def test_a_row_whose_sum_passes_the_format_gives_the_smallest_code() -> None:
    for count, smallest in ((511, False), (512, True), (5000, True)):
        codes = np.zeros((1, count), np.int8)
        y = integer(ops.SoftmaxFixedPoint, codes, FIXED, to=I8)
        assert np.all(y == (-128 if smallest else -127)), count
    # 16 bits of result leave room for the largest sum, 4096.
    assert np.all(integer(ops.SoftmaxFixedPoint, np.zeros((1, 5000), np.int8), FIXED, to=I16) == 65536 // 4096 - 32768)


def test_softmax_of_16_bits_is_near_the_real_one() -> None:
    codes = np.random.default_rng(0).integers(-32768, 32767, (50, 20)).astype(np.int16)
    step = 4.0 / 32768
    # step / (10 / 65535) = multiplier / 2^shift
    multiplier = round(step * 6553.5 * 2**31)
    y = integer(ops.SoftmaxInterpolated, codes, EXP, INVERSE, multiplier=multiplier, shift=31)
    assert np.max(np.abs(y - probabilities(codes, step, -1) * 32768)) < 6


@pytest.mark.parametrize("function", ["sigmoid", "tanh"])
def test_sigmoids_of_16_bits_are_near_the_real_ones(function: str) -> None:
    x = EVERY / 4096
    exact = 32768 / (1 + np.exp(-x)) if function == "sigmoid" else 32768 * np.tanh(x)
    lines = integer(ops.SigmoidInterpolated, EVERY, sigmoid_table(), function=function, multiplier=3, shift=0)
    assert np.max(np.abs(lines - exact)) < 5
    fixed = integer(ops.SigmoidFixedPoint, EVERY, function=function)
    assert np.max(np.abs(fixed - exact)) < 16
    shifted = integer(ops.SigmoidFixedPoint, EVERY, function=function, left_shift=2)
    wanted = fixed[np.clip(EVERY.astype(int) * 4, -32768, 32767) + 32768]
    assert shifted.tolist() == wanted.tolist()


def test_l2_normalization_of_codes_is_near_the_real_one() -> None:
    codes = random_codes(40, 7)
    real = codes.astype(np.float64) - 3
    exact = real / np.sqrt((real**2).sum(axis=-1, keepdims=True)) * 128
    y = integer(ops.L2NormalizeFixedPoint, codes, input_zero_point=3)
    assert np.max(np.abs(y - np.clip(exact, -128, 127))) < 0.6
    zeros = integer(ops.L2NormalizeFixedPoint, np.full((2, 4), 9, np.uint8), input_zero_point=9, output_zero_point=128)
    assert np.all(zeros == 128)


@pytest.mark.parametrize("rounding", ["half_up", "half_away"])
def test_interpolation_is_exact(rounding: str) -> None:
    x = random_codes(1, 3, 4, 2)
    rows, columns = np.array([[0, 1, 2], [1, 2, 2]], np.int32), np.array([[0, 3], [1, 2]], np.int32)
    u, v = np.array([-2, 0, 3], np.int16), np.array([2, 4], np.int16)
    y = integer(ops.Interpolate, x, rows, u, columns, v, fraction_bits=2, rounding=rounding)
    for i, j, c in np.ndindex(3, 2, 2):
        part = [Fraction(int(u[i]), 4), Fraction(int(v[j]), 4)]
        row = [1 - part[0], part[0]], [1 - part[1], part[1]]
        mean = Fraction(0)
        for k, m in itertools.product((0, 1), (0, 1)):
            mean += int(x[0, rows[k, i], columns[m, j], c]) * row[0][k] * row[1][m]
        nearest = (2 * abs(mean) + 1) // 2
        wanted = (2 * mean + 1) // 2 if rounding == "half_up" or mean >= 0 else -nearest
        assert y[0, i, j, c] == min(max(int(wanted), -128), 127)


def test_interpolation_with_real_weights_rounds_each_step() -> None:
    x = random_codes(1, 2, 2, 1).astype(np.uint8)
    place = np.array([[0], [1]], np.int32)
    u, v = np.array([0.3], np.float32), np.array([0.7], np.float32)
    f, one = np.float32, np.float32(1)
    a, b, c, d = (f(x[0, i, j, 0]) for i, j in ((0, 0), (1, 0), (0, 1), (1, 1)))
    total = a * (one - u[0]) * (one - v[0]) + b * u[0] * (one - v[0]) + c * (one - u[0]) * v[0] + d * u[0] * v[0]
    assert integer(ops.Interpolate, x, place, u, place, v).item() == int(total + f(0.5))


def test_refused() -> None:
    row, table = TensorType((2,), I8), TensorType((256,), I32)
    refused("8-bit codes", ops.SoftmaxFixedPoint, TensorType((2,), I16), table, to=I8)
    refused("table", ops.SoftmaxFixedPoint, row, TensorType((255,), I32), to=I8)
    refused("8 or 16 bits", ops.SoftmaxFixedPoint, row, table, to=I32)
    refused("binary32", ops.SoftmaxFloatTable, row, TensorType((256,), F32), to=I8, output_scale=0.1)
    tables = TensorType((513,), I16), TensorType((513,), I16)
    refused("i16 codes", ops.SoftmaxInterpolated, row, *tables, multiplier=1, shift=31)
    refused("out of range", ops.SoftmaxInterpolated, TensorType((2,), I16), *tables, multiplier=1, shift=3)
    refused("65536", ops.SoftmaxInterpolated, TensorType((70000,), I16), *tables, multiplier=1, shift=31)
    entries = TensorType((256,), U16)
    refused("no function", ops.SigmoidFixedPoint, TensorType((2,), I16), function="exp")
    refused("out of range", ops.SigmoidInterpolated, TensorType((2,), I16), entries, multiplier=1 << 16, shift=0)
    refused("shift", ops.SigmoidFixedPoint, TensorType((2,), I16), left_shift=16)
    refused("33025", ops.L2NormalizeFixedPoint, TensorType((33026,), I8))
    refused("zero point", ops.L2NormalizeFixedPoint, row, output_zero_point=128)
    place, weights = TensorType((2, 3), I32), TensorType((3,), I16)
    image = TensorType((1, 2, 2, 1), I8)
    refused("N×H×W×C", ops.Interpolate, row, place, weights, place, weights)
    refused("do not fit", ops.Interpolate, image, place, TensorType((4,), I16), place, weights)
    refused("fraction bits", ops.Interpolate, image, place, weights, place, weights, fraction_bits=15)
    refused("rounding", ops.Interpolate, image, place, weights, place, weights, rounding="up")


def test_tables_that_are_none_are_refused() -> None:
    codes = random_codes(2, 3)
    with pytest.raises(EvaluationError, match="2\\^31"):
        integer(ops.SoftmaxFixedPoint, codes, FIXED // 2, to=I8)
    with pytest.raises(EvaluationError, match="start with 1"):
        integer(ops.SoftmaxFloatTable, codes, REAL * 2, to=I8)
    with pytest.raises(EvaluationError, match="32767"):
        integer(ops.SoftmaxInterpolated, codes.astype(np.int16), -EXP, INVERSE, multiplier=1, shift=31)
    place, weights = np.array([[0], [9]], np.int32), np.zeros(1, np.int16)
    with pytest.raises(EvaluationError, match="outside"):
        integer(ops.Interpolate, random_codes(1, 3, 3, 1), place, weights, place, weights)

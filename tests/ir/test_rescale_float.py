"""`rescale_float` against exact rational arithmetic, rounded step by step."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcc.ir import F32, F64, FLOAT_ROUNDINGS, I8, I16, I32, I64, Builder, IrError, Stage, TensorType, ops

MANTISSA = {np.dtype(np.float32): 24, np.dtype(np.float64): 53}


def rounded(value: Fraction, bits: int) -> Fraction:
    """The nearest number with a mantissa of `bits` bits, ties to even; no exponent is out of range here."""
    if value == 0:
        return value
    exponent = 0
    magnitude = abs(value)
    while magnitude * 2**exponent < 2 ** (bits - 1):
        exponent += 1
    while magnitude / 2**-exponent >= 2**bits if exponent < 0 else magnitude * 2**exponent >= 2**bits:
        exponent -= 1
    scaled = magnitude * Fraction(2) ** exponent
    return Fraction(round(scaled)) / Fraction(2) ** exponent * (1 if value > 0 else -1)


def expected(op: ops.RescaleFloat, x: int, factor: Any, offset: Any) -> int:
    """The formula of the operation on fractions."""
    bits = MANTISSA[np.asarray(factor).dtype]
    value = rounded(rounded(Fraction(x - op.input_zero_point), bits) * Fraction(float(factor)), bits)
    if offset is not None:
        value = rounded(value + Fraction(float(offset)), bits)
    if op.rounding == "half_even":
        whole = round(value)  # Python rounds fractions to even
    else:
        whole = int(abs(value) + Fraction(1, 2)) * (1 if value >= 0 else -1)
    return min(max(whole + op.output_zero_point, op.minimum), op.maximum)


def rescale_float(**attributes: Any) -> ops.RescaleFloat:
    return ops.RescaleFloat(**{"to": I8, "minimum": -128, "maximum": 127, **attributes})


FACTORS = st.sampled_from([2.0**-6, 0.5, 1.0, 3.0, 1 / 3, 0.0073217, 255.0 * 2**-20])


@given(
    x=st.integers(-(2**31), 2**31 - 1) | st.integers(-5000, 5000),
    factor=FACTORS,
    offset=st.none() | st.sampled_from([0.5, -3.0, 117.25]),
    wide=st.booleans(),
    rounding=st.sampled_from(sorted(FLOAT_ROUNDINGS)),
)
def test_every_step_is_rounded_once(x: int, factor: float, offset: float | None, wide: bool, rounding: str) -> None:
    dtype: Any = np.float64 if wide else np.float32
    op = rescale_float(rounding=rounding, input_zero_point=3, output_zero_point=-7)
    constants = [np.array(factor, dtype)] + ([] if offset is None else [np.array(offset, dtype)])
    found = op.evaluate(np.array([x], np.int64), *constants)
    assert found.dtype == np.int8
    assert found.tolist() == [expected(op, x, constants[0], None if offset is None else constants[1])]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_roundings_of_floats_around_ties(dtype: Any) -> None:
    ties = np.arange(-1000, 1000).astype(dtype) + dtype(0.5)
    numbers = np.concatenate(
        [ties, np.nextafter(ties, dtype(-2000)), np.nextafter(ties, dtype(2000)), ties - dtype(0.5)]
    )
    exact = [Fraction(float(n)) for n in numbers]
    assert FLOAT_ROUNDINGS["half_even"](numbers).tolist() == [round(n) for n in exact]
    away = [int(abs(n) + Fraction(1, 2)) * (1 if n >= 0 else -1) for n in exact]
    assert FLOAT_ROUNDINGS["half_away"](numbers).tolist() == away


def test_xnnpack_rounds_ties_to_even_where_tflite_rounds_them_twice() -> None:
    """The row RHE of ARITHMETIC.md §7, M = 2^−6."""
    x = np.array([-225, -224, -97, -96, -95, -33, -32, -31, 31, 32, 33, 95, 96, 97, 224, 225], np.int32)
    found = rescale_float().evaluate(x, np.array(2.0**-6, np.float32))
    assert found.tolist() == [-4, -4, -2, -2, -1, -1, 0, 0, 0, 0, 1, 1, 2, 2, 4, 4]


@pytest.mark.parametrize("number", [np.inf, -np.inf, np.nan])
def test_factors_and_offsets_are_finite(number: float) -> None:
    x, wrong, right = np.zeros(2, np.int8), np.array(number, np.float32), np.array(1, np.float32)
    with pytest.raises(IrError, match="rescale_float: a factor or offset is not finite"):
        rescale_float().evaluate(x, wrong)
    with pytest.raises(IrError, match="rescale_float: a factor or offset is not finite"):
        rescale_float().evaluate(x, right, wrong)
    sum_float = ops.SumFloat(to=I8, minimum=-128, maximum=127)
    for place in range(3):
        numbers = [wrong if place == i else right for i in range(3)]
        with pytest.raises(IrError, match="sum_float: a factor or offset is not finite"):
            sum_float.evaluate(x, x, *numbers)


def test_a_product_that_overflows_ends_at_a_bound() -> None:
    factor, offset = np.array(1e38, np.float32), np.array(-1e38, np.float32)
    with np.errstate(over="ignore"):
        found = rescale_float().evaluate(np.array([-9, -1, 0, 1, 9]), factor, offset)
    assert found.tolist() == [-128, -128, -128, 0, 127]


@pytest.mark.parametrize(
    ("message", "x", "factor", "attributes"),
    [
        ("takes integers", F32, F32, {}),
        ("takes integers", I32, I32, {}),
        ("at most 16 bits", I32, F32, {"to": I32}),
        ("at most 32 bits", I64, F64, {"to": I64}),
        ("leave i16", I32, F64, {"to": I16, "minimum": -(2**16)}),
        ("zero point 128 leaves i8", I32, F64, {"output_zero_point": 128}),
        ("no rounding 'up'", I32, F64, {"rounding": "up"}),
    ],
)
def test_refused(message: str, x: Any, factor: Any, attributes: dict[str, Any]) -> None:
    b = Builder("m", Stage.INTEGER)
    operands = [b.input("x", TensorType((2, 3), x)), b.input("f", TensorType((3,), factor))]
    with pytest.raises(IrError, match=message):
        rescale_float(operands=tuple(operands), **attributes).infer()

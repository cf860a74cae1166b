"""Scale and zero point against an independent reading of TensorFlow's FakeQuant rule, in exact rationals."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcc.ir import I8, PassError
from qcc.passes.nudging import ZERO_RANGE_SCALE, activation_type, nudge, symmetric_scale


def binary32(x: Fraction) -> Fraction:
    """Round a rational to the nearest normal binary32, ties to even, by integers alone."""
    if x == 0:
        return Fraction(0)
    sign, x = (-1 if x < 0 else 1), abs(x)
    exponent = 0
    while x >= Fraction(2) ** (exponent + 24):
        exponent += 1
    while x < Fraction(2) ** (exponent + 23):
        exponent -= 1
    mantissa = x / Fraction(2) ** exponent
    down = mantissa.numerator // mantissa.denominator
    rest = mantissa - down
    up = rest > Fraction(1, 2) or (rest == Fraction(1, 2) and down % 2 == 1)
    return sign * (down + up) * Fraction(2) ** exponent


def fake_quant_parameters(minimum: float, maximum: float, lowest: int, highest: int) -> tuple[Fraction, int]:
    """TensorFlow's FakeQuant rule in exact arithmetic, its unsigned codes moved to lowest … highest."""
    low, high = Fraction(min(minimum, 0.0)), Fraction(max(maximum, 0.0))
    levels = highest - lowest
    scale = binary32(binary32(high - low) / levels)
    zero = binary32(lowest - binary32(low / scale))
    if zero < lowest:
        return scale, lowest
    if zero > highest:
        return scale, highest
    magnitude = abs(zero) + Fraction(1, 2)
    rounded = magnitude.numerator // magnitude.denominator
    return scale, rounded if zero >= 0 else -rounded


finite = st.floats(-1e6, 1e6, width=32, allow_subnormal=False)


@given(finite, finite, st.sampled_from([(-128, 127), (-127, 127), (0, 255), (-32768, 32767)]))
def test_nudge_is_the_fake_quant_rule(a: float, b: float, codes: tuple[int, int]) -> None:
    minimum, maximum = min(a, b), max(a, b)
    if max(maximum, 0) - min(minimum, 0) < 1e-12:
        return
    scale, zero_point = nudge(minimum, maximum, *codes)
    expected_scale, expected_zero = fake_quant_parameters(minimum, maximum, *codes)
    assert Fraction(scale) == expected_scale
    assert zero_point == expected_zero


@pytest.mark.parametrize(
    ("minimum", "maximum", "scale", "zero_point"),
    [
        (-1.0, 1.0, float(np.float32(2) / np.float32(255)), -1),  # zf = −0.5, ties go away from zero
        (0.0, 255.0, 1.0, -128),
        (3.0, 255.0, 1.0, -128),  # the range is widened to contain 0
        (-255.0, -3.0, 1.0, 127),
        (-127.5, 127.5, 1.0, -1),  # zf = −0.5
        (-128.0, 127.0, 1.0, 0),
        (0.0, 255 / 256, 1 / 256, -128),  # sigmoid and softmax
        (-1.0, 127 / 128, 1 / 128, 0),  # tanh
        (0.0, 6.0, float(np.float32(6) / np.float32(255)), -128),
    ],
)
def test_vectors(minimum: float, maximum: float, scale: float, zero_point: int) -> None:
    assert nudge(minimum, maximum, -128, 127) == (scale, zero_point)


@given(finite, finite)
def test_real_zero_is_exact_and_the_range_is_covered_to_half_a_step(a: float, b: float) -> None:
    type = activation_type(min(a, b), max(a, b), I8)
    assert type.dequantize(type.quantize(np.zeros(1, np.float32)))[0] == 0
    low, high = type.dequantize(np.array([-128, 127], np.int8))
    assert low <= min(a, b, 0) + 0.501 * type.scale
    assert high >= max(a, b, 0) - 0.501 * type.scale


@given(finite, finite, st.booleans())
def test_power_of_two_scales_cover_the_range(a: float, b: float, symmetric: bool) -> None:
    type = activation_type(min(a, b), max(a, b), I8, symmetric, power_of_two=True)
    assert np.frexp(type.scale)[0] == 0.5
    assert type.scale >= activation_type(min(a, b), max(a, b), I8, symmetric).scale or type.scale == 2.0**-60


def test_zero_range_gets_a_valid_scale() -> None:
    assert nudge(0.0, 0.0, -128, 127) == (ZERO_RANGE_SCALE, -128)
    assert symmetric_scale(0.0, 127) == ZERO_RANGE_SCALE
    type = activation_type(0.0, 0.0, I8)
    assert type.quantize(np.zeros(1, np.float32))[0] == type.zero_point


def test_a_range_wider_than_binary32_is_an_error() -> None:
    with pytest.raises(PassError, match="too wide to quantize"):
        nudge(-3e38, 3e38, -128, 127)

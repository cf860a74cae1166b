"""Fixed-point arithmetic against published vectors and against exact rational arithmetic."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcc.ir import (
    ROUNDINGS,
    IrError,
    quantize_multiplier,
    rescale,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
)

INT32 = st.integers(-(2**31), 2**31 - 1)
MULTIPLIERS = st.integers(2**30, 2**31 - 1)


def one(x: int, multiplier: int, shift: int, rounding: str) -> int:
    arrays = [np.array([number]) for number in (x, multiplier, shift)]
    return int(rescale(arrays[0], arrays[1], arrays[2], rounding)[0])


@pytest.mark.parametrize(
    ("real", "multiplier", "exponent"),
    [
        (0.0, 0, 0),
        (1.0, 1073741824, 1),
        (0.5, 1073741824, 0),
        (0.25, 1073741824, -1),
        (0.0003521, 1548552177, -11),
        (3.7, 1986422374, 2),
        (1 / 3, 1431655765, -1),
        (0.9999999999, 1073741824, 1),
        (2.0**-31, 1073741824, -30),
        (2.0**-32, 1073741824, -31),
        (2.0**-33, 0, 0),
    ],
)
def test_quantize_multiplier_vectors(real: float, multiplier: int, exponent: int) -> None:
    assert quantize_multiplier(real) == (multiplier, 31 - exponent)


@pytest.mark.parametrize("real", [-1.0, math.nan, math.inf, 2.0**30])
def test_quantize_multiplier_refuses(real: float) -> None:
    with pytest.raises(IrError, match="multiplier"):
        quantize_multiplier(real)


@given(st.floats(2.0**-32, 2.0**29))
def test_quantize_multiplier_is_the_nearest(real: float) -> None:
    multiplier, shift = quantize_multiplier(real)
    assert 2**30 <= multiplier < 2**31
    assert 1 <= shift <= 62
    assert abs(Fraction(multiplier, 2**shift) - Fraction(real)) <= Fraction(1, 2 ** (shift + 1))


@pytest.mark.parametrize(
    ("a", "b", "product"),
    [
        (1, 2**30, 1),
        (-1, 2**30, 0),
        (3, 2**30, 2),
        (-3, 2**30, -1),
        (2**31 - 1, 2**31 - 1, 2147483646),
        (-(2**31), 2**31 - 1, -2147483647),
        (-(2**31), -(2**31), 2**31 - 1),
        (1000003, 1518500250, 707109),
        (-1000003, 1518500250, -707109),
    ],
)
def test_high_multiply_vectors(a: int, b: int, product: int) -> None:
    assert saturating_rounding_doubling_high_mul(np.array([a]), np.array([b])).tolist() == [product]


@pytest.mark.parametrize(
    ("x", "exponent", "quotient"),
    [(5, 1, 3), (-5, 1, -3), (6, 2, 2), (-6, 2, -2), (-4, 3, -1), (4, 3, 1), (-12, 3, -2)],
)
def test_divide_by_power_of_two_vectors(x: int, exponent: int, quotient: int) -> None:
    assert rounding_divide_by_pot(np.array([x]), np.array([exponent])).tolist() == [quotient]


TIES = [-225, -224, -97, -96, -95, -33, -32, -31, 31, 32, 33, 95, 96, 97, 224, 225]


@pytest.mark.parametrize(
    ("rounding", "expected"),
    [
        ("double", [-4, -4, -2, -2, -1, -1, -1, 0, 1, 1, 1, 2, 2, 2, 4, 4]),
        ("half_up", [-4, -3, -2, -1, -1, -1, 0, 0, 0, 1, 1, 1, 2, 2, 4, 4]),
        ("double_up", [-3, -3, -1, -1, -1, 0, 0, 0, 1, 1, 1, 2, 2, 2, 4, 4]),
    ],
)
def test_rounding_of_ties_vectors(rounding: str, expected: list[int]) -> None:
    assert [one(x, 2**30, 36, rounding) for x in TIES] == expected


def test_double_rounding_vectors() -> None:
    numbers = [-100000, -12345, -999, -512, 511, 1234, 54321, 123456]
    found = [one(x, 1518500250, 40, "double") for x in numbers]
    assert found == [-138, -17, -1, -1, 1, 2, 75, 171]


def test_sum_of_two_rescaled_codes_vectors() -> None:
    """ADD with s1=0.05, z1=−3, s2=0.02, z2=7, sy=0.06, zy=−10: both operands, then the sum, by double rounding."""
    s1, s2, sy = (float(np.float32(s)) for s in (0.05, 0.02, 0.06))
    (m1, e1), (m2, e2) = (quantize_multiplier(s / (2 * s1)) for s in (s1, s2))
    my, ey = quantize_multiplier(2 * s1 / (2**20 * sy))
    assert [(m1, 31 - e1), (m2, 31 - e2), (my, 31 - ey)] == [(1073741824, 0), (1717986854, -2), (1789569773, -19)]
    found = []
    for a, b in zip([-128, -50, 0, 1, 99, 127], [127, -128, 5, -6, 33, 127], strict=True):
        total = one((a + 3) << 20, m1, e1, "double") + one((b - 7) << 20, m2, e2, "double")
        found.append(min(max(one(total, my, ey, "double") - 10, -128), 127))
    assert found == [-74, -94, -8, -11, 84, 127]


@given(INT32, MULTIPLIERS, st.integers(1, 62))
def test_half_up_is_rounded_once_toward_plus_infinity(x: int, multiplier: int, shift: int) -> None:
    assert one(x, multiplier, shift, "half_up") == math.floor(Fraction(x * multiplier, 2**shift) + Fraction(1, 2))


@given(st.integers(-(2**47), 2**47), st.integers(0, 2**15), st.integers(0, 46))
def test_half_up_of_64_bit_sums(x: int, multiplier: int, shift: int) -> None:
    assert one(x, multiplier, shift, "half_up") == math.floor(Fraction(x * multiplier, 2**shift) + Fraction(1, 2))


@given(INT32, INT32, st.integers(0, 62))
def test_half_away_is_rounded_once_away_from_zero(x: int, multiplier: int, shift: int) -> None:
    nearest = math.floor(Fraction(abs(x * multiplier), 2**shift) + Fraction(1, 2))
    assert one(x, multiplier, shift, "half_away") == (nearest if x * multiplier >= 0 else -nearest)


@given(INT32, INT32)
def test_a_shift_of_zero_is_an_exact_product(x: int, multiplier: int) -> None:
    assert one(x, multiplier, 0, "half_up") == x * multiplier


@given(INT32, st.integers(0, 31))
def test_divide_by_power_of_two_rounds_away_from_zero(x: int, exponent: int) -> None:
    nearest = math.floor(Fraction(abs(x), 2**exponent) + Fraction(1, 2))
    found = rounding_divide_by_pot(np.array([x]), np.array([exponent]))
    assert found.tolist() == [nearest if x >= 0 else -nearest]


@given(INT32, MULTIPLIERS, st.integers(31, 62))
def test_double_roundings_differ_by_at_most_one_step(x: int, multiplier: int, shift: int) -> None:
    once = one(x, multiplier, shift, "half_up")
    assert abs(one(x, multiplier, shift, "double") - once) <= 1
    assert abs(one(x, multiplier, shift, "double_up") - once) <= 1


def test_an_unknown_rounding_names_the_nearest() -> None:
    with pytest.raises(IrError, match="half_up"):
        one(1, 1, 0, "half_upp")
    assert set(ROUNDINGS) == {"half_up", "half_away", "double", "double_up"}

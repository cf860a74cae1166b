"""Factors as multiplier and shift: precision, range, cuts that change nothing, sums that fit."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcc.ir import I16, I32, PassError, rescale
from qcc.passes.realization import multipliers, multipliers_into, sum_shift

factors = st.floats(2.0**-31, 2.0**29, exclude_max=True)


def as_fraction(real: float, bits: int = 31) -> Fraction:
    m, s = multipliers(np.array(real), bits)
    assert abs(int(m)) < 2**bits
    assert 0 <= int(s) <= 62
    return Fraction(int(m), 2 ** int(s))


@given(factors, st.sampled_from([1, -1]))
def test_a_factor_is_exact_to_31_bits(real: float, sign: int) -> None:
    real *= sign
    assert abs(as_fraction(real) - Fraction(real)) <= abs(Fraction(real)) / 2**31


@given(st.floats(2.0**-14, 2.0**10))
def test_a_factor_is_exact_to_the_bits_of_the_target(real: float) -> None:
    assert abs(as_fraction(real, 15) - Fraction(real)) <= Fraction(real) / 2**15 * Fraction(1001, 1000)


@given(st.floats(0, 2.0**-31))
def test_a_tiny_factor_is_off_by_less_than_its_use_could_show(real: float) -> None:
    error = abs(as_fraction(real) - Fraction(real))
    assert error * 2**31 <= Fraction(1, 2)  # even for the largest accumulator: half a step


def test_shape_and_types_are_kept() -> None:
    m, s = multipliers(np.array([[0.5, -0.25, 0.0]]))
    assert (str(m.dtype), str(s.dtype), m.shape) == ("int32", "int8", (1, 3))
    assert m.tolist() == [[2**30, -(2**30), 0]]
    assert s.tolist() == [[31, 32, 31]]


@pytest.mark.parametrize("real", [np.inf, np.nan, 2.0**30, -(2.0**31)])
def test_what_has_no_multiplier_is_an_error(real: float) -> None:
    with pytest.raises(PassError, match="has no multiplier") as caught:
        multipliers(np.array(real))
    assert "the model's scales or the calibration data" in str(caught.value)


@given(st.floats(2.0**18, 2.0**100), st.integers(-(2**31), 2**31 - 1), st.integers(-128, 127), st.booleans())
def test_cutting_a_huge_factor_changes_no_code(real: float, x: int, zero: int, negative: bool) -> None:
    m, s = multipliers_into(I16, np.array(-real if negative else real))
    found = int(np.clip(rescale(np.array(x), m, s, "half_up") + zero, -(2**15), 2**15 - 1))
    exact = Fraction(real) * x * (-1 if negative else 1)
    assert found == min(max(int(exact) + zero, -(2**15)), 2**15 - 1)


@given(st.floats(2.0**18, 2.0**29), st.integers(-(2**15), 2**15))
def test_a_huge_factor_into_32_bits_is_not_cut(real: float, x: int) -> None:
    m, s = multipliers_into(I32, np.array(real))
    found = Fraction(int(rescale(np.array(x), m, s, "half_up")))
    assert abs(found - Fraction(real) * x) <= Fraction(1, 2) + abs(Fraction(real) * x) / 2**31


@given(st.floats(2.0**-40, 2.0**20), st.floats(2.0**-40, 2.0**20), st.floats(0, 2.0**20), st.sampled_from([8, 16]))
def test_a_sum_fits_32_bits_or_is_refused(a: float, b: float, constant: float, bits: int) -> None:
    try:
        n = sum_shift([np.array(a), np.array(-b)], bits, constant)
    except PassError:
        assert max(a, b) * 2**bits > 2**28 or constant > 2**27
        return
    span = 2**bits - 1
    largest = span * (round(a * 2**n) + round(b * 2**n)) + round(constant * 2**n) + (2 ** (n - 1) if n else 0)
    assert largest < 2**31
    assert 0 <= n <= 30

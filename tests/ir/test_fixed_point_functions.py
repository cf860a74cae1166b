"""gemmlowp's fixed-point functions against published vectors and against the real functions."""

import numpy as np
import pytest

from qcc.ir.fixed_point_functions import FixedPoint

WIDE, NARROW = FixedPoint(), FixedPoint(16)


def values(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def test_exponentials_of_published_arguments() -> None:
    a = values(0, -1, -(2**26), -3 * 2**26, -(2**24 + 12345), -31 * 2**26)
    assert WIDE.exp(a, 5).tolist() == [2147483647, 2147483124, 790015308, 106916946, 1672153938, 0]
    a = values(-(2**27), -123456789, -15 * 2**27)
    assert WIDE.exp(a, 4).tolist() == [790015308, 855963115, 657]


def test_reciprocals_of_published_arguments() -> None:
    a = values(0, 2**30, 2**31 - 1, 123456789)
    assert WIDE.reciprocal(a).tolist() == [2147483647, 1431655762, 1073741820, 2030738432]


def test_logistic_and_tanh_of_published_arguments() -> None:
    a = values(0, 2**27, -(2**27), 300000000, -1500000000, 5)
    assert WIDE.logistic(a, 4).tolist() == [1073741824, 1569936226, 577547421, 1939959380, 30083, 1073741962]
    a = values(2**27, 300000000, -1500000000, 5)
    assert WIDE.tanh(a, 4).tolist() == [1635510876, 2098890980, -2147483647, 316]


def test_inverse_square_roots_of_published_arguments() -> None:
    multiplier, shift = WIDE.inverse_square_root(values(2, 3, 100, 16129, 65025, 2**20))
    assert multiplier.tolist() == [1518498372, 1239850284, 214748363, 270549124, 269488147, 268435457]
    assert (-shift).tolist() == [0, 0, 0, -4, -5, -7]
    assert [v.tolist() for v in WIDE.inverse_square_root(values(0, 1))] == [[2**31 - 1] * 2, [0, 0]]


@pytest.mark.parametrize(("functions", "error"), [(WIDE, 2.0**-20), (NARROW, 2.0**-11)])
def test_the_functions_approximate_what_they_are_named_after(functions: FixedPoint, error: float) -> None:
    one = 2.0 ** (functions.width - 1)
    a = np.unique(np.linspace(-one, one - 1, 65536).astype(np.int64))
    for integer_bits in (3, 4):
        real = a / 2.0 ** (functions.width - 1 - integer_bits)
        negative = a <= 0
        exact = np.exp(real[negative])
        assert np.max(np.abs(functions.exp(a[negative], integer_bits) / one - exact)) < error
        assert np.max(np.abs(functions.logistic(a, integer_bits) / one - 1 / (1 + np.exp(-real)))) < error
        assert np.max(np.abs(functions.tanh(a, integer_bits) / one - np.tanh(real))) < error


def test_inverse_square_root_is_near_over_the_whole_range() -> None:
    x = np.unique(np.geomspace(1, 2**31 - 1, 5000).astype(np.int64))
    multiplier, shift = WIDE.inverse_square_root(x)
    found = multiplier / 2.0 ** (31 + shift)
    assert np.max(np.abs(found * np.sqrt(x) - 1)) < 2.0**-19
    assert multiplier.min() > 0
    assert multiplier.max() < 2**31


def test_leading_zeros() -> None:
    x = np.array([1, 2, 3, 255, 256, 2**30, 2**31 - 1, 2**31, 2**32 - 1], np.int64)
    assert WIDE.leading_zeros(x).tolist() == [32 - int(v).bit_length() for v in x]

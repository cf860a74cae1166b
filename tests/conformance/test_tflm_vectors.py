"""The scalar interpreter gives the test vectors of the arithmetic's specification (ARITHMETIC.md §7)."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conformance.tflite_builder import TfliteBuilder
from tests.conformance.tflm import gemmlowp
from tests.conformance.tflm.fixed_point import ints, quantize_multiplier, rdpot, rescale, rescale_64, srdhm
from tests.conformance.tflm.functions import sigmoid_table
from tests.conformance.tflm.interpreter import TflmInterpreter
from tests.conformance.tflm.reductions import inverse_square_root

X = [-225, -224, -97, -96, -95, -33, -32, -31, 31, 32, 33, 95, 96, 97, 224, 225]


@pytest.mark.parametrize(
    ("real", "expected"),
    [
        (1.0, (1073741824, 1)),
        (0.5, (1073741824, 0)),
        (0.25, (1073741824, -1)),
        (0.0003521, (1548552177, -11)),
        (3.7, (1986422374, 2)),
        (1 / 3, (1431655765, -1)),
        (0.9999999999, (1073741824, 1)),
        (2.0**-31, (1073741824, -30)),
        (2.0**-32, (1073741824, -31)),
        (2.0**-33, (0, 0)),
    ],
)
def test_multipliers(real: float, expected: tuple[int, int]) -> None:
    assert quantize_multiplier(real) == expected


def test_the_doubled_high_product() -> None:
    a = ints([1, -1, 3, -3, 2**31 - 1, -(2**31), 1000003, -1000003, -(2**31)])
    b = ints([2**30] * 4 + [2**31 - 1] * 2 + [1518500250] * 2 + [-(2**31)])
    expected = [1, 0, 2, -1, 2147483646, -2147483647, 707109, -707109, 2147483647]
    assert srdhm(a, b).tolist() == expected


def test_division_by_powers_of_two() -> None:
    assert rdpot(ints([5, -5, 6, -6, -4, 4, -12, 7]), ints([1, 1, 2, 2, 3, 3, 3, 0])).tolist() == [
        3, -3, 2, -2, -1, 1, -2, 7,
    ]  # fmt: skip


def test_both_roundings() -> None:
    assert rescale(ints(X), 2**30, -5).tolist() == [-4, -4, -2, -2, -1, -1, -1, 0, 1, 1, 1, 2, 2, 2, 4, 4]
    x = ints([-100000, -12345, -999, -512, 511, 1234, 54321, 123456])
    assert rescale(x, 1518500250, -9).tolist() == [-138, -17, -1, -1, 1, 2, 75, 171]
    assert rescale_64(x, 1518500250, -9).tolist() == [-138, -17, -1, -1, 1, 2, 75, 170]


def test_functions_in_fixed_point() -> None:
    a = ints([0, -1, -(2**26), -3 * 2**26, -(2**24 + 12345), -31 * 2**26])
    assert gemmlowp.exp(a, 5).tolist() == [2147483647, 2147483124, 790015308, 106916946, 1672153938, 0]
    assert gemmlowp.exp(ints([-(2**27), -123456789, -15 * 2**27]), 4).tolist() == [790015308, 855963115, 657]
    a = ints([0, 2**30, 2**31 - 1, 123456789])
    assert gemmlowp.reciprocal(a).tolist() == [2147483647, 1431655762, 1073741820, 2030738432]
    a = ints([0, 2**27, -(2**27), 300000000, -1500000000, 5])
    expected = [1073741824, 1569936226, 577547421, 1939959380, 30083, 1073741962]
    assert gemmlowp.logistic(a, 4).tolist() == expected
    a = ints([2**27, 300000000, -1500000000, 5])
    assert gemmlowp.tanh(a, 4).tolist() == [1635510876, 2098890980, -2147483647, 316]


def test_the_inverse_square_root() -> None:
    found = [inverse_square_root(a) for a in (2, 3, 100, 16129, 65025, 2**20)]
    expected = [(1518498372, 0), (1239850284, 0), (214748363, 0), (270549124, -4), (269488147, -5), (268435457, -7)]
    assert found == expected


def test_the_table_of_the_sigmoid() -> None:
    table = sigmoid_table()
    assert table[[0, 1, 2, 3, 10, 50, 100, 200, 254, 255]].tolist() == [
        32768, 33451, 34133, 34813, 39498, 58280, 64536, 65520, 65534, 65535,
    ]  # fmt: skip
    assert table.sum() == 15670629


def test_add() -> None:
    b = TfliteBuilder()
    x1 = b.input("a", (1, 6), scale=0.05, zero_point=-3)
    x2 = b.input("b", (1, 6), scale=0.02, zero_point=7)
    y = b.tensor("y", (1, 6), scale=0.06, zero_point=-10)
    b.op("ADD", [x1, x2], [y])
    b.output(y)
    inputs = {"a": np.array([[-128, -50, 0, 1, 99, 127]]), "b": np.array([[127, -128, 5, -6, 33, 127]])}
    assert TflmInterpreter(b.build()).run(inputs)["y"].tolist() == [[-74, -94, -8, -11, 84, 127]]


@pytest.mark.parametrize(
    ("scale", "row", "expected"),
    [
        (0.05, [-128, -10, 0, 20, 60, 60, 127], [-128, -128, -128, -127, -120, -120, 110]),
        (0.5, [1, 2, 3, 4], [-102, -85, -57, -12]),
    ],
)
def test_softmax(scale: float, row: list[int], expected: list[int]) -> None:
    b = TfliteBuilder()
    x = b.input("x", (1, len(row)), scale=scale)
    y = b.tensor("y", (1, len(row)), scale=1 / 256, zero_point=-128)
    b.op("SOFTMAX", [x], [y], beta=1.0)
    b.output(y)
    assert TflmInterpreter(b.build()).run({"x": np.array([row])})["y"].tolist() == [expected]

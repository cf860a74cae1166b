"""The generated cases tell roundings apart: with another rounding some case of each operation gives other bits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.conformance.cases import FAMILIES
from tests.conformance.tflite_builder import Array
from tests.conformance.tflm import elementwise, products, reductions
from tests.conformance.tflm.fixed_point import Ints, ints, srdhm, wrap32
from tests.conformance.tflm.interpreter import TflmInterpreter

Rescale = Callable[[Ints, Ints | int, Ints | int], Ints]


def once(x: Ints, m: Ints | int, e: Ints | int) -> Ints:
    """Round once, ties up."""
    e = ints(e)
    return ints((ints(x) * ints(m) + (ints(1) << (30 - e))) >> (31 - e))


def twice_up(x: Ints, m: Ints | int, e: Ints | int) -> Ints:
    """Round twice, both ties up."""
    e = ints(e)
    y = srdhm(wrap32(ints(x) << np.maximum(e, 0)), ints(m))
    right = np.maximum(-e, 0)
    return ints((y + ((ints(1) << right) >> 1)) >> right)


def to_even(x: Ints, m: Ints | int, e: Ints | int) -> Ints:
    """Round once in binary64, ties to even."""
    return ints(np.rint(ints(x) * ints(m) * np.exp2(ints(e) - 31.0)))


RESCALED = [
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "TRANSPOSE_CONV",
    "FULLY_CONNECTED",
    "BATCH_MATMUL",
    "ADD",
    "SUB",
    "MUL",
    "MEAN",
    "SUM",
    "RELU",
    "RELU_N1_TO_1",
    "ABS",
    "LEAKY_RELU",
    "PRELU",
]
POSITIVE = ("RELU", "ABS")
"""Their results come from positive numbers, where ties up and ties away are the same."""


@pytest.fixture(scope="module")
def right() -> dict[str, list[Array]]:
    return {op: results(op) for op in RESCALED}


def results(op: str) -> list[Array]:
    found = []
    for case in FAMILIES[op].cases("int8"):
        interpreter = TflmInterpreter(case.model)
        found += [array for inputs in case.runs for array in interpreter.run(inputs).values()]
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("op", "rounding"),
    [(op, r) for op in RESCALED for r in (once, twice_up, to_even) if op not in POSITIVE or r != twice_up],
)
def test_another_rounding_shows(
    monkeypatch: pytest.MonkeyPatch, right: dict[str, list[Array]], op: str, rounding: Rescale
) -> None:
    for module in (products, elementwise, reductions):
        monkeypatch.setattr(module, "rescale", rounding)
    wrong = sum(np.count_nonzero(a != b) for a, b in zip(results(op), right[op], strict=True))
    assert wrong > 0

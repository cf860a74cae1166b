"""Verification finds a single wrong bit, and knows which outputs can't promise bits."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from qcc.ir import F32, I8, Array, Builder, Module, Stage, TensorType, UniformType, evaluate, ops
from qcc.samples import example_samples
from qcc.verification import Runner, compare, outputs_behind_floats, verify

CODES = TensorType((1, 8), UniformType(I8, (0.5,), (3,)))


def each(run: Callable[[Mapping[str, Array]], dict[str, Array]]) -> Runner:
    """A runner that calls `run` for each sample."""
    return lambda samples: map(run, samples)


def integer_module() -> Module:
    b = Builder("net", Stage.INTEGER)
    x = b.emit(ops.StorageCast, b.input("x", CODES))
    y = b.emit(ops.Clamp, x, minimum=-20, maximum=20)
    b.output("y", b.emit(ops.StorageCast, y, to=CODES.uniform()))
    return b.build()


def module_with_float_region() -> Module:
    b = Builder("net", Stage.INTEGER)
    x = b.input("x", CODES)
    real = b.emit(ops.Dequantize, x)
    b.output("exact", real)
    b.output("wave", b.emit(ops.Sigmoid, real))
    b.output("codes", b.emit(ops.Quantize, b.emit(ops.Tanh, real), to=UniformType(I8, (1 / 128,), (0,))))
    return b.build()


def test_an_equal_library_passes_and_every_element_counts() -> None:
    module = integer_module()
    samples = example_samples(module.inputs, seed=0)
    report = verify(module, each(lambda codes: evaluate(module, codes)), samples)
    assert report.passed
    assert report.exact == ("y",)
    assert report.elements == samples.count * 8


def test_one_wrong_code_is_named() -> None:
    module = integer_module()

    def off_by_one(codes: Mapping[str, Array]) -> dict[str, Array]:
        y = evaluate(module, codes)["y"].copy()
        y[0, 5] += 1
        return {"y": y}

    report = verify(module, each(off_by_one), example_samples(module.inputs, seed=0))
    assert report.difference is not None
    assert (report.difference.index, report.difference.count, report.runs) == ((0, 5), 1, 1)
    assert report.difference.found == report.difference.expected + 1


def test_only_outputs_behind_float_arithmetic_have_a_tolerance() -> None:
    module = module_with_float_region()
    assert outputs_behind_floats(module) == {"wave", "codes"}


@pytest.mark.parametrize(
    ("output", "change", "passes"),
    [("exact", 1e-6, False), ("wave", 1e-6, True), ("wave", 1e-3, False), ("codes", 2, True), ("codes", 3, False)],
)
def test_the_tolerance_is_as_stated(output: str, change: float, passes: bool) -> None:
    module = module_with_float_region()

    def changed(codes: Mapping[str, Array]) -> dict[str, Array]:
        found = {name: array.copy() for name, array in evaluate(module, codes).items()}
        largest = int(np.argmax(np.abs(found[output].astype(np.float64))))
        if output == "codes":
            found[output].flat[largest] -= np.sign(found[output].flat[largest]) * change
        else:
            found[output].flat[largest] *= np.float32(1 + change)
        return found

    assert verify(module, each(changed), example_samples(module.inputs, seed=0)).passed is passes


@pytest.mark.filterwarnings("error")
def test_differences_beyond_the_largest_float_are_no_warnings() -> None:
    largest = np.full((1, 2), np.finfo(np.float32).max, np.float32)
    difference = compare("y", 0, largest, -largest, inexact=True)
    assert difference is not None
    assert difference.count == 2
    infinite = np.array([[np.inf, -np.inf]], np.float32)
    assert compare("y", 0, infinite, infinite, inexact=True) is None


def test_nan_equals_nan_and_differs_from_numbers() -> None:
    b = Builder("net")
    b.output("y", b.emit(ops.Clamp, b.input("x", TensorType((1, 2), F32)), minimum=0.0, maximum=1.0))
    module = b.build()
    samples = example_samples(module.inputs, seed=0)

    def broken(codes: Mapping[str, Array]) -> dict[str, Array]:
        return {"y": np.full((1, 2), np.nan, np.float32)}

    assert not verify(module, each(broken), samples).passed

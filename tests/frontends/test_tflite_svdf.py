"""SVDF layers: integer ones give LiteRT's bits run after run, real ones its numbers."""

from __future__ import annotations

import numpy as np
import pytest

import qcc
from qcc.ir import Array, Stage, evaluate_sequence, parse_module, print_module
from tests.conformance.litert import Job, run_litert
from tests.conformance.tflite_builder import OPTIONS, TfliteBuilder
from tests.frontends.tflite_models import import_bytes

UNITS, INPUTS = 4, 6

Case = tuple[bytes, list[dict[str, Array]]]


def model(seed: int, batch: int, rank: int, memory: int, powers: bool) -> Case:
    """Return an integer layer and five runs: scales are powers of two, so that ties are frequent, or any."""
    OPTIONS.setdefault("SVDF", "SVDFOptions")
    g = np.random.default_rng(seed)
    b, filters = TfliteBuilder(), UNITS * rank

    def scale(about: float) -> float:
        return 2.0 ** round(np.log2(about)) if powers else float(np.float32(about * g.uniform(0.7, 1.4)))

    of_time, of_state = scale(1 / 4096), scale(1 / 512)
    x = b.input("x", (batch, INPUTS), "int8", scale(0.1), 5)
    feature = b.constant("feature", g.integers(-127, 128, (filters, INPUTS)).astype(np.int8), scale(0.01))
    time = b.constant("time", g.integers(-3000, 3000, (filters, memory)).astype(np.int16), of_time)
    bias = b.constant("bias", g.integers(-3000, 3000, (UNITS,)).astype(np.int32), of_time * of_state)
    state = b.tensor("state", (batch, filters * memory), "int16", of_state)
    b._main.tensors[state.index].isVariable = True
    y = b.tensor("y", (batch, UNITS), "int8", scale(0.05), -7)
    b.op("SVDF", [x, feature, time, bias, state], [y], version=3, rank=rank, fused_activation_function="RELU")
    b.output(y)
    runs = [{"x": g.integers(-128, 128, (batch, INPUTS)).astype(np.int8)} for _ in range(5)]
    return b.build(), runs


def real_model() -> Case:
    OPTIONS.setdefault("SVDF", "SVDFOptions")
    g = np.random.default_rng(3)
    b = TfliteBuilder()
    x = b.input("x", (2, INPUTS), "float32")
    feature = b.constant("feature", g.normal(size=(UNITS * 2, INPUTS)).astype(np.float32))
    time = b.constant("time", g.normal(size=(UNITS * 2, 3)).astype(np.float32))
    bias = b.constant("bias", g.normal(size=UNITS).astype(np.float32))
    state = b.tensor("state", (2, UNITS * 2 * 3), "float32")
    b._main.tensors[state.index].isVariable = True
    y = b.tensor("y", (2, UNITS), "float32")
    b.op("SVDF", [x, feature, time, bias, state], [y], rank=2, fused_activation_function="RELU")
    b.output(y)
    return b.build(), [{"x": g.normal(size=(2, INPUTS)).astype(np.float32)} for _ in range(5)]


@pytest.mark.parametrize("powers", [pytest.param(False, marks=pytest.mark.slow), True])
def test_integer_layers_are_litert_bit_for_bit(powers: bool) -> None:
    cases = [model(i, 1 + i % 2, 1 + i % 3, 1 + i * 3 % 7, powers) for i in range(6)]
    outcomes = run_litert([Job(data, runs) for data, runs in cases])
    for index, ((data, runs), outcome) in enumerate(zip(cases, outcomes, strict=True)):
        assert outcome.error is None
        module = import_bytes(data, "svdf.tflite")
        assert parse_module(print_module(module)) == module
        expected = [run["y"].tolist() for run in outcome.outputs]
        artifact = qcc.compile(module, target="c")
        assert [o["y"].tolist() for o in evaluate_sequence(artifact.module, runs)] == expected
        if index < 2:  # each takes a C compiler a while
            assert [o["y"].tolist() for o in artifact.run_many(runs)] == expected


def test_real_layers() -> None:
    data, runs = real_model()
    (outcome,) = run_litert([Job(data, runs)])
    assert outcome.error is None
    module = import_bytes(data, "svdf.tflite")
    assert module.stage is Stage.FLOAT
    for want, got in zip(outcome.outputs, evaluate_sequence(module, runs), strict=True):
        np.testing.assert_allclose(got["y"], want["y"], rtol=1e-5, atol=1e-5)

"""SVDF layers: integer ones give LiteRT's bits run after run, real ones its numbers."""

from __future__ import annotations

import numpy as np
import pytest

import qcc
from qcc.ir import Array, PassError, Stage, evaluate_sequence, parse_module, print_module
from tests.conformance.litert import AUTO, BUILTIN_REF, Job, run_litert
from tests.conformance.subject import realized
from tests.conformance.tflite_builder import OPTIONS, TfliteBuilder
from tests.conformance.tflm.fixed_point import ints, quantize_multiplier, rescale
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


X, STATE, Y = (0.1, 5), (0.03, -9), (0.05, -7)
"""Scales and zero points of a layer whose state has 8 bits."""


def narrow_model(rank: int, memory: int) -> tuple[Case, dict[str, Array]]:
    """Return a layer with 8-bit time weights and state, five runs, and its data."""
    OPTIONS.setdefault("SVDF", "SVDFOptions")
    g, filters = np.random.default_rng(rank), UNITS * rank
    data: dict[str, Array] = {
        "feature": g.integers(-127, 128, (filters, INPUTS)).astype(np.int8),
        "time": g.integers(-127, 128, (filters, memory)).astype(np.int8),
        "bias": g.integers(-3000, 3000, UNITS).astype(np.int32),
    }
    b = TfliteBuilder()
    x = b.input("x", (2, INPUTS), "int8", *X)
    weights = [b.constant("feature", data["feature"], 1 / 64), b.constant("time", data["time"], 1 / 128)]
    bias = b.constant("bias", data["bias"], STATE[0] / 128)
    state = b.tensor("state", (2, filters * memory), "int8", *STATE)
    b._main.tensors[state.index].isVariable = True
    y = b.tensor("y", (2, UNITS), "int8", *Y)
    b.op("SVDF", [x, *weights, bias, state], [y], version=3, rank=rank, fused_activation_function="RELU")
    b.output(y)
    runs: list[dict[str, Array]] = [{"x": g.integers(-128, 128, (2, INPUTS)).astype(np.int8)} for _ in range(5)]
    return (b.build(), runs), data


def scaled(total: int, a: float, b: float, to: tuple[float, int]) -> int:
    """Return the code of a sum in units of a·b: twice rounded, zero point, range of 8 bits."""
    m, e = quantize_multiplier(float(np.float32(np.float32(a) * np.float32(b)) / np.float32(to[0])))
    return min(max(int(rescale(ints([total]), m, e)[0]) + to[1], -128), 127)


def scalar_step(data: dict[str, Array], rank: int, x: list[int], state: list[list[int]]) -> list[int]:
    """Return the results of one row; the memories of its filters are in `state`, the newest last."""
    for kept, feature in zip(state, data["feature"].tolist(), strict=True):
        total = sum(w * (v - X[1]) for w, v in zip(feature, x, strict=True))
        kept[:] = [*kept[1:], scaled(total, X[0], 1 / 64, STATE)]
    seen = [
        sum(w * (v - STATE[1]) for w, v in zip(time, kept, strict=True))
        for time, kept in zip(data["time"].tolist(), state, strict=True)
    ]
    sums = [sum(seen[u * rank : (u + 1) * rank]) + int(data["bias"][u]) for u in range(UNITS)]
    return [scaled(total, STATE[0], 1 / 128, Y) for total in sums]


@pytest.mark.parametrize("rank", [2, pytest.param(1, marks=pytest.mark.slow)])
def test_layers_with_an_8_bit_state_are_the_scalar_loop_bit_for_bit(rank: int) -> None:
    """TensorFlow Lite Micro has them; LiteRT reads past the end of the state."""
    memory = 4
    (data, runs), weights = narrow_model(rank, memory)
    for profile in ("litert-ref", "litert-xnn"):
        with pytest.raises(PassError, match="reads 8-bit time weights and states as 16-bit ones"):
            realized(import_bytes(data, "svdf.tflite"), profile)
    artifact = qcc.compile(import_bytes(data, "svdf.tflite"), target="c")
    state = [[[STATE[1]] * memory for _ in range(UNITS * rank)] for _ in range(2)]
    expected = [[scalar_step(weights, rank, r["x"][i].tolist(), state[i]) for i in range(2)] for r in runs]
    assert [o["y"].tolist() for o in evaluate_sequence(artifact.module, runs)] == expected
    assert [o["y"].tolist() for o in artifact.run_many(runs)] == expected


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


SLOW = [(False, "tflm", "c"), (True, "litert-ref", "native"), (True, "litert-xnn", "native")]


@pytest.mark.parametrize(
    ("powers", "profile", "target"), [(True, "tflm", "c"), *(pytest.param(*s, marks=pytest.mark.slow) for s in SLOW)]
)
def test_integer_layers_are_litert_bit_for_bit(powers: bool, profile: str, target: str) -> None:
    """All engines have one kernel; each of five runs goes on from the state of the one before."""
    cases = [model(i, 1 + i % 2, 1 + i % 3, 1 + i * 3 % 7, powers) for i in range(6)]
    resolver = AUTO if profile == "litert-xnn" else BUILTIN_REF
    outcomes = run_litert([Job(data, runs, resolver) for data, runs in cases])
    for index, ((data, runs), outcome) in enumerate(zip(cases, outcomes, strict=True)):
        assert outcome.error is None
        module = import_bytes(data, "svdf.tflite")
        assert parse_module(print_module(module)) == module
        expected = [run["y"].tolist() for run in outcome.outputs]
        artifact = qcc.compile(module, target=target, arithmetic=profile)
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

"""LSTM layers: integer ones against a scalar loop in TensorFlow Lite Micro's arithmetic, real ones against LiteRT."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import qcc
from qcc.ir import Array, FrontendError, PassError, Stage, evaluate_sequence
from tests.conformance.litert import Job, run_litert
from tests.conformance.tflite_builder import OPTIONS, TfliteBuilder
from tests.conformance.tflm.fixed_point import ints, quantize_multiplier, rescale
from tests.conformance.tflm.functions import sigmoid_table
from tests.frontends.tflite_models import import_bytes

STEPS, INPUTS, CELLS = 3, 5, 4
X, H, W, C = (0.05, 3), (1 / 128, -2), 0.02, 2.0**-11
LAYER: dict[str, Any] = {"fused_activation_function": "TANH", "cell_clip": 0.0, "proj_clip": 0.0}

Weights = dict[str, list[Array]]


def weights(generator: np.random.Generator) -> Weights:
    """Return weights of the input, weights of the hidden state and biases, in the order of the operands."""
    return {
        "input": [generator.integers(-127, 128, (CELLS, INPUTS)).astype(np.int8) for _ in range(4)],
        "hidden": [generator.integers(-127, 128, (CELLS, CELLS)).astype(np.int8) for _ in range(4)],
        "bias": [generator.integers(-2000, 2000, CELLS).astype(np.int32) for _ in range(4)],
    }


def layer(given: Weights, real: bool = False, time_major: bool = False, peephole: bool = False) -> bytes:
    """Return a model of one layer; a real one has the same weights times their scale."""
    OPTIONS.setdefault("UNIDIRECTIONAL_SEQUENCE_LSTM", "UnidirectionalSequenceLSTMOptions")
    b = TfliteBuilder()
    shape = (STEPS, 1) if time_major else (1, STEPS)
    kind, states = ("float32", ("float32", "float32")) if real else ("int8", ("int8", "int16"))

    def constant(name: str, array: Array, scale: float) -> Any:
        return b.constant(name, (array * scale).astype(np.float32)) if real else b.constant(name, array, scale)

    def tensor(name: str, sizes: tuple[int, ...], type: str, scale: float, zero: int) -> Any:
        return b.tensor(name, sizes, type) if real else b.tensor(name, sizes, type, scale, zero)

    x = b.input("x", (*shape, INPUTS), kind) if real else b.input("x", (*shape, INPUTS), kind, *X)
    of_input = [constant(f"wi{i}", a, W) for i, a in enumerate(given["input"])]
    of_hidden = [constant(f"wh{i}", a, W) for i, a in enumerate(given["hidden"])]
    biases = [constant(f"b{i}", a, float(np.float32(X[0]) * np.float32(W))) for i, a in enumerate(given["bias"])]
    hidden, cell = tensor("h", (1, CELLS), states[0], *H), tensor("c", (1, CELLS), states[1], C, 0)
    for state in (hidden, cell):
        b._main.tensors[state.index].isVariable = True
    y = tensor("y", (*shape, CELLS), kind, *H)
    seen = biases[0] if peephole else None
    operands = [x, *of_input, *of_hidden, seen, None, None, *biases, None, None, hidden, cell, *[None] * 4]
    b.op("UNIDIRECTIONAL_SEQUENCE_LSTM", operands, [y], time_major=time_major, **LAYER)
    b.output(y)
    return b.build()


def interpolated(x: int, tangent: bool) -> int:
    """Return the logistic function, or the tangent, of a number with 12 fraction bits, in Q0.15 (ARITHMETIC 3.19)."""
    table = [int(v) for v in sigmoid_table()]
    bits = 8 if tangent else 9
    d = x * 3
    a, top = abs(d), (0xFFFF << 8 if tangent else 0x7FFF << 10)
    u = a >> bits
    value = top if u >= 255 else (table[u] << bits) + (a & ((1 << bits) - 1)) * (table[u + 1] - table[u])
    if tangent:
        return (value - (1 << 23) + (1 << 7) if d >= 0 else -value + (1 << 23) + (1 << 7) - 1) >> 8
    return (value + (1 << 9) if d >= 0 else (1 << 25) - value + (1 << 9) - 1) >> 10


def scaled(x: int, real: float, low: int, high: int, zero: int = 0) -> int:
    m, e = quantize_multiplier(real)
    return min(max(int(rescale(ints([x]), m, e)[0]) + zero, low), high)


def word(x: int) -> int:
    return min(max(x, -32768), 32767)


def scalar_step(given: Weights, x: list[int], h: list[int], c: list[int]) -> tuple[list[int], list[int]]:
    """Return hidden and cell state behind a step, number by number."""
    new_h, new_c = [], []
    scale_x, scale_h = (float(np.float32(s) * np.float32(W)) for s in (X[0], H[0]))
    for n in range(CELLS):
        gates = []
        for g in range(4):
            seen = sum(int(w) * (v - X[1]) for w, v in zip(given["input"][g][n], x, strict=True))
            seen += int(given["bias"][g][n])
            kept = sum(int(w) * (v - H[1]) for w, v in zip(given["hidden"][g][n], h, strict=True))
            total = word(scaled(seen, scale_x * 2**12, -32768, 32767) + scaled(kept, scale_h * 2**12, -32768, 32767))
            gates.append(interpolated(total, tangent=g == 2))
        enter, forget, candidate, leave = gates
        kept = scaled(forget * c[n], 2.0**-15 * C / C, -32768, 32767)
        cell = word(kept + scaled(enter * candidate, 2.0**-30 / C, -32768, 32767))
        shown = interpolated(cell * round(C * 2**12), tangent=True)
        new_c.append(cell)
        new_h.append(scaled(leave * shown, 2.0**-30 / float(np.float32(H[0])), -128, 127, H[1]))
    return new_h, new_c


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3))])
def test_integer_layers_are_the_scalar_loop_bit_for_bit(seed: int) -> None:
    generator = np.random.default_rng(seed)
    given = weights(generator)
    module = import_bytes(layer(given), "lstm.tflite")
    assert set(module.initial_states) == {"h", "c"}
    artifact = qcc.compile(module, target="c")
    runs = [{"x": generator.integers(-128, 128, (1, STEPS, INPUTS)).astype(np.int8)} for _ in range(4)]
    h, c = [H[1]] * CELLS, [0] * CELLS
    found = artifact.run_many(runs) if seed == 1 else evaluate_sequence(artifact.module, runs)
    for sample, outputs in zip(runs, found, strict=True):
        expected = []
        for step in range(STEPS):
            h, c = scalar_step(given, sample["x"][0, step].tolist(), h, c)
            expected.append(h)
        assert outputs["y"][0].tolist() == expected
        assert outputs["h"].tolist() == [h]
        assert outputs["c"].tolist() == [c]


@pytest.mark.parametrize("profile", ["litert-ref", "litert-xnn"])
def test_integer_layers_have_no_rules_in_the_profiles_of_litert(profile: str) -> None:
    module = import_bytes(layer(weights(np.random.default_rng(1))), "lstm.tflite")
    with pytest.raises(PassError, match="UNIDIRECTIONAL_SEQUENCE_LSTM") as caught:
        qcc.compile(module, target="c", arithmetic=profile)
    assert "--arithmetic tflm" in (caught.value.help or "")


def test_a_sequence_becomes_no_more_operations_than_the_file_can_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.frontends.test_tflite_lstm.STEPS", 64)
    data = layer(weights(np.random.default_rng(1)))
    assert len(import_bytes(data, "lstm.tflite").ops) > 1400
    monkeypatch.setattr("qcc.frontends.tflite.emission._OPERATIONS_FREE", 1000)
    with pytest.raises(FrontendError, match="many times more than its file tells"):
        import_bytes(data, "lstm.tflite")


@pytest.mark.parametrize("time_major", [False, True])
def test_real_layers_are_litert(time_major: bool) -> None:
    generator = np.random.default_rng(5)
    data = layer(weights(generator), real=True, time_major=time_major)
    shape = (STEPS, 1, INPUTS) if time_major else (1, STEPS, INPUTS)
    runs = [{"x": generator.normal(size=shape).astype(np.float32)} for _ in range(3)]
    (outcome,) = run_litert([Job(data, runs)])
    assert outcome.error is None, outcome.error
    module = import_bytes(data, "lstm.tflite")
    assert module.stage is Stage.FLOAT
    for want, got in zip(outcome.outputs, evaluate_sequence(module, runs), strict=True):
        np.testing.assert_allclose(got["y"], want["y"], rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_integer_layers_mean_what_real_ones_mean() -> None:
    generator = np.random.default_rng(6)
    given = weights(generator)
    codes = [generator.integers(-128, 128, (1, STEPS, INPUTS)).astype(np.int8) for _ in range(3)]
    integer = qcc.compile(import_bytes(layer(given), "lstm.tflite"), target="c").module
    real = import_bytes(layer(given, real=True), "lstm.tflite")
    reals = [{"x": ((x.astype(np.float32) - X[1]) * X[0]).astype(np.float32)} for x in codes]
    found = evaluate_sequence(integer, [{"x": x} for x in codes])
    for got, want in zip(found, evaluate_sequence(real, reals), strict=True):
        assert np.abs((got["y"].astype(np.float32) - H[1]) * H[0] - want["y"]).max() < 4 * H[0]


def test_a_peephole_is_refused() -> None:
    with pytest.raises(FrontendError, match="peepholes are not supported"):
        import_bytes(layer(weights(np.random.default_rng(1)), peephole=True))

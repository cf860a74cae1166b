"""States in compiled code: NAME_state and NAME_reset, in C, in the loaders and under an emulator."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import qcc
from qcc.ir import F32, I8, Builder, EvaluationError, Module, TensorType, UniformType, evaluate_sequence, ops
from qcc.targets.emission.header import ERROR_BUFFER_ALIGNMENT, OK
from qcc.targets.emulation import EmulatedModel, Request
from qcc.targets.runtime import load_model
from tests.targets.test_artifact_code import STRICT, run
from tests.targets.test_foreign_code import ONE_EACH, require_tools, untouched

CODES = UniformType(I8, (0.25,), (3,))
VECTOR = TensorType((1, 6), CODES)


def swap_and_sum() -> Module:
    """Return two states that swap places in every run, one that a run sums up, and their sum as output."""
    b = Builder("memory", qcc.ir.Stage.QUANTIZED)
    x = b.input("x", VECTOR)
    left = b.state("left", VECTOR, np.arange(6, dtype=np.int8).reshape(1, 6))
    right = b.state("right", VECTOR, np.full((1, 6), 3, np.int8))
    wide = b.state("int", TensorType((1, 6), UniformType(qcc.ir.I16, (0.5,), (0,))), np.full((1, 6), -2, np.int16))
    total = b.emit(ops.Add, x, left, name="total", types=(VECTOR,))
    b.output("y", b.emit(ops.Sub, total, right, name="y", types=(VECTOR,)))
    b.output("left", right)
    b.output("right", left)
    b.output("int", wide)
    return b.build()


def samples(count: int) -> list[dict[str, np.ndarray]]:
    generator = np.random.default_rng(8)
    return [{"x": generator.integers(-128, 128, (1, 6)).astype(np.int8)} for _ in range(count)]


@pytest.fixture(scope="module")
def artifact() -> qcc.Artifact:
    return qcc.compile(swap_and_sum(), target="c")


def test_every_run_is_the_evaluators(artifact: qcc.Artifact) -> None:
    runs = samples(5)
    expected = list(evaluate_sequence(artifact.module, runs))
    found = list(artifact.run_many(runs))
    for want, got in zip(expected, found, strict=True):
        assert {n: a.tolist() for n, a in want.items()} == {n: a.tolist() for n, a in got.items()}
    assert found[0]["right"].tolist() == [[0, 1, 2, 3, 4, 5]]
    assert found[1]["left"].tolist() == [[0, 1, 2, 3, 4, 5]]


def test_states_may_be_given(artifact: qcc.Artifact) -> None:
    given = {**samples(1)[0], "left": np.full((1, 6), 7, np.int8)}
    assert artifact.run_codes(given)["right"].tolist() == [[7] * 6]
    with pytest.raises(EvaluationError, match="left"):
        artifact.run_codes({**given, "left": np.zeros((1, 5), np.int8)})


def test_runs_do_not_share_states(artifact: qcc.Artifact) -> None:
    (sample,) = samples(1)
    first, second = artifact.run_codes(sample), artifact.run_codes(sample)
    assert {n: a.tolist() for n, a in first.items()} == {n: a.tolist() for n, a in second.items()}


def test_a_second_run_of_the_samples_starts_anew(artifact: qcc.Artifact) -> None:
    rows = np.concatenate([s["x"] for s in samples(3)])
    assert artifact.run({"x": rows}, raw=True)["y"].tolist() == artifact.run({"x": rows}, raw=True)["y"].tolist()


_PROGRAM = r"""
#include "memory.h"
#include <stdio.h>
static memory_state first, second;
static uint8_t arena[memory_ARENA_BYTES + memory_ARENA_ALIGNMENT];
int main(void) {
    int8_t x[6] = {1, 2, 3, 4, 5, 6}, y[6];
    memory_inputs in;
    memory_outputs out;
    uintptr_t start = (uintptr_t)arena + memory_ARENA_ALIGNMENT - 1;
    void *aligned = (void *)(start - start % memory_ARENA_ALIGNMENT);
    in.x = x;
    out.y = y;
    memory_reset(&first);
    memory_reset(&second);
    if (memory_run(&in, &out, NULL, aligned) != memory_ERROR_NULL_POINTER) return 1;
    if (memory_run(&in, &out, &first, aligned) != memory_OK) return 2;
    if (first.left[0] != 3 || first.right[5] != 5 || first.int_[0] != -2) return 3;
    if (second.left[1] != 1 || second.right[0] != 3) return 4;
    if (memory_run_within(&in, &out, &first, aligned, 0) != memory_ERROR_ARENA_SIZE) return 5;
    if (first.left[0] != 3) return 6;
    if (memory_run(&in, &out, &first, aligned) != memory_OK || first.left[5] != 5) return 7;
    memory_reset(&first);
    if (first.left[5] != 5 || sizeof first < memory_STATE_BYTES) return 8;
    return 0;
}
"""


def test_the_c_api(artifact: qcc.Artifact, tmp_path: Path, tool: Callable[[str], str]) -> None:
    folder = artifact.save(tmp_path / "memory")
    (folder / "main.c").write_text(_PROGRAM)
    run(tool("gcc"), *STRICT, "-O2", "main.c", "memory.c", "-o", "main", folder=folder)
    assert subprocess.run([str(folder / "main")], check=False).returncode == 0
    run(tool("g++"), "-std=c++11", *STRICT[1:], "-x", "c++", "-c", "memory.h", "-o", "h.o", folder=folder)


def test_what_a_model_without_states_has_is_as_it_was() -> None:
    b = Builder("plain")
    x = b.input("x", TensorType((2,), F32))
    b.output("y", b.emit(ops.Abs, x))
    artifact = qcc.compile(b.build(), target="c", recipe="float")
    header = artifact.files["plain.h"].decode()
    assert "int plain_run(const plain_inputs *in, plain_outputs *out, void *arena);" in header
    assert "_state" not in header
    assert "_reset" not in header
    assert "states" not in artifact.manifest


def test_the_manifest_lists_states(artifact: qcc.Artifact) -> None:
    assert [s["name"] for s in artifact.manifest["states"]] == ["int", "left", "right"]
    assert artifact.manifest["state_bytes"] == 24


def test_a_float_model_with_a_state_is_quantized() -> None:
    b = Builder("average")
    x = b.input("x", TensorType((1, 8), F32))
    old = b.state("old", TensorType((1, 8), F32), np.ones((1, 8), np.float32))
    half = b.constant(np.array(0.5, np.float32))
    new = b.emit(ops.Mul, b.emit(ops.Add, x, old), half, name="new")
    b.output("y", b.emit(ops.Tanh, new))
    b.output("old", new)
    module = b.build()
    data = np.random.default_rng(2).normal(size=(60, 8)).astype(np.float32)
    artifact = qcc.compile(module, target="c", calibration={"x": data})
    (kept,) = artifact.module.states
    element = artifact.module.input_named("old").type.uniform()
    assert np.abs(element.dequantize(kept.initial.array) - 1).max() <= element.scale / 2
    expected = np.concatenate([o["y"] for o in evaluate_sequence(module, [{"x": row[None]} for row in data])])
    assert np.abs(artifact.run({"x": data})["y"] - expected).max() < 0.04


@pytest.mark.slow
@pytest.mark.parametrize("target", ["native", *ONE_EACH])
def test_states_on_other_targets(target: str, tool: Callable[[str], str]) -> None:
    if target != "native":
        require_tools(target, tool)
    artifact = qcc.compile(swap_and_sum(), target=target)
    runs = samples(4)
    for want, got in zip(evaluate_sequence(artifact.module, runs), artifact.run_many(runs), strict=True):
        assert {n: a.tolist() for n, a in want.items()} == {n: a.tolist() for n, a in got.items()}
    runs[2] |= {"left": np.full((1, 6), 7, np.int8), "int": np.full((1, 6), 500, np.int16)}
    found = list(artifact.run_many(runs))
    assert found[2]["right"].tolist() == [[7] * 6]
    assert found[3]["int"].tolist() == [[500] * 6]
    assert found[2]["left"].tolist() == found[1]["right"].tolist()
    with pytest.raises(EvaluationError, match="left"):
        artifact.run_codes({**runs[2], "left": np.zeros((1, 5), np.int8)})


@pytest.mark.slow
@pytest.mark.parametrize("target", ["aarch64-linux-gnu+dotprod", "thumbv7em-none-eabi@cortex-m4"])
def test_a_state_at_an_odd_address_is_an_error_code(target: str, tmp_path: Path, tool: Callable[[str], str]) -> None:
    require_tools(target, tool)
    artifact = qcc.compile(swap_and_sum(), target=target)
    assert " * Its address must be a multiple of 2.\n" in artifact.files["memory.h"].decode()
    artifact.save(tmp_path)
    model = load_model(tmp_path)
    assert isinstance(model, EmulatedModel)
    for shift, error in ((1, ERROR_BUFFER_ALIGNMENT), (2, OK)):
        (status, outputs), (again, _) = model.call(samples(2), Request(shift=shift))
        assert status == again == error
        assert untouched({"y": outputs["y"]}) == (error != OK)
        if error:
            assert outputs["left"].tolist() == [list(range(6))]  # as NAME_reset left it

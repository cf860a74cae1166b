"""Variables of TFLite models become states: what LiteRT keeps from run to run, the compiled library keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import qcc
from qcc.cli import main
from qcc.frontends import load
from qcc.ir import Array, FrontendError, evaluate_sequence
from tests.conformance.litert import Job, run_litert
from tests.conformance.tflite_builder import TfliteBuilder
from tests.frontends.tflite_models import import_bytes

NONE: dict[str, Any] = {"fused_activation_function": "NONE"}


def test_an_output_that_is_a_variable_has_the_name_of_the_file() -> None:
    b = TfliteBuilder()
    x = b.input("x", (1, 4), "int8", 0.5)
    state = b.variable("state", np.zeros((1, 4), np.int8), 0.5)
    before, after = b.tensor("before", (1, 4), "int8", 0.5), b.tensor("after", (1, 4), "int8", 0.5)
    b.op("READ_VARIABLE", [state], [before])
    b.op("ASSIGN_VARIABLE", [state, x], [])
    b.op("READ_VARIABLE", [state], [after])
    b.output(before, after)
    module = import_bytes(b.build())
    assert [o.name for o in module.outputs if o.name not in module.initial_states] == ["before", "after"]


def delay_and_sum(scale: float = 0.5) -> bytes:
    """Return a model with a running sum (int8) and a delay of two samples (two variables that shift)."""
    b = TfliteBuilder()
    x = b.input("x", (1, 4), "int8", scale)
    total = b.variable("total", np.array([[1, -2, 3, -4]], np.int8), scale)
    near, far = (b.variable(n, np.zeros((1, 4), np.int8), scale) for n in ("near", "far"))
    old, last, oldest, new, y = (b.tensor(n, (1, 4), "int8", scale) for n in ("old", "last", "oldest", "new", "y"))
    b.op("READ_VARIABLE", [total], [old])
    b.op("READ_VARIABLE", [near], [last])
    b.op("READ_VARIABLE", [far], [oldest])
    b.op("ADD", [old, x], [new], **NONE)
    b.op("SUB", [new, oldest], [y], **NONE)
    b.op("ASSIGN_VARIABLE", [total, new], [])
    b.op("ASSIGN_VARIABLE", [far, last], [])
    b.op("ASSIGN_VARIABLE", [near, x], [])
    b.output(y)
    return b.build()


def samples(count: int) -> list[dict[str, Array]]:
    generator = np.random.default_rng(4)
    return [{"x": generator.integers(-9, 10, (1, 4)).astype(np.int8)} for _ in range(count)]


def test_variables_are_states_with_their_initial_data() -> None:
    module = import_bytes(delay_and_sum())
    assert module.initial_states["total"].tolist() == [[1, -2, 3, -4]]
    assert set(module.initial_states) == {"total", "near", "far"}
    assert [v.name for v in module.caller_inputs] == ["x"]
    assert [o.name for o in module.caller_outputs] == ["y"]


@pytest.mark.parametrize("target", ["c", pytest.param("native", marks=pytest.mark.slow)])
def test_a_sequence_is_that_of_litert(target: str) -> None:
    runs = samples(6)
    (outcome,) = run_litert([Job(delay_and_sum(), runs)])
    assert outcome.error is None
    artifact = qcc.compile(import_bytes(delay_and_sum(), "delay.tflite"), target=target)
    expected = [run["y"].tolist() for run in outcome.outputs]
    assert [run["y"].tolist() for run in artifact.run_many(runs)] == expected
    assert [run["y"].tolist() for run in evaluate_sequence(artifact.module, runs)] == expected
    rows = np.concatenate([r["x"] for r in runs])
    assert artifact.run({"x": rows}, raw=True)["y"].tolist() == [e[0] for e in expected]


def test_what_was_written_is_read_within_a_run() -> None:
    b = TfliteBuilder()
    x = b.input("x", (1, 2), "float32")
    v = b.variable("v", np.zeros((1, 2), np.float32))
    old, again, y = (b.tensor(n, (1, 2), "float32") for n in ("old", "again", "y"))
    b.op("READ_VARIABLE", [v], [old])
    b.op("ASSIGN_VARIABLE", [v, x], [])
    b.op("READ_VARIABLE", [v], [again])
    b.op("SUB", [again, old], [y], **NONE)
    b.output(y)
    given = [{"x": np.full((1, 2), n, np.float32)} for n in (1, 5, 4)]
    found = [o["y"][0, 0] for o in evaluate_sequence(import_bytes(b.build()), given)]
    assert found == [1, 4, -1]


def test_the_command_line_runs_samples_in_sequence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "delay.tflite").write_bytes(delay_and_sum())
    rows = np.concatenate([r["x"] for r in samples(4)])
    np.savez(tmp_path / "in.npz", x=rows)
    folder, out = str(tmp_path / "built"), str(tmp_path / "out.npz")
    assert main(["compile", str(tmp_path / "delay.tflite"), "-o", folder, "--target", "c"]) == 0
    assert main(["run", folder, "--inputs", str(tmp_path / "in.npz"), "--outputs", out, "--raw"]) == 0
    with np.load(out) as found:
        assert found.files == ["y"]
        (outcome,) = run_litert([Job(delay_and_sum(), samples(4))])
        assert found["y"].tolist() == [run["y"][0].tolist() for run in outcome.outputs]
    capsys.readouterr()
    assert main(["verify", folder]) == 0
    assert "every bit equal to the evaluator: y, total, near, far" in capsys.readouterr().out
    assert main(["inspect", folder]) == 0
    assert "total: tensor<1x4x!quant.uniform<i8:f32, 0.5>>" in capsys.readouterr().out
    text = (tmp_path / "built" / "delay.h").read_text()
    assert "#define delay_STATE_BYTES 12" in text
    assert "void delay_reset(delay_state *state);" in text
    assert load(tmp_path / "built" / "delay.qir").initial_states["total"].tolist() == [[1, -2, 3, -4]]


@pytest.mark.parametrize(
    ("subgraph", "message"), [(0, "names the main subgraph"), (7, "there is no subgraph 7"), (-1, "no subgraph -1")]
)
def test_an_initialization_that_makes_no_sense(subgraph: int, message: str) -> None:
    b = TfliteBuilder()
    x, y = b.input("x", (1, 2), "float32"), b.tensor("y", (1, 2), "float32")
    b.op("CALL_ONCE", [], [], init_subgraph_index=subgraph)
    b.op("ABS", [x], [y])
    b.output(y)
    with pytest.raises(FrontendError, match=message):
        import_bytes(b.build())


def test_a_handle_is_no_data() -> None:
    b = TfliteBuilder()
    v = b.variable("v", np.zeros((1, 2), np.float32))
    y = b.tensor("y", (), "int32")
    b.op("ABS", [v], [y])
    b.output(y)
    with pytest.raises(FrontendError, match="has no value"):
        import_bytes(b.build())

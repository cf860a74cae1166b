"""The oracle: LiteRT's interpreter, in a process of its own, which may abort without taking the tests with it.

    outcomes = run_litert([Job(data, runs, BUILTIN_REF), …])

Each job is a model, a list of input sets, and a resolver. The runs of a job happen in order in one interpreter, so
variables live from one to the next. An outcome holds the outputs by name for each run, or what went wrong.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

Runs = Sequence[Mapping[str, npt.NDArray[Any]]]

BUILTIN_REF = "BUILTIN_REF"
"""The reference kernels."""

AUTO = "AUTO"
"""The default resolver: XNNPACK for what it takes, optimized kernels for the rest."""

OPTIMIZED = "BUILTIN_WITHOUT_DEFAULT_DELEGATES"
"""The optimized kernels without XNNPACK."""

SECONDS = 300.0
"""After so long without a result the worker is given up."""


@dataclass(frozen=True)
class Job:
    """What the interpreter should compute.

    Attributes:
        model: the bytes of a .tflite file.
        runs: for each run the inputs by name.
        resolver: `BUILTIN_REF`, `AUTO` or `OPTIMIZED`.
    """

    model: bytes
    runs: Runs
    resolver: str = BUILTIN_REF


@dataclass(frozen=True)
class Outcome:
    """What the interpreter gave.

    Attributes:
        outputs: for each run the outputs by name; empty if there is an error.
        nodes: names of the operations as executed; `DELEGATE` is XNNPACK's.
        error: why the model was refused, or how the process died; None if it ran.
    """

    outputs: tuple[dict[str, npt.NDArray[Any]], ...] = ()
    nodes: tuple[str, ...] = field(default=())
    error: str | None = None


def run_litert(jobs: Sequence[Job]) -> list[Outcome]:
    """Return the outcome of each job."""
    outcomes: list[Outcome] = []
    while len(outcomes) < len(jobs):
        outcomes += _run_until_death(jobs[len(outcomes) :])
    return outcomes


def _run_until_death(jobs: Sequence[Job]) -> list[Outcome]:
    """Return the outcomes of the jobs up to the first that kills the worker, and of that."""
    with tempfile.TemporaryDirectory() as folder:
        asked, answered, log = (Path(folder) / name for name in ("asked", "answered", "log"))
        with asked.open("wb") as file:
            for job in jobs:
                pickle.dump(job, file)
        command = [sys.executable, "-m", "tests.conformance.litert", str(asked), str(answered)]
        root = Path(__file__).resolve().parents[2]
        environment = {**os.environ, "PYTHONPATH": str(root), "TF_CPP_MIN_LOG_LEVEL": "3"}
        with log.open("wb") as stderr:
            try:
                done = subprocess.run(
                    command, cwd=root, env=environment, stdout=stderr, stderr=stderr, timeout=SECONDS, check=False
                )
                end = f"the process ended with status {done.returncode}"
            except subprocess.TimeoutExpired:
                end = f"no answer in {SECONDS:.0f} s"
        outcomes = _answers(answered)
        if len(outcomes) < len(jobs):
            text = log.read_text(errors="replace").strip()
            outcomes.append(Outcome(error=f"{end}: {text[-600:]}"))
        return outcomes


def _answers(path: Path) -> list[Outcome]:
    outcomes: list[Outcome] = []
    if path.exists():
        with path.open("rb") as file:
            try:
                while True:
                    outcomes.append(pickle.load(file))
            except (EOFError, pickle.UnpicklingError):
                pass
    return outcomes


def _execute(job: Job) -> Outcome:
    """Run a job in this process."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    try:
        interpreter = Interpreter(
            model_content=job.model,
            experimental_op_resolver_type=getattr(OpResolverType, job.resolver),
            num_threads=1,
        )
        interpreter.allocate_tensors()
        outputs = tuple(_invoke(interpreter, inputs) for inputs in job.runs)
        nodes = tuple(str(op["op_name"]) for op in interpreter._get_ops_details())
    except (ValueError, RuntimeError) as error:
        return Outcome(error=f"{type(error).__name__}: {error}")
    return Outcome(outputs, nodes)


def _invoke(interpreter: Any, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    for detail in interpreter.get_input_details():
        value = inputs[detail["name"]]
        interpreter.set_tensor(detail["index"], np.ascontiguousarray(value, detail["dtype"]))
    interpreter.invoke()
    return {d["name"]: interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()}


def _serve(asked: BinaryIO, answered: BinaryIO) -> None:
    """Answer each job as soon as it is done, so that a later abort loses nothing."""
    while True:
        try:
            job = pickle.load(asked)
        except EOFError:
            return
        pickle.dump(_execute(job), answered)
        answered.flush()


if __name__ == "__main__":
    # Classes pickle under the module's import name, not under __main__.
    from tests.conformance import litert

    with Path(sys.argv[1]).open("rb") as jobs_file, Path(sys.argv[2]).open("wb") as outcomes_file:
        litert._serve(jobs_file, outcomes_file)

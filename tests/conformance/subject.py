"""The compiler under test on .tflite models: integer modules, evaluated, or compiled many to a library."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qcc.compiler import CompileOptions, choose_pipeline
from qcc.frontends import load
from qcc.ir import Array, Module, evaluate_sequence, verify
from qcc.passes import HardwareSpec, Part, PassContext, PassManager, default_pipeline
from qcc.targets import Target

Outputs = list[Array]
"""The outputs of a run in the file's order."""


def imported(model: bytes) -> Module:
    """Return the module of a file; a QccError says why it can't be imported."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(model)
        return load(path)


def realized(module: Module, profile: str) -> Module:
    """Return the integer module in an arithmetic profile; a QccError says which rule is missing."""
    pipeline = default_pipeline([Part.QUANTIZE], {"insert-rescale": {"profile": profile}})
    chosen = {p.name for p in choose_pipeline(module, False, CompileOptions(arithmetic=profile))}
    integer = PassManager([p for p in pipeline if p.name in chosen]).run(module, PassContext(hardware=HardwareSpec()))
    verify(integer)
    return integer


def planned(module: Module, target: Target) -> Module:
    """Return an integer module behind the target's passes."""
    return PassManager(default_pipeline([Part.TARGET])).run(
        module, PassContext(hardware=target.hardware, target=target)
    )


def evaluated(module: Module, runs: Sequence[Mapping[str, Array]]) -> list[Outputs]:
    """Return the outputs of runs in order, by the evaluator; states live from one to the next."""
    samples = [by_position(module, inputs) for inputs in runs]
    return [[result[o.name] for o in module.caller_outputs] for result in evaluate_sequence(module, samples)]


def by_position(module: Module, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Return inputs under the module's names, which may differ from the file's."""
    return {v.name: a for v, a in zip(module.caller_inputs, inputs.values(), strict=True)}


@dataclass(frozen=True)
class Comparison:
    """How outputs compare.

    Attributes:
        wrong: elements that differ in any bit.
        total: elements compared.
        largest: the largest difference.
    """

    wrong: int = 0
    total: int = 0
    largest: float = 0.0

    def __add__(self, other: Comparison) -> Comparison:
        return Comparison(self.wrong + other.wrong, self.total + other.total, max(self.largest, other.largest))


def compare_runs(found: Sequence[Outputs], expected: Sequence[Outputs]) -> Comparison:
    """Compare the outputs of runs: types, and every bit of every element."""
    result = Comparison()
    for ours, theirs in zip(found, expected, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            result += _compare(a, b)
    return result


def _compare(a: Array, b: Array) -> Comparison:
    if a.shape != b.shape or a.dtype != b.dtype:
        return Comparison(max(a.size, b.size, 1), max(a.size, b.size), np.inf)
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)  # of rank 1 at least
    differs = a.view(f"u{a.dtype.itemsize}") != b.view(f"u{a.dtype.itemsize}")
    distance = np.abs(a.astype(np.float64) - b.astype(np.float64))[differs]
    return Comparison(int(differs.sum()), a.size, float(distance.max(initial=0.0)))

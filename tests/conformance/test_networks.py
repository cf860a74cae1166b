"""Generated networks of known architectures, whole, in every arithmetic profile: evaluated, compiled, and on a chip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import qcc
from qcc.targets import Target
from tests.conformance.cases.case import Case
from tests.conformance.conformance import PROFILES, Result, expectations, results
from tests.conformance.networks import ARCHITECTURES, network
from tests.conformance.subject import by_position, imported, planned
from tests.e2e.batch import compile_batch

EVERY = [(name, kind) for name, (_, kinds) in ARCHITECTURES.items() for kind in kinds]
SEEDS = range(3, 6)

COMPILED = [
    ("micro_speech", "int16", "litert-xnn"),
    ("efficientnet", "int8", "litert-xnn"),
    ("unet", "uint8", "litert-xnn"),
    ("unet", "int8", "tflm"),
    ("detector", "int8", "litert-ref"),
    ("attention", "int8", "litert-xnn"),
    ("seanet", "int16", "litert-ref"),
    ("recurrent", "int8", "tflm"),
]
"""Which are compiled, in which profile: every architecture, every type, every profile."""


def profiles(kind: str) -> tuple[str, ...]:
    """TensorFlow Lite Micro has no unsigned operations."""
    return PROFILES if kind != "uint8" else PROFILES[:2]


def differing(found: list[Result]) -> list[str]:
    return [
        f"{r.profile} {r.case.label}: {r.refusal or r.comparison}" for r in found if r.refusal or r.comparison.wrong
    ]


def test_one_of_each_type() -> None:
    assert differing(results([network("efficientnet", "int8", 3), network("seanet", "int16", 2)])) == []


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "kind"), EVERY)
def test_every_architecture(architecture: str, kind: str) -> None:
    assert differing(results([network(architecture, kind, seed) for seed in SEEDS], profiles(kind))) == []


@pytest.mark.slow
@pytest.mark.parametrize("target", ["c", "x86_64-linux-gnu+avx512-vnni"])
def test_compiled(tmp_path: Path, target: str) -> None:
    parsed = Target.parse(target)
    if parsed.missing_on_host():
        pytest.skip(f"needs cpu: {', '.join(parsed.missing_on_host())}")
    chosen = [r for name, kind, profile in COMPILED for r in results([network(name, kind, 4)], (profile,)) if r.module]
    batch = compile_batch([(planned(r.module, parsed), parsed) for r in chosen if r.module], tmp_path)
    assert len(chosen) == len(COMPILED)
    wrong = []
    for number, result in enumerate(chosen):
        expected = expectations([result.case], (result.profile,))[result.case.label, result.profile]
        module = batch.modules[number]
        for inputs, outputs in zip(result.case.runs, expected, strict=True):
            found = batch.run(number, by_position(module, inputs))
            wrong += compared(result.profile, result.case, [found[o.name] for o in module.caller_outputs], outputs)
    assert wrong == []


@pytest.mark.slow
@pytest.mark.parametrize("target", ["thumbv7em-none-eabi@cortex-m4", "aarch64-linux-gnu+dotprod"])
def test_on_a_chip(target: str) -> None:
    """A convolutional network and one with states, in the profile that needs no floats and in one that has them."""
    wrong = []
    for architecture, profile in (("recurrent", "tflm"), ("efficientnet", "tflm"), ("detector", "litert-xnn")):
        case = network(architecture, "int8", 5)
        artifact = qcc.compile(imported(case.model), target=target, arithmetic=profile)
        names = [v.name for v in artifact.module.caller_inputs]
        runs = [dict(zip(names, inputs.values(), strict=True)) for inputs in case.runs]
        expected = expectations([case], (profile,))[case.label, profile]
        for found, outputs in zip(artifact.run_many(runs), expected, strict=True):
            arrays = [found[o.name] for o in artifact.module.caller_outputs]
            wrong += compared(profile, case, arrays, outputs)
    assert wrong == []


def compared(profile: str, case: Case, found: list[np.ndarray], expected: list[np.ndarray]) -> list[str]:
    """Return a line for each output that differs."""
    return [
        f"{profile} {case.label}: {np.count_nonzero(a != b)} of {b.size}"
        for a, b in zip(found, expected, strict=True)
        if not np.array_equal(a, b)
    ]

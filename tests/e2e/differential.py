"""Holds a float model, quantized and compiled in every way, against the evaluator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from qcc.ir import Array, Module, evaluate, parse_module, print_module, verify
from qcc.passes import HardwareSpec, Part, PassContext, PassManager, default_pipeline, parse_pipeline
from qcc.samples import to_codes
from qcc.targets import Target
from qcc.verification import compare, outputs_behind_floats
from tests.e2e.batch import Batch, compile_batch

TARGETS = tuple(
    map(
        Target.parse,
        ("c", "x86_64-linux-gnu+avx2", "x86_64-linux-gnu+avx-vnni", "x86_64-linux-gnu+avx512-vnni"),
    )
)


@dataclass(frozen=True)
class Ways:
    """How to quantize.

    Attributes:
        keep_float: name of an operation that stays in float.
        options: by pass name, as a recipe gives them.
        hardware: what of the target's hardware is otherwise.
    """

    keep_float: str = ""
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    hardware: Mapping[str, Any] = field(default_factory=dict)


DEFAULT = Ways()


def run_parts(module: Module, parts: Sequence[Part], context: PassContext, ways: Ways = DEFAULT) -> Module:
    """Return the module behind parts of the default pipeline, verified, its text read back."""
    kept = {"ops": (ways.keep_float,)} if ways.keep_float else None
    module = PassManager(default_pipeline(parts, ways.options, kept)).run(module, context)
    verify(module)
    assert parse_module(print_module(module)) == module
    return module


def quantized(
    module: Module,
    calibration: Sequence[Mapping[str, Array]],
    hardware: HardwareSpec,
    ways: Ways = DEFAULT,
) -> Module:
    """Return the integer module, not planned yet."""
    context = PassContext(hardware=hardware, calibration=lambda: calibration)
    return run_parts(module, (Part.FLOAT, Part.QUANTIZE), context, ways)


def kinds_to_keep(module: Module) -> list[str]:
    """Return the operations that may be asked to stay in float."""
    simple = PassManager(parse_pipeline("canonicalize")).run(module, PassContext())
    return sorted({op.name for op in simple.ops} - {"constant"})


def planned(
    module: Module,
    calibration: Sequence[Mapping[str, Array]],
    targets: Sequence[Target],
    ways: Ways = DEFAULT,
) -> list[tuple[Module, Target]]:
    """Return the integer module for each target."""
    integer: dict[HardwareSpec, Module] = {}
    found = []
    for target in targets:
        hardware = replace(target.hardware, **ways.hardware)
        if hardware not in integer:
            integer[hardware] = quantized(module, calibration, hardware, ways)
        context = PassContext(hardware=hardware, target=target)
        found.append((run_parts(integer[hardware], (Part.TARGET,), context), target))
    return found


def planned_float(module: Module, target: Target) -> tuple[Module, Target]:
    """Return the float module for a target."""
    context = PassContext(hardware=target.hardware, target=target)
    return run_parts(module, (Part.FLOAT, Part.TARGET), context), target


def differences(batch: Batch, number: int, inputs: Sequence[Mapping[str, Array]]) -> list[str]:
    """Return where a compiled module and the evaluator differ: in any bit; behind floats, beyond verify's tolerance."""
    module = batch.modules[number]
    inexact = outputs_behind_floats(module)
    found = []
    for run, one in enumerate(inputs):
        codes = {v.name: to_codes(one[v.name], v.type) for v in module.inputs}
        expected, result = evaluate(module, codes), batch.run(number, codes, garbage=(0xA5, 0x00)[run % 2])
        for name, array in expected.items():
            difference = compare(name, run, array, result[name], name in inexact)
            if difference is not None:
                found.append(f"{batch.programs[number].name}: {difference}")
    return found


def check_model(
    module: Module,
    inputs: Sequence[Mapping[str, Array]],
    folder: Path,
    targets: Sequence[Target] = TARGETS,
    ways: Ways = DEFAULT,
) -> None:
    """Quantize, compile and run a model on each target, and in float on the last; every output must be right."""
    compiled = [*planned(module, inputs, targets, ways), planned_float(module, targets[-1])]
    batch = compile_batch(compiled, folder)
    found = [
        f"{t}: {d}" for n, (_, t) in enumerate(compiled) for d in differences(batch, n, [*inputs, *extremes(inputs)])
    ]
    assert found == []


def extremes(inputs: Sequence[Mapping[str, Array]]) -> list[dict[str, Array]]:
    """Return inputs far outside of the calibrated range."""
    return [{name: np.asarray(factor * array, np.float32) for name, array in inputs[0].items()} for factor in (100, -7)]

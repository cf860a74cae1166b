"""The scalar interpreter against LiteRT's reference kernels, where TensorFlow Lite Micro has the same rules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conformance.cases import FAMILIES, Case
from tests.conformance.exceptions import NOT_IN_REFERENCE
from tests.conformance.litert import BUILTIN_REF, Job, Outcome, run_litert
from tests.conformance.tflite_builder import Array
from tests.conformance.tflm.interpreter import TflmInterpreter

OTHER_RULES = {
    ("CONCATENATION", "uint8"): "TensorFlow Lite Micro copies; LiteRT rescales in binary32",
    ("ELU", "int8"): "LiteRT has no reference kernel",
    ("FULLY_CONNECTED", "int8"): "LiteRT rescales in binary64",
    ("FULLY_CONNECTED", "int16"): "LiteRT rescales in binary64",
    ("FULLY_CONNECTED", "uint8"): "LiteRT rescales in binary64",
    ("LOGISTIC", "int8"): "TensorFlow Lite Micro computes in fixed point, LiteRT a table of binary32 numbers",
    ("LOGISTIC", "uint8"): "TensorFlow Lite Micro has none",
    ("MUL", "int16"): "LiteRT forms the factor in binary32",
    ("RELU6", "int8"): "TensorFlow Lite Micro does not rescale",
    ("RELU6", "int16"): "TensorFlow Lite Micro does not rescale",
    ("RELU6", "uint8"): "TensorFlow Lite Micro does not rescale",
    ("RESIZE_BILINEAR", "uint8"): "LiteRT computes in binary32",
    ("SUM", "int8"): "LiteRT's reference kernel takes codes for unsigned bytes",
    ("SUM", "int16"): "LiteRT's reference kernel takes codes for unsigned bytes",
    ("TANH", "int8"): "TensorFlow Lite Micro computes in fixed point, LiteRT a table of binary32 numbers",
    ("TANH", "uint8"): "TensorFlow Lite Micro has none",
}
"""Where the two differ, and why."""

NOT_COMPARED = {(op, kind) for op, kind, profile in NOT_IN_REFERENCE if profile in ("litert-ref", "tflm")}
"""Where one of the two has no kernel."""

SAME_RULES = [
    (f.op, kind)
    for f in FAMILIES.values()
    for kind in f.kinds
    if (f.op, kind) not in OTHER_RULES and (f.op, kind) not in NOT_COMPARED
]

OTHER_PRECISION = ("MUL", "SUB", "PRELU")
"""Operations of whose factors one is formed in binary32, the other in binary64: near-ties show it."""


@pytest.mark.parametrize("count", [2, pytest.param(None, marks=pytest.mark.slow)])
def test_every_element_of_every_case(count: int | None) -> None:
    every = [case for op, kind in SAME_RULES for case in FAMILIES[op].cases(kind, count)]
    cases = [case for case in every if not has_other_rules(case)]
    outcomes = run_litert([Job(c.model, c.runs, BUILTIN_REF) for c in cases])
    wrong = [f"{c.label}: {d}" for c, o in zip(cases, outcomes, strict=True) for d in disagreements(c, o)]
    assert wrong == []


def has_other_rules(case: Case) -> bool:
    """Return whether a case shows a difference: near-ties, or `pot_scale_int16`, which TFLite Micro ignores."""
    return (case.op in OTHER_PRECISION and "near-ties" in case.label) or "pot_scale_int16" in case.label


def disagreements(case: Case, outcome: Outcome) -> list[str]:
    if outcome.error is not None:
        return [outcome.error]
    interpreter = TflmInterpreter(case.model)
    runs = zip(case.runs, outcome.outputs, strict=True)
    return [d for inputs, expected in runs for d in differences(interpreter.run(inputs), expected)]


def differences(found: dict[str, Array], expected: dict[str, Array]) -> list[str]:
    assert found.keys() == expected.keys()
    return [
        f"{np.count_nonzero(found[name] != array)} of {array.size} elements of {name} differ"
        for name, array in expected.items()
        if found[name].dtype != array.dtype or found[name].tobytes() != array.tobytes()
    ]


def test_a_whole_model(shared_models: Path) -> None:
    """Its fully connected layer, which LiteRT rescales in binary64, meets no tie on these inputs."""
    data = (shared_models / "mobilenet_v1_025_vww_int8.tflite").read_bytes()
    interpreter = TflmInterpreter(data)
    graph = interpreter.graphs[0]
    x = graph.tensors[graph.inputs[0]]
    codes = np.random.default_rng(7).integers(-128, 128, (3, *x.shape)).astype(np.int8)
    runs = [{x.name: c} for c in codes]
    (outcome,) = run_litert([Job(data, runs, BUILTIN_REF)])
    assert [differences(interpreter.run(r), o) for r, o in zip(runs, outcome.outputs, strict=True)] == [[], [], []]

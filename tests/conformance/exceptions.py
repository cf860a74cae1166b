"""What is not exact, and where a reference has no kernel: by operation, type and profile, with the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from tests.conformance.cases import Case
from tests.conformance.tflite_builder import Array
from tests.conformance.tflm.fixed_point import half_away_f32
from tests.conformance.tflm.graph import read_graphs

Key: TypeAlias = tuple[str, str, str]
"""Operation, type, profile."""

LANES = 8
"""Elements that LiteRT's kernel of QUANTIZE divides at a time."""


@dataclass(frozen=True)
class NotExact:
    """Cases that differ from the reference, or that the compiler refuses; all others of the type must be exact.

    Attributes:
        text: what the table says.
        applies: whether it is such a case, which then must not be exact.
    """

    text: str
    applies: Callable[[Case], bool]


def scales(case: Case) -> tuple[list[np.float32], np.float32]:
    """Return the scales of the operands and of the result."""
    (graph, *_) = read_graphs(case.model)
    (operation,) = graph.operations
    return [graph.tensors[i].scale for i in operation.inputs], graph.tensors[operation.outputs[0]].scale


def large_factor_of_a_sum(case: Case) -> bool:
    operands, result = scales(case)
    return any(scale / result >= 2**8 for scale in operands)


def large_factor_of_a_product(case: Case) -> bool:
    (a, b), result = scales(case)
    return bool(a * b / result >= 2**8)


def near_tie_in_the_last_vector(case: Case) -> bool:
    """Return whether an element behind the last whole vector rounds otherwise in binary64 than by a reciprocal."""
    (graph, *_) = read_graphs(case.model)
    scale = graph.tensors[graph.operations[0].outputs[0]].scale
    return any(_differs(x.reshape(-1)[x.size - x.size % LANES :], scale) for run in case.runs for x in run.values())


def _differs(x: Array, scale: np.float32) -> bool:
    return bool(
        np.any(half_away_f32(x * (np.float32(1) / scale)) != half_away_f32(x.astype(np.float64) / np.float64(scale)))
    )


OVERFLOWS = "exact but where a factor is 2^8 or more: XNNPACK refuses it, 16-bit lanes of LiteRT's kernel overflow"

EXCEPTIONS: dict[Key, NotExact] = {
    ("ADD", "uint8", "litert-xnn"): NotExact(OVERFLOWS, large_factor_of_a_sum),
    ("MUL", "uint8", "litert-xnn"): NotExact(OVERFLOWS, large_factor_of_a_product),
    ("QUANTIZE", "float32→int16", "litert-xnn"): NotExact(
        "exact but for near-ties in the last, incomplete vector of 8, where LiteRT divides in binary64",
        near_tie_in_the_last_vector,
    ),
    ("SUM", "int16", "litert-ref"): NotExact(
        "not supported: LiteRT's reference kernel reads half of the bytes of 16-bit codes", lambda case: True
    ),
}
"""What the table says where it does not say `exact`."""

NOT_COMPARED = "LiteRT's rules; not compared"

OWN = "qcc's own; the engine has no kernel"


def _own(op: str, kinds: Iterable[str], profiles: Iterable[str]) -> dict[Key, str]:
    return {(op, kind, profile): OWN for kind in kinds for profile in profiles}


REAL = "refused, but of real numbers and plain integers"
NONE = "of real numbers and plain integers"

OTHERS: dict[str, tuple[str, ...]] = {
    "SVDF": (
        "int8",
        *2 * ["exact: tests/frontends/test_tflite_svdf.py"],
        "as `litert-ref`; 8-bit states by a scalar loop",
    ),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": ("int8", *2 * ["refused"], "exact: tests/frontends/test_tflite_lstm.py"),
    **{
        op: ("", *3 * [REAL]) for op in ("NEG", "SQRT", "RSQRT", "DIV", "POW", "SQUARED_DIFFERENCE", "ADD_N", "ARG_MIN")
    },
    **{op: ("", *3 * [NONE]) for op in ("CAST", "RANK", "SHAPE")},
    "FAKE_QUANT": ("float32", *3 * ["its parameters become those of codes"]),
}
"""The types and cells of operations that have no generated cases here."""

LITERT = ("litert-ref", "litert-xnn")
EVERY = ("int8", "int16", "uint8")

NOT_IN_REFERENCE: dict[Key, str] = {
    **_own("SQUARE", EVERY, (*LITERT, "tflm")),
    **_own("EXP", ["uint8"], LITERT),
    **_own("LOG", ["uint8"], LITERT),
    **_own("ELU", ["uint8"], LITERT),
    **_own("ABS", ["uint8"], LITERT),
    **_own("RELU_0_TO_1", ["int16"], LITERT),
    **_own("RELU_N1_TO_1", ["int16"], LITERT),
    **{(op, kind, "tflm"): NOT_COMPARED for op in ("EXP", "LOG", "GELU") for kind in ("int8", "uint8")},
    **{("RELU_0_TO_1", kind, "tflm"): NOT_COMPARED for kind in EVERY},
    ("LOGISTIC", "uint8", "tflm"): "not in TensorFlow Lite Micro",
    ("TANH", "uint8", "tflm"): "not in TensorFlow Lite Micro",
}
"""What is not compared, for the reference has nothing to compare with."""

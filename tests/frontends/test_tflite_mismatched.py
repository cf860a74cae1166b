"""Scales or zero points that should be equal and are not: codes are kept as LiteRT keeps them, with a warning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from qcc.frontends import FrontendWarning
from tests.conformance.cases.case import Case, Maker
from tests.conformance.litert import AUTO, BUILTIN_REF, Job, run_litert
from tests.conformance.subject import compare_runs, evaluated, imported, realized
from tests.conformance.tflite_builder import OPTIONS, Tensor

SHAPE = (2, 4, 3, 5)
PADDED = (2, 6, 4, 5)
OWN = {"int8": (0.1, 3), "uint8": (0.1, 120), "int16": (0.1, 0)}
OTHER = {"int8": (0.07, 11), "uint8": (0.07, 128), "int16": (0.07, 0)}
PADS = [[0, 0], [1, 1], [0, 1], [0, 0]]

Make = Callable[[Maker, Tensor], list[Tensor]]


def _other(m: Maker, shape: tuple[int, ...], name: str = "y") -> Tensor:
    return m.builder.tensor(name, shape, m.kind, *OTHER[m.kind])


def _moved(shape: tuple[int, ...], numbers: dict[str, Any] | None = None, version: int = 1, **options: Any) -> Make:
    """Return a maker of an operation with one operand and constants."""

    def make(m: Maker, x: Tensor) -> list[Tensor]:
        y = _other(m, shape)
        m.builder.op(m.op, [x, *(m.numbers(n, v) for n, v in (numbers or {}).items())], [y], version, **options)
        return [y]

    return make


def _two(name: str, shape: tuple[int, ...], second: bool, **options: Any) -> Make:
    """Return a maker of an operation with two operands; the second one, or the result, has other parameters."""

    def make(m: Maker, x: Tensor) -> list[Tensor]:
        own, other = OWN[m.kind], OTHER[m.kind]
        w = m.builder.input("w", SHAPE, m.kind, *(other if second else own))
        y = m.builder.tensor("y", shape, m.kind, *(own if second else other))
        m.builder.op(name, [x, w], [y], **options)
        return [y]

    return make


def _padded_with(m: Maker, x: Tensor) -> list[Tensor]:
    y = _other(m, PADDED)
    value = m.builder.constant("value", np.array([7], m.kind), y.scale, y.zero_point)
    m.builder.op("PADV2", [x, m.numbers("pads", PADS), value], [y])
    return [y]


def _parts(m: Maker, x: Tensor) -> list[Tensor]:
    outputs = [_other(m, (2, 2, 3, 5), f"y{i}") for i in range(2)]
    m.builder.op("SPLIT", [m.numbers("axis", 1), x], outputs, num_splits=2)
    return outputs


OPS: dict[str, Make] = {
    "PAD": _moved(PADDED, {"pads": PADS}),
    "PADV2": _padded_with,
    "MIRROR_PAD": _moved(PADDED, {"pads": PADS}, mode="REFLECT"),
    "MAXIMUM": _two("MAXIMUM", SHAPE, second=False),
    "MINIMUM": _two("MINIMUM", SHAPE, second=False),
    "MAXIMUM of unlike ones": _two("MAXIMUM", SHAPE, second=True),
    "MINIMUM of unlike ones": _two("MINIMUM", SHAPE, second=True),
    "CONCATENATION": _two("CONCATENATION", (2, 4, 3, 10), second=True, axis=3),
    "PACK": _two("PACK", (2, *SHAPE), second=True, axis=0, values_count=2),
    "REDUCE_MAX": _moved((2, 5), {"axes": [1, 2]}),
    "REDUCE_MIN": _moved((2, 5), {"axes": [1, 2]}),
    "RESIZE_BILINEAR": _moved((2, 7, 5, 5), {"size": [7, 5]}, 3),
    "RESIZE_NEAREST_NEIGHBOR": _moved((2, 7, 5, 5), {"size": [7, 5]}, 3),
    "TRANSPOSE": _moved((2, 5, 4, 3), {"order": [0, 3, 1, 2]}),
    "SLICE": _moved((1, 4, 3, 5), {"begin": [0, 0, 0, 0], "size": [1, 4, 3, 5]}),
    "GATHER": _moved((2, 2, 3, 5), {"indices": [1, 3]}, axis=1),
    "SPLIT": _parts,
    "TILE": _moved((2, 4, 3, 10), {"multiples": [1, 1, 1, 2]}),
    "MAX_POOL_2D": _moved((2, 2, 1, 5), padding="VALID", filter_height=2, filter_width=2, stride_h=2, stride_w=2),
}

REFUSED = {
    BUILTIN_REF: {"MIRROR_PAD", "CONCATENATION", "PACK", "REDUCE_MAX", "REDUCE_MIN"},
    AUTO: {
        "PAD", "MIRROR_PAD", "CONCATENATION", "PACK", "RESIZE_BILINEAR", "TRANSPOSE", "SLICE", "SPLIT", "MAX_POOL_2D",
    },
}  # fmt: skip
"""What LiteRT refuses of int8: kernels compare the parameters, or XNNPACK does and the interpreter fails."""


def case(op: str, kind: str) -> Case:
    OPTIONS.setdefault("TILE", "TileOptions")
    m = Maker(op.split()[0], kind, 1)
    x = m.builder.input("x", SHAPE, kind, *OWN[kind])
    return m.case(*OPS[op](m, x))


@pytest.mark.parametrize("kind", ["int8", *(pytest.param(k, marks=pytest.mark.slow) for k in ("uint8", "int16"))])
@pytest.mark.parametrize(("resolver", "profile"), [(BUILTIN_REF, "litert-ref"), (AUTO, "litert-xnn")])
def test_codes_are_kept_where_litert_keeps_them(kind: str, resolver: str, profile: str) -> None:
    cases = {op: case(op, kind) for op in OPS}
    outcomes = dict(zip(cases, run_litert([Job(c.model, c.runs, resolver) for c in cases.values()]), strict=True))
    for op, outcome in outcomes.items():
        if op == "CONCATENATION" and kind == "uint8":  # kernels of unsigned bytes rescale, so nothing is wrong
            module = imported(cases[op].model)
        else:
            with pytest.warns(FrontendWarning, match="codes are kept"):
                module = imported(cases[op].model)
        found = evaluated(realized(module, profile), cases[op].runs)
        if outcome.error is None:
            assert compare_runs(found, [list(run.values()) for run in outcome.outputs]).wrong == 0, op
    if kind == "int8":
        assert {op for op, outcome in outcomes.items() if outcome.error} == REFUSED[resolver]

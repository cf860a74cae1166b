"""Fused activations whose bounds lie on ties of codes, where engines disagree: each has its engine's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.conformance.cases.case import Case, Maker
from tests.conformance.conformance import PROFILES, results
from tests.conformance.subject import evaluated
from tests.conformance.tflite_builder import Tensor

# 6/s or 1/s is a whole number and a half, exactly or behind a rounding to binary32.
SCALES = (4.0, 2.0, 12 / 101, 12 / 203, 2 / 65)
WINDOW: dict[str, Any] = {"padding": "VALID", "filter_height": 1, "filter_width": 1, "stride_h": 1, "stride_w": 1}
SHAPE = (1, 8, 8, 4)


def _pool(m: Maker, x: Tensor, activation: str) -> Tensor:
    y = m.result(SHAPE, like=x)
    m.builder.op(m.op, [x], [y], fused_activation_function=activation, **WINDOW)
    return y


def _sum(m: Maker, x: Tensor, activation: str) -> Tensor:
    y = m.result(SHAPE, like=x)
    zero = m.builder.constant("zero", np.array([x.zero_point[0]], m.kind), x.scale, x.zero_point)
    m.builder.op(m.op, [x, zero], [y], fused_activation_function=activation)
    return y


def _convolution(m: Maker, x: Tensor, activation: str) -> Tensor:
    y = m.result(SHAPE, like=x)
    w = m.builder.constant("w", np.eye(4, dtype=np.int8).reshape(4, 1, 1, 4), 1.0)
    b = m.builder.constant("b", np.zeros(4, np.int32), x.scale)
    steps: dict[str, Any] = {"padding": "VALID", "stride_h": 1, "stride_w": 1}
    m.builder.op(m.op, [x, w, b], [y], fused_activation_function=activation, **steps)
    return y


MAKERS = {"MAX_POOL_2D": _pool, "AVERAGE_POOL_2D": _pool, "ADD": _sum, "CONV_2D": _convolution}


def case(op: str, scale: float, zero_point: int, activation: str) -> Case:
    m = Maker(op, "int8", 1)
    x = m.builder.input("x", SHAPE, "int8", scale, zero_point)
    m.traits += [f"{scale:g} {zero_point} {activation}"]
    every = np.arange(-128, 128).astype(np.int8).reshape(SHAPE)
    return m.case(MAKERS[op](m, x, activation), runs=[{"x": every}])


@pytest.mark.parametrize(
    "op", ["MAX_POOL_2D", *(pytest.param(op, marks=pytest.mark.slow) for op in ("AVERAGE_POOL_2D", "ADD", "CONV_2D"))]
)
def test_bounds_on_ties(op: str) -> None:
    cases = [case(op, s, z, a) for s in SCALES for z in (-128, -7, 4) for a in ("RELU6", "RELU_N1_TO_1")]
    found = results(cases, PROFILES)
    assert [(r.profile, r.case.label, r.refusal) for r in found if r.refusal or r.comparison.wrong] == []
    by_profile = {p: [r for r in found if r.profile == p] for p in ("litert-ref", "litert-xnn")}
    bits = [[evaluated(r.module, r.case.runs)[0][0].tolist() for r in some if r.module] for some in by_profile.values()]
    # XNNPACK does not take average pools; of the others the bounds differ, or the test would show nothing.
    assert (bits[0] != bits[1]) == (op != "AVERAGE_POOL_2D")

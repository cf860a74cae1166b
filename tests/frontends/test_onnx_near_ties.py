"""ONNX Runtime forms factors in binary32: output scales with which it shows whether they are, or in binary64."""

from __future__ import annotations

import numpy as np
import pytest

from qcc.ir import Array
from tests.conformance.cases.near_ties import forms, near_tie_scale, rounds_up
from tests.frontends.quantized_onnx import MICROSOFT, Graph, Parameters, evaluated, integer_module, session

SPAN = np.arange(-16, 16)
"""Codes about their zero point, whose products are few enough for results of 8 bits."""


def near_tie(seed: int) -> tuple[float, float, float]:
    """Return scales of two operands and of a result."""
    rng = np.random.default_rng(seed)
    while True:
        a, b = (float(np.float32(rng.uniform(0.02, 0.2))) for _ in range(2))
        if rounds_up(a, b):
            return a, b, near_tie_scale(rng, [a, b], narrow_alone=False)


def rounded(factor: float, zero_point: int) -> Array:
    """Return RHE(f32(product)·f32(factor)) + zero point of all pairs."""
    products = np.outer(SPAN, SPAN).astype(np.float32) * np.float32(factor)
    return np.asarray(np.clip(np.rint(products) + zero_point, 0, 255), np.uint8)


@pytest.mark.parametrize("op_type", ["QLinearMul", "QLinearMatMul", "QLinearConv"])
@pytest.mark.parametrize("seed", range(2))
def test_a_factor_of_binary64_would_show(op_type: str, seed: int) -> None:
    scales = near_tie(seed)
    x, w, y = (Parameters(np.uint8, s, z) for s, z in zip(scales, (100, 50, 128), strict=True))
    g = Graph()
    shape = {"QLinearMul": (32, 32), "QLinearMatMul": (32, 1), "QLinearConv": (32, 1, 1, 1)}[op_type]
    left = np.broadcast_to(SPAN.reshape(32, 1), (32, 32)) if op_type == "QLinearMul" else SPAN.reshape(shape)
    right = SPAN.reshape((32, 1, 1, 1) if op_type == "QLinearConv" else (1, 32))
    reads = [g.input("x", shape, np.uint8), *g.parameters(x)]
    reads += [g.constant((right + 50).astype(np.uint8)), *g.parameters(w), *g.parameters(y)]
    model = g.model(g.node(op_type, *reads, domain=MICROSOFT if op_type == "QLinearMul" else ""))
    feeds = {"x": (left + 100).astype(np.uint8)}
    (found,), (expected,) = evaluated(integer_module(model), feeds), session(model).run(None, feeds)
    np.testing.assert_array_equal(found, expected)
    ratio = forms(scales[:2], scales[2])
    np.testing.assert_array_equal(expected.reshape(32, 32), rounded(ratio.narrow, 128))
    assert np.any(rounded(ratio.wide, 128) != rounded(ratio.narrow, 128))

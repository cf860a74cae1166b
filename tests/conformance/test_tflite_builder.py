"""The builder writes files that LiteRT reads, and the oracle survives what kills an interpreter."""

from __future__ import annotations

import numpy as np

from tests.conformance.litert import AUTO, BUILTIN_REF, Job, run_litert
from tests.conformance.tflite_builder import TfliteBuilder


def convolution() -> bytes:
    b = TfliteBuilder()
    x = b.input("x", (1, 3, 3, 1), "int8", scale=0.5, zero_point=-1)
    w = b.constant("w", np.ones((2, 2, 2, 1), np.int8), scale=[0.5, 1.0], axis=0)
    bias = b.constant("b", np.array([4, -4], np.int32), scale=[0.25, 0.5])
    y = b.tensor("y", (1, 3, 3, 2), "int8", scale=0.5, zero_point=3)
    b.op("CONV_2D", [x, w, bias], [y], padding="SAME", stride_w=1, stride_h=1, fused_activation_function="RELU")
    b.output(y)
    return b.build()


def counter() -> bytes:
    b = TfliteBuilder()
    x = b.input("x", (1, 2), "int8", scale=1.0)
    state = b.variable("state", np.array([[1, 2]], np.int8), scale=1.0)
    old = b.tensor("old", (1, 2), "int8", scale=1.0)
    new = b.tensor("new", (1, 2), "int8", scale=1.0)
    b.op("READ_VARIABLE", [state], [old])
    b.op("ADD", [old, x], [new], fused_activation_function="NONE")
    b.op("ASSIGN_VARIABLE", [state, new], [])
    b.output(new)
    return b.build()


def equal_logits(count: int) -> bytes:
    """Return a softmax whose fixed-point sum leaves its range: the reference kernel aborts the process."""
    b = TfliteBuilder()
    x = b.input("x", (1, count), "int8", scale=0.1)
    y = b.tensor("y", (1, count), "int8", scale=1 / 256, zero_point=-128)
    b.op("SOFTMAX", [x], [y], beta=1.0)
    b.output(y)
    return b.build()


def test_a_convolution_and_its_fused_activation() -> None:
    x = np.array([[0, 1, 2], [3, 4, 5], [-6, -7, -8]], np.int8).reshape(1, 3, 3, 1)
    for outcome in run_litert([Job(convolution(), [{"x": x}], r) for r in (BUILTIN_REF, AUTO)]):
        assert outcome.error is None
        (y,) = (run["y"] for run in outcome.outputs)
        # First element: (1 + 2 + 4 + 5)·0.5·0.5 + 1 = 4 → 4/0.5 + 3 and (12·0.5·1.0 − 2)/0.5 + 3.
        assert y[0, 0, 0].tolist() == [11, 11]
        assert y.min() >= 3


def test_a_variable_lives_from_run_to_run() -> None:
    ones = {"x": np.ones((1, 2), np.int8)}
    (outcome,) = run_litert([Job(counter(), [ones, ones, ones])])
    assert [run["new"].tolist() for run in outcome.outputs] == [[[2, 3]], [[3, 4]], [[4, 5]]]


def test_an_abort_costs_only_its_own_job() -> None:
    x = {"x": np.zeros((1, 600), np.int8)}
    good = Job(counter(), [{"x": np.ones((1, 2), np.int8)}])
    first, aborted, refused, last = run_litert([good, Job(equal_logits(600), [x]), Job(b"TFL3" * 9, []), good])
    assert first.error is None
    assert last.error is None
    assert aborted.error is not None
    assert "status" in aborted.error
    assert refused.error is not None

"""Functions of one number over every code, and rows that the reference kernel of softmax aborts on, against LiteRT."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conformance.litert import AUTO, BUILTIN_REF, Job, run_litert
from tests.conformance.subject import evaluated, imported, realized
from tests.conformance.test_tflite_builder import equal_logits
from tests.conformance.tflite_builder import TfliteBuilder

PROFILES = {"litert-ref": BUILTIN_REF, "litert-xnn": AUTO}
EVERY = np.arange(-32768, 32768).astype(np.int16).reshape(1, 65536)


def sigmoid_of_16_bits(op: str, scale: float) -> bytes:
    b = TfliteBuilder()
    x = b.input("x", EVERY.shape, "int16", scale=scale)
    y = b.tensor("y", EVERY.shape, "int16", scale=1 / 32768)
    b.op(op, [x], [y])
    b.output(y)
    return b.build()


@pytest.mark.parametrize("op", ["LOGISTIC", "TANH"])
def test_every_code_of_16_bits(op: str) -> None:
    """Scales that are powers of two take forms of their own; 2^−12·1.0005 is near enough to one."""
    scales = [2.0**-12, 2.0**-11, 2.0**-10, 2.0**-12 * 1.0005, 2.0**-15, 0.0003, 0.0011, 0.9]
    models = [sigmoid_of_16_bits(op, scale) for scale in scales]
    jobs = [Job(model, [{"x": EVERY}], resolver) for model in models for resolver in PROFILES.values()]
    outcomes = iter(run_litert(jobs))
    for scale, model in zip(scales, models, strict=True):
        module = imported(model)
        for profile in PROFILES:
            outcome = next(outcomes)
            assert outcome.error is None
            ((y,),) = evaluated(realized(module, profile), [{"x": EVERY}])
            np.testing.assert_array_equal(y, outcome.outputs[0]["y"], err_msg=f"{op} {scale} {profile}")


def function_of_8_bits(op: str, scale: float, zero: int) -> bytes:
    b = TfliteBuilder()
    x = b.input("x", (1, 256), "int8", scale=scale, zero_point=zero)
    y = b.tensor("y", (1, 256), "int8", scale=0.03125, zero_point=-7)
    b.op(op, [x], [y])
    b.output(y)
    return b.build()


@pytest.mark.parametrize("op", ["EXP", "LOG", "GELU"])
def test_functions_beyond_the_usual_ones(op: str) -> None:
    """Tables of every code, logarithms of negative numbers among them."""
    x = np.arange(-128, 128).astype(np.int8).reshape(1, 256)
    models = [function_of_8_bits(op, scale, zero) for scale, zero in ((0.0625, -1), (0.03, 5), (0.013, -128))]
    outcomes = iter(run_litert([Job(m, [{"x": x}], r) for m in models for r in PROFILES.values()]))
    for model in models:
        module = imported(model)
        for profile in PROFILES:
            outcome = next(outcomes)
            assert outcome.error is None
            ((y,),) = evaluated(realized(module, profile), [{"x": x}])
            np.testing.assert_array_equal(y, outcome.outputs[0]["y"], err_msg=f"{op} {profile}")


@pytest.mark.parametrize("count", [511, 512])
def test_rows_of_softmax_that_pass_its_format(count: int) -> None:
    """From 512 equal logits on the reference kernel aborts; the probabilities are then 0, what they round to."""
    model, x = equal_logits(count), np.zeros((1, count), np.int8)
    (outcome,) = run_litert([Job(model, [{"x": x}], BUILTIN_REF)])
    ((y,),) = evaluated(realized(imported(model), "litert-ref"), [{"x": x}])
    assert (outcome.error is None) == (count < 512)
    expected = outcome.outputs[0]["y"] if outcome.error is None else np.full_like(x, -128)
    np.testing.assert_array_equal(y, expected)

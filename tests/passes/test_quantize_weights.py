"""Weights: channels, narrow range, zero channels, large biases, errors."""

from __future__ import annotations

import numpy as np
import pytest

from qcc.ir import Array, Builder, Module, PassError, UniformType, evaluate, ops
from qcc.passes import PassContext
from tests.passes.quantization import TO_QUANTIZED, calibrated, codes_of, f32, quantized, random_samples, run


def dense(weight: Array, bias: Array | None = None) -> Module:
    b = Builder("net")
    x = b.input("x", f32(2, weight.shape[0]))
    constants = [b.constant(weight.astype(np.float32), "w")]
    if bias is not None:
        constants.append(b.constant(bias.astype(np.float32), "b"))
    b.output("y", b.emit(ops.Matmul, x, *constants, name="y"))
    return b.build()


def weights_of(module: Module) -> tuple[Array, UniformType]:
    (op,) = [op for op in module.ops if isinstance(op, ops.Matmul | ops.Conv2d | ops.ConvTranspose2d)]
    codes = module.constant(op.operands[1])
    assert codes is not None
    return codes, op.operands[1].type.uniform()


def test_matmul_channels_are_the_last_axis_and_codes_stay_narrow() -> None:
    weight = np.random.default_rng(0).normal(size=(5, 3)) * [1, 10, 0.1]
    module = dense(weight)
    codes, to = weights_of(quantized(module, random_samples(module, 2)))
    assert to.axis == 1
    assert to.zero_points == (0, 0, 0)
    assert np.array_equal(np.abs(codes).max(axis=0), [127, 127, 127])
    assert np.array(to.scales) == pytest.approx(np.abs(weight).max(axis=0) / 127)
    assert to.dequantize(codes) == pytest.approx(weight, abs=float(max(to.scales)) / 2)


@pytest.mark.parametrize("op_class", [ops.Conv2d, ops.ConvTranspose2d])
def test_convolution_channels_are_the_first_axis(op_class: type[ops.Conv2d]) -> None:
    b = Builder("net")
    x = b.input("x", f32(1, 5, 5, 4))
    weight = b.constant(np.random.default_rng(0).normal(size=(6, 3, 3, 4)).astype(np.float32))
    b.output("y", b.emit(op_class, x, weight, strides=(2, 2), padding=(1, 1, 0, 1), name="y"))
    module = b.build()
    samples = random_samples(module, 3)
    result = quantized(module, samples)
    assert weights_of(result)[1].axis == 0
    integer = run(result, "insert-rescale,prove-accumulators")
    found, expected = (evaluate(m, codes_of(m, samples[0]))["y"].astype(int) for m in (integer, result))
    assert np.abs(found - expected).max() <= 1


def test_per_tensor_and_full_range() -> None:
    module = dense(np.array([[1.0, -2.0], [0.5, 0.25]]))
    context = calibrated(random_samples(module, 2))
    pipeline = TO_QUANTIZED + "{per_channel=false,narrow_range=false}"
    _, to = weights_of(run(module, pipeline, context))
    assert to.axis is None
    assert to.scales == (float(np.float32(2) / np.float32(127)),)
    assert to.minimum == -128


def test_a_channel_of_zeros_gets_a_valid_scale_and_zeros() -> None:
    module = dense(np.array([[1.0, 0.0], [0.5, 0.0]]), np.array([0.0, 0.75]))
    samples = random_samples(module, 4)
    result = quantized(module, samples)
    codes, to = weights_of(result)
    assert np.array_equal(codes[:, 1], [0, 0])
    assert to.scales[1] > 0
    integer = run(result, "insert-rescale,prove-accumulators")
    y = integer.outputs[0].value.type.uniform()
    assert y.dequantize(evaluate(integer, codes_of(integer, samples[0]))["y"])[:, 1] == pytest.approx(0.75, abs=y.scale)


def test_a_bias_too_large_for_an_accumulator_enlarges_the_scale_of_its_channel() -> None:
    module = dense(np.array([[1e-7, 1.0], [2e-7, 0.5]]), np.array([50.0, 1.0]))
    samples = random_samples(module, 4)
    context = calibrated(samples)
    result = run(module, TO_QUANTIZED, context)
    _, to = weights_of(result)
    assert to.scales[1] == float(np.float32(1) / np.float32(127))
    x = result.inputs[0].type.uniform()
    assert 50.0 / (x.scale * to.scales[0]) <= 2**30
    assert 50.0 / (x.scale * to.scales[0]) > 2**30 * 0.999
    assert [(r.subject, r.severity) for r in context.remarks] == [("y", "remark")]
    integer = run(result, "insert-rescale,prove-accumulators", PassContext())
    y = integer.outputs[0].value.type.uniform()
    real = evaluate(module, samples[0])["y"]
    assert y.dequantize(evaluate(integer, codes_of(integer, samples[0]))["y"]) == pytest.approx(real, abs=2 * y.scale)


def test_weights_shared_by_two_operations_are_stored_once() -> None:
    b = Builder("net")
    x = b.input("x", f32(1, 4))
    w = b.constant(np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32), "w")
    b.output("y", b.emit(ops.Matmul, b.emit(ops.Matmul, x, w, name="a"), w, name="y"))
    module = b.build()
    result = quantized(module, random_samples(module, 2))
    assert [op.results[0].name for op in result.ops if isinstance(op, ops.Constant)] == ["w_codes"]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_an_error(bad: float) -> None:
    samples = random_samples(dense(np.ones((2, 2))), 2)
    good = run(dense(np.ones((2, 2))), "calibrate,propagate-ranges,nudge-zero-points", calibrated(samples))
    broken = dense(np.array([[1.0, bad], [0, 0]]))
    module = good.replace(ops=tuple(b if isinstance(g, ops.Constant) else g for g, b in zip(good, broken, strict=True)))
    with pytest.raises(PassError, match="not finite"):
        run(module, "quantize-weights")

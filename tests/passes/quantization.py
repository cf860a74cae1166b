"""Small models and the steps that quantize them, for the tests of the quantization passes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from qcc.ir import F32, I8, Array, Builder, Module, Op, TensorType, UniformType, evaluate, evaluate_op, ops
from qcc.passes import HardwareSpec, PassContext, PassManager, parse_pipeline

TO_QUANTIZED = "calibrate,propagate-ranges,nudge-zero-points,quantize-weights"
SYMMETRIC = HardwareSpec(symmetric_activations=True)


def f32(*shape: int) -> TensorType:
    return TensorType(shape, F32)


def i8(scale: float, zero_point: int = 0) -> UniformType:
    return UniformType(I8, (scale,), (zero_point,))


def run(module: Module, pipeline: str, context: PassContext | None = None) -> Module:
    return PassManager(parse_pipeline(pipeline)).run(module, context)


def calibrated(samples: list[dict[str, Array]], hardware: HardwareSpec | None = None) -> PassContext:
    return PassContext(hardware=hardware or HardwareSpec(), calibration=lambda: iter(samples))


def quantized(module: Module, samples: list[dict[str, Array]], hardware: HardwareSpec | None = None) -> Module:
    return run(module, TO_QUANTIZED, calibrated(samples, hardware))


def codes_of(module: Module, real: Mapping[str, Array]) -> dict[str, Array]:
    """Return real inputs as the module takes them."""
    return {
        v.name: v.type.uniform().quantize(real[v.name]) if v.type.is_quantized else real[v.name] for v in module.inputs
    }


def outputs(module: Module, real: Mapping[str, Array]) -> dict[str, Array]:
    return evaluate(module, codes_of(module, real))


def ops_named(module: Module, op_class: type[Op]) -> list[Op]:
    return [op for op in module.ops if isinstance(op, op_class)]


def classifier(seed: int = 0) -> Module:
    """Return a small convolutional classifier with a residual, pools, a concat and a softmax, of random weights."""
    rng = np.random.default_rng(seed)

    def weights(*shape: int) -> Array:
        return np.asarray(rng.normal(size=shape) / np.sqrt(np.prod(shape[1:])), np.float32)

    b = Builder("net")
    x = b.input("x", f32(1, 8, 8, 3))
    bias = b.constant(rng.normal(size=8).astype(np.float32) / 4, "stem_bias")
    stem = b.emit(
        ops.Conv2d, x, b.constant(weights(8, 3, 3, 3)), bias, name="stem", padding=(1, 1, 1, 1), clamp=(0.0, 6.0)
    )
    depthwise = b.emit(
        ops.Conv2d, stem, b.constant(weights(8, 3, 3, 1)), name="depthwise", padding=(1, 1, 1, 1), groups=8
    )
    residual = b.emit(ops.Add, stem, depthwise, name="residual")
    pooled = b.emit(ops.MaxPool2d, residual, kernel=(2, 2), strides=(2, 2), name="pooled")
    averaged = b.emit(ops.AvgPool2d, residual, kernel=(3, 3), strides=(2, 2), padding=(1, 0, 1, 0), name="averaged")
    joined = b.emit(ops.Concat, pooled, averaged, axis=3, name="joined")
    flat = b.emit(ops.Reshape, joined, shape=(1, 256), name="flat")
    logits = b.emit(ops.Matmul, flat, b.constant(weights(256, 10) * 4), name="logits")
    b.output("probabilities", b.emit(ops.Softmax, logits, name="probabilities"))
    b.output("logits", logits)
    return b.build()


def random_samples(module: Module, count: int, seed: int = 1) -> list[dict[str, Array]]:
    rng = np.random.default_rng(seed)
    return [{v.name: rng.normal(size=v.type.shape).astype(np.float32) for v in module.inputs} for _ in range(count)]


def steps_by_value(quantized_module: Module, integer: Module, real: Mapping[str, Array]) -> dict[str, Array]:
    """Return, for each operation's result, how many codes its integer form is away from its quantized form.

    Both get the same operands, those that the integer module has there: differences do not add up.
    """
    seen: dict[str, Array] = {}
    evaluate(integer, codes_of(integer, real), lambda value, array: seen.update({value.name: array}))
    found = {}
    for op in quantized_module.ops:
        operands = []
        for value in op.operands:
            constant = quantized_module.constant(value)
            operands.append(seen[value.name] if constant is None else constant)
        for value, array in zip(op.results, evaluate_op(op, operands), strict=True):
            if value.type.is_quantized and not isinstance(op, ops.Constant):
                found[value.name] = np.abs(array.astype(np.int64) - seen[value.name])
    return found

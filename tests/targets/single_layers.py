"""Modules of a single quantized layer, with weights and multipliers as real models have them."""

from __future__ import annotations

from typing import Any

import numpy as np

from qcc.ir import I8, Builder, Module, Stage, TensorType, ops


def convolution_layer(name: str, input: tuple[int, ...], weights: tuple[int, ...], **attributes: Any) -> Module:
    """A convolution with bias and a rescale a channel; `weights` is the shape O×KH×KW×I."""
    generator = np.random.default_rng(1)
    b = Builder(name, Stage.INTEGER)
    channels = weights[0]
    x = b.input("x", TensorType(input, I8))
    weight = b.constant(generator.integers(-127, 128, weights).astype(np.int8))
    bias = b.constant(generator.integers(-5000, 5000, channels).astype(np.int32))
    sums = b.emit(ops.Conv2d, x, weight, bias, input_zero_point=-5, **attributes)
    multiplier = b.constant(generator.integers(2**30, 2**31, channels).astype(np.int32))
    shift = b.constant(generator.integers(38, 41, channels).astype(np.int8))
    y = b.emit(ops.Rescale, sums, multiplier, shift, to=I8, output_zero_point=3, minimum=-128, maximum=127)
    b.output("y", y)
    return b.build()


def pointwise() -> Module:
    """12 × 12 × 64 → 64."""
    return convolution_layer("pointwise", (1, 12, 12, 64), (64, 1, 1, 64))


def depthwise() -> Module:
    """3 × 3 on 24 × 24 × 32."""
    return convolution_layer("depthwise", (1, 24, 24, 32), (32, 3, 3, 1), groups=32, padding=(1, 1, 1, 1))


def products(module: Module) -> int:
    """Multiply-accumulates of a module's only convolution."""
    (op,) = (op for op in module.ops if isinstance(op, ops.Conv2d))
    return int(op.result.type.size * np.prod(op.weight.type.shape[1:]))

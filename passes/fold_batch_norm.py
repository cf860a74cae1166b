"""Pass `fold-batch-norm`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from qcc.ir import Array, Mismatch, Module, Op, Rewriter, Stage, Value, rewrite
from qcc.ir.ops import Add, BatchNorm, Clamp, Conv2d, ConvTranspose2d, Dequantize, Matmul, Mul, Reshape

from .base import Pass, PassContext
from .channel_affine import ChannelAffine, channel_affine, finite_parameters, linear_constants
from .operands import FloatPattern, inner_op
from .reason_summary import reason_summary
from .registry import register_pass

LINEAR = (Conv2d, ConvTranspose2d, Matmul)


def with_constants(
    op: Op, x: Value, weight: Array, bias: Array, rewriter: Rewriter, **changes: object
) -> Value | Mismatch:
    """Emit a linear operation with new operand, weights and bias, where these are finite."""
    dtype = op.result.type.element.storage.dtype
    largest = np.finfo(dtype).max
    if not (np.all(np.abs(weight) <= largest) and np.all(np.abs(bias) <= largest)):
        return Mismatch("the folded weights or bias are not finite")
    weight_value = rewriter.constant_like(weight.astype(dtype), op.operands[1])
    bias_value = rewriter.constant_like(bias.astype(dtype), op.operands[2] if len(op.operands) > 2 else op.operands[1])
    location = op.location.by(rewriter.name)
    (value,) = rewriter.emit_op(op, operands=(x, weight_value, bias_value), location=location, **changes)
    return value


# (Σ w·x + b) · m + c = Σ (w·m)·x + (b·m + c), m and c by output channel
class FoldIntoPreceding(FloatPattern):
    """A batch norm, or a constant multiplied or added, goes into the weights and bias of the operation before it."""

    root = (BatchNorm, Mul, Add)

    def apply_real(self, op: Op, rewriter: Rewriter) -> Value | Mismatch | None:
        """Scale the weights by output channel."""
        affine = channel_affine(op, rewriter)
        if not isinstance(affine, ChannelAffine):
            return affine
        linear = inner_op(op, affine.x, rewriter)
        if isinstance(linear, Mismatch):
            return linear
        if not isinstance(linear, LINEAR):
            return Mismatch(f"{linear.name} has no weights to fold into")
        if linear.clamp is not None:
            return Mismatch(f"{linear.name} is clamped before it")
        constants = linear_constants(linear, rewriter)
        if isinstance(constants, Mismatch):
            return constants
        weight, bias = constants
        # Output channels are the first axis of convolution weights and the last of a matrix.
        by_output = (-1, 1, 1, 1) if not isinstance(linear, Matmul) else (-1,)
        weight = weight * affine.multiplier.reshape(by_output)
        bias = bias * affine.multiplier + affine.offset
        return with_constants(linear, linear.x, weight, bias, rewriter, clamp=affine.clamp)


# Σ w·(x·m + c) + b = Σ (w·m)·x + (Σ w·c + b), m and c by input channel; with padding only where c = 0
class FoldIntoFollowing(FloatPattern):
    """A batch norm, or a constant multiplied or added, goes into the operation behind it."""

    root = LINEAR

    def apply_real(self, op: Op, rewriter: Rewriter) -> Value | Mismatch | None:
        """Scale the weights by input channel and add what the offset gives to the bias."""
        inner = inner_op(op, op.operands[0], rewriter)
        affine = channel_affine(inner, rewriter) if not isinstance(inner, Mismatch) else None
        if not isinstance(affine, ChannelAffine) or not isinstance(op, LINEAR):
            return affine if isinstance(affine, Mismatch) else None
        if affine.clamp is not None:
            return Mismatch("it is clamped")
        if isinstance(op, ConvTranspose2d) and np.any(affine.offset):
            return Mismatch("its offset reaches the borders of a transposed convolution in another way")
        if isinstance(op, Conv2d) and any(op.padding) and np.any(affine.offset):
            return Mismatch("the convolution pads zeros behind it, and its offset is not 0")
        constants = linear_constants(op, rewriter)
        if isinstance(constants, Mismatch):
            return constants
        weight, bias = constants
        multiplier, offset = by_input_channel(op, affine.multiplier), by_input_channel(op, affine.offset)
        if isinstance(op, Matmul):
            if weight.ndim != 2 and np.any(affine.offset):
                return Mismatch("the offset differs by matrix")
            bias = bias + (weight * offset).sum(axis=-2) if weight.ndim == 2 else bias
        else:
            bias = bias + (weight * offset).sum(axis=(1, 2, 3))
        return with_constants(op, affine.x, weight * multiplier, bias, rewriter)


def by_input_channel(op: Op, vector: Array) -> Array:
    """Return a vector over input channels so that it broadcasts against the weights of a linear operation."""
    if isinstance(op, Conv2d | ConvTranspose2d):
        outputs, depth = op.weight.type.shape[0], op.weight.type.shape[3]
        groups = np.repeat(vector.reshape(op.groups, depth), outputs // op.groups, axis=0)
        return groups.reshape(outputs, 1, 1, depth)
    return vector.reshape(-1, 1)


# (x·m + c)·n + d = x·(m·n) + (c·n + d)
class MergeAffines(FloatPattern):
    """Batch norms, and constants multiplied and added, in a row are one batch norm."""

    root = (BatchNorm, Mul, Add)

    def apply_real(self, op: Op, rewriter: Rewriter) -> Value | Mismatch | None:
        """Compose the two."""
        outer = channel_affine(op, rewriter)
        if not isinstance(outer, ChannelAffine):
            return outer
        before = inner_op(op, outer.x, rewriter)
        inner = channel_affine(before, rewriter) if not isinstance(before, Mismatch) else None
        if not isinstance(inner, ChannelAffine):
            return None
        if inner.clamp is not None:
            return Mismatch("the inner one is clamped")
        return emit_batch_norm(outer.after(inner), op, rewriter)


def emit_batch_norm(affine: ChannelAffine, op: Op, rewriter: Rewriter) -> Value:
    """Emit an affine as a batch norm whose mean is 0 and whose variance is 1."""
    dtype = op.result.type.element.storage.dtype
    zero, one = np.zeros_like(affine.offset), np.ones_like(affine.offset)
    arrays = (affine.multiplier, affine.offset, zero, one)
    parameters = [rewriter.constant_like(a.astype(dtype), op.result) for a in arrays]
    value = rewriter.emit(BatchNorm, affine.x, *parameters, epsilon=0.0)
    if affine.clamp is None:
        return value
    return rewriter.emit(Clamp, value, minimum=affine.clamp[0], maximum=affine.clamp[1])


# x·m + c by channel = conv2d(x, weights C×1×1×1 = m, bias = c, groups = C)
class StandaloneToDepthwise(FloatPattern):
    """A batch norm that nothing takes in is a depthwise 1×1 convolution, whose multipliers keep 31 bits."""

    root = BatchNorm

    def apply_real(self, op: Op, rewriter: Rewriter) -> Value | Mismatch | None:
        """Reshape to N×1×1×C where the rank is not 4, convolve, reshape back."""
        affine = channel_affine(op, rewriter)
        if not isinstance(affine, ChannelAffine):
            return affine
        x, shape = affine.x, op.result.type.shape
        if len(shape) != 4:
            x = rewriter.emit(Reshape, x, shape=(math.prod(shape[:-1]), 1, 1, shape[-1]))
        dtype = op.result.type.element.storage.dtype
        weight = rewriter.constant_like(affine.multiplier.astype(dtype).reshape(-1, 1, 1, 1), op.operands[1])
        bias = rewriter.constant_like(affine.offset.astype(dtype), op.operands[2])
        y = rewriter.emit(Conv2d, x, weight, bias, groups=shape[-1])
        return y if len(shape) == 4 else rewriter.emit(Reshape, y, shape=shape)


# batch_norm(x) = x · m + c, broadcast along its axis
class StandaloneToArithmetic(FloatPattern):
    """A batch norm along another axis than the last is a product and a sum."""

    root = BatchNorm

    def apply_real(self, op: Op, rewriter: Rewriter) -> Value | Mismatch | None:
        """Emit the product and the sum."""
        arrays = [rewriter.constant(v) for v in op.operands[1:]]
        known = [a for a in arrays if a is not None]
        if len(known) != 4 or not isinstance(op, BatchNorm):
            return Mismatch("its parameters are not all constants")
        view = [1] * op.x.type.rank
        view[op.axis] = -1
        dtype = op.result.type.element.storage.dtype
        pair = [a.astype(dtype).reshape(view) for a in finite_parameters(op, *known)]
        scaled = rewriter.emit(Mul, op.x, rewriter.constant_like(pair[0], op.operands[1]))
        return rewriter.emit(Add, scaled, rewriter.constant_like(pair[1], op.operands[2]))


def is_quantized(subject: str, module: Module) -> bool:
    """True where the parameters of an operation are quantized: `absorb-quantization` decides on it, and says so."""
    op = module.definitions[subject]
    return any(isinstance(module.definitions.get(v.name), Dequantize) for v in op.operands[1:])


@register_pass
@dataclass(frozen=True)
class FoldBatchNorm(Pass):
    """Fold batch norms, and constants multiplied or added by channel, into weights and biases.

    They go into the convolution, transposed convolution or matmul before them, or into the one behind them where its
    padding allows. A batch norm that stands alone becomes a depthwise 1×1 convolution: that keeps its multipliers at
    full precision when it is quantized.

    Before:
        module @m stage float {
          input %x : tensor<1x2xf32>
          %w = constant() {value = dense<[[1.0, 2.0], [3.0, 4.0]]>} : tensor<2x2xf32>
          %h = matmul(%x, %w) : tensor<1x2xf32>
          %scale = constant() {value = dense<[2.0, 0.5]>} : tensor<2xf32>
          %offset = constant() {value = dense<[1.0, -1.0]>} : tensor<2xf32>
          %mean = constant() {value = dense<[0.0, 0.0]>} : tensor<2xf32>
          %variance = constant() {value = dense<[1.0, 1.0]>} : tensor<2xf32>
          %y = batch_norm(%h, %scale, %offset, %mean, %variance) {epsilon = 0.0} : tensor<1x2xf32>
          output %y as "y"
        }

    After:
        module @m stage float {
          input %x : tensor<1x2xf32>
          %w_1 = constant() {value = dense<[[2.0, 1.0], [6.0, 2.0]]>} : tensor<2x2xf32>
          %w_2 = constant() {value = dense<[1.0, -1.0]>} : tensor<2xf32>
          %y = matmul(%x, %w_1, %w_2) : tensor<1x2xf32>
          output %y as "y"
        }
    """

    name: ClassVar[str] = "fold-batch-norm"
    accepts: ClassVar[frozenset[Stage]] = frozenset({Stage.FLOAT})

    def run(self, module: Module, context: PassContext) -> Module:
        """Fold what folds, then give batch norms that stand alone another form."""
        folding: Sequence[FloatPattern] = (FoldIntoPreceding(), MergeAffines(), FoldIntoFollowing())
        module, report = rewrite(module, folding, self.name)
        for (_, subject), reason in report.mismatches.items():
            if isinstance(module.definitions.get(subject), BatchNorm):
                context.remark(self.name, subject, f"batch_norm stands alone: {reason}")
        module, report = rewrite(module, (StandaloneToDepthwise(), StandaloneToArithmetic()), self.name)
        reasons = {subject: reason for (_, subject), reason in report.mismatches.items()}
        for subject, reason in reasons.items():
            context.remark(self.name, subject, f"batch_norm stays: {reason}")
        stays = [(f"%{subject}", reason) for subject, reason in reasons.items() if not is_quantized(subject, module)]
        if stays:
            count = "1 batch_norm stays" if len(stays) == 1 else f"{len(stays)} batch_norms stay"
            context.remark(self.name, module.name, f"{count}: {reason_summary(stays)}", severity="warning")
        return module

"""The pass `quantize-weights`: weights of convolutions and matrix products become codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from qcc.ir import (
    Array,
    Builder,
    Location,
    Module,
    Op,
    PassError,
    ScalarType,
    Stage,
    UniformType,
    Value,
    drop_dead,
    ops,
    replace_op,
)

from .base import Pass, PassContext
from .nudging import symmetric_scale
from .registry import register_pass

Weighted = ops.Conv2d | ops.ConvTranspose2d | ops.Matmul

#: Half of the accumulator is left to the products where a bias is large, as TensorFlow Lite's quantizer does.
BIAS_LIMIT = 2**30


@register_pass
@dataclass(frozen=True)
class QuantizeWeights(Pass):
    """Quantize weights symmetrically, `code = clamp(RHE(w / s))` with `s = max|w| / 127` (a scale an output channel).

    Rounding is half to even of the binary32 quotient, that of every `!quant.uniform` type. The channel axis is the
    first of a convolution's weights and the last of a matrix. A channel whose bias would not fit half an accumulator in
    units of s_x·s_w gets a larger scale, and a remark.

    Before:
        module @m stage quantized {
          input %x : tensor<1x2x!quant.uniform<i8:f32, 0.01:-3>>
          %w = constant() {value = dense<[[0.127, -1.0], [-0.05, 2.54]]>} : tensor<2x2xf32>
          %y = matmul(%x, %w) : tensor<1x2x!quant.uniform<i8:f32, 0.02>>
          output %y as "y"
        }

    After:
        module @m stage quantized {
          input %x : tensor<1x2x!quant.uniform<i8:f32, 0.01:-3>>
          %w_codes = constant() {value = dense<[[127, -50], [-50, 127]]>}
            : tensor<2x2x!quant.uniform<i8<-127:127>:f32:1, {0.001, 0.02}>>
          %y = matmul(%x, %w_codes) : tensor<1x2x!quant.uniform<i8:f32, 0.02>>
          output %y as "y"
        }

    Options (None takes what the target's hardware specification says):
        per_channel: one scale an output channel, else one a tensor.
        narrow_range: the lowest code is not used.
    """

    name: ClassVar[str] = "quantize-weights"
    accepts: ClassVar[frozenset[Stage]] = frozenset({Stage.QUANTIZED})
    per_channel: bool | None = None
    narrow_range: bool | None = None

    def run(self, module: Module, context: PassContext) -> Module:
        """Return the module with quantized weight constants."""
        hardware = context.hardware
        per_channel = hardware.per_channel_weights if self.per_channel is None else self.per_channel
        narrow = hardware.narrow_range_weights if self.narrow_range is None else self.narrow_range
        builder = Builder(module.name, module.stage)
        for name in module.values:
            builder.unique(name)
        made: dict[tuple[str, UniformType], Value] = {}
        for op in module.ops:
            weight = module.constant(op.operands[1]) if isinstance(op, Weighted) else None
            if not isinstance(op, Weighted) or weight is None or not op.x.type.is_quantized or weight.dtype.kind != "f":
                builder.append(op)
                continue
            storage, power_of_two = hardware.weight_type, hardware.power_of_two_scales
            scales = weight_scales(op, weight, per_channel, storage, power_of_two)
            scales = self._enlarged(op, scales, _bias(op, module), context, power_of_two)
            to = _weight_type(op, scales, storage, narrow, per_channel)
            key = op.weight.name, to
            if key not in made:
                made[key] = builder.constant(
                    to.quantize(weight),
                    f"{op.weight.name}_codes",
                    op.weight.type.with_element(to),
                    location=_location(module, op.weight).by(self.name),
                )
            operands = (op.operands[0], made[key], *op.operands[2:])
            builder.append(replace_op(op, operands=operands, location=op.location.by(self.name)))
        return drop_dead(module.replace(ops=tuple(builder.ops)))

    def _enlarged(
        self, op: Weighted, scales: Array, bias: Array | None, context: PassContext, power_of_two: bool
    ) -> Array:
        """Return the scales with which every bias stays within `BIAS_LIMIT` units of s_x·s_w."""
        if bias is None:
            return scales
        if not np.all(np.isfinite(bias)):
            raise PassError(f"the bias of %{op.result.name} is not finite", help="correct the model's weights")
        needed = np.abs(bias.astype(np.float64)) / BIAS_LIMIT / op.x.type.uniform().scale
        needed = np.broadcast_to(needed, bias.shape) if scales.size > 1 else needed.max(keepdims=True)
        if not np.any(needed > scales):
            return scales
        if power_of_two:
            needed = np.exp2(np.ceil(np.log2(np.maximum(needed, np.finfo(np.float32).tiny))))
        channels = np.flatnonzero(needed > scales)
        depth = op.weight.type.size // bias.size  # a weight is off by half a step, a code of x at most 255 away from 0
        message = (
            f"the bias of {channels.size} channels (first {channels[0]}) is large against the weights: "
            f"their weight scale grows, an error below {depth * 128 / BIAS_LIMIT:.0e} of the bias"
        )
        context.remark(self.name, op.result.name, message)
        return np.maximum(scales, np.nextafter(needed.astype(np.float32), np.float32(np.inf)))


def weight_scales(
    op: Weighted, weight: Array, per_channel: bool, storage: ScalarType, power_of_two: bool = False
) -> Array:
    """Return symmetric scales, one an output channel or one in all, binary32."""
    if not np.all(np.isfinite(weight)):
        help = "correct the model: a weight is NaN or infinite"
        raise PassError(f"the weights of %{op.result.name} are not finite", place=op.location.node, help=help)
    axes = tuple(a for a in range(weight.ndim) if a != channel_axis(op, weight.ndim))
    magnitudes = np.abs(weight).max(axis=axes if per_channel else None, initial=0.0)
    return np.array([symmetric_scale(float(m), storage.maximum, power_of_two) for m in np.atleast_1d(magnitudes)])


def channel_axis(op: Op, rank: int) -> int:
    """Return the axis of the output channels in the weights of `op`."""
    return rank - 1 if isinstance(op, ops.Matmul) else 0


def _weight_type(op: Weighted, scales: Array, storage: ScalarType, narrow: bool, per_channel: bool) -> UniformType:
    axis = channel_axis(op, op.weight.type.rank) if per_channel else None
    lowest = storage.minimum + 1 if narrow else None
    return UniformType(storage, tuple(map(float, scales)), (0,) * scales.size, axis, lowest)


def _bias(op: Weighted, module: Module) -> Array | None:
    return module.constant(op.bias) if op.bias is not None else None


def _location(module: Module, value: Value) -> Location:
    definition = module.definition(value)
    return Location() if definition is None else definition.location

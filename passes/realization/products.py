"""Sums of products: an exact accumulator, and the profile `single`'s one rescale behind it."""

from __future__ import annotations

import math

import numpy as np

from qcc.ir import I64, Array, Op, PassError, ScalarType, UniformType, Value, ops, replace_op

from ..operands import MAY_WRAP
from .multipliers import multipliers_into
from .realizer import Realizer, clamp_codes, realizes
from .rescales import Into, fixed_point

SumOp = ops.Conv2d | ops.ConvTranspose2d | ops.Matmul


@realizes(ops.Conv2d, ops.ConvTranspose2d, ops.Matmul)
def product_sum(r: Realizer, op: SumOp) -> None:
    """Realize `Σ (x − z_x)·(w − z_w) + round(b / (s_x·s_w))`, then the factor s_x·s_w / s_y, a channel each."""
    scales = product_scales(op)
    accumulator = accumulate(r, op, scales)
    to = op.result.type.uniform()
    factors = scales / np.float64(to.scale)
    if accumulator.type.element.storage == I64:
        m, s = multipliers_into(to.storage_type, factors, _wide_multiplier_bits(op))
        fixed_point(r, accumulator, m, s, Into.of(to, clamp_codes(to, op.clamp)), r.hardware.rounding, result=op.result)
        return
    r.define_rescale(op.result, accumulator, factors if factors.size > 1 else factors[0], 0, op.clamp)


def product_scales(op: SumOp) -> Array:
    """Return s_x·s_w in binary64: one, or one an output channel."""
    if not op.weight.type.is_quantized:
        raise PassError(f"the weights of %{op.result.name} are not quantized", help="run quantize-weights before")
    w = op.weight.type.uniform()
    check_channel_scales(op, w)
    return np.float64(op.x.type.uniform().scale) * np.array(w.scales, np.float64)


def check_channel_scales(op: Op, w: UniformType) -> None:
    """Raise PassError for weights whose scales are not along the output channels."""
    if w.block_size is not None:
        raise PassError("weights with scales of blocks have no integer form")
    channels = op.operands[1].type.rank - 1 if isinstance(op, ops.Matmul) else 0
    if w.per_axis and w.axis != channels:
        raise PassError(f"weights with scales along axis {w.axis}, not along the output channels")


def accumulate(r: Realizer, op: SumOp, scales: Array, *, wraps: str = "") -> Value:
    """Append the sum of products, bias included; return its integers.

    Args:
        r: the translation.
        op: on quantized values.
        scales: of the sums, in units of which a real bias is rounded; codes of a quantized bias stay as they are.
        wraps: whose kernels' sums wrap likewise; empty where a sum that overflows is an error.
    """
    x, w = op.x.type.uniform(), op.weight.type.uniform()
    zero_point = w.zero_points[0]
    if any(z != zero_point for z in w.zero_points):
        raise PassError("weights with zero points a channel have no integer form", help="quantize them symmetrically")
    element = I64 if op.accumulator.bits == 64 else r.hardware.accumulator
    operands = [r.codes(op.x), r.codes(op.weight)]
    if op.bias is not None:
        operands.append(bias_codes(r, op.bias, scales, element))
    blank = replace_op(
        op,
        operands=(),
        results=(),
        notes=(),
        clamp=None,
        input_zero_point=x.zero_point,
        weight_zero_point=zero_point,
        accumulator=element,
    )
    notes = dict(op.notes) | ({MAY_WRAP: wraps} if wraps else {})
    name = f"{op.result.name}_accumulator"
    return r.emit(type(op), *operands, name=name, **blank.attributes(), notes=tuple(notes.items()))


def bias_codes(r: Realizer, bias: Value, scales: Array, element: ScalarType) -> Value:
    """Return a bias in units of the sums: the codes of a quantized one as they are, a real one rounded."""
    if bias.type.is_quantized:
        return r.codes(bias)
    real = r.constant(bias)
    if real is None:
        raise PassError("a bias that is not a constant has no integer form", help="keep the operation in float")
    codes = np.rint(real.astype(np.float64) / scales)
    if not np.all((codes >= element.minimum) & (codes <= element.maximum)):
        worst = int(np.argmax(np.abs(codes)))
        help = "run quantize-weights, which enlarges the weight scale of such channels"
        raise PassError(f"the bias of channel {worst} does not fit {element} in units of s_x·s_w", help=help)
    return r.integers(codes.astype(element.dtype), bias.name)


def _wide_multiplier_bits(op: SumOp) -> int:
    """Return how many bits a multiplier of a 64-bit sum can have so that their product fits 62."""
    depth = op.x.type.shape[-1] if isinstance(op, ops.Matmul) else op.weight.type.size // op.weight.type.shape[0]
    widths = op.x.type.element.storage.bits + op.weight.type.element.storage.bits
    return max(15, min(31, 61 - widths - math.ceil(math.log2(depth + 1))))

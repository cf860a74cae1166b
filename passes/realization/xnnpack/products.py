"""Convolutions and fully connected layers of the profile `litert-xnn`."""

from __future__ import annotations

import numpy as np

from qcc.ir import I4, I8, I16, I32, I64, U8, Array, ops, replace_op

from ...operands import KERNEL, UNDELEGATED
from ..multipliers import multipliers
from ..products import SumOp, accumulate, product_scales
from ..realizer import Realizer, realizes
from ..rescales import fixed_point, in_floats
from ..tflite.products import WRAPS, is_fully_connected, matrix_product, sums
from ..tflite.products import factors as reference_factors
from ..tflite.products import output_into as reference_into
from ..tflite.products import product_sum as reference
from .bounds import output_into

DEPTHWISE_LANES = 8
"""How many channels LiteRT's depthwise kernel of signed codes rescales at a time."""


def factors(op: SumOp) -> Array:
    """Return f32(f32(s_x·s_w) / s_y)."""
    x, w, y = op.x.type.uniform(), op.weight.type.uniform(), op.result.type.uniform()
    return np.asarray(np.float32(x.scale) * np.array(w.scales, np.float32) / np.float32(y.scale), np.float32)


def is_taken(r: Realizer, op: SumOp) -> bool:
    """Return whether XNNPACK takes a sum: 8-bit codes of one kind, constant weights, factors that it has.

    The second matrix of BATCH_MATMUL may be computed.
    Weights of signed layers may have 4 bits, an even number in a row. Factors by channel have no lower limit, for
    channels without weights.
    """
    x, w, y = op.x.type.uniform(), op.weight.type.uniform(), op.result.type.uniform()
    if x.storage_type not in (I8, U8) or x.storage_type != y.storage_type or op.note(UNDELEGATED):
        return False
    narrow = w.storage_type == I4 and x.storage_type == I8 and is_fully_connected(r, op) and _even_rows(op)
    if w.storage_type != x.storage_type and not narrow:
        return False
    if (r.module.constant(op.weight) is None and op.note(KERNEL) != "BATCH_MATMUL") or op.accumulator == I64:
        return False
    if x.storage_type == I8 and any(w.zero_points):
        return False
    if isinstance(op, ops.ConvTranspose2d) and any(op.output_padding):
        return False
    real = factors(op)
    smallest = 0.0 if w.per_axis else 2.0**-32
    return bool(np.all((real >= smallest) & (real < 256)))


def _even_rows(op: SumOp) -> bool:
    """Return whether each output of a matrix has an even number of weights, so that 4-bit rows begin with a byte."""
    return op.weight.type.shape[0] % 2 == 0


def _left(r: Realizer, op: SumOp) -> None:
    """Realize a sum that XNNPACK leaves.

    In LiteRT's kernels of 8-bit codes for convolutions and fully connected layers, and for transposed convolutions of
    unsigned codes, both roundings go up; in depthwise ones of signed codes in whole vectors of channels only. They do
    so in fully connected layers of 16-bit codes without a 64-bit bias too, whose sums have 32 bits.
    """
    storage = op.x.type.uniform().storage_type
    grouped = isinstance(op, ops.Conv2d) and op.groups > 1 and op.note(KERNEL) == "CONV_2D"  # the reference kernel
    layer = (isinstance(op, ops.Conv2d) and not grouped) or is_fully_connected(r, op)
    if _short_sums(r, op):
        op, layer, storage = replace_op(op, accumulator=I32), True, I8
    if op.note(KERNEL) == "DEPTHWISE_CONV_2D" and storage == U8:
        reference(r, op)
        return
    if (layer and storage in (I8, U8)) or (isinstance(op, ops.ConvTranspose2d) and storage == U8):
        m, s = multipliers(reference_factors(op))
        if op.note(KERNEL) == "DEPTHWISE_CONV_2D" and storage == I8:
            _vectors_of_channels(r, op, m, s)
            return
        fixed_point(r, sums(r, op), m, s, reference_into(op), "double_up", result=op.result)
    elif isinstance(op, ops.Matmul):
        matrix_product(r, op)
    else:
        reference(r, op)


def _short_sums(r: Realizer, op: SumOp) -> bool:
    """Return whether a fully connected layer of 16-bit codes takes the kernel of 32-bit sums."""
    wide_bias = len(op.operands) > 2 and op.operands[2].type.element.storage == I64
    symmetric = not any(op.weight.type.uniform().zero_points)
    return op.x.type.uniform().storage_type == I16 and is_fully_connected(r, op) and symmetric and not wide_bias


def _vectors_of_channels(r: Realizer, op: SumOp, m: Array, s: Array) -> None:
    """Rescale 8 channels at a time with both roundings up, those left over with ties of the second away from zero."""
    sum_, into, name = sums(r, op), reference_into(op), op.result.name
    channels = sum_.type.shape[-1]
    full = channels - channels % DEPTHWISE_LANES
    parts = []
    for start, stop, rounding in ((0, full, "double_up"), (full, channels, "double")):
        if start == stop:
            continue
        sizes = (*sum_.type.shape[:-1], stop - start)
        starts = (*(0 for _ in sizes[1:]), start)
        strides, label = (1,) * len(sizes), f"{name}_{rounding}"
        part = r.emit(ops.Slice, sum_, starts=starts, sizes=sizes, strides=strides, name=f"{label}_sum")
        multiplier, shift = (np.broadcast_to(a, (channels,))[start:stop] for a in (m, s))
        parts.append(fixed_point(r, part, multiplier, shift, into, rounding, name=label))
    r.define(op.result, ops.Concat, *parts, axis=len(sum_.type.shape) - 1)


@realizes(ops.Conv2d, ops.ConvTranspose2d, ops.Matmul, profiles=("litert-xnn",))
def product_sum(r: Realizer, op: SumOp) -> None:
    """Realize a sum of products, rescaled in binary32: `RHE(f32(f32(sum)·S)) + z`."""
    if not is_taken(r, op):
        _left(r, op)
    else:
        accumulator = accumulate(r, op, product_scales(op), wraps=WRAPS)
        into = output_into(op.result.type.uniform(), op.clamp)
        in_floats(r, accumulator, factors(op), into, "half_even", result=op.result)

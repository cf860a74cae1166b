"""Convolutions and fully connected layers of the profile `litert-xnn`."""

from __future__ import annotations

import numpy as np

from qcc.ir import I4, I8, I64, U8, Array, ops

from ...operands import KERNEL
from ..multipliers import multipliers
from ..products import SumOp, accumulate, product_scales
from ..realizer import Realizer, realizes
from ..rescales import fixed_point, in_floats
from ..tflite.products import WRAPS, is_fully_connected, matrix_product, sums
from ..tflite.products import factors as reference_factors
from ..tflite.products import output_into as reference_into
from ..tflite.products import product_sum as reference
from .bounds import output_into


def factors(op: SumOp) -> Array:
    """Return f32(f32(s_x·s_w) / s_y)."""
    x, w, y = op.x.type.uniform(), op.weight.type.uniform(), op.result.type.uniform()
    return np.asarray(np.float32(x.scale) * np.array(w.scales, np.float32) / np.float32(y.scale), np.float32)


def is_taken(r: Realizer, op: SumOp) -> bool:
    """Return whether XNNPACK takes a sum: 8-bit codes of one kind, constant weights, factors that it has.

    Weights of signed layers may have 4 bits. Factors by channel have no lower limit, for channels without weights.
    """
    x, w, y = op.x.type.uniform(), op.weight.type.uniform(), op.result.type.uniform()
    if x.storage_type not in (I8, U8) or x.storage_type != y.storage_type:
        return False
    narrow = w.storage_type == I4 and x.storage_type == I8 and is_fully_connected(r, op)
    if w.storage_type != x.storage_type and not narrow:
        return False
    if r.module.constant(op.weight) is None or op.accumulator == I64:
        return False
    if x.storage_type == I8 and any(w.zero_points):
        return False
    if isinstance(op, ops.ConvTranspose2d) and any(op.output_padding):
        return False
    real = factors(op)
    smallest = 0.0 if w.per_axis else 2.0**-32
    return bool(np.all((real >= smallest) & (real < 256)))


def _left(r: Realizer, op: SumOp) -> None:
    """Realize a sum that XNNPACK leaves.

    In LiteRT's kernels of 8-bit codes for convolutions and fully connected layers, and for transposed convolutions of
    unsigned codes, both roundings go up.
    """
    storage = op.x.type.uniform().storage_type
    grouped = isinstance(op, ops.Conv2d) and op.groups > 1 and op.note(KERNEL) == "CONV_2D"  # the reference kernel
    layer = (isinstance(op, ops.Conv2d) and not grouped) or is_fully_connected(r, op)
    if (layer and storage in (I8, U8)) or (isinstance(op, ops.ConvTranspose2d) and storage == U8):
        m, s = multipliers(reference_factors(r, op))
        fixed_point(r, sums(r, op), m, s, reference_into(op), "double_up", result=op.result)
    elif isinstance(op, ops.Matmul):
        matrix_product(r, op)
    else:
        reference(r, op)


@realizes(ops.Conv2d, ops.ConvTranspose2d, ops.Matmul, profiles=("litert-xnn",))
def product_sum(r: Realizer, op: SumOp) -> None:
    """Realize a sum of products, rescaled in binary32: `RHE(f32(f32(sum)·S)) + z`."""
    if not is_taken(r, op) or (isinstance(op, ops.Matmul) and op.weight.type.rank != 2):
        _left(r, op)
    else:
        accumulator = accumulate(r, op, product_scales(op), wraps=WRAPS)
        into = output_into(op.result.type.uniform(), op.clamp)
        in_floats(r, accumulator, factors(op), into, "half_even", result=op.result)

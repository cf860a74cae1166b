"""Convolutions, fully connected layers and matrix products of the profiles `tflm` and `litert-ref`."""

from __future__ import annotations

import numpy as np

from qcc.ir import I64, Array, PassError, UniformType, Value, ops

from ...operands import KERNEL
from ..products import SumOp, accumulate, product_scales
from ..realizer import Realizer, realizes
from ..rescales import Into, in_floats
from .bounds import activation_bounds
from .rescales import of_wide_sums, twice_rounded

RECURRENT = "UNIDIRECTIONAL_SEQUENCE_LSTM"
"""The kernel whose gates are matrix products that differ from those of layers."""

WRAPS = "TFLite's kernels"
"""Whose 32-bit sums wrap."""


def output_into(op: SumOp) -> Into:
    """Return the codes of the result, within the fused activation."""
    to = op.result.type.uniform()
    return Into.of(to, activation_bounds(to, op.clamp))


def is_fully_connected(r: Realizer, op: SumOp) -> bool:
    """Return whether a sum is TFLite's FULLY_CONNECTED: as its note says, else a product with a constant matrix."""
    if not isinstance(op, ops.Matmul):
        return False
    if op.note(KERNEL):
        return op.note(KERNEL) == "FULLY_CONNECTED"
    return op.weight.type.rank == 2 and r.module.constant(op.weight) is not None


def sums(r: Realizer, op: SumOp) -> Value:
    """Append the sums."""
    return accumulate(r, op, product_scales(op), wraps=WRAPS)


def factors(op: SumOp) -> Array:
    """Return s_x·s_w / s_y: the product rounded to binary32 first where the kernels do."""
    x, w, y = op.x.type.uniform(), op.weight.type.uniform(), op.result.type.uniform()
    if _narrow_product(op, x, w):
        products = (np.float32(x.scale) * np.array(w.scales, np.float32)).astype(np.float64)
    else:
        products = np.float64(x.scale) * np.array(w.scales, np.float64)
    return np.asarray(products / np.float64(y.scale))


def _narrow_product(op: SumOp, x: UniformType, w: UniformType) -> bool:
    """Return whether the kernel multiplies the scales in binary32: matrices with one scale, unsigned convolutions."""
    return not w.per_axis if isinstance(op, ops.Matmul) else x.storage_type.kind == "u"


@realizes(ops.Conv2d, ops.ConvTranspose2d, ops.Matmul, profiles=("tflm",))
def product_sum(r: Realizer, op: SumOp) -> None:
    """Realize a sum of products, rescaled twice rounded, or by 15 bits where it has 64."""
    accumulator, into = sums(r, op), output_into(op)
    if accumulator.type.element.storage == I64:
        of_wide_sums(r, accumulator, factors(op), into, result=op.result)
    else:
        twice_rounded(r, accumulator, factors(op), into, result=op.result)


@realizes(ops.Matmul, profiles=("litert-ref",))
def matrix_product(r: Realizer, op: ops.Matmul) -> None:
    """Realize FULLY_CONNECTED as LiteRT's reference kernel: `RHA(f64(sum)·(s_x·s_w / s_y))`; other products as TFLM."""
    if op.note(KERNEL) == RECURRENT:
        raise PassError(
            f"{RECURRENT} has rules in profile 'tflm' only: LiteRT's kernel rounds its gates otherwise",
            help="give --arithmetic tflm",
        )
    if not is_fully_connected(r, op):
        product_sum(r, op)
        return
    real = product_scales(op) / np.float64(op.result.type.uniform().scale)
    in_floats(r, sums(r, op), real, output_into(op), "half_away", result=op.result)

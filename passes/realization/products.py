"""Sums of products: an exact accumulator, then one rescale."""

from __future__ import annotations

from typing import Any

import numpy as np

from qcc.ir import Array, PassError, Value, ops, replace_op

from .realizer import Realizer, realizes


@realizes(ops.Conv2d, ops.ConvTranspose2d, ops.Matmul)
def product_sum(r: Realizer, op: ops.Conv2d | ops.ConvTranspose2d | ops.Matmul) -> None:
    """Realize `Σ (x − z_x)·(w − z_w) + round(b / (s_x·s_w))`, then the factor s_x·s_w / s_y, a channel each."""
    x, weight = op.x.type.uniform(), op.weight.type
    if not weight.is_quantized:
        raise PassError(f"the weights of %{op.result.name} are not quantized", help="run quantize-weights before")
    w = weight.uniform()
    if any(w.zero_points) and w.per_axis:
        raise PassError("weights with zero points a channel have no integer form", help="quantize them symmetrically")
    scales = np.float64(x.scale) * np.array(w.scales, np.float64)
    operands = [r.codes(op.x), r.codes(op.weight)]
    if op.bias is not None:
        operands.append(_bias(r, op.bias, scales))
    attributes: dict[str, Any] = {
        "clamp": None,
        "input_zero_point": x.zero_point,
        "weight_zero_point": w.zero_points[0],
    }
    blank = replace_op(op, operands=(), results=(), notes=(), **attributes, accumulator=r.hardware.accumulator)
    accumulator = r.emit(
        type(op), *operands, name=f"{op.result.name}_accumulator", **blank.attributes(), notes=op.notes
    )
    factors = scales / np.float64(op.result.type.uniform().scale)
    r.define_rescale(op.result, accumulator, factors if factors.size > 1 else factors[0], 0, op.clamp)


def _bias(r: Realizer, bias: Value, scales: Array) -> Value:
    real = r.constant(bias)
    if real is None:
        raise PassError("a bias that is not a constant has no integer form", help="keep the operation in float")
    element = r.hardware.accumulator
    codes = np.rint(real.astype(np.float64) / scales)
    if not np.all((codes >= element.minimum) & (codes <= element.maximum)):
        worst = int(np.argmax(np.abs(codes)))
        help = "run quantize-weights, which enlarges the weight scale of such channels"
        raise PassError(f"the bias of channel {worst} does not fit {element} in units of s_x·s_w", help=help)
    return r.integers(codes.astype(element.dtype), bias.name)

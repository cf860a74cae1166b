"""Profile `ort`: sums of products as ONNX Runtime's integer kernels compute them (QLinearConv, QLinearMatMul, QGemm).

An exact 32-bit accumulator, then `RHE(f32(f32(acc)·S)) + z` with S = f32(f32(s_x·s_w) / s_y), a channel each.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qcc.ir import I8, I32, U8, Array, Op, PassError, ScalarType, UniformType, Value, ops, replace_op

from ..operands import MAY_WRAP
from .products import check_channel_scales
from .realizer import Realizer, clamp_codes, compact, realizes

ORT = ("ort",)
NAME = "ONNX Runtime"


def define_rescale_float(
    r: Realizer,
    result: Value,
    x: Value,
    factor: Array,
    clamp: tuple[float, float] | None = None,
    offset: Array | None = None,
) -> None:
    """Define `result` as integers x times binary32 factors; with an offset, that takes the zero point's place."""
    to = result.type.uniform()
    low, high = clamp_codes(to, clamp)
    factors = compact(np.asarray(factor, np.float32)) if offset is None else np.asarray(factor, np.float32)
    operands = [x, r.floats(factors, f"{result.name}_factor")]
    if offset is not None:
        operands.append(r.floats(np.asarray(offset, np.float32), f"{result.name}_offset"))
    r.define(
        result,
        ops.RescaleFloat,
        *operands,
        to=to.storage_type,
        minimum=low,
        maximum=high,
        output_zero_point=0 if offset is not None else to.zero_point,
    )


def narrow_codes(value: Value, what: str) -> UniformType:
    """Return the per-tensor type of an operand whose codes have at most 8 bits; a PassError for others."""
    element = value.type.uniform()
    if element.storage_type.bits > 8:
        raise PassError(f"{what} of {element.storage_type.bits} bits: {NAME} computes it in float")
    if element.per_axis:
        raise PassError(f"{what} with one scale a channel: {NAME} computes it in float")
    return element


@realizes(ops.Conv2d, ops.ConvTranspose2d, ops.Matmul, profiles=ORT)
def product_sum(r: Realizer, op: ops.Conv2d | ops.ConvTranspose2d | ops.Matmul) -> None:
    """Realize `Σ (x − z_x)·(w − z_w) + b`, then the factor S, a channel each."""
    x = narrow_codes(op.x, "activations")
    narrow_result(op.result)
    if not op.weight.type.is_quantized:
        raise PassError("its weights are not quantized")
    w = op.weight.type.uniform()
    check_weights(op, w)
    units = np.float32(x.scale) * np.asarray(w.scales, np.float32)
    weight, zero_point = _weight(r, op.weight, w)
    operands = [r.codes(op.x), weight]
    if op.bias is not None:
        operands.append(_bias(r, op.bias, units, op.weight.type.shape[0 if not isinstance(op, ops.Matmul) else -1]))
    attributes: dict[str, Any] = {"clamp": None, "input_zero_point": x.zero_point, "weight_zero_point": zero_point}
    blank = replace_op(op, operands=(), results=(), notes=(), **attributes, accumulator=I32)
    notes = tuple({**dict(op.notes), MAY_WRAP: NAME}.items())
    accumulator = r.emit(type(op), *operands, name=f"{op.result.name}_accumulator", **blank.attributes(), notes=notes)
    factor = units / np.float32(op.result.type.uniform().scale)
    define_rescale_float(r, op.result, accumulator, factor if factor.size > 1 else factor.reshape(()), op.clamp)


def narrow_result(result: Value) -> None:
    """Raise PassError where a result has more than 8 bits or a scale a channel."""
    narrow_codes(result, "a result")


def check_weights(op: Op, w: UniformType) -> None:
    """Raise PassError for weights whose scales are not along the output channels, or whose zero points differ."""
    if w.storage_type.bits > 8:
        raise PassError(f"weights of {w.storage_type.bits} bits: {NAME} computes it in float")
    check_channel_scales(op, w)
    if len(set(w.zero_points)) > 1:
        raise PassError("weights whose zero points differ from channel to channel have no integer form")


def _weight(r: Realizer, value: Value, type: UniformType) -> tuple[Value, int]:
    """Return the codes of weights and their zero point, constants as i8: u8 weights less 128, narrower ones widened."""
    codes = r.module.constant(value)
    zero_point = type.zero_points[0]
    storage: ScalarType = type.storage_type
    if codes is None or storage == I8:
        return r.codes(value), zero_point
    moved = 128 if storage == U8 else 0
    return r.integers((codes.astype(np.int16) - moved).astype(np.int8), value.name), zero_point - moved


def _bias(r: Realizer, bias: Value, units: Array, channels: int) -> Value:
    """Return a bias in units of s_x·s_w: its codes as they are, or real numbers rounded half to even."""
    if bias.type.is_quantized:
        codes = r.module.constant(bias)
        if codes is None:
            raise PassError("its bias is not a constant")
        return r.integers(codes.astype(np.int32), bias.name)
    real = r.constant(bias)
    if real is None:
        raise PassError("its bias is not a constant")
    steps = np.rint(np.broadcast_to(real.astype(np.float64) / units.astype(np.float64), (channels,)))
    if not np.all(np.abs(steps) <= I32.maximum):
        raise PassError("its bias does not fit 32 bits in units of s_x·s_w")
    return r.integers(steps.astype(np.int32), bias.name)

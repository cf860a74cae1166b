"""SOFTMAX in the profiles `tflm` and `litert-ref`."""

from __future__ import annotations

import math

import numpy as np

from qcc.ir import (
    I16,
    Array,
    FixedPoint,
    PassError,
    UniformType,
    interpolated_table,
    ops,
    rescale,
)

from ..multipliers import multiplier_of
from ..realizer import Realizer, realizes
from .rescales import DOUBLE

INTEGER_BITS = 5
"""Bits before the point of the exponentials' arguments."""

STEP_OF_16_BITS = 10.0 / 65535.0
"""A step of the arguments of exponentials of 16-bit codes, which span −10 … 0."""


def check_result(op: ops.Softmax, scale: float, zero_point: int) -> None:
    """Raise PassError where the result's parameters are not those that the kernel's codes have."""
    to = op.result.type.uniform()
    if to.zero_point != zero_point or abs(to.scale - scale) > 0.001 * scale:
        message = f"TFLite's softmax gives codes of scale {scale:g} and zero point {zero_point}, the result has {to}"
        raise PassError(message, help="correct the model's quantization, or keep it in float: --keep-float softmax")


def step_of(op: ops.Softmax) -> float:
    """Return what a code of the operand adds to the exponent: the product of two binary32 numbers, binary64."""
    return float(np.float32(op.beta)) * float(np.float32(op.x.type.uniform().scale))


def fixed_point_exponentials(step: float) -> Array:
    """Return exp(−step·d) in Q0.31 for d = 0 … 255, 0 where the argument leaves 5 integer bits.

    The argument is `SRDHM32(−d·2^l, m)` in Q5.26 with m·2^(l−31) the step in units of 2^−26, at most 2^31 − 1.
    """
    real = min(step * 2.0 ** (31 - INTEGER_BITS), 2.0**31 - 1)
    if real <= 1:
        raise PassError(f"an input scale of {step:g} is too small for a softmax", help="check the model's quantization")
    m, s = multiplier_of(real, 31)
    furthest = math.floor(31 * 2.0 ** (31 - INTEGER_BITS) / 2.0 ** (31 - s))
    distance = np.arange(256, dtype=np.int64)
    inside = np.where(distance <= furthest, distance, 0)
    argument = rescale(-inside, np.array(m), np.array(s), DOUBLE)
    exponentials = FixedPoint().exp(argument, INTEGER_BITS)
    return np.where(distance <= furthest, exponentials, 0).astype(np.int32)


@realizes(ops.Softmax, profiles=("tflm",))
def softmax(r: Realizer, op: ops.Softmax) -> None:
    """Realize SOFTMAX: 8-bit codes in gemmlowp's fixed point, 16-bit ones by tables made in binary32."""
    _softmax(r, op, np.float32)


@realizes(ops.Softmax, profiles=("litert-ref",))
def softmax_of_litert(r: Realizer, op: ops.Softmax) -> None:
    """Realize SOFTMAX as TFLM, but for the tables of 16-bit codes, which LiteRT makes in binary64."""
    _softmax(r, op, np.float64)


def _softmax(r: Realizer, op: ops.Softmax, precision: type[np.floating]) -> None:
    own, to = op.x.type.uniform(), op.result.type.uniform()
    if own.storage_type == to.storage_type == I16:
        softmax_of_16_bits(r, op, precision)
        return
    require_8_bits(op, own)
    check_result(op, 2.0**-to.storage_type.bits, to.storage_type.minimum)
    table = r.integers(fixed_point_exponentials(step_of(op)), f"{op.result.name}_exponentials")
    r.define(op.result, ops.SoftmaxFixedPoint, r.codes(op.x), table, axis=op.axis, to=to.storage_type)


def require_8_bits(op: ops.Softmax, own: UniformType) -> None:
    """Raise PassError unless the operand has 8-bit codes."""
    if own.storage_type.bits != 8:
        message = f"TFLite has no softmax from {own.storage_type} to {op.result.type.uniform().storage_type}"
        raise PassError(message, help="keep it in float: --keep-float softmax")


def softmax_of_16_bits(r: Realizer, op: ops.Softmax, precision: type[np.floating]) -> None:
    """Define the softmax of 16-bit codes by interpolated tables of exponentials and reciprocals."""
    check_result(op, 2.0**-15, 0)
    m, s = multiplier_of(step_of(op) / STEP_OF_16_BITS)
    if s < 16:
        message = f"an input scale of {step_of(op):g} is too large for a softmax of 16-bit codes"
        raise PassError(message, help="check the model's quantization")
    exponentials = interpolated_table(np.exp, STEP_OF_16_BITS, 32767, (-1.0, 1.0), precision)
    reciprocals = interpolated_table(lambda x: 1 / (1 + x), 1 / 65535, -32768, (-1.0, 1.0), precision)
    r.define(
        op.result,
        ops.SoftmaxInterpolated,
        r.codes(op.x),
        r.integers(exponentials, f"{op.result.name}_exponentials"),
        r.integers(reciprocals, f"{op.result.name}_reciprocals"),
        axis=op.axis,
        multiplier=m,
        shift=s,
    )

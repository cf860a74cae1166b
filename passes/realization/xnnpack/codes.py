"""QUANTIZE and LEAKY_RELU of the profile `litert-xnn`: 8 fractional bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from qcc.ir import I8, I16, U8, Array, Value, ops

from ...operands import KERNEL
from ..multipliers import multipliers
from ..realizer import Realizer, realizes
from ..rescales import Into, fixed_point
from ..tflite.codes import clamp as reference_clamp
from ..tflite.codes import leaky_relu as reference_leaky_relu
from ..tflite.codes import leaky_relu_of_16_bits, limited_codes, table_of_codes
from ..tflite.codes import requantize as reference_requantize
from .bounds import activation_bounds
from .vectors import by_vectors

#: Fractional bits of multipliers.
_BITS = 8
#: The ratios of scales that they have.
_RATIOS = (2.0**-8, 2.0**7)


def multiplier(ratio: np.floating) -> int:
    """Return RHE(256·ratio)."""
    return int(np.rint(np.float64(ratio) * 2**_BITS))


def is_taken(ratio: np.floating) -> bool:
    """Return whether a ratio of scales has such a multiplier."""
    return _RATIOS[0] <= float(ratio) <= _RATIOS[1]


@realizes(ops.Requantize, profiles=("litert-xnn",))
def requantize(r: Realizer, op: ops.Requantize) -> None:
    """Realize QUANTIZE of 8-bit codes to the same type: `⌊((q − z_x)·μ + 2^7) / 2^8⌋ + z_y`."""
    own, to = op.x.type.uniform(), op.result.type.uniform()
    if (own.storage_type, to.storage_type) == (I8, U8) and op.x.type.size:
        _to_unsigned(r, op)
        return
    ratio = np.float32(own.scale) / np.float32(to.scale)
    if own.storage_type != to.storage_type or own.storage_type not in (I8, U8) or not is_taken(ratio):
        reference_requantize(r, op)
        return
    factor = np.array(multiplier(ratio))
    zero = own.zero_point
    x = r.codes(op.x)
    fixed_point(r, x, factor, np.array(_BITS), Into.of(to), "half_up", input_zero_point=zero, result=op.result)


def _to_unsigned(r: Realizer, op: ops.Requantize) -> None:
    """Define int8 to uint8, which XNNPACK leaves: both roundings go up in vectors of 16, what is left over as usual."""
    own, to = op.x.type.uniform(), op.result.type.uniform()
    m, s = multipliers(np.asarray(np.float64(own.scale) / np.float64(to.scale)))
    into, zero = Into.of(to), own.zero_point

    def rounded(rounding: str) -> Callable[[Value, str], Value]:
        return lambda x, name: fixed_point(r, x, m, s, into, rounding, input_zero_point=zero, name=name)

    by_vectors(r, op.result, r.codes(op.x), 16, rounded("double_up"), rounded("double"))


@realizes(ops.Quantize, profiles=("litert-xnn",))
def quantize(r: Realizer, op: ops.Quantize) -> None:
    """Realize QUANTIZE of real numbers: `RHE(f32(x·f32(1 / s))) + z`.

    XNNPACK leaves 16-bit codes: vectors of 8 are rounded so, what is left over with ties away from zero.
    """

    def rounded(**attributes: Any) -> Callable[[Value, str], Value]:
        def codes(x: Value, name: str) -> Value:
            quantized = r.emit(ops.Quantize, x, name=f"{name}_quantized", to=op.to, notes=op.notes, **attributes)
            return r.emit(ops.StorageCast, quantized, name=name)

        return codes

    x, vector = r.as_quantized(op.x), rounded(by_reciprocal=True)
    if op.to.storage_type in (I8, U8) or not x.type.size:
        r.alias(op.result, vector(x, op.result.name))
    else:
        by_vectors(r, op.result, x, 8, vector, rounded(by_reciprocal=True, rounding="half_away"))


@realizes(ops.Clamp, profiles=("litert-xnn",))
def clamp(r: Realizer, op: ops.Clamp) -> None:
    """Realize the fused activation of a MAX_POOL_2D with XNNPACK's bounds; others are LiteRT's own kernels."""
    own, to = op.x.type.uniform(), op.result.type.uniform()
    if op.note(KERNEL) == "MAX_POOL_2D" and own == to and own.storage_type in (I8, U8):
        limited_codes(r, op, activation_bounds(to, (op.minimum, op.maximum)))
    else:
        reference_clamp(r, op)


@realizes(ops.LeakyRelu, profiles=("litert-xnn",))
def leaky_relu(r: Realizer, op: ops.LeakyRelu) -> None:
    """Realize `⌊((q − z_x)·μ + 2^7) / 2^8⌋ + z_y`, μ of s_x / s_y above zero, of α·s_x / s_y below."""
    own, to = op.x.type.uniform(), op.result.type.uniform()
    above = np.float32(own.scale) / np.float32(to.scale)
    below = above * np.float32(op.alpha)
    taken = own.storage_type == to.storage_type and own.storage_type in (I8, U8) and is_taken(above)
    if own.storage_type == I16:
        leaky_relu_of_16_bits(r, op, signed=True)
        return
    if not taken or not _RATIOS[0] <= abs(float(below)) <= _RATIOS[1]:
        reference_leaky_relu(r, op)
        return

    def function(q: Array) -> Array:
        x = q - own.zero_point
        product = np.where(x >= 0, x * multiplier(above), x * multiplier(below))
        return np.asarray(((product + 2 ** (_BITS - 1)) >> _BITS) + to.zero_point)

    table_of_codes(r, op.result, op.x, function)

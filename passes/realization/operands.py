"""Operands of arithmetic on codes: also constants that stayed real, which such kernels take as codes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qcc.ir import Array, ScalarType, UniformType, Value

from ..nudging import activation_type
from .realizer import Realizer


@dataclass(frozen=True)
class Codes:
    """An operand of arithmetic.

    Attributes:
        value: its integers.
        type: what they mean.
        known: the integers of a constant, else None.
    """

    value: Value
    type: UniformType
    known: Array | None


def real_constant(r: Realizer, value: Value) -> Array | None:
    """Return the real numbers of a constant, dequantized where it is codes; None for what is computed."""
    array = r.module.constant(value)
    if array is None or not value.type.is_quantized:
        return array
    return value.type.uniform().dequantize(array)


def operand_codes(r: Realizer, value: Value, storage: ScalarType, symmetric: bool = False) -> Codes:
    """Return the codes of an operand; a real constant gets the parameters of its own range, of `storage`."""
    real = r.constant(value)
    if real is None:
        return Codes(r.codes(value), value.type.uniform(), r.module.constant(value))
    type = activation_type(float(real.min(initial=0.0)), float(real.max(initial=0.0)), storage, symmetric)
    codes = type.quantize(np.asarray(real, np.float32))
    return Codes(r.integers(codes, f"{value.name}_codes"), type, codes)

"""Changes of scale with multipliers that a rule has formed itself: fixed point, with any rounding, and floats."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qcc.ir import I32, Array, ScalarType, UniformType, Value, ops

from .realizer import Realizer, compact


@dataclass(frozen=True)
class Into:
    """What a change of scale ends in.

    Attributes:
        to: type of the result.
        zero_point: added to the rounded number.
        minimum, maximum: bounds of the result.
    """

    to: ScalarType
    zero_point: int
    minimum: int
    maximum: int

    @classmethod
    def of(cls, type: UniformType, bounds: tuple[int, int] | None = None) -> Into:
        """Return the codes of a quantized type, within bounds."""
        low, high = (type.minimum, type.maximum) if bounds is None else bounds
        return cls(type.storage_type, type.zero_point, low, high)

    def around(self, zero_point: int) -> Into:
        """Return it with another zero point."""
        return replace(self, zero_point=zero_point)


WHOLE = Into(I32, 0, I32.minimum, I32.maximum)
"""A 32-bit integer as it is."""


def fixed_point(
    r: Realizer,
    x: Value,
    multiplier: Array,
    shift: Array,
    into: Into,
    rounding: str,
    *,
    input_zero_point: int = 0,
    result: Value | None = None,
    name: str = "",
) -> Value:
    """Append a `rescale`, of a fresh name or as the codes of the quantized value `result`; return its integers."""
    name = name if result is None else result.name
    factors, places = _alike(multiplier, shift)
    m, s = r.integers(factors, f"{name}_multiplier"), r.integers(places, f"{name}_shift")
    attributes: dict[str, Any] = {
        "to": into.to,
        "input_zero_point": input_zero_point,
        "output_zero_point": into.zero_point,
        "minimum": into.minimum,
        "maximum": into.maximum,
        "rounding": rounding,
    }
    known = r.builder.constant_of(x)
    if result is None and known is not None:
        op = ops.Rescale(operands=(x, m, s), **attributes)
        return r.integers(op.evaluate(known, factors, places), name)
    if result is None:
        return r.emit(ops.Rescale, x, m, s, name=name, **attributes)
    r.define(result, ops.Rescale, x, m, s, **attributes)
    return r.codes(result)


def _alike(multiplier: Array, shift: Array) -> tuple[Array, Array]:
    """Return multipliers and shifts in one shape, a number where each is the same everywhere."""
    m, s = (compact(np.asarray(a, t)) for a, t in ((multiplier, np.int32), (shift, np.int8)))
    m, s = np.broadcast_arrays(m, s)
    return np.ascontiguousarray(m).reshape(m.shape), np.ascontiguousarray(s).reshape(s.shape)


def in_floats(
    r: Realizer,
    x: Value,
    factor: Array,
    into: Into,
    rounding: str,
    *,
    offset: Array | None = None,
    input_zero_point: int = 0,
    result: Value,
) -> Value:
    """Append a `rescale_float` as the codes of the quantized value `result`; the factor's type is the arithmetic's."""
    operands = [x, r.floats(compact(factor), f"{result.name}_factor")]
    if offset is not None:
        operands[1] = r.floats(factor, f"{result.name}_factor")
        operands.append(r.floats(np.broadcast_to(offset, factor.shape).astype(factor.dtype), f"{result.name}_offset"))
    r.define(
        result,
        ops.RescaleFloat,
        *operands,
        to=into.to,
        input_zero_point=input_zero_point,
        output_zero_point=into.zero_point,
        minimum=into.minimum,
        maximum=into.maximum,
        rounding=rounding,
    )
    return r.codes(result)

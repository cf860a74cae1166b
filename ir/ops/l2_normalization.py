"""Division by the Euclidean norm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import IrError
from ..fixed_point import rounding_divide_by_pot
from ..fixed_point_functions import FixedPoint
from ..op import Op, Operand, Stage, register, require_axes, require_real
from ..types import Array, TensorType

#: Longest row of 8-bit codes whose sum of squares fits 31 bits.
LONGEST_NORM = (2**31 - 1) // 255**2


@register
@dataclass(frozen=True, kw_only=True)
class L2Normalize(Op):
    """L2 normalization: `y = x / max(√(Σ x²), epsilon)` along `axis`.

    Attributes:
        axis: along which the norm is taken.
        epsilon: the smallest divisor, positive: a row of zeros gives zeros.
    """

    name = "l2_normalize"
    x = Operand(0)
    axis: int = -1
    epsilon: float = 1e-6

    def infer(self) -> tuple[TensorType, ...]:
        """The shape of x."""
        require_real(self, self.x.type)
        require_axes(self, self.x.type.rank, self.axis)
        if not 0 < self.epsilon < np.inf:
            raise IrError(f"l2_normalize: epsilon must be a positive number, not {self.epsilon}")
        return (self.x.type.with_element(self.x.type.element.expressed),)

    def evaluate(self, x: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return x over its norm, computed in binary64."""
        wide = x.astype(np.float64)
        norm = np.sqrt(np.sum(wide * wide, axis=self.axis, keepdims=True))
        return np.asarray(wide / np.maximum(norm, self.epsilon)).astype(x.dtype)


@register
@dataclass(frozen=True, kw_only=True)
class L2NormalizeFixedPoint(Op):
    """L2 normalization of 8-bit codes in fixed point, along `axis`; results have scale 1/128.

    With `A = Σ (x − input_zero_point)²` and (v, t) its inverse square root as v / 2^(31+t), five Newton-Raphson steps
    in Q3.28 (`FixedPoint.inverse_square_root`):
    `y = clamp(RDPOT(SRDHM((x − input_zero_point)·2^a, v), b) + output_zero_point)`, where a = max(7 − t, 0) and
    b = max(t − 7, 0), or with `shifts_apart` a = 7 and b = t.

    Attributes:
        shifts_apart: the factor 2^7 and the shift by t are not joined, so that small norms are rounded twice.
        axis: along which the norm is taken; at most 33025 elements.
        input_zero_point, output_zero_point: as in the formula.
    """

    name = "l2_normalize_fixed_point"
    stages = frozenset({Stage.INTEGER})
    x = Operand(0, "i8 or u8 codes")
    axis: int = -1
    input_zero_point: int = 0
    output_zero_point: int = 0
    shifts_apart: bool = False

    def infer(self) -> tuple[TensorType, ...]:
        """The type of x."""
        storage = self.x.type.element.storage
        if not self.x.type.element.expressed.is_integer or storage.bits != 8:
            raise IrError(f"l2_normalize_fixed_point takes 8-bit codes, not {self.x.type}")
        require_axes(self, self.x.type.rank, self.axis)
        if self.x.type.shape[self.axis] > LONGEST_NORM:
            found = self.x.type.shape[self.axis]
            raise IrError(f"l2_normalize_fixed_point: a row of {found} elements, at most {LONGEST_NORM}")
        for zero_point in (self.input_zero_point, self.output_zero_point):
            if not storage.minimum <= zero_point <= storage.maximum:
                raise IrError(f"l2_normalize_fixed_point: the zero point {zero_point} leaves {storage}")
        return (self.x.type,)

    def evaluate(self, x: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return the codes."""
        numbers = FixedPoint()
        wide = x.astype(np.int64) - self.input_zero_point
        root, shift = numbers.inverse_square_root(np.sum(wide * wide, axis=self.axis, keepdims=True))
        before, after = (7, shift) if self.shifts_apart else (np.maximum(7 - shift, 0), np.maximum(shift - 7, 0))
        scaled = numbers.high(wide * (np.int64(1) << before), root)
        y = rounding_divide_by_pot(scaled, after) + self.output_zero_point
        limits = np.iinfo(x.dtype)
        return np.asarray(np.clip(y, limits.min, limits.max).astype(x.dtype))

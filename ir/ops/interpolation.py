"""Bilinear interpolation of images of codes, rounded once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import IrError
from ..op import Op, Operand, Stage, register
from ..types import F32, I16, I32, Array, TensorType
from ..value import Value

ROUNDINGS = ("half_up", "half_away")
#: Bits of a weight's fraction, at most: four neighbours of 16 bits times two weights fit 64 bits.
LARGEST_FRACTION = 14


@register
@dataclass(frozen=True, kw_only=True)
class Interpolate(Op):
    """Bilinear interpolation: each result is the weighted mean of four elements of an N×H×W×C tensor, rounded once.

    With a = x[n, rows[0,i], columns[0,j], c] (and b, c, d at rows[1,i] or columns[1,j]), u = row_weights[i] and
    v = column_weights[j] the weights of the second neighbours, and one = 2^fraction_bits:
    `y[n,i,j,c] = clamp(round((a·(one−u)·(one−v) + b·u·(one−v) + c·(one−u)·v + d·u·v) / one²))`.

    Where the weights are binary32 numbers (one = 1), each product and each sum, from the left, is rounded to
    binary32, and `y = clamp(trunc(sum + 1/2))`.

    Attributes:
        fraction_bits: of the weights, 1 … 14; not used for binary32.
        rounding: `half_up` or `half_away`; not used for binary32.
    """

    name = "interpolate"
    stages = frozenset({Stage.INTEGER})
    x = Operand(0, "N×H×W×C")
    rows = Operand(1, "2×H' i32")
    row_weights = Operand(2, "H', i16 or f32")
    columns = Operand(3, "2×W' i32")
    column_weights = Operand(4, "W', i16 or f32")
    fraction_bits: int = 10
    rounding: str = "half_up"

    @property
    def exact_floats(self) -> bool:  # type: ignore[override]  # not of the class: a fact of the weights' type
        """Whether it computes with floats."""
        return self.is_real

    @property
    def is_real(self) -> bool:
        """Whether the weights are binary32 numbers."""
        return self.row_weights.type.element == F32

    def infer(self) -> tuple[TensorType, ...]:
        """N×H'×W'×C."""
        x = self.x.type
        if x.rank != 4 or not x.element.expressed.is_integer or x.element.storage.bits > 16:
            raise IrError(f"interpolate takes N×H×W×C codes of at most 16 bits, not {x}")
        sizes = [self._size(self.rows, self.row_weights), self._size(self.columns, self.column_weights)]
        if self.row_weights.type.element != self.column_weights.type.element:
            raise IrError("interpolate: weights of rows and of columns differ in type")
        if self.rounding not in ROUNDINGS:
            raise IrError(f"interpolate: no rounding {self.rounding!r}", help="one of: " + ", ".join(ROUNDINGS))
        if not 1 <= self.fraction_bits <= LARGEST_FRACTION:
            raise IrError(f"interpolate: {self.fraction_bits} fraction bits, should be 1 … {LARGEST_FRACTION}")
        return (TensorType((x.shape[0], *sizes, x.shape[3]), x.element.storage),)

    def _size(self, places: Value, weights: Value) -> int:
        """Return how many places there are along one axis."""
        shape = places.type.shape
        fits = len(shape) == 2 and shape[0] == 2 and weights.type.shape == shape[1:]
        if not fits or places.type.element != I32 or weights.type.element not in (I16, F32):
            raise IrError(f"interpolate: places {places.type} and weights {weights.type} do not fit each other")
        return shape[1]

    def evaluate(  # type: ignore[override]  # operands by name
        self, x: Array, rows: Array, row_weights: Array, columns: Array, column_weights: Array
    ) -> Array:
        """Return the interpolated codes."""
        for places, size in ((rows, x.shape[1]), (columns, x.shape[2])):
            if np.any((places < 0) | (places >= size)):
                raise IrError(f"interpolate: a place lies outside 0 … {size - 1}")
        u, v = row_weights[:, None, None], column_weights[None, :, None]
        corners = [np.take(np.take(x, rows[i], axis=1), columns[j], axis=2) for j in (0, 1) for i in (0, 1)]
        limits = np.iinfo(x.dtype)
        if self.is_real:
            one, total = np.float32(1), np.float32(0)
            shares = ((one - u, one - v), (u, one - v), (one - u, v), (u, v))
            for corner, (row, column) in zip(corners, shares, strict=True):
                total = total + corner.astype(np.float32) * row * column
            whole = np.trunc(total + np.float32(0.5)).astype(np.int64)
            return np.asarray(np.clip(whole, limits.min, limits.max).astype(x.dtype))
        whole = self._weighted(corners, u.astype(np.int64), v.astype(np.int64))
        return np.asarray(np.clip(whole, limits.min, limits.max).astype(x.dtype))

    def _weighted(self, corners: list[Array], u: Array, v: Array) -> Array:
        """Return the integer weighted means, rounded."""
        a, b, c, d = (corner.astype(np.int64) for corner in corners)
        one = 1 << self.fraction_bits
        total = (a * (one - u) + b * u) * (one - v) + (c * (one - u) + d * u) * v
        half = 1 << (2 * self.fraction_bits - 1)
        away = (total < 0) if self.rounding == "half_away" else 0
        return np.asarray((total + half - away) >> (2 * self.fraction_bits))

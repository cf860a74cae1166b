"""Softmax: of real numbers, and of codes by a table of exponentials."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import IrError
from ..op import REAL_STAGES, Op, Operand, Stage, register, require_axes, require_real
from ..types import I32, Array, TensorType


@register
@dataclass(frozen=True, kw_only=True)
class Softmax(Op):
    """Softmax: `y = e / Σ e` with `e = exp(beta · (x − max x))`, along `axis`.

    Attributes:
        axis: where the probabilities sum to one.
        beta: factor of the exponents, positive.
    """

    name = "softmax"
    stages = REAL_STAGES
    x = Operand(0)
    axis: int = -1
    beta: float = 1.0

    def infer(self) -> tuple[TensorType, ...]:
        """The shape of x."""
        require_real(self, self.x.type)
        require_axes(self, self.x.type.rank, self.axis)
        if not 0 < self.beta < np.inf:
            raise IrError(f"softmax: beta must be a positive number, not {self.beta}")
        return (self.x.type.with_element(self.x.type.element.expressed),)

    def evaluate(self, x: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return the softmax, computed in binary64."""
        with np.errstate(invalid="ignore"):
            distance = x.astype(np.float64) - np.max(x, axis=self.axis, keepdims=True, initial=-np.inf)
            e = np.exp(self.beta * distance)
            return np.asarray(e / np.sum(e, axis=self.axis, keepdims=True)).astype(x.dtype)


@register
@dataclass(frozen=True, kw_only=True)
class SoftmaxTable(Op):
    """Integer softmax by a table of exponentials, along `axis`.

    With `e[i] = table[max x − x[i]]` (256 entries, e[0] > 0, non-negative) and `S = Σ e`:
    `y[i] = clamp(⌊(e[i]·levels·2 + S) / (2·S)⌋ + output_zero_point)` to the codes of the type of x: probability ·
    levels rounded half up, in 64-bit arithmetic.

    Attributes:
        axis: where the probabilities sum to one.
        levels: codes that stand for probability 1 (256 for scale 1/256).
        output_zero_point: code of probability 0.
    """

    name = "softmax_table"
    stages = frozenset({Stage.INTEGER})
    x = Operand(0, "i8 or u8 codes")
    table = Operand(1, "256 × i32")
    axis: int = -1
    levels: int = 256
    output_zero_point: int = -128

    def infer(self) -> tuple[TensorType, ...]:
        """The type of x."""
        if self.x.type.element.storage.bits != 8 or self.table.type != TensorType((256,), I32):
            raise IrError(f"softmax_table takes 8-bit codes and a table of 256 × i32, not {self.x.type}")
        require_axes(self, self.x.type.rank, self.axis)
        if not 1 <= self.levels <= 1 << 16:
            raise IrError(f"softmax_table: {self.levels} levels, should be 1 … 65536")
        return (self.x.type,)

    def evaluate(self, x: Array, table: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return the codes of the probabilities."""
        if table[0] < 1 or np.min(table) < 0:
            raise IrError("softmax_table: the table must not be negative, and its first entry at least 1")
        wide = x.astype(np.int64)
        distance = np.max(wide, axis=self.axis, keepdims=True, initial=np.iinfo(x.dtype).min) - wide
        e = table.astype(np.int64)[distance]
        total = e.sum(axis=self.axis, keepdims=True)
        codes = (e * (2 * self.levels) + total) // (2 * total) + self.output_zero_point
        limits = np.iinfo(x.dtype)
        return np.asarray(np.clip(codes, limits.min, limits.max).astype(x.dtype))

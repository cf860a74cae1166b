"""Operations over channels: batch norm, PReLU, softmax."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import IrError
from ..op import REAL_STAGES, Op, Operand, Stage, register, require_axes, require_real
from ..types import I32, Array, TensorType
from .elementwise import broadcast


@register
@dataclass(frozen=True, kw_only=True)
class BatchNorm(Op):
    """Batch normalization: `y = (x − mean) / √(variance + epsilon) · scale + offset`, per channel along `axis`."""

    name = "batch_norm"
    x = Operand(0)
    scale = Operand(1, "C")
    offset = Operand(2, "C")
    mean = Operand(3, "C")
    variance = Operand(4, "C")
    epsilon: float = 1e-5
    axis: int = -1

    def infer(self) -> tuple[TensorType, ...]:
        """The shape of x."""
        x = self.x.type
        require_real(self, *(v.type for v in self.operands))
        require_axes(self, x.rank, self.axis)
        for value in self.operands[1:]:
            if value.type.shape != (x.shape[self.axis],):
                raise IrError(f"batch_norm: %{value.name} has shape {list(value.type.shape)}, x {list(x.shape)}")
        return (x.with_element(x.element.expressed),)

    def multiplier_and_offset(self, scale: Array, offset: Array, mean: Array, variance: Array) -> tuple[Array, Array]:
        """Return (m, c), binary64, with y = x·m + c."""
        with np.errstate(invalid="ignore", divide="ignore"):
            m = scale.astype(np.float64) / np.sqrt(variance.astype(np.float64) + self.epsilon)
            return m, offset - mean * m

    def evaluate(  # type: ignore[override]  # operands by name
        self, x: Array, scale: Array, offset: Array, mean: Array, variance: Array
    ) -> Array:
        """Return x·m + c."""
        view = [1] * x.ndim
        view[self.axis] = -1
        m, c = self.multiplier_and_offset(scale, offset, mean, variance)
        return np.asarray((x * m.reshape(view) + c.reshape(view)).astype(x.dtype))


@register
@dataclass(frozen=True, kw_only=True)
class Prelu(Op):
    """Parametric ReLU: `y = x if x ≥ 0 else slope · x`; slope broadcasts against x."""

    name = "prelu"
    elementwise = True
    x = Operand(0)
    slope = Operand(1)

    def infer(self) -> tuple[TensorType, ...]:
        """The shape of x."""
        require_real(self, self.x.type, self.slope.type)
        if broadcast(self, self.x.type, self.slope.type) != self.x.type.shape:
            raise IrError(f"prelu: slope {list(self.slope.type.shape)} does not broadcast to {self.x.type}")
        return (self.x.type.with_element(self.x.type.element.expressed),)

    def evaluate(self, x: Array, slope: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return PReLU."""
        return np.where(x >= 0, x, slope * x).astype(x.dtype)


@register
@dataclass(frozen=True, kw_only=True)
class Softmax(Op):
    """Softmax: `y = exp(x − max x) / Σ exp(x − max x)` along `axis`."""

    name = "softmax"
    stages = REAL_STAGES
    x = Operand(0)
    axis: int = -1

    def infer(self) -> tuple[TensorType, ...]:
        """The shape of x."""
        require_real(self, self.x.type)
        require_axes(self, self.x.type.rank, self.axis)
        return (self.x.type.with_element(self.x.type.element.expressed),)

    def evaluate(self, x: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return the softmax, computed in binary64."""
        with np.errstate(invalid="ignore"):
            e = np.exp(x.astype(np.float64) - np.max(x, axis=self.axis, keepdims=True, initial=-np.inf))
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

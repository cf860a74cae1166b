"""Reductions along axes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import IrError
from ..op import ANY_STAGE, REAL_STAGES, Op, Operand, register, require_axes
from ..types import I32, I64, Array, CodebookType, Shape, TensorType, UniformType


def reduced_shape(op: Op, x: TensorType, axes: tuple[int, ...], keep_dims: bool) -> Shape:
    """Return the shape of x with `axes` reduced to 1 or dropped; an IrError if an axis is out of range."""
    require_axes(op, x.rank, *axes)
    chosen = {a % x.rank for a in axes}
    kept = [(1 if a in chosen else d, a in chosen) for a, d in enumerate(x.shape)]
    return tuple(d for d, reduced in kept if keep_dims or not reduced)


@dataclass(frozen=True, kw_only=True)
class Reduction(Op):
    """Base of reductions.

    Attributes:
        axes: axes that are reduced, negative ones counted from the end.
        keep_dims: keep the axes, with size 1.
    """

    x = Operand(0)
    axes: tuple[int, ...]
    keep_dims: bool = True

    def infer(self) -> tuple[TensorType, ...]:
        """X with the axes reduced."""
        x = self.x.type
        return (TensorType(reduced_shape(self, x, self.axes, self.keep_dims), x.element.expressed),)


@register
@dataclass(frozen=True, kw_only=True)
class ReduceMean(Reduction):
    """Mean along axes: `y = Σ x / n`."""

    name = "reduce_mean"
    stages = REAL_STAGES

    def evaluate(self, x: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return the means."""
        return np.asarray(np.mean(x, axis=self.axes, keepdims=self.keep_dims, dtype=np.float64)).astype(x.dtype)


@register
@dataclass(frozen=True, kw_only=True)
class ReduceSum(Reduction):
    """Sum along axes: `y = Σ (x − input_zero_point)`; integer stage: 8-bit codes to i32."""

    name = "reduce_sum"
    stages = ANY_STAGE
    input_zero_point: int = 0

    def infer(self) -> tuple[TensorType, ...]:
        """X with the axes reduced; plain integers of fewer than 32 bits sum to i32."""
        (t,) = super().infer()
        if t.element.expressed.is_float and self.input_zero_point:
            raise IrError("reduce_sum of real numbers has no zero point", help="it belongs to the integer stage")
        narrow = t.element.expressed.is_integer and t.element.expressed.bits < 32
        return (t.with_element(I32) if narrow else t,)

    def evaluate(self, x: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return the sums."""
        wide = x.astype(np.float64 if x.dtype.kind == "f" else np.int64) - self.input_zero_point
        total = np.asarray(np.sum(wide, axis=self.axes, keepdims=self.keep_dims))
        return total.astype(x.dtype if x.dtype.kind == "f" else self.result.type.element.storage.dtype)


@register
@dataclass(frozen=True, kw_only=True)
class ReduceMax(Reduction):
    """Largest element along axes: `y = max x`."""

    name = "reduce_max"
    stages = ANY_STAGE
    shares_parameters = True
    rounds_once = True

    def evaluate(self, x: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return the maxima."""
        return np.asarray(np.max(x, axis=self.axes, keepdims=self.keep_dims))


@register
@dataclass(frozen=True, kw_only=True)
class ReduceMin(Reduction):
    """Smallest element along axes: `y = min x`."""

    name = "reduce_min"
    stages = ANY_STAGE
    shares_parameters = True
    rounds_once = True

    def evaluate(self, x: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return the minima."""
        return np.asarray(np.min(x, axis=self.axes, keepdims=self.keep_dims))


@register
@dataclass(frozen=True, kw_only=True)
class ArgMax(Op):
    """Index of the largest element along `axis`, the first of equals (the last with `select_last`), as i64.

    Attributes:
        axis: negative ones are counted from the end.
        keep_dims: keep the axis, with size 1.
        select_last: of equals, take the last.
    """

    name = "argmax"
    stages = ANY_STAGE
    reads_codes = True
    x = Operand(0)
    axis: int
    keep_dims: bool = True
    select_last: bool = False

    def infer(self) -> tuple[TensorType, ...]:
        """X with the axis reduced, of i64."""
        element = self.x.type.element
        if isinstance(element, CodebookType) or (isinstance(element, UniformType) and element.per_axis):
            raise IrError(f"argmax can't compare codes of {element}")
        return (TensorType(reduced_shape(self, self.x.type, (self.axis,), self.keep_dims), I64),)

    def evaluate(self, x: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return the indices."""
        if not self.select_last:
            return np.asarray(np.argmax(x, axis=self.axis, keepdims=self.keep_dims)).astype(np.int64)
        index = x.shape[self.axis] - 1 - np.argmax(np.flip(x, self.axis), axis=self.axis, keepdims=self.keep_dims)
        return np.asarray(index).astype(np.int64)

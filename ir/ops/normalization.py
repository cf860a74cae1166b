"""Operations over channels: batch norm and PReLU."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import IrError
from ..op import Op, Operand, register, require_axes, require_real
from ..types import Array, TensorType
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

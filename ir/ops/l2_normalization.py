"""Division by the Euclidean norm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import IrError
from ..op import Op, Operand, register, require_axes, require_real
from ..types import Array, TensorType


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

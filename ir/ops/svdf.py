"""SVDF: a layer whose filters have rank one in features and time, with a memory of what it saw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import IrError
from ..op import REAL_STAGES, Op, Operand, OptionalOperand, register, require_real
from ..types import Array, TensorType


@register
@dataclass(frozen=True, kw_only=True)
class Svdf(Op):
    """Rank-one filters over time: `s' = [s[1:], x·Wfᵀ]` for each filter, `y[u] = Σ (s'·wt) over u's filters + b[u]`.

    Source: Nakkiran et al. 2015, "Compressing deep neural networks using a rank-constrained topology".

    Attributes:
        rank: filters that are summed to one unit of the result.
        clamp: bounds of a fused activation.
    """

    name = "svdf"
    stages = REAL_STAGES
    x = Operand(0, "B×I")
    feature_weight = Operand(1, "F×I")
    time_weight = Operand(2, "F×M, for a memory of M runs, the newest last")
    state = Operand(3, "B×(F·M), what the filters gave in the last M runs")
    bias = OptionalOperand(4, "F/rank")
    rank: int
    clamp: tuple[float, float] | None = None

    def infer(self) -> tuple[TensorType, ...]:
        """The result B×(F/rank), and what the state becomes."""
        x, feature, time, state = (v.type for v in self.operands[:4])
        require_real(self, *(v.type for v in self.operands))
        if x.rank != 2 or feature.rank != 2 or time.rank != 2 or self.rank < 1:
            raise IrError(f"svdf takes matrices and a positive rank, not {x}, {feature}, {time}, {self.rank}")
        filters, memory = time.shape
        fits = feature.shape == (filters, x.shape[1]) and state.shape == (x.shape[0], filters * memory)
        if not fits or not memory or filters % self.rank:
            raise IrError(f"svdf: {x}, {feature}, {time} and the state {state} do not fit rank {self.rank}")
        if self.bias is not None and self.bias.type.shape != (filters // self.rank,):
            raise IrError(f"svdf: a bias of {list(self.bias.type.shape)}, should be [{filters // self.rank}]")
        expressed = x.element.expressed
        return TensorType((x.shape[0], filters // self.rank), expressed), TensorType(state.shape, expressed)

    def evaluate(  # type: ignore[override]  # operands by name
        self, x: Array, feature: Array, time: Array, state: Array, bias: Array | None = None
    ) -> tuple[Array, Array]:
        """Return the result and what the state becomes."""
        (batch, _), (filters, memory) = x.shape, time.shape
        old = state.reshape(batch, filters, memory)
        new = np.concatenate([old[:, :, 1:], (x @ feature.T)[:, :, None]], axis=2).astype(x.dtype)
        y = (new * time).reshape(batch, filters // self.rank, -1).sum(axis=2)
        y = y if bias is None else y + bias
        return (y if self.clamp is None else np.clip(y, *self.clamp)).astype(x.dtype), new.reshape(state.shape)

"""Matrix products, and the exact arithmetic that all sums of products share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import IrError
from ..op import ANY_STAGE, Cost, Op, Operand, OptionalOperand, common_expressed, register
from ..types import I32, Array, ScalarType, TensorType


def exact_dtype(x: Array, w: Array, depth: int) -> np.dtype[Any]:
    """Return the float type in which Σ x·w over `depth` terms is exact for integers; float32 for float operands.

    An integer product sum is exact in binary32 below 2^24 and in binary64 below 2^53.
    """
    if x.dtype.kind == "f" or w.dtype.kind == "f":
        return np.dtype(np.float64) if x.dtype == np.float64 else np.dtype(np.float32)
    bound = depth * 2.0 ** (8 * x.dtype.itemsize) * 2.0 ** (8 * w.dtype.itemsize)
    return np.dtype(np.float32) if bound <= 2**24 else np.dtype(np.float64)


def finish(
    y: Array, bias: Array | None, clamp: tuple[float, float] | None, real: bool, accumulator: ScalarType
) -> Array:
    """Add the bias and limit real results, or convert an exact integer sum to the accumulator type (wrapping)."""
    if real:
        y = y if bias is None else y + bias.astype(y.dtype)
        return y if clamp is None else np.clip(y, *clamp).astype(y.dtype)
    total = y.astype(np.int64)
    total = total if bias is None else total + bias.astype(np.int64)
    return total.astype(accumulator.dtype)


@register
@dataclass(frozen=True, kw_only=True)
class Matmul(Op):
    """Matrix product over the last two axes, NumPy broadcasting before: `y = (a − za)·(b − zb) + bias`.

    A fully connected layer is `matmul(x, weight, bias)` with weights K×N.

    Attributes:
        clamp: bounds of a fused activation (real stages).
        input_zero_point, weight_zero_point: za and zb, integer stage only.
        accumulator: integer type of the sum.
    """

    name = "matmul"
    stages = ANY_STAGE
    fusable_clamp = True
    x = Operand(0, "…×M×K")
    weight = Operand(1, "…×K×N")
    bias = OptionalOperand(2, "bias N")
    clamp: tuple[float, float] | None = None
    input_zero_point: int = 0
    weight_zero_point: int = 0
    accumulator: ScalarType = I32

    def infer(self) -> tuple[TensorType, ...]:
        """…×M×N."""
        a, b = self.x.type, self.weight.type
        if a.rank < 2 or b.rank < 2 or a.shape[-1] != b.shape[-2]:
            raise IrError(f"matmul: {list(a.shape)} and {list(b.shape)} do not fit")
        if self.bias is not None and self.bias.type.shape != (b.shape[-1],):
            raise IrError(f"matmul: bias of shape {list(self.bias.type.shape)}, should be [{b.shape[-1]}]")
        try:
            batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        except ValueError as error:
            raise IrError(f"matmul: batch shapes {a.shape[:-2]} and {b.shape[:-2]} do not broadcast") from error
        integer = a.element.expressed.is_integer and b.element.expressed.is_integer
        element = self.accumulator if integer else common_expressed(a, b)
        return (TensorType((*batch, a.shape[-2], b.shape[-1]), element),)

    def evaluate(self, a: Array, b: Array, bias: Array | None = None) -> Array:  # type: ignore[override]  # operands by name
        """The product in float32, or exact integers through floating-point BLAS."""
        dtype = exact_dtype(a, b, a.shape[-1])
        za, zb = dtype.type(self.input_zero_point), dtype.type(self.weight_zero_point)
        y = (a.astype(dtype) - za) @ (b.astype(dtype) - zb)
        return finish(y, bias, self.clamp, a.dtype.kind == "f", self.accumulator)

    def cost(self) -> Cost:
        """M·N·K multiply-accumulates for each batch."""
        return Cost(self.result.type.size * self.x.type.shape[-1], super().cost().bytes)

"""Matrix products, and the exact arithmetic that all sums of products share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import IrError
from ..op import ANY_STAGE, Cost, Op, Operand, OptionalOperand, common_expressed, register
from ..types import I32, Array, ScalarType, TensorType


def widened(x: Array, w: Array, zero_points: tuple[int, int], axes: tuple[int, ...]) -> tuple[Array, Array]:
    """Return x − zx and w − zw in a type in which every sum of their products over `axes` of w is exact.

    Sums of integers are exact in binary32 below 2^24 and in binary64 below 2^53: the bound is the largest Σ |w − zw|
    of one output times the largest |x − zx| of the type of x. Beyond, 64-bit integers wrap. Floats stay as they are.
    """
    if x.dtype.kind == "f":
        real: Any = np.float64 if x.dtype == np.float64 else np.float32
        return x.astype(real, copy=False), w.astype(real, copy=False)
    bits, low = 8 * x.dtype.itemsize, 0 if x.dtype.kind == "u" else -(1 << (8 * x.dtype.itemsize - 1))
    largest = max(abs(low - zero_points[0]), abs(low + (1 << bits) - 1 - zero_points[0]))
    narrow: Any = np.float32 if w.dtype.itemsize <= 2 and abs(zero_points[1]) < 1 << 16 else np.int64
    weights = w.astype(narrow)
    weights -= narrow(zero_points[1])
    total = float(np.max(np.sum(np.abs(weights), axis=axes, dtype=np.float64), initial=0.0))
    dtype: Any = np.float32 if total * largest <= 2**24 else np.float64 if total * largest <= 2**53 else np.int64
    values = x.astype(dtype)
    values -= dtype(zero_points[0])
    return values, weights.astype(dtype, copy=False)


def finish(
    y: Array, bias: Array | None, clamp: tuple[float, float] | None, real: bool, accumulator: ScalarType
) -> Array:
    """Add the bias and limit real results, or convert an exact integer sum to the accumulator type (wrapping)."""
    if real:
        y = y if bias is None else y + bias.astype(y.dtype)
        return y if clamp is None else np.clip(y, *clamp).astype(y.dtype)
    total = y.astype(np.int32 if y.dtype == np.float32 else np.int64)  # exact: float32 holds sums below 2^24 only
    if bias is not None:
        total = total.astype(np.result_type(total, bias), copy=False) + bias
    return total.astype(accumulator.dtype, copy=False)


def check_product(
    op: Op,
    bias: TensorType | None,
    clamp: tuple[float, float] | None,
    zero_points: tuple[int, int],
    accumulator: ScalarType,
) -> ScalarType:
    """Return the element type of a sum of products: the expressed float, or the accumulator for plain integers.

    Raises:
        IrError: where the bias is of another kind, or an attribute belongs to another stage.
    """
    x, w = op.operands[0].type, op.operands[1].type
    integer = x.element.expressed.is_integer and w.element.expressed.is_integer
    element = accumulator if integer else common_expressed(x, w)
    if integer and (clamp is not None or not accumulator.is_integer or accumulator.bits < 16):
        raise IrError(f"{op.name} of integers needs an integer accumulator of 16 bits or more, and no clamp")
    if not integer and any(zero_points):
        raise IrError(f"{op.name} of real numbers has no zero points", help="they belong to the integer stage")
    if bias is not None and bias.element.expressed.kind != element.kind:
        raise IrError(f"{op.name}: a bias of {bias.element} does not fit sums of {element}")
    check_clamp(op, clamp)
    return element


def check_clamp(op: Op, clamp: tuple[float, float] | None) -> None:
    """Raise IrError where the bounds of a fused activation are in the wrong order."""
    if clamp is not None and not clamp[0] <= clamp[1]:
        raise IrError(f"{op.name}: the clamp [{clamp[0]}, {clamp[1]}] has its minimum above its maximum")


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
        zero_points = (self.input_zero_point, self.weight_zero_point)
        bias = self.bias.type if self.bias is not None else None
        element = check_product(self, bias, self.clamp, zero_points, self.accumulator)
        return (TensorType((*batch, a.shape[-2], b.shape[-1]), element),)

    def evaluate(self, a: Array, b: Array, bias: Array | None = None) -> Array:  # type: ignore[override]  # operands by name
        """The product in float32, or exact integers through floating-point BLAS."""
        x, w = widened(a, b, (self.input_zero_point, self.weight_zero_point), (-2,))
        return finish(x @ w, bias, self.clamp, a.dtype.kind == "f", self.accumulator)

    def cost(self) -> Cost:
        """M·N·K multiply-accumulates for each batch."""
        return Cost(self.result.type.size * self.x.type.shape[-1], super().cost().bytes)

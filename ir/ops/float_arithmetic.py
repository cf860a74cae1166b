"""Arithmetic on codes in binary32 whose bits are defined, as ONNX Runtime's kernels compute: sums and means."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import IrError
from ..float_rounding import fused_multiply_add
from ..op import Op, Operand, Stage, register
from ..types import F32, Array, ScalarType, TensorType, UniformType
from .elementwise import broadcast
from .pool import Pool
from .rescaling import check_bounds, check_finite

#: Of the codes of a mean: 2^16 of them, each below 2^17 steps, add up to a finite binary32 number.
LARGEST_SCALE = 2.0**94


@register
@dataclass(frozen=True, kw_only=True)
class SumFloat(Op):
    """Sum of codes in binary32: `y = clamp(RHE(fma(a, factor_a, fma(b, factor_b, offset))))`.

    fma rounds product and sum together, once. Zero points are part of the offset; factors and offset are finite.

    Attributes:
        to: type of the result, of at most 16 bits.
        minimum, maximum: bounds of the result, both within `to`.
    """

    name = "sum_float"
    stages = frozenset({Stage.INTEGER})
    elementwise = True
    exact_floats = True
    a = Operand(0, "codes")
    b = Operand(1, "codes")
    factor_a = Operand(2, "f32")
    factor_b = Operand(3, "f32")
    offset = Operand(4, "f32")
    to: ScalarType
    minimum: int
    maximum: int

    def infer(self) -> tuple[TensorType, ...]:
        """The broadcast shape over `to`."""
        for value in (self.a, self.b):
            element = value.type.element.expressed
            if not element.is_integer or element.bits > 16:
                raise IrError(f"sum_float takes integers of at most 16 bits, not {value.type}")
        for value in (self.factor_a, self.factor_b, self.offset):
            if value.type != TensorType((), F32):
                raise IrError(f"sum_float: %{value.name} is {value.type}, should be tensor<f32>")
        if not self.to.is_integer or self.to.bits > 16:
            raise IrError(f"sum_float gives integers of at most 16 bits, not {self.to}")
        check_bounds(self, self.to, self.minimum, self.maximum)
        return (TensorType(broadcast(self, self.a.type, self.b.type), self.to),)

    def evaluate(self, a: Array, b: Array, factor_a: Array, factor_b: Array, offset: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return the codes of the sum."""
        check_finite(self, factor_a, factor_b, offset)
        inner = fused_multiply_add(b.astype(np.float32), factor_b, offset)
        total = fused_multiply_add(a.astype(np.float32), factor_a, inner)
        return np.clip(np.rint(total), self.minimum, self.maximum).astype(self.to.dtype)


@register
@dataclass(frozen=True, kw_only=True)
class AvgPoolFloat(Pool):
    """Mean of each window of codes in binary32: `y = clamp(RHE(Σ f(scale·(x − z)) / n / scale' + z'))`.

    Each step is rounded to binary32; the sum goes row by row through the taps inside the image.

    Attributes:
        source: how the codes of x stand for real numbers, per tensor.
        to: how those of the result do.
        minimum, maximum: bounds of the result's codes.
        count_include_pad: padding counts as elements of value 0.
    """

    name = "avg_pool_float"
    stages = frozenset({Stage.INTEGER})
    exact_floats = True
    source: UniformType
    to: UniformType
    minimum: int
    maximum: int
    count_include_pad: bool = False

    def infer(self) -> tuple[TensorType, ...]:
        """N×H'×W'×C of the storage type of `to`."""
        if self.x.type.element != self.source.storage_type or self.source.per_axis or self.to.per_axis:
            raise IrError(f"avg_pool_float: {self.source} does not say what {self.x.type} stands for")
        if max(self.source.storage_type.bits, self.to.storage_type.bits) > 16:
            raise IrError("avg_pool_float takes and gives codes of at most 16 bits")
        if self.source.scale > LARGEST_SCALE:
            raise IrError(f"avg_pool_float: sums of codes of scale {self.source.scale:g} overflow")
        check_bounds(self, self.to, self.minimum, self.maximum)
        return (super().infer()[0].with_element(self.to.storage_type),)

    def divisors(self) -> Array:
        """Return n for each output, H'×W'×1, binary32."""
        return self.tap_counts(self.count_include_pad).astype(np.float32)

    def evaluate(self, x: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return the codes of the means."""
        total = self.window_sum(self.source.dequantize(x))
        mean = total / self.divisors() / np.float32(self.to.scale) + np.float32(self.to.zero_point)
        return np.clip(np.rint(mean), self.minimum, self.maximum).astype(self.to.storage_type.dtype)

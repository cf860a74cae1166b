"""Pooling over windows of an N×H×W×C tensor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import IrError
from ..op import ANY_STAGE, REAL_STAGES, Operand, Stage, register, require_real
from ..types import I32, Array, TensorType
from .convolution import SlidingWindow
from .linear import check_clamp


@dataclass(frozen=True, kw_only=True)
class Pool(SlidingWindow):
    """Base of pools.

    Attributes:
        kernel: window height and width.
    """

    x = Operand(0, "N×H×W×C")
    kernel: tuple[int, int]

    def infer(self) -> tuple[TensorType, ...]:
        """N×H'×W'×C."""
        x = self.x.type
        height, width = self.window_shape(x, self.kernel)
        if not all(np.all(self.axis_counts(axis)) for axis in (0, 1)):
            raise IrError(f"{self.name}: a window lies in the padding only", help="make the padding smaller")
        return (TensorType((x.shape[0], height, width, x.shape[3]), x.element.expressed),)

    def axis_counts(self, axis: int) -> Array:
        """Return how many taps of each window lie inside the image along y (0) or x (1), int64."""
        size = self.window_shape(self.x.type, self.kernel)[axis]
        first = np.arange(size) * self.strides[axis] - self.padding[2 * axis]
        # tap k lies inside where 0 ≤ first + k·dilation < rows: from ⌈−first / d⌉ up to ⌈(rows − first) / d⌉
        bounds = (-(first // self.dilation[axis]), -((first - self.x.type.shape[1 + axis]) // self.dilation[axis]))
        begin, end = (np.clip(bound, 0, self.kernel[axis]) for bound in bounds)
        return np.asarray(end - begin)

    def window_sum(self, x: Array) -> Array:
        """Return the sum of each window; padding counts as 0."""
        size = self.window_shape(self.x.type, self.kernel)
        total = np.zeros((x.shape[0], *size, x.shape[3]), x.dtype)
        for _, _, view in self.taps(self.pad(x, 0), self.kernel, size):
            total += view
        return total

    def tap_counts(self, include_pad: bool) -> Array:
        """Return how many taps of each window lie inside the image, or with the padding all of them: H'×W'×1, int64."""
        counts = np.asarray(self.axis_counts(0)[:, None, None] * self.axis_counts(1)[None, :, None])
        return np.full_like(counts, self.kernel[0] * self.kernel[1]) if include_pad else counts


@register
@dataclass(frozen=True, kw_only=True)
class MaxPool2d(Pool):
    """Largest element of each window; padding never wins: `y[n,i,j,c] = max x[n, i·s+ky·d−p, j·s+kx·d−p, c]`."""

    name = "max_pool2d"
    stages = ANY_STAGE
    shares_parameters = True
    rounds_once = True

    def evaluate(self, x: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return the maxima."""
        lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
        size = self.window_shape(self.x.type, self.kernel)
        views = [view for _, _, view in self.taps(self.pad(x, lowest), self.kernel, size)]
        result = views[0].copy()
        for view in views[1:]:
            np.maximum(result, view, out=result)
        return result


@register
@dataclass(frozen=True, kw_only=True)
class AvgPool2d(Pool):
    """Mean of each window: `y = Σ x / n`, n the taps inside the image, or all taps with `count_include_pad`.

    Attributes:
        count_include_pad: padding counts as elements of value 0.
        clamp: bounds of a fused activation (real stages).
    """

    name = "avg_pool2d"
    stages = REAL_STAGES
    fusable_clamp = True
    count_include_pad: bool = False
    clamp: tuple[float, float] | None = None

    def infer(self) -> tuple[TensorType, ...]:
        """N×H'×W'×C, real."""
        require_real(self, self.x.type)
        check_clamp(self, self.clamp)
        return super().infer()

    def divisors(self) -> Array:
        """Return n for each output, H'×W'×1, int64."""
        return self.tap_counts(self.count_include_pad)

    def evaluate(self, x: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return the means."""
        y = (self.window_sum(x.astype(np.float64)) / self.divisors()).astype(x.dtype)
        return y if self.clamp is None else np.clip(y, *self.clamp).astype(x.dtype)


@register
@dataclass(frozen=True, kw_only=True)
class SumPool2d(Pool):
    """Integer window sum: `y = Σ (x − input_zero_point)` over the taps inside the image, 32 bits wide."""

    name = "sum_pool2d"
    stages = frozenset({Stage.INTEGER})
    input_zero_point: int = 0

    def infer(self) -> tuple[TensorType, ...]:
        """N×H'×W'×C of i32."""
        if not self.x.type.element.expressed.is_integer:
            raise IrError(f"sum_pool2d takes integers, not {self.x.type}")
        return (super().infer()[0].with_element(I32),)

    def evaluate(self, x: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return the sums."""
        return self.window_sum(x.astype(np.int64) - self.input_zero_point).astype(np.int32)

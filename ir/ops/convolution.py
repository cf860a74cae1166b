"""Convolutions: NHWC activations, OHWI weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import IrError
from ..op import ANY_STAGE, Cost, Op, Operand, OptionalOperand, common_expressed, register
from ..types import I32, Array, ElementType, ScalarType, TensorType
from .linear import exact_dtype, finish


@dataclass(frozen=True, kw_only=True)
class SlidingWindow(Op):
    """Base of operations that move a window over height and width of an N×H×W×C tensor.

    Attributes:
        strides: step in y and x, at least 1.
        padding: rows and columns of zero (of nothing, for pools) added: top, bottom, left, right.
        dilation: distance between taps in y and x, at least 1.
    """

    strides: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)

    def window_shape(self, x: TensorType, kernel: tuple[int, int]) -> tuple[int, int]:
        """Return height and width of the result; IrError if the window does not fit."""
        if x.rank != 4:
            raise IrError(f"{self.name} takes an N×H×W×C tensor, not {x}")
        if min(*self.strides, *self.dilation, *kernel) < 1 or min(self.padding) < 0:
            raise IrError(f"{self.name}: strides, dilation and kernel must be at least 1, padding at least 0")
        sizes = []
        for axis in (0, 1):
            padded = x.shape[1 + axis] + self.padding[2 * axis] + self.padding[2 * axis + 1]
            extent = (kernel[axis] - 1) * self.dilation[axis] + 1
            if padded < extent:
                raise IrError(f"{self.name}: a window of {extent} does not fit {padded} rows or columns")
            sizes.append((padded - extent) // self.strides[axis] + 1)
        return sizes[0], sizes[1]

    def taps(self, padded: Array, kernel: tuple[int, int], size: tuple[int, int]) -> list[tuple[int, int, Array]]:
        """Return, for each tap (ky, kx), the view of `padded` (N×H×W×C) that the tap reads for every output."""
        views = []
        (sy, sx), (dy, dx) = self.strides, self.dilation
        for ky in range(kernel[0]):
            for kx in range(kernel[1]):
                y, x = ky * dy, kx * dx
                view = padded[:, y : y + (size[0] - 1) * sy + 1 : sy, x : x + (size[1] - 1) * sx + 1 : sx]
                views.append((ky, kx, view))
        return views

    def pad(self, x: Array, value: float) -> Array:
        """Return x with its spatial padding filled with `value`."""
        top, bottom, left, right = self.padding
        if not any(self.padding):
            return x
        return np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=value)


@register
@dataclass(frozen=True, kw_only=True)
class Conv2d(SlidingWindow):
    """Convolution: `y[n,i,j,o] = Σ (x[n, i·s+ky·d−p, j·s+kx·d−p, c] − zx)·(w[o,ky,kx,c] − zw) + b[o]`.

    Padded positions contribute the real value 0 (code zx). Depthwise is `groups` = channels. In the integer stage the
    sum is exact and the result is of type `accumulator`; the zero points are attributes.

    Attributes:
        groups: channel groups; weights hold C/groups input channels.
        clamp: bounds of a fused activation (real stages).
        input_zero_point, weight_zero_point: integer stage only.
        accumulator: integer type of the sum.
    """

    name = "conv2d"
    stages = ANY_STAGE
    fusable_clamp = True
    x = Operand(0, "activations N×H×W×C")
    weight = Operand(1, "weights O×KH×KW×C/groups")
    bias = OptionalOperand(2, "bias O")
    groups: int = 1
    clamp: tuple[float, float] | None = None
    input_zero_point: int = 0
    weight_zero_point: int = 0
    accumulator: ScalarType = I32

    @property
    def kernel(self) -> tuple[int, int]:
        """Height and width of the kernel."""
        return self.weight.type.shape[1], self.weight.type.shape[2]

    @property
    def is_depthwise(self) -> bool:
        """True where each group has one input channel."""
        return self.groups > 1 and self.weight.type.shape[3] == 1

    def infer(self) -> tuple[TensorType, ...]:
        """N×H'×W'×O; real stages: the expressed type, integer stage: the accumulator."""
        x, w = self.x.type, self.weight.type
        check_convolution(self, x, w, self.bias.type if self.bias else None, self.groups)
        height, width = self.window_shape(x, self.kernel)
        return (TensorType((x.shape[0], height, width, w.shape[0]), accumulator_element(self, self.accumulator)),)

    def evaluate(self, x: Array, w: Array, b: Array | None = None) -> Array:  # type: ignore[override]  # operands by name
        """Sum over taps by matrix products: float32, or exact integers through floating-point BLAS."""
        dtype = exact_dtype(x, w, self.weight.type.size // self.weight.type.shape[0])
        xp = self.pad(x.astype(dtype) - dtype.type(self.input_zero_point), 0.0)
        wp = w.astype(dtype) - dtype.type(self.weight_zero_point)
        kernel = w.shape[1], w.shape[2]
        size = self.window_shape(self.x.type, kernel)
        y = self.depthwise(xp, wp, size) if w.shape[3] == 1 and self.groups > 1 else self.grouped(xp, wp, size)
        return finish(y, b, self.clamp, x.dtype.kind == "f", self.accumulator)

    def depthwise(self, x: Array, w: Array, size: tuple[int, int]) -> Array:
        """Sum over taps, channel by channel."""
        multiplier = w.shape[0] // x.shape[3]
        x = np.repeat(x, multiplier, axis=3) if multiplier > 1 else x
        y = np.zeros((x.shape[0], *size, w.shape[0]), x.dtype)
        for ky, kx, view in self.taps(x, (w.shape[1], w.shape[2]), size):
            y += view * w[:, ky, kx, 0]
        return y

    def grouped(self, x: Array, w: Array, size: tuple[int, int]) -> Array:
        """Im2col and one matrix product for each group."""
        n, depth, outputs = x.shape[0], w.shape[3], w.shape[0] // self.groups
        parts = []
        for group in range(self.groups):
            xg = x[..., group * depth : (group + 1) * depth]
            columns = [v.reshape(-1, depth) for _, _, v in self.taps(xg, (w.shape[1], w.shape[2]), size)]
            matrix = w[group * outputs : (group + 1) * outputs].reshape(outputs, -1)
            parts.append((np.concatenate(columns, axis=1) @ matrix.T).reshape(n, *size, outputs))
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=3)

    def cost(self) -> Cost:
        """One multiply-accumulate for each output and tap."""
        taps = self.weight.type.size // self.weight.type.shape[0]
        return Cost(self.result.type.size * taps, super().cost().bytes)


@register
@dataclass(frozen=True, kw_only=True)
class ConvTranspose2d(SlidingWindow):
    """Transposed convolution: each input scatters `(x − zx)·(w[o,ky,kx,c] − zw)` to `i·s + ky·d − p`, then + b[o].

    Attributes:
        padding: rows and columns cut from the full result: top, bottom, left, right.
        output_padding: rows and columns added at the bottom and right of the result (bias only, where no tap reaches).
        groups, clamp, input_zero_point, weight_zero_point, accumulator: as in `conv2d`.
    """

    name = "conv_transpose2d"
    stages = ANY_STAGE
    fusable_clamp = True
    x = Operand(0, "activations N×H×W×C")
    weight = Operand(1, "weights O×KH×KW×C/groups")
    bias = OptionalOperand(2, "bias O")
    output_padding: tuple[int, int] = (0, 0)
    groups: int = 1
    clamp: tuple[float, float] | None = None
    input_zero_point: int = 0
    weight_zero_point: int = 0
    accumulator: ScalarType = I32

    @property
    def kernel(self) -> tuple[int, int]:
        """Height and width of the kernel."""
        return self.weight.type.shape[1], self.weight.type.shape[2]

    def full_size(self) -> tuple[int, int]:
        """Return height and width of the result before `padding` is cut."""
        sizes = [
            (self.x.type.shape[1 + a] - 1) * self.strides[a]
            + (self.kernel[a] - 1) * self.dilation[a]
            + 1
            + self.output_padding[a]
            for a in (0, 1)
        ]
        return sizes[0], sizes[1]

    def infer(self) -> tuple[TensorType, ...]:
        """N×((H−1)·s + (KH−1)·d + 1 + output_padding − top − bottom)×…×O."""
        x, w = self.x.type, self.weight.type
        check_convolution(self, x, w, self.bias.type if self.bias else None, self.groups)
        height, width = self.full_size()
        top, bottom, left, right = self.padding
        height, width = height - top - bottom, width - left - right
        if height < 1 or width < 1:
            raise IrError(f"{self.name}: the result would have size {height}×{width}")
        return (TensorType((x.shape[0], height, width, w.shape[0]), accumulator_element(self, self.accumulator)),)

    def evaluate(self, x: Array, w: Array, b: Array | None = None) -> Array:  # type: ignore[override]  # operands by name
        """Scatter each tap's matrix product."""
        dtype = exact_dtype(x, w, w.size // w.shape[0])
        xp = x.astype(dtype) - dtype.type(self.input_zero_point)
        wp = w.astype(dtype) - dtype.type(self.weight_zero_point)
        n, depth, outputs = x.shape[0], w.shape[3], w.shape[0] // self.groups
        full = np.zeros((n, *self.full_size(), w.shape[0]), dtype)
        for group in range(self.groups):
            channels = slice(group * outputs, (group + 1) * outputs)
            xg = xp[..., group * depth : (group + 1) * depth]
            for ky, kx, view in self.taps(full[..., channels], self.kernel, x.shape[1:3]):
                view += xg @ wp[channels, ky, kx].T
        top, _, left, _ = self.padding
        height, width = self.result.type.shape[1:3]
        y = full[:, top : top + height, left : left + width]
        return finish(y, b, self.clamp, x.dtype.kind == "f", self.accumulator)

    def cost(self) -> Cost:
        """One multiply-accumulate for each input and tap."""
        taps = self.weight.type.size // self.weight.type.shape[3]
        return Cost(self.x.type.size * taps // max(self.groups, 1), super().cost().bytes)


def check_convolution(op: Op, x: TensorType, w: TensorType, b: TensorType | None, groups: int) -> None:
    """Raise IrError where activations, weights, bias and groups do not fit each other."""
    if x.rank != 4 or w.rank != 4:
        raise IrError(f"{op.name} takes N×H×W×C activations and O×KH×KW×I weights, not {x} and {w}")
    if groups < 1 or x.shape[3] != w.shape[3] * groups or w.shape[0] % groups:
        raise IrError(f"{op.name}: {x.shape[3]} channels, weights {list(w.shape)} and {groups} groups do not fit")
    if b is not None and b.shape != (w.shape[0],):
        raise IrError(f"{op.name}: bias of shape {list(b.shape)}, should be [{w.shape[0]}]")


def accumulator_element(op: Op, accumulator: ScalarType) -> ElementType:
    """Return the element type of a sum of products: the expressed float, or the accumulator for plain integers."""
    x, w = op.operands[0].type, op.operands[1].type
    if x.element.expressed.is_integer and w.element.expressed.is_integer:
        return accumulator
    return common_expressed(x, w)

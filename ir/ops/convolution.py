"""Convolutions: NHWC activations, OHWI weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import IrError
from ..op import ANY_STAGE, Cost, Op, Operand, OptionalOperand, register
from ..types import F32, I32, Array, ScalarType, TensorType
from .linear import check_product, finish, widened
from .ordered_sums import blocked_sums

#: Bytes of one operand that a depthwise convolution works on at a time.
BLOCK_BYTES = 1 << 17


def window_positions(padded: int, kernel: int, dilation: int, stride: int) -> int:
    """Return how many steps of a window of `kernel` taps fit `padded` rows or columns; below 1 where none does."""
    extent = (kernel - 1) * dilation + 1
    return (padded - extent) // stride + 1


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

    def check_window(self, x: TensorType, kernel: tuple[int, int]) -> None:
        """Raise IrError where x is no image or a number of the window is too small."""
        if x.rank != 4:
            raise IrError(f"{self.name} takes an N×H×W×C tensor, not {x}")
        if min(*self.strides, *self.dilation, *kernel) < 1 or min(self.padding) < 0:
            raise IrError(f"{self.name}: strides, dilation and kernel must be at least 1, padding at least 0")

    def window_shape(self, x: TensorType, kernel: tuple[int, int]) -> tuple[int, int]:
        """Return height and width of the result; IrError if the window does not fit."""
        self.check_window(x, kernel)
        sizes = []
        for axis in (0, 1):
            padded = x.shape[1 + axis] + self.padding[2 * axis] + self.padding[2 * axis + 1]
            size = window_positions(padded, kernel[axis], self.dilation[axis], self.strides[axis])
            if size < 1:
                raise IrError(f"{self.name}: a window of {kernel[axis]} taps does not fit {padded} rows or columns")
            sizes.append(size)
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


class Convolution(SlidingWindow):
    """Base of convolutions: operands and kernel."""

    stages = ANY_STAGE
    fusable_clamp = True
    x = Operand(0, "activations N×H×W×C")
    weight = Operand(1, "weights O×KH×KW×C/groups")
    bias = OptionalOperand(2, "bias O")

    @property
    def kernel(self) -> tuple[int, int]:
        """Height and width of the kernel."""
        return self.weight.type.shape[1], self.weight.type.shape[2]


@register
@dataclass(frozen=True, kw_only=True)
class Conv2d(Convolution):
    """Convolution: `y[n,i,j,o] = Σ (x[n, i·s+ky·d−p, j·s+kx·d−p, c] − zx)·(w[o,ky,kx,c] − zw) + b[o]`.

    Padded positions contribute the real value 0 (code zx). Depthwise is `groups` = channels. In the integer stage the
    sum is exact and the result is of type `accumulator`; the zero points are attributes.

    The order of a sum of floats is open unless `sum_block` is given: then the products are added in the order channel,
    row, column of the weights, by fused multiply-adds from zero, in blocks of `sum_block` products (those of padding
    count); block sums are added one to another, then the bias. Every bit of such a sum is promised.

    Attributes:
        groups: channel groups; weights hold C/groups input channels.
        clamp: bounds of a fused activation (real stages).
        sum_block: products of a block, for binary32; 0: sums have no order.
        input_zero_point, weight_zero_point: integer stage only.
        accumulator: integer type of the sum.
    """

    name = "conv2d"
    groups: int = 1
    clamp: tuple[float, float] | None = None
    sum_block: int = 0
    input_zero_point: int = 0
    weight_zero_point: int = 0
    accumulator: ScalarType = I32

    @property
    def exact_floats(self) -> bool:  # type: ignore[override]  # not of the class: a fact of the attribute
        """Whether its sums have an order, and so bits."""
        return self.sum_block > 0

    @property
    def is_depthwise(self) -> bool:
        """True where each group has one input channel."""
        return self.groups > 1 and self.weight.type.shape[3] == 1

    def infer(self) -> tuple[TensorType, ...]:
        """N×H'×W'×O; real stages: the expressed type, integer stage: the accumulator."""
        x, w = self.x.type, self.weight.type
        check_convolution(self, x, w, self.bias.type if self.bias else None, self.groups)
        height, width = self.window_shape(x, self.kernel)
        if self.sum_block < 0 or (self.sum_block and any(v.type.element != F32 for v in self.operands)):
            raise IrError(f"conv2d: sums in blocks of {self.sum_block} products", help="only those of f32 have blocks")
        return (TensorType((x.shape[0], height, width, w.shape[0]), product_element(self)),)

    def evaluate(self, x: Array, w: Array, b: Array | None = None) -> Array:  # type: ignore[override]  # operands by name
        """Sum over taps by matrix products: float32, or exact integers through floating-point BLAS."""
        if self.sum_block:
            y = self.ordered(self.pad(x, 0.0), w, self.window_shape(self.x.type, self.kernel))
            return finish(y, b, self.clamp, True, self.accumulator)
        xw, wp = widened(x, w, (self.input_zero_point, self.weight_zero_point), (1, 2, 3))
        xp = self.pad(xw, 0.0)
        kernel = w.shape[1], w.shape[2]
        size = self.window_shape(self.x.type, kernel)
        y = self.depthwise(xp, wp, size) if w.shape[3] == 1 and self.groups > 1 else self.grouped(xp, wp, size)
        return finish(y, b, self.clamp, x.dtype.kind == "f", self.accumulator)

    def depthwise(self, x: Array, w: Array, size: tuple[int, int]) -> Array:
        """Sum over taps, channel by channel, a few rows at a time so that they stay in the cache."""
        multiplier = w.shape[0] // x.shape[3]
        x = np.repeat(x, multiplier, axis=3) if multiplier > 1 else x
        y = np.zeros((x.shape[0], *size, w.shape[0]), x.dtype)
        rows = max(1, BLOCK_BYTES // max(1, size[1] * w.shape[0] * y.itemsize))
        buffer = np.empty((1, min(rows, size[0]), *y.shape[2:]), x.dtype)
        views = self.taps(x, (w.shape[1], w.shape[2]), size)
        for n in range(x.shape[0]):
            for start in range(0, size[0], rows):
                part = y[n : n + 1, start : start + rows]
                product = buffer[:, : part.shape[1]]
                for ky, kx, view in views:
                    np.multiply(view[n : n + 1, start : start + rows], w[:, ky, kx, 0], out=product)
                    part += product
        return y

    def grouped(self, x: Array, w: Array, size: tuple[int, int]) -> Array:
        """Im2col and one matrix product for each image and group; none is copied for a 1×1 kernel of stride 1."""
        depth, outputs = w.shape[3], w.shape[0] // self.groups
        y = np.empty((x.shape[0], *size, w.shape[0]), x.dtype)
        for n in range(x.shape[0]):
            for group in range(self.groups):
                xg = x[n : n + 1, ..., group * depth : (group + 1) * depth]
                columns = [v.reshape(-1, depth) for _, _, v in self.taps(xg, (w.shape[1], w.shape[2]), size)]
                matrix = w[group * outputs : (group + 1) * outputs].reshape(outputs, -1)
                rows = columns[0] if len(columns) == 1 else np.concatenate(columns, axis=1)
                y[n, ..., group * outputs : (group + 1) * outputs] = (rows @ matrix.T).reshape(*size, outputs)
        return y

    def ordered(self, x: Array, w: Array, size: tuple[int, int]) -> Array:
        """Sum in blocks, image by image and group by group."""
        depth, outputs = w.shape[3], w.shape[0] // self.groups
        y = np.empty((x.shape[0], *size, w.shape[0]), np.float32)
        for n in range(x.shape[0]):
            views = [view for _, _, view in self.taps(x[n : n + 1], (w.shape[1], w.shape[2]), size)]
            for group in range(self.groups):
                channels = range(group * depth, (group + 1) * depth)
                columns = [view[0, ..., channel].reshape(-1) for channel in channels for view in views]
                own = slice(group * outputs, (group + 1) * outputs)
                matrix = w[own].transpose(0, 3, 1, 2).reshape(outputs, -1)
                y[n, ..., own] = blocked_sums(columns, matrix, self.sum_block).reshape(*size, outputs)
        return y

    def cost(self) -> Cost:
        """One multiply-accumulate for each output and tap."""
        taps = self.weight.type.size // self.weight.type.shape[0]
        return Cost(self.result.type.size * taps, super().cost().bytes)


@register
@dataclass(frozen=True, kw_only=True)
class ConvTranspose2d(Convolution):
    """Transposed convolution: each input scatters `(x − zx)·(w[o,ky,kx,c] − zw)` to `i·s + ky·d − p`, then + b[o].

    Attributes:
        padding: rows and columns cut from the full result: top, bottom, left, right.
        output_padding: rows and columns added at the bottom and right of the result (bias only, where no tap reaches).
        groups, clamp, input_zero_point, weight_zero_point, accumulator: as in `conv2d`.
    """

    name = "conv_transpose2d"
    output_padding: tuple[int, int] = (0, 0)
    groups: int = 1
    clamp: tuple[float, float] | None = None
    input_zero_point: int = 0
    weight_zero_point: int = 0
    accumulator: ScalarType = I32

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
        self.check_window(x, self.kernel)
        if min(self.output_padding) < 0:
            raise IrError(f"{self.name}: output padding must be at least 0")
        height, width = self.full_size()
        top, bottom, left, right = self.padding
        height, width = height - top - bottom, width - left - right
        if height < 1 or width < 1:
            raise IrError(f"{self.name}: the result would have size {height}×{width}")
        return (TensorType((x.shape[0], height, width, w.shape[0]), product_element(self)),)

    def evaluate(self, x: Array, w: Array, b: Array | None = None) -> Array:  # type: ignore[override]  # operands by name
        """Scatter each tap's matrix product."""
        xp, wp = widened(x, w, (self.input_zero_point, self.weight_zero_point), (1, 2, 3))
        n, depth, outputs = x.shape[0], w.shape[3], w.shape[0] // self.groups
        full = np.zeros((n, *self.full_size(), w.shape[0]), xp.dtype)
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
    if not w.size or groups < 1 or x.shape[3] != w.shape[3] * groups or w.shape[0] % groups:
        raise IrError(f"{op.name}: {x.shape[3]} channels, weights {list(w.shape)} and {groups} groups do not fit")
    if b is not None and b.shape != (w.shape[0],):
        raise IrError(f"{op.name}: bias of shape {list(b.shape)}, should be [{w.shape[0]}]")


def product_element(op: Conv2d | ConvTranspose2d) -> ScalarType:
    """Return the element type of the result of a convolution, its bias, clamp and zero points checked."""
    bias = op.bias.type if op.bias is not None else None
    return check_product(op, bias, op.clamp, (op.input_zero_point, op.weight_zero_point), op.accumulator)

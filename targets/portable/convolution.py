"""Convolutions, direct: grouped, depthwise and transposed ones too.

A pixel's output channels are computed in blocks: the sums in local memory, then the epilogue over the block. Taps in
the padding are left out by clipping the ranges of taps. Three ways to form the sums:

* *dot*: for each channel a product sum over contiguous input channels, weights as they are (O×KH×KW×I);
* *axpy*: for each input element all channels of a block, weights stored KH×KW×I×O: real numbers, whose sums a compiler
  may not reorder;
* *depthwise*: for each tap all channels of a block, weights stored KH×KW×O.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from qcc.ir import Array, IrError
from qcc.ir.ops import Conv2d, ConvTranspose2d
from qcc.targets import terms, tir
from qcc.targets.float_expressions import limited
from qcc.targets.kernel import Kernel, LoweredKernel
from qcc.targets.portable.blocks import BLOCK, in_blocks
from qcc.targets.portable.elements import Collapse, Place, flat_offset, store_outputs
from qcc.targets.portable.elementwise import walk
from qcc.targets.portable.parameters import Parameters
from qcc.targets.portable.sums import Accumulator, Source, accumulator, activations, bounded_bias, initial
from qcc.targets.portable.windows import Span, span
from qcc.targets.terms import Term
from qcc.targets.tir import Buffer, Expr


def convolution(kernel: Kernel) -> LoweredKernel:
    """A kernel whose anchor is a convolution."""
    parameters = Parameters(kernel)
    op = kernel.anchor
    if not isinstance(op, Conv2d | ConvTranspose2d):
        raise IrError(f"{op.name} is not a convolution")
    _Nest.of(parameters, op).emit()
    return parameters.finish()


@dataclass(frozen=True)
class _Channels:
    """A block of output channels: the first one (over all groups), the group, how many, and the sums."""

    first: Expr
    group: Expr
    count: int
    sums: Buffer


@dataclass(frozen=True)
class _Nest:
    """The nest of one convolution."""

    parameters: Parameters
    op: Conv2d | ConvTranspose2d
    accumulator: Accumulator
    x: Source
    weight: Source
    form: str
    bias: Array | None = None

    @staticmethod
    def of(parameters: Parameters, op: Conv2d | ConvTranspose2d) -> _Nest:
        """Choose the form and order the weights for it."""
        constants = dict(parameters.kernel.constants)
        sums = accumulator(op, constants)
        folded = bounded_bias(op, constants, 0) if _sees_all_taps(op) and sums.dtype == "int32" else None
        x = activations(parameters, op.x, 0 if folded is not None else op.input_zero_point)
        data = constants.get(op.weight.name)
        depthwise = op.weight.type.shape[3] == 1 and op.groups > 1
        form, order = "dot", (0, 1, 2, 3)
        if data is not None and depthwise:
            form, order = "depthwise", (1, 2, 3, 0)
        elif data is not None and op.result.type.is_float:
            form, order = "axpy", (1, 2, 3, 0)
        if data is None:
            return _Nest(parameters, op, sums, x, activations(parameters, op.weight, op.weight_zero_point), form)
        layout = "weights O×KH×KW×I" if form == "dot" else "weights KH×KW×I×O"
        table = parameters.table("weight", np.ascontiguousarray(np.transpose(data, order)), layout, fold=False)
        return _Nest(parameters, op, sums, x, Source(table, op.weight.type, op.weight_zero_point), form, folded)

    @property
    def outputs(self) -> int:
        """Output channels of the code's groups; a depthwise convolution is walked as one group."""
        return self.op.weight.type.shape[0] // self.groups

    @property
    def groups(self) -> int:
        """Groups that the code loops over."""
        return 1 if self.form == "depthwise" else self.op.groups

    def emit(self) -> None:
        """All pixels, all groups, all blocks of channels."""
        shape = self.op.result.type.shape
        body = self.parameters.body
        sums = body.allocate("sums", min(BLOCK, self.outputs), self.accumulator.dtype)

        def pixel(index: tuple[Expr, ...]) -> None:
            with body.loop("group", self.groups) as group:
                base = group * tir.constant(self.outputs)

                def block(first: Expr, count: int) -> None:
                    self._channels(index, _Channels(base + first, group, count, sums))

                in_blocks(body, self.outputs, block)

        walk(body, shape[:3], pixel, "nyx")

    def _channels(self, pixel: tuple[Expr, ...], channels: _Channels) -> None:
        """One block of channels of one pixel."""
        body, op = self.parameters.body, self.op
        collapse = Collapse.none(4)
        with body.loop("c", channels.count) as c:
            place = Place(self.parameters, collapse, (*pixel, channels.first + c))
            body.store(channels.sums, c, initial(self.accumulator, place, op, self.bias))
        if isinstance(op, Conv2d):
            self._taps(pixel, channels)
        else:
            self._scattered_taps(pixel, channels)
        with body.loop("c", channels.count) as c:
            index = (*pixel, channels.first + c)
            result = self.accumulator.term(tir.load(channels.sums, c))
            if result.is_float:
                result = self._finish_real(Place(self.parameters, collapse, index), result)
            place = Place(self.parameters, collapse, index, {op.result.name: result})
            store_outputs(place)

    def _finish_real(self, place: Place, total: Term) -> Term:
        """Bias and fused clamp of a real sum."""
        if self.op.bias is not None:
            total = Term(total.expr + place.along(self.op.bias, 3).expr, total.dtype)
        if self.op.clamp is not None:
            total = limited(terms.bind(place.body, "total", total), *self.op.clamp)
        return total

    def _taps(self, pixel: tuple[Expr, ...], channels: _Channels) -> None:
        """The taps of a convolution that lie inside the image."""
        op, body = self.op, self.parameters.body
        image, result = op.x.type.shape, op.result.type.shape
        spans = [span(body, op, a, op.kernel[a], pixel[1 + a], image[1 + a], result[1 + a]) for a in (0, 1)]
        if self._joins_columns:
            self._rows(pixel, channels, spans)
            return
        with body.loop("ky", spans[0].count) as ky, body.loop("kx", spans[1].count) as kx:
            taps = (spans[0].first + ky, spans[1].first + kx)
            places = [spans[a].origin + taps[a] * tir.constant(op.dilation[a]) for a in (0, 1)]
            self._tap(channels, taps, flat_offset(image, (pixel[0], *places, tir.constant(0))))

    @property
    def _joins_columns(self) -> bool:
        """Whether the taps of a kernel row and their channels are contiguous, in input and weights."""
        return self.form == "dot" and self.op.dilation[1] == 1 and self.op.groups == 1

    def _rows(self, pixel: tuple[Expr, ...], channels: _Channels, spans: list[Span]) -> None:
        """Product sums over whole kernel rows."""
        op, body = self.op, self.parameters.body
        depth = op.weight.type.shape[3]
        count = spans[1].count
        length = count * depth if isinstance(count, int) else body.let("length", count * tir.constant(depth))
        with body.loop("ky", spans[0].count) as ky:
            tap = spans[0].first + ky
            row = spans[0].origin + tap * tir.constant(op.dilation[0])
            column = spans[1].origin + spans[1].first
            start = flat_offset(op.x.type.shape, (pixel[0], row, column, tir.constant(0)))
            self._dot(channels, (tap, spans[1].first), body.let("start", start), length)

    def _tap(self, channels: _Channels, taps: tuple[Expr, Expr], start: Expr) -> None:
        """The products of one tap, whose first channel of group 0 is at `start`."""
        depth = self.op.weight.type.shape[3]
        body = self.parameters.body
        start = body.let("start", start + channels.group * tir.constant(depth))
        forms: dict[str, Callable[[], None]] = {
            "dot": lambda: self._dot(channels, taps, start, depth),
            "axpy": lambda: self._axpy(channels, taps, start, depth),
            "depthwise": lambda: self._depthwise(channels, taps, start),
        }
        forms[self.form]()

    def _dot(self, channels: _Channels, taps: tuple[Expr, Expr], start: Expr, length: Expr | int) -> None:
        """For each channel, add a product sum over `length` contiguous elements."""
        body, (_, height, width, depth) = self.parameters.body, self.op.weight.type.shape
        total = body.allocate("total", 1, self.accumulator.dtype)
        with body.loop("c", channels.count) as c:
            row = (channels.first + c) * tir.constant(height) + taps[0]
            weights = body.let("weights", (row * tir.constant(width) + taps[1]) * tir.constant(depth))
            body.store(total, 0, tir.load(channels.sums, c))
            with body.loop("i", length) as i:
                product = self.accumulator.product(self.x.at(start + i), self.weight.at(weights + i))
                body.store(total, 0, tir.load(total, 0) + product)
            body.store(channels.sums, c, tir.load(total, 0))

    def _axpy(self, channels: _Channels, taps: tuple[Expr, Expr], start: Expr, depth: int) -> None:
        """For each input channel, add its products to all sums."""
        body, (outputs, _, width, _) = self.parameters.body, self.op.weight.type.shape
        with body.loop("i", depth) as i:
            row = (taps[0] * tir.constant(width) + taps[1]) * tir.constant(depth) + i
            weights = body.let("weights", row * tir.constant(outputs) + channels.first)
            with body.loop("c", channels.count) as c:
                product = self.accumulator.product(self.x.at(start + i), self.weight.at(weights + c))
                body.store(channels.sums, c, tir.load(channels.sums, c) + product)

    def _depthwise(self, channels: _Channels, taps: tuple[Expr, Expr], start: Expr) -> None:
        """Add each channel's product with its own weight."""
        body, (outputs, _, width, _) = self.parameters.body, self.op.weight.type.shape
        multiplier = outputs // self.op.x.type.shape[3]
        weights = body.let(
            "weights", (taps[0] * tir.constant(width) + taps[1]) * tir.constant(outputs) + channels.first
        )
        with body.loop("c", channels.count) as c:
            channel = tir.divide(channels.first + c, multiplier)
            product = self.accumulator.product(self.x.at(start + channel), self.weight.at(weights + c))
            body.store(channels.sums, c, tir.load(channels.sums, c) + product)

    def _scattered_taps(self, pixel: tuple[Expr, ...], channels: _Channels) -> None:
        """The taps of a transposed convolution that reach a pixel: those a whole number of strides away."""
        op, body = self.op, self.parameters.body
        image = op.x.type.shape
        with body.loop("ky", op.kernel[0]) as ky:
            row = body.let("row", pixel[1] + tir.constant(op.padding[0]) - ky * tir.constant(op.dilation[0]))
            with body.when(_reached(row, op.strides[0], image[1])), body.loop("kx", op.kernel[1]) as kx:
                left = pixel[2] + tir.constant(op.padding[2]) - kx * tir.constant(op.dilation[1])
                column = body.let("column", left)
                with body.when(_reached(column, op.strides[1], image[2])):
                    place = (pixel[0], tir.divide(row, op.strides[0]), tir.divide(column, op.strides[1]))
                    self._tap(channels, (ky, kx), flat_offset(image, (*place, tir.constant(0))))


def _sees_all_taps(op: Conv2d | ConvTranspose2d) -> bool:
    """Whether no tap of any output lies in the padding."""
    return isinstance(op, Conv2d) and not any(op.padding)


def _reached(distance: Expr, stride: int, size: int) -> Expr:
    """Whether a position of the full result is a multiple of the stride from the start, inside the image."""
    inside = [distance >= tir.constant(0), distance < tir.constant(size * stride)]
    if stride > 1:
        inside.append(tir.remainder(distance, stride) == tir.constant(0))
    return tir.all_of(*inside)

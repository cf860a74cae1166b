"""Convolutions of binary32 numbers whose sums have an order (`conv2d` with `sum_block`).

A pixel's output channels are computed in blocks. The products of a sum come one after another (channel, row, column),
each added to all sums of a block by a fused multiply-add; after `sum_block` of them the sums go to the totals.

Products with padding are left out: they are zero, and change no sum of finite numbers but the sign of a zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qcc.ir import IrError
from qcc.ir.ops import Conv2d
from qcc.targets import terms, tir
from qcc.targets.float_expressions import limited
from qcc.targets.kernel import Kernel, LoweredKernel
from qcc.targets.portable.blocks import BLOCK, in_blocks
from qcc.targets.portable.elements import Collapse, Place, flat_offset, store_outputs
from qcc.targets.portable.elementwise import walk
from qcc.targets.portable.parameters import Parameters
from qcc.targets.portable.sums import Source, activations
from qcc.targets.terms import Term
from qcc.targets.tir import Buffer, Expr

TYPE = "float32"


def ordered_convolution(kernel: Kernel) -> LoweredKernel:
    """A kernel whose anchor is a convolution with `sum_block`."""
    parameters = Parameters(kernel)
    op = kernel.anchor
    weight = kernel.constants.get(op.operands[1].name)
    if not isinstance(op, Conv2d) or weight is None:
        raise IrError(f"{op.name} is not a convolution with constant weights")
    rows = np.ascontiguousarray(weight.transpose(3, 1, 2, 0))
    table = parameters.table("weight", rows, "weights I×KH×KW×O", fold=False)
    _Nest(parameters, op, activations(parameters, op.x, 0), Source(table, op.weight.type)).emit()
    return parameters.finish()


@dataclass(frozen=True)
class _Channels:
    """A block of output channels: the first one (over all groups), the group, how many, their sums and totals."""

    first: Expr
    group: Expr
    count: int
    sums: Buffer
    totals: Buffer


@dataclass(frozen=True)
class _Nest:
    """The nest of one convolution."""

    parameters: Parameters
    op: Conv2d
    x: Source
    weight: Source

    @property
    def products(self) -> int:
        """Products of a sum."""
        _, height, width, depth = self.op.weight.type.shape
        return height * width * depth

    def emit(self) -> None:
        """All pixels, all groups, all blocks of channels."""
        body, op = self.parameters.body, self.op
        outputs = op.weight.type.shape[0] // op.groups
        sums, totals = (body.allocate(name, min(BLOCK, outputs), TYPE) for name in ("sums", "totals"))

        def pixel(index: tuple[Expr, ...]) -> None:
            with body.loop("group", op.groups) as group:
                base = group * tir.constant(outputs)

                def block(first: Expr, count: int) -> None:
                    self._channels(index, _Channels(base + first, group, count, sums, totals))

                in_blocks(body, outputs, block)

        walk(body, op.result.type.shape[:3], pixel, "nyx")

    def _channels(self, pixel: tuple[Expr, ...], channels: _Channels) -> None:
        """One block of channels of one pixel."""
        body = self.parameters.body
        whole, rest = divmod(self.products, self.op.sum_block)
        self._sum(pixel, channels, tir.constant(0), min(self.products, self.op.sum_block))
        self._keep(channels, first=True)
        block = self.op.sum_block
        if whole > 1:
            with body.loop("part", whole - 1) as part:
                self._sum(pixel, channels, (part + tir.constant(1)) * tir.constant(block), block)
                self._keep(channels)
        if whole and rest:
            self._sum(pixel, channels, tir.constant(whole * block), rest)
            self._keep(channels)
        self._finish(pixel, channels)

    def _sum(self, pixel: tuple[Expr, ...], channels: _Channels, start: Expr, count: int) -> None:
        """The sums of `count` products from number `start` on."""
        body, op = self.parameters.body, self.op
        with body.loop("c", channels.count) as c:
            body.store(channels.sums, c, tir.number(0, TYPE))
        height, width = op.kernel
        with body.loop("k", count) as k:
            number = body.let("number", start + k)
            channel, tap = tir.divide(number, height * width), tir.remainder(number, height * width)
            taps = (tir.divide(tap, width), tir.remainder(tap, width))
            places = [self._place(a, pixel[1 + a], taps[a]) for a in (0, 1)]
            depth = tir.constant(op.weight.type.shape[3])
            with body.when(self._inside(places)):
                value = self.x.at(flat_offset(op.x.type.shape, (pixel[0], *places, channels.group * depth + channel)))
                x = terms.stored(body, "value", value).expr
                weights = body.let("weights", number * tir.constant(op.weight.type.shape[0]) + channels.first)
                with body.loop("c", channels.count) as c:
                    total = tir.fused_multiply_add(x, self.weight.at(weights + c).expr, tir.load(channels.sums, c))
                    body.store(channels.sums, c, total)

    def _place(self, axis: int, position: Expr, tap: Expr) -> Expr:
        """Where a tap of an output position reads, along rows (0) or columns (1)."""
        op = self.op
        start = position * tir.constant(op.strides[axis]) - tir.constant(op.padding[2 * axis])
        return self.parameters.body.let(("row", "column")[axis], start + tap * tir.constant(op.dilation[axis]))

    def _inside(self, places: list[Expr]) -> Expr:
        """Whether a position lies in the image."""
        sizes = self.op.x.type.shape[1:3]
        bounds = ((p >= tir.constant(0), p < tir.constant(s)) for p, s in zip(places, sizes, strict=True))
        return tir.all_of(*(bound for pair in bounds for bound in pair))

    def _keep(self, channels: _Channels, first: bool = False) -> None:
        """Add the sums to the totals; the first ones are the totals."""
        body = self.parameters.body
        with body.loop("c", channels.count) as c:
            total = tir.load(channels.sums, c)
            body.store(channels.totals, c, total if first else tir.load(channels.totals, c) + total)

    def _finish(self, pixel: tuple[Expr, ...], channels: _Channels) -> None:
        """Bias, clamp and what is fused behind."""
        body, op = self.parameters.body, self.op
        collapse = Collapse.none(4)
        with body.loop("c", channels.count) as c:
            index = (*pixel, channels.first + c)
            total = Term(tir.load(channels.totals, c), TYPE)
            if op.bias is not None:
                total = Term(total.expr + Place(self.parameters, collapse, index).along(op.bias, 3).expr, TYPE)
            if op.clamp is not None:
                total = limited(terms.bind(body, "total", total), *op.clamp)
            store_outputs(Place(self.parameters, collapse, index, {op.result.name: total}))

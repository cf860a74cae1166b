"""Depthwise convolutions: vectors of channels, tiles of neighbouring output pixels.

An output channel sees one input channel. A tile is a few neighbouring pixels of one output line; for each kernel row
every input pixel under the tile is loaded once and serves all output pixels that see it. The addresses of the input
pixels are computed once for a tile, for all channels; where a pixel lies in the padding it is that of a row of zero
points.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from qcc.targets import tir
from qcc.targets.nests.panel import Tile, row_tiles
from qcc.targets.nests.products import InputType, Product, RowSource, Run
from qcc.targets.nests.register_tile import Rows
from qcc.targets.nests.window import Window
from qcc.targets.tir import Body, Buffer, Expr


def columns_under(window: Window, pixels: int) -> int:
    """Input columns under `pixels` neighbouring output pixels."""
    return (pixels - 1) * window.strides[1] + (window.kernel[1] - 1) * window.dilations[1] + 1


def channel_tile_for(window: Window, vectors: int, registers: int) -> Tile:
    """The tile with the fewest instructions: loads of inputs and weights, multiply-adds, epilogues."""
    height, width = window.kernel
    line = window.output_size[1]

    def cost(tile: Tile) -> float:
        blocks = -(-vectors // tile.vectors)
        total = 0.0
        for count, pixels in row_tiles(line, tile):
            loads = columns_under(window, pixels) * (tile.vectors + 1) + 2 * width * tile.vectors
            total += count * (height * (loads + pixels * width * tile.vectors) + 11 * pixels * tile.vectors)
            total += count * height * columns_under(window, pixels) * 6 / blocks
        return blocks * total

    kept = min(width, 3)
    tiles = [
        Tile(pixels, count)
        for pixels in range(1, min(line, 6) + 1)
        for count in range(1, min(vectors, 4) + 1)
        if pixels * count + kept * count + 2 <= registers
    ]
    return min(tiles, key=lambda tile: (cost(tile), tile.rows, tile.vectors))


@dataclass(frozen=True)
class ChannelProduct(Product):
    """One multiply-add for each tap, output pixel and vector of channels; the operands are bytes widened to int32.

    A run is a kernel row, its sources are the input columns under the tile. Output channel `c` reads input channel
    `c / multiplier`.
    """

    window: Window
    multiplier: int = 1

    def accumulate(self, body: Body, accumulators: Buffer, run: Run) -> None:
        """One kernel row."""
        vectors = self.panel.tile.vectors
        for vector, channel in enumerate(run.columns):
            taps = self._weights(body, run.weights, vector)
            for place, (source, start) in enumerate(run.sources):
                pairs = self._pixels(place, len(run.sources))
                if not pairs:
                    continue
                value = body.let("value", self._load(body, source, start, channel))
                for pixel, tap in pairs:
                    target = pixel * vectors + vector
                    updated = self.dot.multiply_add(tir.load(accumulators, target), value, taps[tap])
                    body.store(accumulators, target, updated)

    def _weights(self, body: Body, weights: tuple[Buffer, Expr], vector: int) -> list[Expr]:
        """The weights of all taps of the kernel row for one vector of channels."""
        lanes, vectors = self.panel.lanes, self.panel.tile.vectors
        buffer, step = weights
        loaded = []
        for tap in range(self.panel.steps):
            offset = (step + tir.constant(tap)) * tir.constant(vectors * lanes) + tir.constant(vector * lanes)
            loaded.append(body.let("weight", self.dot.widened(tir.load(buffer, offset, lanes))))
        return loaded

    def _pixels(self, place: int, places: int) -> list[tuple[int, int]]:
        """The output pixels that see input column `place` of `places`, each with the tap under which it lies."""
        stride, dilation = self.window.strides[1], self.window.dilations[1]
        taps = self.panel.steps
        pixels = (places - (taps - 1) * dilation - 1) // stride + 1
        pairs = ((pixel, place - pixel * stride) for pixel in range(pixels))
        return [(p, reach // dilation) for p, reach in pairs if reach % dilation == 0 and 0 <= reach < taps * dilation]

    def _load(self, body: Body, source: Buffer, start: Expr, channel: Expr) -> Expr:
        """The input channels of the output channels from `channel` on, which is a multiple of the multiplier."""
        lanes, repeat = self.panel.lanes, self.multiplier
        first = start + tir.divide(channel, repeat)
        if repeat > 1 and lanes > 1:
            return self.dot.load_repeated(body, source, first, lanes, repeat)
        return self.dot.widened(tir.load(source, first, lanes))


@dataclass
class LineAddresses(Rows):
    """The addresses of the input pixels under a tile of one output line, kept for many blocks of channels."""

    source: Buffer
    window: Window
    zeros: tuple[Buffer, int]
    input_type: InputType
    pointer_type: str

    def begin(self, body: Body, first: Expr, count: int, group: Expr) -> None:
        """Store the address of every input pixel under the tile."""
        del group
        self._count = columns_under(self.window, count)
        self._addresses = body.allocate("addresses", self.window.kernel[0] * self._count, self.pointer_type)
        corner = self.window.corner(body, first)
        with body.loop("kernel_row", self.window.kernel[0]) as row:
            for column in range(self._count):
                inside, offset = self.window.place(body, corner, row * tir.constant(self.window.dilations[0]), column)
                address = tir.address(self.source, body.let("pixel_offset", offset), self.pointer_type)
                if inside is not None:
                    address = tir.select(inside, address, tir.address(*self.zeros, self.pointer_type))
                body.store(self._addresses, row * tir.constant(self._count) + tir.constant(column), address)

    @contextmanager
    def run(self, body: Body) -> Iterator[tuple[Expr, list[RowSource]]]:
        """A loop over the kernel rows."""
        with body.loop("kernel_row", self.window.kernel[0]) as row:
            places = [row * tir.constant(self._count) + tir.constant(column) for column in range(self._count)]
            pointers = [tir.load(self._addresses, place) for place in places]
            views = [body.view("pixel", pointer, self.window.input[3], self.input_type) for pointer in pointers]
            yield row, [(view, tir.constant(0)) for view in views]

"""Copies of the input lines under one output line in local memory: signed, padded with zero points, aligned.

All later reads of a window are from this copy: they need no conditions for the padding, may be scalar loads at
multiples of 8 bytes whatever the alignment of the caller's memory, and may read beyond a line.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from qcc.targets import tir
from qcc.targets.hexagon_instructions import VECTOR_BYTES
from qcc.targets.hvx.memory import Source, blocks, copy_bytes, fill_bytes, rounded_up, splat_bytes, store_vector
from qcc.targets.nests.window import Window
from qcc.targets.tir import Body, Buffer, Expr

MOST_BYTES = 16384
"""The size of the copy, unless the window of a single pixel is larger."""


@dataclass(frozen=True)
class Lines:
    """The copy of the lines under `pixels` neighbouring output pixels.

    Attributes:
        window: of the operation, its groups are 1.
        pixels: output pixels of a segment of a line.
        channels: bytes that are copied of each pixel; all of them, or a whole vector.
        zero_point: of the input.
        flip: whether the input is unsigned.
    """

    window: Window
    pixels: int
    channels: int
    zero_point: int
    flip: bool

    @property
    def columns(self) -> int:
        """Input columns under a segment."""
        window = self.window
        return (self.pixels - 1) * window.strides[1] + (window.kernel[1] - 1) * window.dilations[1] + 1

    @property
    def pitch(self) -> int:
        """Bytes from line to line; behind each is room for what the copy of whole vectors leaves."""
        return rounded_up(self.columns * self.channels) + VECTOR_BYTES

    @property
    def is_whole(self) -> bool:
        """Whether all channels of a pixel are copied, so that a line is one run of bytes."""
        return self.channels == self.window.input[3]

    def allocate(self, body: Body) -> Buffer:
        """The local memory."""
        return body.allocate("lines", self.window.kernel[0] * self.pitch + VECTOR_BYTES, "int8")

    def stage(
        self, body: Body, source: Source, lines: Buffer, place: tuple[Expr, Expr, Expr], channel: Expr | None = None
    ) -> None:
        """Copy the lines for output pixel `place` (image, row, first column) and those right of it."""
        window = self.window
        image, row, column = place
        first = column * tir.constant(window.strides[1]) - tir.constant(window.padding[1])
        first = body.let("first_column", first)
        begin = body.let("begin", tir.maximum(first, tir.constant(0)))
        end = tir.minimum(first + tir.constant(self.columns), tir.constant(window.input[2]))
        inside = body.let("columns_inside", tir.maximum(end - begin, tir.constant(0)))
        before = begin - first
        if window.padding[1] > self.columns:  # all columns of a segment may lie left of the image
            before = body.let("columns_before", tir.minimum(before, tir.constant(self.columns)))
        with body.loop("kernel_row", window.kernel[0]) as kernel_row:
            down = kernel_row * tir.constant(window.dilations[0]) - tir.constant(window.padding[0])
            line = body.let("input_row", row * tir.constant(window.strides[0]) + down)
            target = body.let("line", kernel_row * tir.constant(self.pitch))
            count, left = inside, before
            if window.leaves(0):
                valid = tir.all_of(line >= tir.constant(0), line < tir.constant(window.input[1]))
                count = body.let("count", tir.select(valid, inside, tir.constant(0)))
                left = body.let("left", tir.select(valid, left, tir.constant(self.columns)))
            pixel = (image * tir.constant(window.input[1]) + line) * tir.constant(window.input[2]) + begin
            self._line(body, source, (lines, target), (pixel, channel), (left, count))

    def _line(
        self,
        body: Body,
        source: Source,
        target: tuple[Buffer, Expr],
        start: tuple[Expr, Expr | None],
        counts: tuple[Expr, Expr],
    ) -> None:
        """One line: `left` pixels of zero points, `count` pixels of the input, and zero points up to its end."""
        lines, line = target
        (pixel, channel), (left, count) = start, counts
        size, pads = tir.constant(self.channels), self.window.leaves(0) or self.window.leaves(1)
        zero = self.zero_point ^ 0x80 if self.flip else self.zero_point
        if pads:
            fill_bytes(body, lines, line, left * size, zero)
        if self.is_whole:
            copy_bytes(body, source, pixel * size, lines, line + left * size, count * size, self.flip)
        else:
            offset = pixel * tir.constant(self.window.input[3]) + (tir.constant(0) if channel is None else channel)
            offset = body.let("pixel_offset", offset)
            with body.loop("pixel", count) as number:
                vector = source.load(body, offset + number * tir.constant(self.window.input[3]))
                vector = vector ^ splat_bytes(0x80) if self.flip else vector
                store_vector(body, lines, line + (left + number) * size, vector)
        if pads:
            done = body.let("done", left + count)
            fill_bytes(body, lines, line + done * size, (tir.constant(self.columns) - done) * size, zero)


def segment_pixels(window: Window, channels: int) -> int:
    """How many output pixels of a line are computed from one copy of the input lines."""
    width = window.output_size[1]

    def fits(pixels: int) -> bool:
        return window.kernel[0] * Lines(window, pixels, channels, 0, False).pitch <= MOST_BYTES

    segments = next((n for n in range(1, width + 1) if fits(-(-width // n))), width)
    return -(-width // segments)


@contextmanager
def overlapping(body: Body, count: int, size: int) -> Iterator[Expr]:
    """A loop over tiles of `size` of `count` pixels, the last overlapping the one before; yields the first pixel."""
    with body.loop("tile", blocks(count, size)) as tile:
        start = tile * tir.constant(size)
        if count % size:
            start = tir.minimum(start, tir.constant(count - size))
        yield body.let("first", start)

"""Rows with few channels: the bytes of a tile's windows are copied together before the dot products run.

With three channels a kernel tap is three bytes, too few for one dot step. A kernel row is one run of consecutive
bytes (9 for 3 × 3 taps of 3 channels), so a tile's windows are copied run by run; only windows that touch the padding
go tap by tap. The copy is as large as one tile, never as the image.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from qcc.targets import tir
from qcc.targets.nests.panel import Panel
from qcc.targets.nests.products import InputType, RowSource
from qcc.targets.nests.register_tile import Rows
from qcc.targets.nests.window import Corner, Window
from qcc.targets.tir import Body, Buffer, Expr


@dataclass
class GatheredRows(Rows):
    """Copies the windows of a tile of rows to a local panel."""

    source: Buffer
    window: Window
    panel: Panel
    input_type: InputType
    zero_point: int
    piece: int = 16
    """Most bytes that are copied at a time."""

    @property
    def _is_contiguous(self) -> bool:
        """Whether a kernel row is one run of bytes in the input."""
        return self.window.dilations[1] == 1 and self.window.groups == 1

    @property
    def _row_bytes(self) -> int:
        return self.window.kernel[1] * self.window.group_channels

    def begin(self, body: Body, first: Expr, count: int, group: Expr) -> None:
        """Fill the panel."""
        length = self.panel.run_length
        panel = body.allocate("gathered", count * length, self.input_type)
        used = self.window.kernel[0] * self._row_bytes
        with body.loop("row", count) as row:
            start = body.let("start", row * tir.constant(length))
            corner = self.window.corner(body, first + row)
            self._copy_window(body, panel, start, corner, group * tir.constant(self.window.group_channels))
            for unused in range(used, length):
                body.store(panel, start + tir.constant(unused), tir.constant(0, self.input_type))
        self._sources: list[RowSource] = [(panel, tir.constant(row * length)) for row in range(count)]

    @contextmanager
    def run(self, body: Body) -> Iterator[tuple[Expr, list[RowSource]]]:
        """One run: the whole window."""
        del body
        yield tir.constant(0), self._sources

    def _copy_window(self, body: Body, panel: Buffer, start: Expr, corner: Corner, channel: Expr) -> None:
        """Copy the window of one output pixel."""
        with body.loop("kernel_row", self.window.kernel[0]) as row:
            target = body.let("target", start + row * tir.constant(self._row_bytes))
            if not self._is_contiguous:
                self._copy_taps(body, panel, target, (corner, row), channel)
                return
            inside, offset = self.window.kernel_row(body, corner, row)
            if inside is None:
                self._copy(body, panel, target, offset, self._row_bytes)
                return
            whole = body.let("whole", inside)
            with body.when(whole):
                self._copy(body, panel, target, offset, self._row_bytes)
            with body.when(tir.negation(whole)):
                self._copy_taps(body, panel, target, (corner, row), channel)

    def _copy_taps(self, body: Body, panel: Buffer, target: Expr, place: tuple[Corner, Expr], channel: Expr) -> None:
        """Copy one kernel row tap by tap, with the zero point where a tap lies in the padding."""
        channels = self.window.group_channels
        corner, row = place
        with body.loop("kernel_column", self.window.kernel[1]) as column:
            inside, offset = self.window.tap(body, corner, row, column)
            tap = body.let("tap", target + column * tir.constant(channels))
            if inside is None:
                self._copy(body, panel, tap, offset + channel, channels)
                return
            known = body.let("inside", inside)
            with body.when(known):
                self._copy(body, panel, tap, offset + channel, channels)
            with body.when(tir.negation(known)):
                for lane in range(channels):
                    body.store(panel, tap + tir.constant(lane), tir.constant(self.zero_point, self.input_type))

    def _copy(self, body: Body, panel: Buffer, target: Expr, offset: Expr, count: int) -> None:
        """Copy `count` bytes in the largest pieces; the last piece may overlap the one before."""
        offset = body.let("offset", offset)
        if self.piece == 1:
            with body.loop("byte", count) as byte:
                body.store(panel, target + byte, tir.load(self.source, offset + byte))
            return
        piece = next(size for size in (16, 8, 4, 2, 1) if size <= count)
        places = sorted({min(place, count - piece) for place in range(0, count, piece)})
        for place in places:
            value = tir.load(self.source, offset + tir.constant(place), piece)
            body.store(panel, target + tir.constant(place), value, piece)

"""Rows whose activations are widened once for all columns, on machines whose dot product takes wider operands.

`smlad` multiplies 16-bit numbers. Widening the bytes of a tile of rows costs two instructions for four bytes; done
once for a tile, before the loop over the columns, it leaves only the weights to be widened in the innermost loop. The
rows' runs come to lie one behind the other, so that the loop over the steps is one for a whole window, padding
included.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from qcc.targets import tir
from qcc.targets.instructions import DotInstruction
from qcc.targets.nests.panel import Panel
from qcc.targets.nests.products import DotProduct, InputType, RowSource
from qcc.targets.nests.register_tile import Rows
from qcc.targets.tir import Body, Buffer, Expr

MOST_WIDENED_BYTES = 8192
"""Largest local copy of a tile of widened rows."""


def widens(panel: Panel, dot: DotInstruction) -> bool:
    """Whether the rows of a nest are widened first: the machine wants it, and a tile is small enough."""
    words = panel.tile.rows * panel.runs * panel.steps * dot.widened_words
    return 0 < 4 * words <= MOST_WIDENED_BYTES


@dataclass
class WidenedRows(Rows):
    """Widens the rows that another source finds."""

    rows: Rows
    panel: Panel
    input_type: InputType
    dot: DotInstruction

    def begin(self, body: Body, first: Expr, count: int, group: Expr) -> None:
        """Fill the local copy: each step's words behind those of the step before, row by row."""
        length = self.panel.runs * self.panel.steps * self.dot.widened_words
        wide = body.allocate("widened", count * length, "int32")
        self.rows.begin(body, first, count, group)
        with self.rows.run(body) as (run, sources):
            base = body.let("run_start", run * tir.constant(self.panel.steps * self.dot.widened_words))
            for row, source in enumerate(sources):
                self._widen(body, source, wide, base + tir.constant(row * length))
        self._sources: list[RowSource] = [(wide, tir.constant(row * length)) for row in range(count)]

    @contextmanager
    def run(self, body: Body) -> Iterator[tuple[Expr, list[RowSource]]]:
        """One run: all runs of the other source."""
        del body
        yield tir.constant(0), self._sources

    def _widen(self, body: Body, source: RowSource, wide: Buffer, target: Expr) -> None:
        """Widen one run of one row; like that of the packed weights, the last step overlaps the one before."""
        size, length = self.panel.step, self.panel.run_length
        with body.loop("step", length // size) as step:
            self._step(body, source, step * tir.constant(size), (wide, target + step * self._words))
        if length % size:
            place = target + tir.constant(length // size) * self._words
            self._step(body, source, tir.constant(length - size), (wide, place))

    @property
    def _words(self) -> Expr:
        return tir.constant(self.dot.widened_words)

    def _step(self, body: Body, source: RowSource, depth: Expr, target: tuple[Buffer, Expr]) -> None:
        """Widen the bytes of one step."""
        buffer, start = source
        words = self.dot.load_activation(body, buffer, start + depth, self.input_type)
        for number, word in enumerate(words):
            body.store(target[0], target[1] + tir.constant(number), word)


@dataclass(frozen=True)
class WidenedProduct(DotProduct):
    """A dot product over rows that are widened already; all runs of a row are one."""

    @property
    def steps(self) -> tuple[int, int]:
        """All steps of all runs."""
        return self.panel.runs * self.panel.steps, 0

    @property
    def activation_stride(self) -> int:
        """Words of one step."""
        return self.dot.widened_words

    def load_activation(self, body: Body, source: Buffer, place: Expr) -> tuple[Expr, ...]:
        """The words of one step of one row."""
        words = (tir.load(source, place + tir.constant(n)) for n in range(self.dot.widened_words))
        return tuple(body.let("activation", word) for word in words)

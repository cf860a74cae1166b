"""Dot products of two rows at once, where one instruction multiplies 2 × 8 by 8 × 2 bytes.

The sums of two rows and four columns are kept as two registers of 2 × 2: columns 0 and 1 of both rows, then columns 2
and 3. The exchange of the middle halves leads from rows to that form and back. Of an odd number of rows the last one is
computed twice.
"""

from __future__ import annotations

from dataclasses import dataclass

from qcc.targets import tir
from qcc.targets.nests.grouped_product import GroupedProduct
from qcc.targets.nests.products import RowSource
from qcc.targets.tir import Body, Buffer, Expr

_FIRST, _SECOND = (0, 1, 4, 5), (2, 3, 6, 7)
"""Lanes of two rows that make up the sums of the first and of the second pair of columns."""


@dataclass(frozen=True)
class PairedProduct(GroupedProduct):
    """As `GroupedProduct`, for two rows of activations in one register."""

    def sums(self, rows: int) -> int:
        """Rows of sums: an even number."""
        return rows + rows % 2

    def begin(self, body: Body, accumulators: Buffer, rows: int) -> None:
        """From rows to pairs of columns."""
        vectors = self.panel.tile.vectors
        for row in range(0, self.sums(rows), 2):
            for vector in range(vectors):
                places = row * vectors + vector, (row + 1) * vectors + vector
                both = body.let("both", tir.concatenate([tir.load(accumulators, place) for place in places]))
                for place, lanes in zip(places, (_FIRST, _SECOND), strict=True):
                    body.store(accumulators, place, tir.extract(both, lanes))

    def finish(self, body: Body, accumulators: Buffer, rows: int) -> None:
        """Back: the exchange is its own inverse."""
        self.begin(body, accumulators, rows)

    def _group(
        self, body: Body, accumulators: Buffer, weights: tuple[Buffer, Expr], depth: Expr, sources: list[RowSource]
    ) -> None:
        """The steps of one group."""
        self._pairs(body, accumulators, weights, depth, (sources, self.dot.group))

    def _single(
        self, body: Body, accumulators: Buffer, weights: tuple[Buffer, Expr], depth: Expr, sources: list[RowSource]
    ) -> None:
        """One step."""
        self._pairs(body, accumulators, weights, depth, (sources, 1))

    def _pairs(
        self,
        body: Body,
        accumulators: Buffer,
        weights: tuple[Buffer, Expr],
        depth: Expr,
        work: tuple[list[RowSource], int],
    ) -> None:
        """So many steps from `depth` on."""
        (sources, steps), size = work, self.panel.step
        rows = [body.let("row", tir.load(source, start + depth, steps * size)) for source, start in sources]
        rows += rows[-1:] * (len(rows) % 2)
        for step in range(steps):
            buffer, first = weights
            part = range(step * size, (step + 1) * size)
            pairs = [
                self.dot.pair(body, [tir.extract(row, part) for row in rows[i : i + 2]], self.input_type)
                for i in range(0, len(rows), 2)
            ]
            self._multiply(body, accumulators, (buffer, first + tir.constant(step)), pairs)

    def _multiply(
        self, body: Body, accumulators: Buffer, weights: tuple[Buffer, Expr], pairs: list[tuple[Expr, ...]]
    ) -> None:
        """Two products for each pair of rows and vector of columns."""
        vectors, (buffer, step) = self.panel.tile.vectors, weights
        loaded = self.load_weights(body, buffer, step * tir.constant(self.step_bytes))
        for number, pair in enumerate(pairs):
            for vector, columns in enumerate(loaded):
                for half, column in enumerate(columns):
                    place = (2 * number + half) * vectors + vector
                    updated = self.dot.accumulate(tir.load(accumulators, place), pair, (column,))
                    body.store(accumulators, place, updated)

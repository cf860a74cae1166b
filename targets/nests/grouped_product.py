"""Dot products of several steps whose activations are loaded together.

Where the instruction itself picks four bytes out of a register, a register full of activations serves several steps:
one load for each row and group of steps, not one for each row and step.
"""

from __future__ import annotations

from dataclasses import dataclass

from qcc.targets import tir
from qcc.targets.nests.products import RowSource, Run, SharedProduct
from qcc.targets.tir import Body, Buffer, Expr


@dataclass(frozen=True)
class GroupedProduct(SharedProduct):
    """Dot products whose activations are loaded for `dot.group` steps at once."""

    def accumulate(self, body: Body, accumulators: Buffer, run: Run) -> None:
        """A loop over groups of steps, single steps, and the overlapping last step."""
        (buffer, first), sources = run.weights, run.sources
        length, size, group = self.panel.run_length, self.panel.step, self.dot.group
        full = length // size
        grouped = full // group * group
        if grouped:
            with body.loop("group", grouped // group) as number:
                step = number * tir.constant(group)
                self._group(body, accumulators, (buffer, first + step), step * tir.constant(size), sources)
        for step in range(grouped, full):
            place = (buffer, first + tir.constant(step))
            self._single(body, accumulators, place, tir.constant(step * size), sources)
        if full < self.panel.steps:
            last = tir.constant(length - size)
            self._single(body, accumulators, (buffer, first + tir.constant(full)), last, sources)

    def _group(
        self, body: Body, accumulators: Buffer, weights: tuple[Buffer, Expr], depth: Expr, sources: list[RowSource]
    ) -> None:
        """The steps of one group."""
        buffer, step = weights
        rows = [self.dot.load_activations(body, source, start + depth, self.input_type) for source, start in sources]
        for part in range(self.dot.group):
            place = (buffer, step + tir.constant(part))
            self._products(body, accumulators, place, [row[part] for row in rows])

    def _single(
        self, body: Body, accumulators: Buffer, weights: tuple[Buffer, Expr], depth: Expr, sources: list[RowSource]
    ) -> None:
        """One step."""
        rows = [self.dot.load_activation(body, source, start + depth, self.input_type) for source, start in sources]
        self._products(body, accumulators, weights, rows)

    def _products(
        self, body: Body, accumulators: Buffer, weights: tuple[Buffer, Expr], rows: list[tuple[Expr, ...]]
    ) -> None:
        """One dot product for each accumulator."""
        buffer, step = weights
        columns = self.load_weights(body, buffer, step * tir.constant(self.step_bytes))
        for row, activation in enumerate(rows):
            self.add(body, accumulators, row, activation, columns)

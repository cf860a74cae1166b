"""What a nest does with the bytes of one run; here the dot product, `depthwise.py` has the other one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from qcc.targets import tir
from qcc.targets.instructions import DotInstruction
from qcc.targets.nests.panel import Panel
from qcc.targets.step_loop import Operand, StepLoop, advanced
from qcc.targets.tir import Body, Buffer, Expr

InputType: TypeAlias = Literal["int8", "uint8"]
RowSource: TypeAlias = tuple[Buffer, Expr]
"""A buffer and the element where a row's current run begins."""


@dataclass(frozen=True)
class Run:
    """One run of the rows of a tile.

    Attributes:
        weights: the packed buffer and the run's first step in it.
        sources: one for each row.
        columns: the first output column of each vector.
    """

    weights: tuple[Buffer, Expr]
    sources: list[RowSource]
    columns: list[Expr]


@dataclass(frozen=True)
class Product(ABC):
    """Adds one run of every row of a tile to the accumulators."""

    panel: Panel
    input_type: InputType
    dot: DotInstruction

    @property
    def activation_offset(self) -> int:
        """What the product adds to each activation, see `wrapped_bias`."""
        return 0

    @property
    def scalar_sums(self) -> bool:
        """Whether the sums of a vector of columns are scalars until the epilogue."""
        return False

    def arrange(self, weights: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
        """Order the weights of one step, `[…, lanes, step]`."""
        return weights

    def sums(self, rows: int) -> int:
        """Rows of sums that a tile of so many rows needs."""
        return rows

    def begin(self, body: Body, accumulators: Buffer, rows: int) -> None:
        """Bring the sums, which hold the bias row by row, into the form that `accumulate` keeps them in."""
        del body, accumulators, rows

    def finish(self, body: Body, accumulators: Buffer, rows: int) -> None:
        """Bring the sums back into rows."""
        del body, accumulators, rows

    @abstractmethod
    def accumulate(self, body: Body, accumulators: Buffer, run: Run) -> None:
        """Emit the products of one run.

        Accumulator `row · vectors + vector` belongs to a pair, or with `scalar_sums` the accumulators
        `(row · vectors + vector) · lanes + lane`.
        """


@dataclass(frozen=True)
class SharedProduct(Product):
    """Base of products whose output columns all see the same activations: dot instructions, step by step."""

    @property
    def activation_offset(self) -> int:
        """That of the instruction."""
        return self.dot.activation_offset(self.input_type)

    def arrange(self, weights: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
        """In the order of the instruction."""
        return self.dot.arrange(weights)

    @property
    def step_bytes(self) -> int:
        """Weights of one step of a tile's vectors of columns."""
        return self.panel.tile.vectors * self.panel.lanes * self.panel.step

    def load_weights(self, body: Body, buffer: Buffer, first: Expr) -> list[tuple[Expr, ...]]:
        """The weights of the step that begins at `first`, vector by vector of columns."""
        size = self.panel.lanes * self.panel.step
        offsets = (first + tir.constant(vector * size) for vector in range(self.panel.tile.vectors))
        return [self.dot.load_weights(body, buffer, offset) for offset in offsets]

    def add(
        self,
        body: Body,
        accumulators: Buffer,
        row: int,
        activation: tuple[Expr, ...],
        columns: Sequence[tuple[Expr, ...]],
    ) -> None:
        """Add the dot products of one row's activations with all columns of weights."""
        for number, column in enumerate(columns, row * len(columns)):
            updated = self.dot.accumulate(tir.load(accumulators, number), activation, column)
            body.store(accumulators, number, updated)


@dataclass(frozen=True)
class DotProduct(SharedProduct):
    """Broadcasts and dot instructions."""

    @property
    def scalar_sums(self) -> bool:
        """As the instruction has it."""
        return self.dot.scalar_sums

    def accumulate(self, body: Body, accumulators: Buffer, run: Run) -> None:
        """A loop over whole steps, and the overlapping last step."""
        buffer, first = run.weights
        loop, (left, rest) = self.loop, self.steps
        strides = [self.step_bytes, *(self.activation_stride for _ in run.sources)]
        operands = [(buffer, first * tir.constant(strides[0])), *run.sources]
        if left >= max(loop.least, loop.unroll):
            with loop.turns(body, operands, strides, left) as moved:
                for step in range(loop.unroll):
                    self._step(body, accumulators, advanced(moved, strides, step))
            left %= loop.unroll
        for step in range(left):
            self._step(body, accumulators, advanced(operands, strides, step))
        if rest:
            last = advanced(operands, strides, left)
            overlap = tir.constant(self.panel.step - rest)
            self._step(body, accumulators, [last[0], *((source, place - overlap) for source, place in last[1:])])

    @property
    def loop(self) -> StepLoop:
        """How the steps are walked."""
        return self.dot.step_loop

    @property
    def steps(self) -> tuple[int, int]:
        """Whole steps of a run, and the bytes that are left for an overlapping one."""
        return divmod(self.panel.run_length, self.panel.step)

    @property
    def activation_stride(self) -> int:
        """How far the activations of one step are from those of the next, in elements."""
        return self.panel.step

    def load_activation(self, body: Body, source: Buffer, place: Expr) -> tuple[Expr, ...]:
        """The activations of one step of one row."""
        return self.dot.load_activation(body, source, place, self.input_type)

    def _step(self, body: Body, accumulators: Buffer, operands: list[Operand]) -> None:
        """The activations of each row, one dot product for each accumulator; `operands` are weights and rows."""
        (buffer, first), *sources = operands
        loaded = self.load_weights(body, buffer, first)
        columns = [(w,) for registers in loaded for w in registers] if self.scalar_sums else loaded
        for row, (source, place) in enumerate(sources):
            self.add(body, accumulators, row, self.load_activation(body, source, place), columns)

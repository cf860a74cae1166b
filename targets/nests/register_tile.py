"""The register-tiled matrix nest that dense layers and convolutions share.

`rows × columns` outputs are computed in tiles of MR rows and NR vectors of columns, whose int32 accumulators stay in
registers. A row is a list of *runs* of consecutive activation bytes (one run for a dense layer, one for each kernel
tap of a convolution); each step broadcasts four bytes of a row and adds NR dot products. The epilogue runs in
registers too.

Tails cost no masks and touch no byte outside:
* rows: the tiles are balanced, so that only the sizes `q` and `q − 1` occur;
* columns: the last vectors begin at `columns − lanes` and overlap their neighbours, with the same results;
* depth: the last step of a run of length `R` reads the bytes `R − 4 … R − 1`, and has zero weights where these have
  been used already.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from qcc.targets import tir
from qcc.targets.instructions import STEP, DotInstruction
from qcc.targets.nests.epilogue import Epilogue, EpilogueEmitter
from qcc.targets.tir import Body, Buffer, Expr, PrimFunc

InputType: TypeAlias = Literal["int8", "uint8"]
RowSource: TypeAlias = tuple[Buffer, Expr]
"""A buffer and the element where a row's current run begins."""


@dataclass(frozen=True)
class Tile:
    """A register tile: `rows` × `vectors` accumulators."""

    rows: int
    vectors: int


MOST_ROWS = 14
"""The tallest tile: more rows than this are never better."""


def tile_for(rows: int, columns: int, dot: DotInstruction, most_rows: int = MOST_ROWS) -> Tile:
    """The register tile with the least estimated time for a matrix of `rows` × `columns` outputs.

    Two dot products and two loads a cycle, a latency of four cycles, and tiles that fill up with overlap.
    """
    count = -(-columns // dot.lanes)
    best = min(
        (_step_cost(rows, count, Tile(height, width)), -width, -height)
        for width in range(1, 9)
        for height in range(1, min(rows, most_rows) + 1)
        if height * width + width + dot.temporaries <= dot.registers and width <= max(count, 1)
    )
    return Tile(-best[2], -best[1])


def _step_cost(rows: int, vectors: int, tile: Tile) -> float:
    """Cycles for one step of the whole matrix; weights come from farther away than activations."""
    blocks = -(-vectors // tile.vectors)
    loads = 0.35 * tile.vectors
    return blocks * sum(
        count * (max(height * tile.vectors / 2, (height + tile.vectors) / 2, 4.0) + loads + 0.25 * height)
        for count, height in row_tiles(rows, tile)
    )


def row_tiles(rows: int, tile: Tile) -> list[tuple[int, int]]:
    """How `rows` are divided: pairs of number of tiles and rows in each, at most two, sizes one apart."""
    tiles = -(-rows // tile.rows)
    large = -(-rows // tiles)
    small_count = tiles * large - rows
    return [(count, height) for count, height in ((tiles - small_count, large), (small_count, large - 1)) if count]


@dataclass(frozen=True)
class Panel:
    """The geometry of one nest, from which code and packed constants derive."""

    groups: int
    rows: int
    columns: int
    """In one group."""
    runs: int
    run_length: int
    """Bytes in a run, at least `STEP`."""
    tile: Tile

    @property
    def steps(self) -> int:
        """Dot steps in a run."""
        return -(-self.run_length // STEP)

    def blocks(self, lanes: int) -> int:
        """Blocks of `tile.vectors` vectors in a group."""
        return -(-self.columns // (lanes * self.tile.vectors))

    def vectors(self, lanes: int) -> int:
        """Vectors in a group, those that only fill the last block included."""
        return self.blocks(lanes) * self.tile.vectors

    def lane_columns(self, lanes: int) -> npt.NDArray[np.intp]:
        """The column (over all groups) that each lane of the packed constants belongs to; −1 for an unused lane."""
        starts = np.minimum(np.arange(self.vectors(lanes)) * lanes, max(self.columns - lanes, 0))
        inside = starts[:, None] + np.arange(lanes)
        inside = np.where(inside < self.columns, inside, -1).reshape(-1)
        groups = np.arange(self.groups)[:, None] * self.columns
        return np.where(inside < 0, -1, inside + groups).reshape(-1)

    def packed_weights(self, weights: npt.NDArray[np.int8], dot: DotInstruction) -> npt.NDArray[np.int8]:
        """Pack `weights` of shape `[groups · columns, runs, run_length]` for the code of this nest.

        The layout is `[groups][blocks][runs · steps][vectors][lanes · 4]`, in the order of the dot instruction.
        """
        columns = self.lane_columns(dot.lanes)
        chosen = np.where(columns[:, None, None] < 0, np.int8(0), weights[columns])
        stepped = np.zeros((len(columns), self.runs, self.steps * STEP), np.int8)
        full = self.run_length // STEP * STEP
        stepped[:, :, :full] = chosen[:, :, :full]
        if full < self.run_length:
            stepped[:, :, full + STEP - (self.run_length - full) :] = chosen[:, :, full:]
        shape = (self.groups * self.blocks(dot.lanes), self.tile.vectors, dot.lanes, self.runs * self.steps, STEP)
        ordered = np.transpose(stepped.reshape(shape), (0, 3, 1, 2, 4))
        return np.ascontiguousarray(dot.arrange(ordered)).reshape(-1)

    def packed_length(self, lanes: int) -> int:
        """Elements of a packed per-column constant."""
        return self.groups * self.vectors(lanes) * lanes

    def weight_bytes(self, lanes: int) -> int:
        """Bytes of the packed weights."""
        return self.packed_length(lanes) * self.runs * self.steps * STEP


class Rows(ABC):
    """Where the rows of a nest lie in memory."""

    @abstractmethod
    def begin(self, body: Body, first: Expr, count: int, group: Expr) -> None:
        """Emit what is common to all runs of the rows `first … first + count − 1`."""

    @abstractmethod
    @contextmanager
    def run(self, body: Body) -> Iterator[tuple[Expr, list[RowSource]]]:
        """Loop over the runs; yields the index of the run and where each row's run begins."""


@dataclass(frozen=True)
class RegisterTile:
    """Emits the function of one nest."""

    panel: Panel
    dot: DotInstruction
    input_type: InputType
    epilogue: Epilogue

    def constant_buffers(self, extra_weights: int = 0) -> dict[str, Buffer]:
        """The buffers of weights and epilogue constants, in the order of the parameters."""
        length = self.panel.packed_length(self.dot.lanes)
        weights = tir.buffer("weights", self.panel.weight_bytes(self.dot.lanes) + extra_weights, "int8")
        lengths = {"table": 256}
        names = self.epilogue.constants()
        return {"weights": weights} | {name: tir.buffer(name, lengths.get(name, length), kind) for name, kind in names}

    def function(self, name: str, source: Buffer, constants: dict[str, Buffer], rows: Rows) -> PrimFunc:
        """The function `name(input, weights, bias, …, output)`."""
        body = Body()
        panel = self.panel
        output = tir.buffer("output", panel.rows * panel.columns * panel.groups, self.epilogue.output_type)
        emitter = _TileEmitter(self, body, constants, output, rows)
        with body.loop("group", panel.groups) as group, body.loop("block", panel.blocks(self.dot.lanes)) as block:
            first = 0
            for count, height in row_tiles(panel.rows, panel.tile):
                with body.loop("tile", count) as tile:
                    emitter.emit(group, block, tile * tir.constant(height) + tir.constant(first), height)
                first += count * height
        return body.function(name, [source, *constants.values(), output])


@dataclass(frozen=True)
class _TileEmitter:
    """Emits single tiles into `body`."""

    nest: RegisterTile
    body: Body
    constants: dict[str, Buffer]
    output: Buffer
    rows: Rows

    @property
    def lanes(self) -> int:
        """Accumulators in a vector."""
        return self.nest.dot.lanes

    def emit(self, group: Expr, block: Expr, first: Expr, height: int) -> None:
        """One tile: initial accumulators, all runs, epilogue."""
        panel, body = self.nest.panel, self.body
        emitter = EpilogueEmitter(self.nest.epilogue, self.lanes, self.constants)
        absolute = body.let("block_index", group * tir.constant(panel.blocks(self.lanes)) + block)
        vector = body.let("vector", absolute * tir.constant(panel.tile.vectors))
        accumulators = body.allocate("accumulators", height * panel.tile.vectors, self.nest.dot.accumulator_type)
        for column in range(panel.tile.vectors):
            bias = body.let("initial", emitter.bias((vector + tir.constant(column)) * tir.constant(self.lanes)))
            for row in range(height):
                body.store(accumulators, row * panel.tile.vectors + column, bias)
        self.rows.begin(body, first, height, group)
        with self.rows.run(body) as (run, sources):
            step = (absolute * tir.constant(panel.runs) + run) * tir.constant(panel.steps)
            self._accumulate(accumulators, body.let("first_step", step), sources)
        self._store(emitter, accumulators, (group, block, vector), first, height)

    def _accumulate(self, accumulators: Buffer, first_step: Expr, sources: list[RowSource]) -> None:
        """All steps of one run."""
        full = self.nest.panel.run_length // STEP
        with self.body.loop("step", full) as step:
            self._step(accumulators, first_step + step, step * tir.constant(STEP), sources)
        if full < self.nest.panel.steps:
            last = tir.constant(self.nest.panel.run_length - STEP)
            self._step(accumulators, first_step + tir.constant(full), last, sources)

    def _step(self, accumulators: Buffer, step: Expr, depth: Expr, sources: list[RowSource]) -> None:
        """One broadcast for each row, one dot product for each accumulator."""
        dot, vectors = self.nest.dot, self.nest.panel.tile.vectors
        size = self.lanes * STEP
        offsets = (step * tir.constant(vectors * size) + tir.constant(column * size) for column in range(vectors))
        weights = [dot.load_weights(self.body, self.constants["weights"], offset) for offset in offsets]
        for row, (source, start) in enumerate(sources):
            word = tir.reinterpret(tir.load(source, start + depth, STEP), "int32")
            activation = dot.broadcast(self.body, word, self.nest.input_type)
            for column in range(vectors):
                place = row * vectors + column
                updated = dot.accumulate(tir.load(accumulators, place), activation, weights[column])
                self.body.store(accumulators, place, updated)

    def _store(
        self, emitter: EpilogueEmitter, accumulators: Buffer, place: tuple[Expr, Expr, Expr], first: Expr, height: int
    ) -> None:
        """Epilogue and stores of one tile."""
        panel, body = self.nest.panel, self.body
        group, block, vector = place
        valid = min(panel.columns, self.lanes)
        staged = self._stage(height)
        for column in range(panel.tile.vectors):
            index = vector + tir.constant(column)
            constants = emitter.column_constants(body, index * tir.constant(self.lanes))
            start = (block * tir.constant(panel.tile.vectors) + tir.constant(column)) * tir.constant(self.lanes)
            if panel.columns % self.lanes or panel.vectors(self.lanes) * self.lanes > panel.columns:
                start = tir.minimum(start, tir.constant(max(panel.columns - self.lanes, 0)))
            start = body.let("column", start + group * tir.constant(panel.columns))
            for row in range(height):
                value = emitter.result(body, tir.load(accumulators, row * panel.tile.vectors + column), constants)
                if valid < self.lanes:
                    value = tir.extract(body.let("value", value), range(valid))
                target = (first + tir.constant(row)) * tir.constant(panel.columns * panel.groups) + start
                if staged is None:
                    body.store(self.output, target, value, valid)
                else:
                    body.store(staged, row * self.lanes, value, valid)
            if staged is not None:
                self._look_up(staged, first, start, (height, valid))

    def _stage(self, height: int) -> Buffer | None:
        """Room for the bytes of one column of vectors on their way through the table."""
        if not self.nest.epilogue.table:
            return None
        return self.body.allocate("staged", height * self.lanes, self.nest.epilogue.output_type)

    def _look_up(self, staged: Buffer, first: Expr, start: Expr, count: tuple[int, int]) -> None:
        """Replace the staged values, `count` rows and lanes, by their table entries on the way to the output."""
        zero = 128 if self.nest.epilogue.output_type == "int8" else 0
        stride = self.nest.panel.columns * self.nest.panel.groups
        with self.body.loop("staged_row", count[0]) as row, self.body.loop("lane", count[1]) as lane:
            value = tir.load(staged, row * tir.constant(self.lanes) + lane)
            entry = self.body.let("entry", tir.cast(value, "int32") + tir.constant(zero))
            target = (first + row) * tir.constant(stride) + start + lane
            self.body.store(self.output, target, tir.load(self.constants["table"], entry))

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

from qcc.targets import tir
from qcc.targets.nests.epilogue import Epilogue, EpilogueEmitter
from qcc.targets.nests.panel import Panel, row_tiles
from qcc.targets.nests.products import Product, RowSource, Run
from qcc.targets.tir import Body, Buffer, Expr, PrimFunc


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
    product: Product
    epilogue: Epilogue
    line: int | None = None
    """With it tiles stay within lines of this many rows, and a tile goes over all columns. Without it the weights of
    some columns go over all rows."""

    def constant_buffers(self, extra_weights: int = 0) -> dict[str, Buffer]:
        """The buffers of weights and epilogue constants, in the order of the parameters."""
        weights = tir.buffer("weights", self.panel.weight_bytes + extra_weights, "int8")
        lengths = {"table": 256}
        return {"weights": weights} | {
            name: tir.buffer(name, lengths.get(name, self.panel.packed_length), kind)
            for name, kind in self.epilogue.constants()
        }

    def function(self, name: str, source: Buffer, constants: dict[str, Buffer], rows: Rows) -> PrimFunc:
        """The function `name(input, weights, bias, …, output)`."""
        body = Body()
        panel = self.panel
        output = tir.buffer("output", panel.rows * panel.columns * panel.groups, self.epilogue.output_type)
        emitter = _TileEmitter(self, body, constants, output, rows)
        with body.loop("group", panel.groups) as group:
            if self.line is not None:
                for first, height in self._row_tiles(body):
                    rows.begin(body, first, height, group)
                    with body.loop("block", panel.blocks) as block:
                        emitter.emit(group, block, first, height)
            else:
                with body.loop("block", panel.blocks) as block:
                    for first, height in self._row_tiles(body):
                        rows.begin(body, first, height, group)
                        emitter.emit(group, block, first, height)
        return body.function(name, [source, *constants.values(), output])

    def _row_tiles(self, body: Body) -> Iterator[tuple[Expr, int]]:
        """Loops over the tiles; yields the first row of a tile and its height, inside the loop."""
        length = self.line or self.panel.rows
        done = 0
        with body.loop("line", self.panel.rows // length) as line:
            for count, height in row_tiles(length, self.panel.tile):
                with body.loop("tile", count) as tile:
                    start = tile * tir.constant(height) + tir.constant(done)
                    yield body.let("first", line * tir.constant(length) + start), height
                done += count * height


@dataclass(frozen=True)
class _TileEmitter:
    """Emits single tiles into `body`."""

    nest: RegisterTile
    body: Body
    constants: dict[str, Buffer]
    output: Buffer
    rows: Rows

    def emit(self, group: Expr, block: Expr, first: Expr, height: int) -> None:
        """One tile: initial accumulators, all runs, epilogue."""
        panel, body = self.nest.panel, self.body
        absolute = body.let("block_index", group * tir.constant(panel.blocks) + block)
        vectors = [absolute * tir.constant(panel.tile.vectors) + tir.constant(i) for i in range(panel.tile.vectors)]
        offsets = [body.let("constants", vector * tir.constant(panel.lanes)) for vector in vectors]
        columns = self._columns(group, block)
        product = self.nest.product
        accumulators = self._sums(offsets, product.sums(height))
        product.begin(body, accumulators, height)
        with self.rows.run(body) as (run, sources):
            step = body.let("first_step", (absolute * tir.constant(panel.runs) + run) * tir.constant(panel.steps))
            product.accumulate(body, accumulators, Run((self.constants["weights"], step), sources, columns))
        product.finish(body, accumulators, height)
        self._store(accumulators, offsets, columns, first, height)

    def _sums(self, offsets: list[Expr], height: int) -> Buffer:
        """The sums of a tile, row by row, with the bias in them."""
        panel, scalars = self.nest.panel, self._scalars
        count = panel.tile.vectors * scalars
        sums = self.body.allocate("accumulators", height * count, f"int32x{panel.lanes // scalars}")
        for column in range(count):
            place = offsets[column // scalars] + tir.constant(column % scalars)
            bias = self.body.let("initial", tir.load(self.constants["bias"], place, panel.lanes // scalars))
            for row in range(height):
                self.body.store(sums, row * count + column, bias)
        return sums

    @property
    def _scalars(self) -> int:
        """In how many scalars the sums of a vector of columns are kept; 1: they are a vector."""
        return self.nest.panel.lanes if self.nest.product.scalar_sums else 1

    def _sum(self, accumulators: Buffer, place: int) -> Expr:
        """The finished sums of a vector of columns."""
        first = place * self._scalars
        return tir.join([tir.load(accumulators, first + lane) for lane in range(self._scalars)])

    def _columns(self, group: Expr, block: Expr) -> list[Expr]:
        """The first output column of each vector of a block."""
        panel, columns = self.nest.panel, []
        for vector in range(panel.tile.vectors):
            start = (block * tir.constant(panel.tile.vectors) + tir.constant(vector)) * tir.constant(panel.lanes)
            if panel.overlaps:
                start = tir.minimum(start, tir.constant(panel.last_start))
            columns.append(self.body.let("column", start + group * tir.constant(panel.columns)))
        return columns

    def _store(self, accumulators: Buffer, offsets: list[Expr], columns: list[Expr], first: Expr, height: int) -> None:
        """Epilogue and stores of one tile, up to four vectors of columns at a time."""
        emitter = EpilogueEmitter(self.nest.epilogue, self.nest.panel.lanes, self.constants, self.nest.product.dot)
        vectors = range(self.nest.panel.tile.vectors)
        size = 1 if self.nest.epilogue.table else 4
        for chunk in (vectors[start : start + size] for start in vectors[::size]):
            constants = [emitter.column_constants(self.body, offsets[vector]) for vector in chunk]
            starts = [columns[vector] for vector in chunk]
            staged = self._stage(height)
            for row in range(height):
                places = (row * len(vectors) + vector for vector in chunk)
                values = [
                    emitter.rescaled(self.body, self._sum(accumulators, place), known)
                    for place, known in zip(places, constants, strict=True)
                ]
                if staged is not None:
                    self._store_one(
                        staged, tir.constant(row * self.nest.panel.lanes), emitter.result(self.body, values[0])
                    )
                else:
                    self._store_row(emitter, values, starts, first + tir.constant(row))
            if staged is not None:
                self._look_up(staged, first, starts[0], (height, self._valid))

    @property
    def _valid(self) -> int:
        """Lanes of a vector that are stored."""
        return min(self.nest.panel.columns, self.nest.panel.lanes)

    def _store_row(self, emitter: EpilogueEmitter, values: list[Expr], starts: list[Expr], row: Expr) -> None:
        """Store the vectors of one row, together where they are narrowed together."""
        panel = self.nest.panel
        line = row * tir.constant(panel.columns * panel.groups)
        whole = self._valid == panel.lanes
        packed = emitter.packed(self.body, values) if whole else None
        if packed is None:
            for value, start in zip(values, starts, strict=True):
                self._store_one(self.output, line + start, emitter.result(self.body, value))
        elif not panel.overlaps:
            self.body.store(self.output, line + starts[0], packed, panel.lanes * len(values))
        else:
            packed = self.body.let("packed", packed)
            for number, start in enumerate(starts):
                lanes = range(number * panel.lanes, (number + 1) * panel.lanes)
                self.body.store(self.output, line + start, tir.extract(packed, lanes), panel.lanes)

    def _store_one(self, target: Buffer, offset: Expr, value: Expr) -> None:
        """Store one vector, as far as it is valid.

        Two lanes are stored one by one: LLVM widens a pair to 64-bit lanes first, on Helium by moves of floats.
        """
        valid = self._valid
        if valid == self.nest.panel.lanes:
            self.body.store(target, offset, value, valid)
            return
        value = self.body.let("value", value)
        if valid == 2:
            for lane in range(valid):
                self.body.store(target, offset + tir.constant(lane), tir.extract(value, [lane]))
        else:
            self.body.store(target, offset, tir.extract(value, range(valid)), valid)

    def _stage(self, height: int) -> Buffer | None:
        """Room for the bytes of one column of vectors on their way through the table."""
        if not self.nest.epilogue.table:
            return None
        return self.body.allocate("staged", height * self.nest.panel.lanes, self.nest.epilogue.output_type)

    def _look_up(self, staged: Buffer, first: Expr, start: Expr, count: tuple[int, int]) -> None:
        """Replace the staged values, `count` rows and lanes, by their table entries on the way to the output."""
        zero = 128 if self.nest.epilogue.output_type == "int8" else 0
        stride = self.nest.panel.columns * self.nest.panel.groups
        with self.body.loop("staged_row", count[0]) as row, self.body.loop("lane", count[1]) as lane:
            value = tir.load(staged, row * tir.constant(self.nest.panel.lanes) + lane)
            entry = self.body.let("entry", tir.cast(value, "int32") + tir.constant(zero))
            target = (first + row) * tir.constant(stride) + start + lane
            self.body.store(self.output, target, tir.load(self.constants["table"], entry))

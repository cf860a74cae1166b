"""The geometry of a matrix nest, from which its code and its packed constants derive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from qcc.targets.instructions import DotInstruction

Int8Array: TypeAlias = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Tile:
    """A register tile: `rows` × `vectors` accumulators."""

    rows: int
    vectors: int


MOST_ROWS = 14
"""The tallest tile: more rows than this are never better."""


def tile_for(rows: int, columns: int, dot: DotInstruction, most_rows: int = MOST_ROWS) -> Tile:
    """The register tile with the least estimated time for a matrix of `rows` × `columns` outputs."""
    count = -(-columns // dot.lanes)
    best = min(
        (_matrix_cost(rows, count, Tile(height, width), dot), -width, -height)
        for width in range(1, 9)
        for height in range(1, min(rows, most_rows) + 1)
        if dot.fits(height, width) and width <= max(count, 1)
    )
    return Tile(-best[2], -best[1])


def _matrix_cost(rows: int, vectors: int, tile: Tile, dot: DotInstruction) -> float:
    """Cost of one step of the whole matrix."""
    blocks = -(-vectors // tile.vectors)
    return blocks * sum(count * dot.step_cost(height, tile.vectors) for count, height in row_tiles(rows, tile))


def row_tiles(rows: int, tile: Tile) -> list[tuple[int, int]]:
    """How `rows` are divided: pairs of number of tiles and rows in each, at most two, sizes one apart."""
    tiles = -(-rows // tile.rows)
    large = -(-rows // tiles)
    small_count = tiles * large - rows
    return [(count, height) for count, height in ((tiles - small_count, large), (small_count, large - 1)) if count]


@dataclass(frozen=True)
class Panel:
    """A matrix nest: `groups` × `rows` × `columns` outputs, each a sum over `runs` of `run_length` activation bytes."""

    groups: int
    rows: int
    columns: int
    """In one group."""
    runs: int
    run_length: int
    """Bytes in a run, at least `step`."""
    lanes: int
    """int32 accumulators in a vector."""
    tile: Tile
    step: int
    """Activation bytes that one product consumes."""

    @property
    def steps(self) -> int:
        """Products in a run."""
        return -(-self.run_length // self.step)

    @property
    def blocks(self) -> int:
        """Blocks of `tile.vectors` vectors in a group."""
        return -(-self.columns // (self.lanes * self.tile.vectors))

    @property
    def vectors(self) -> int:
        """Vectors in a group, those that only fill the last block included."""
        return self.blocks * self.tile.vectors

    @property
    def last_start(self) -> int:
        """The column where the last vector begins; vectors that would begin later begin here."""
        return max(self.columns - self.lanes, 0)

    @property
    def overlaps(self) -> bool:
        """Whether some vector begins at `last_start` instead of its own place."""
        return self.vectors * self.lanes > self.columns

    @property
    def packed_length(self) -> int:
        """Elements of a packed per-column constant."""
        return self.groups * self.vectors * self.lanes

    @property
    def weight_bytes(self) -> int:
        """Bytes of the packed weights."""
        return self.packed_length * self.runs * self.steps * self.step

    def lane_columns(self) -> npt.NDArray[np.intp]:
        """The column (over all groups) that each lane of the packed constants belongs to; −1 for an unused lane."""
        starts = np.minimum(np.arange(self.vectors) * self.lanes, self.last_start)
        inside = starts[:, None] + np.arange(self.lanes)
        inside = np.where(inside < self.columns, inside, -1).reshape(-1)
        groups = np.arange(self.groups)[:, None] * self.columns
        return np.where(inside < 0, -1, inside + groups).reshape(-1)

    def packed_weights(self, weights: Int8Array, arrange: Callable[[Int8Array], Int8Array]) -> Int8Array:
        """Pack `weights` of shape `[groups · columns, runs, run_length]` for the code of this nest.

        The layout is `[groups][blocks][runs · steps][vectors][lanes · step]`; `arrange` orders the last dimension.
        """
        columns = self.lane_columns()
        chosen = np.where(columns[:, None, None] < 0, np.int8(0), weights[columns])
        stepped = np.zeros((len(columns), self.runs, self.steps * self.step), np.int8)
        full = self.run_length // self.step * self.step
        stepped[:, :, :full] = chosen[:, :, :full]
        if full < self.run_length:
            stepped[:, :, full + self.step - (self.run_length - full) :] = chosen[:, :, full:]
        shape = (self.groups * self.blocks, self.tile.vectors, self.lanes, self.runs * self.steps, self.step)
        ordered = np.transpose(stepped.reshape(shape), (0, 3, 1, 2, 4))
        return np.ascontiguousarray(arrange(ordered)).reshape(-1)

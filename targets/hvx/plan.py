"""How HVX computes a convolution: which rows, which tile, which order of the constants."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from qcc.targets.hexagon_instructions import LANES
from qcc.targets.hvx.lines import segment_pixels
from qcc.targets.hvx.memory import blocks, rounded_up
from qcc.targets.instructions import STEP
from qcc.targets.nests.convolution import Convolution
from qcc.targets.nests.window import Window

RowKind: TypeAlias = Literal["dense", "lines", "windows"]

PAIR = 2 * STEP
"""Activation bytes that one scalar load brings: two steps."""

REGISTERS = 31
"""Vector registers for accumulators and the weights of two steps."""

MOST_ROWS = 8
MOST_VECTORS = 5
MOST_ROW_BYTES = 16384
"""The size of the local copy of a tile's rows, unless a single row is larger."""


@dataclass(frozen=True)
class StagedPlan:
    """What plans of convolutions share."""

    spec: Convolution

    @cached_property
    def window(self) -> Window:
        """The window over whole lines, all channels."""
        spec = self.spec
        return Window(spec.input, spec.kernel, spec.strides, spec.dilations, spec.padding, 1)


@dataclass(frozen=True)
class Plan(StagedPlan):
    """The geometry of a matrix nest: `groups` × rows × `columns` outputs in tiles of `rows` × `vectors` vectors.

    Three kinds of rows, all of them read by aligned scalar loads from local memory:

    * *dense*: pointwise with stride 1; the rows of a tile are copied;
    * *lines*: windows read from padded copies of the input lines, where pixels begin at multiples of 8 bytes;
    * *windows*: other windows are put together from the copied lines, one behind another.
    """

    @property
    def group_channels(self) -> int:
        """Input channels of a group."""
        return self.spec.input[3] // self.spec.groups

    @property
    def columns(self) -> int:
        """Output channels of a group."""
        return self.spec.output_channels // self.spec.groups

    @cached_property
    def kind(self) -> RowKind:
        """How rows are found."""
        if self.spec.groups == 1 and self.window.is_dense:
            return "dense"
        return "lines" if self.spec.groups == 1 and self.spec.input[3] % PAIR == 0 else "windows"

    @property
    def joins_taps(self) -> bool:
        """Whether the taps of a kernel row are one run of bytes in a line."""
        return self.spec.groups == 1 and (self.spec.dilations[1] == 1 or self.spec.kernel[1] == 1)

    @property
    def runs(self) -> tuple[int, int]:
        """Runs of consecutive bytes in a row, as a grid: kernel rows × parts of them."""
        if self.kind != "lines":
            return 1, 1
        return self.spec.kernel[0], 1 if self.joins_taps else self.spec.kernel[1]

    @property
    def depth(self) -> int:
        """Weights of a run."""
        runs = self.runs
        return self.group_channels * self.window.taps // (runs[0] * runs[1])

    @property
    def run_bytes(self) -> int:
        """Bytes of a run that are read; those behind `depth` meet weights of 0."""
        return rounded_up(self.depth, PAIR)

    @cached_property
    def vectors(self) -> int:
        """Vectors of output channels in a tile."""
        count = blocks(self.columns, LANES)
        if count <= MOST_VECTORS:
            return count
        return min((2, 3, 4), key=lambda width: (blocks(count, width) * (width + 0.5), -width))

    @property
    def blocks(self) -> int:
        """Blocks of `vectors` vectors in a group."""
        return blocks(blocks(self.columns, LANES), self.vectors)

    @cached_property
    def pixels(self) -> int:
        """Rows that follow one another in input and output: a segment of an output line, or all."""
        return self.window.rows if self.kind == "dense" else segment_pixels(self.window, self.spec.input[3])

    @cached_property
    def rows(self) -> int:
        """Rows in a tile."""
        most = min(MOST_ROWS, (REGISTERS - 2 * self.vectors) // self.vectors, self.pixels)
        if self.kind != "lines":
            most = max(1, min(most, MOST_ROW_BYTES // self.run_bytes))
        joins = self.blocks == 1 and self.columns % LANES == 0

        def cost(rows: int) -> float:
            stores = blocks(rows * self.vectors, 4) if joins else rows
            return blocks(self.pixels, rows) * (rows * self.vectors + 0.3 * rows + 1 + 0.3 * stores)

        return min(range(1, most + 1), key=lambda rows: (cost(rows), -rows))

    def lane_columns(self) -> npt.NDArray[np.intp]:
        """The output channel of each lane of the constants; −1 for an unused lane."""
        lanes = np.arange(self.blocks * self.vectors * LANES)
        inside = np.where(lanes < self.columns, lanes, -1)
        groups = np.arange(self.spec.groups)[:, None] * self.columns
        return np.where(inside < 0, -1, inside + groups).reshape(-1)

    @property
    def weight_bytes(self) -> int:
        """Bytes of the packed weights."""
        runs = self.runs
        return self.spec.groups * self.blocks * self.vectors * LANES * runs[0] * runs[1] * self.run_bytes

    def packed_weights(self, weights: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
        """The weights `[channels, height, width, channels / groups]` in the order of the code, unsigned: `w + 128`.

        The layout is `[groups][blocks][runs · steps][vectors][lanes][4]`.
        """
        columns, runs = self.lane_columns(), self.runs[0] * self.runs[1]
        chosen = weights.reshape(len(weights), runs, self.depth)[columns]
        padded = np.zeros((len(columns), runs, self.run_bytes), np.int8)
        padded[:, :, : self.depth] = np.where(columns[:, None, None] < 0, np.int8(0), chosen)
        steps = runs * self.run_bytes // STEP
        shape = (self.spec.groups * self.blocks, self.vectors, LANES, steps, STEP)
        ordered = np.transpose(padded.reshape(shape), (0, 3, 1, 2, 4))
        return np.ascontiguousarray(ordered).reshape(-1) ^ np.int8(-128)

    @property
    def packing(self) -> str:
        """The name of the order of the weights."""
        runs = self.runs
        return f"vrmpy.{self.kind}.{runs[0]}x{runs[1]}x{self.run_bytes}.{self.vectors}"

"""Depthwise convolutions by `vrmpy` of vectors: a lane's four products are four kernel rows of one channel.

The lines under an output line are copied with their padding (`lines.py`), and four of them at a time are interleaved
byte by byte: position `x · channels + c` of the result is a word with column `x` of channel `c` in four lines. A
kernel column is then one `vrmpy` for 32 channels, its weights the column of the kernel; kernel rows that are missing
in the last four have weights of 0.

A vector of outputs is 32 channels of a pixel; with few channels and stride 1, all channels of several pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from qcc.targets import hexagon_instructions as hvx
from qcc.targets import tir
from qcc.targets.hexagon_instructions import LANES, VECTOR_BYTES
from qcc.targets.hvx.lines import Lines, overlapping, segment_pixels
from qcc.targets.hvx.memory import Source, blocks, load_vector, rounded_up, store_vector
from qcc.targets.hvx.plan import StagedPlan
from qcc.targets.hvx.writer import Writer
from qcc.targets.instructions import STEP
from qcc.targets.nests.convolution import Convolution
from qcc.targets.tir import Body, Buffer, Expr

MOST_ACCUMULATORS = 16
MOST_PRODUCTS = 160
"""Most `vrmpy` of a tile: what is not worth more code."""


def is_depthwise(spec: Convolution) -> bool:
    """Whether each output channel sees one input channel of its own."""
    return spec.groups == spec.input[3] == spec.output_channels > 1


@dataclass(frozen=True)
class DepthwisePlan(StagedPlan):
    """The geometry of one depthwise convolution."""

    @property
    def channels(self) -> int:
        """Channels of a block: all of them, or a vector of bytes."""
        return min(self.spec.output_channels, VECTOR_BYTES)

    @property
    def blocks(self) -> int:
        """Blocks of channels; the last one overlaps the one before it."""
        return blocks(self.spec.output_channels, VECTOR_BYTES)

    def block_start(self, block: int) -> int:
        """The first channel of a block."""
        return min(block * VECTOR_BYTES, self.spec.output_channels - self.channels)

    @cached_property
    def pixels(self) -> int:
        """Output pixels of a segment of a line."""
        return segment_pixels(self.window, self.channels)

    @property
    def unit(self) -> int:
        """Pixels in a vector."""
        if self.spec.strides[1] > 1:
            return 1
        return max(1, min(LANES // self.channels, self.pixels))

    @property
    def vectors(self) -> int:
        """Vectors of a unit."""
        return blocks(self.channels * self.unit, LANES)

    @property
    def row_groups(self) -> int:
        """Groups of four kernel rows."""
        return blocks(self.spec.kernel[0], STEP)

    @cached_property
    def units(self) -> int:
        """Units in a tile."""
        products = self.vectors * self.row_groups * self.spec.kernel[1]
        most = min(MOST_ACCUMULATORS // self.vectors, 8, MOST_PRODUCTS // products, self.pixels // self.unit)
        count = self.pixels / self.unit
        return min(range(1, max(most, 1) + 1), key=lambda units: (-(-count // units) * (units + 0.5), -units))

    def _lanes(self) -> npt.NDArray[np.intp]:
        """The channel within a block of each lane of a unit; −1 for an unused one."""
        lanes = np.arange(self.vectors * LANES)
        return np.where(lanes < self.channels * self.unit, lanes % self.channels, -1)

    def lane_columns(self) -> npt.NDArray[np.intp]:
        """The output channel of each lane of the constants; −1 for an unused lane."""
        lanes = self._lanes()
        starts = np.array([self.block_start(block) for block in range(self.blocks)])
        return np.where(lanes < 0, -1, lanes + starts[:, None]).reshape(-1)

    @property
    def weight_bytes(self) -> int:
        """Bytes of the packed weights."""
        return self.blocks * self.vectors * self.row_groups * self.spec.kernel[1] * VECTOR_BYTES

    def packed_weights(self, weights: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
        """The weights `[channels, height, width, 1]` in the order of the code.

        The layout is `[blocks][vectors][groups of rows][kernel columns][lanes][4 rows]`.
        """
        height, width = self.spec.kernel
        columns = self.lane_columns()
        padded = np.zeros((len(columns), self.row_groups * STEP, width), np.int8)
        padded[:, :height] = np.where(columns[:, None, None] < 0, np.int8(0), weights[columns, :, :, 0])
        shape = (self.blocks * self.vectors, LANES, self.row_groups, STEP, width)
        ordered = np.transpose(padded.reshape(shape), (0, 2, 4, 1, 3))
        return np.ascontiguousarray(ordered).reshape(-1)

    @property
    def packing(self) -> str:
        """The name of the order of the weights."""
        return f"vrmpy.depthwise.{self.unit}x{self.vectors}x{self.row_groups}"


def depthwise(plan: DepthwisePlan, source: Source, constants: Mapping[str, Buffer], writer: Writer) -> None:
    """Emit the body of the function."""
    _Nest(plan, source, constants, writer).emit()


@dataclass(frozen=True)
class _Nest:
    """Emits one depthwise convolution."""

    plan: DepthwisePlan
    source: Source
    constants: Mapping[str, Buffer]
    writer: Writer

    @property
    def body(self) -> Body:
        """Where statements go."""
        return self.writer.body

    @cached_property
    def lines(self) -> Lines:
        """The copied lines."""
        plan, spec = self.plan, self.plan.spec
        return Lines(plan.window, plan.pixels, plan.channels, spec.input_zero_point, spec.input_type == "uint8")

    @property
    def positions(self) -> int:
        """Words of one group of interleaved lines, in whole vectors of bytes."""
        return rounded_up(self.lines.columns * self.plan.channels)

    def emit(self) -> None:
        """All blocks of channels of all segments of all lines."""
        plan, body = self.plan, self.body
        height, width = plan.window.output_size
        copy = self.lines.allocate(body)
        words = body.allocate("words", plan.row_groups * self.positions * STEP + 4 * VECTOR_BYTES, "int8")
        with ExitStack() as stack:
            extents = {"image": plan.spec.input[0], "row": height, "segment": blocks(width, plan.pixels)}
            loops = (extents | {"block": plan.blocks}).items()
            image, row, segment, block = (stack.enter_context(body.loop(*loop)) for loop in loops)
            start = tir.minimum(segment * tir.constant(plan.pixels), tir.constant(width - plan.pixels))
            column = body.let("column", start)
            last = tir.constant(plan.block_start(plan.blocks - 1))
            channel = body.let("channel", tir.minimum(block * tir.constant(VECTOR_BYTES), last))
            self.lines.stage(body, self.source, copy, (image, row, column), channel)
            self._interleave(copy, words)
            line = (image * tir.constant(height) + row) * tir.constant(width) + column
            self._tiles(words, block, body.let("target", line * tir.constant(plan.spec.output_channels) + channel))

    def _interleave(self, copy: Buffer, words: Buffer) -> None:
        """Words of four lines each, in the order of the bytes of a line."""
        plan, body, height = self.plan, self.body, self.plan.spec.kernel[0]
        for group in range(plan.row_groups):
            rows = [min(group * STEP + row, height - 1) * self.lines.pitch for row in range(STEP)]
            base = group * self.positions * STEP
            with body.loop("piece", self.positions // VECTOR_BYTES) as piece:
                at = body.let("at", piece * tir.constant(VECTOR_BYTES))
                one, two, three, four = (body.let("line", load_vector(copy, at + tir.constant(row))) for row in rows)
                upper = body.let("upper", hvx.SHUFFLE(two, one, tir.constant(-1)))
                lower = body.let("lower", hvx.SHUFFLE(four, three, tir.constant(-1)))
                for half, part in enumerate((hvx.LOWER, hvx.UPPER)):
                    pair = body.let("pair", hvx.SHUFFLE(part(lower), part(upper), tir.constant(-2)))
                    for which, choose in enumerate((hvx.LOWER, hvx.UPPER)):
                        place = at * tir.constant(STEP) + tir.constant(base + (2 * half + which) * VECTOR_BYTES)
                        store_vector(body, words, place, choose(pair))

    def _tiles(self, words: Buffer, block: Expr, target: Expr) -> None:
        """All tiles of a segment; the last one overlaps the one before it."""
        plan, body = self.plan, self.body
        with overlapping(body, plan.pixels, plan.units * plan.unit) as first:
            values: list[list[Expr]] = [[] for _ in range(plan.units)]
            for vector in range(plan.vectors):
                absolute = block * tir.constant(plan.vectors) + tir.constant(vector)
                for unit, value in enumerate(self._vector(words, body.let("vector", absolute), vector, first)):
                    values[unit].append(value)
            offset = target + first * tir.constant(plan.spec.output_channels)
            count = plan.channels * plan.unit
            self.writer.write(values, offset, count, plan.spec.output_channels * plan.unit)

    def _vector(self, words: Buffer, absolute: Expr, vector: int, first: Expr) -> list[Expr]:
        """The rescaled results of all units for one vector of lanes."""
        plan, body, spec = self.plan, self.body, self.plan.spec
        constants = body.let("constants", absolute * tir.constant(LANES))
        bias = body.let("initial", tir.load(self.constants["bias"], constants, LANES))
        totals = [bias] * plan.units
        taps = spec.kernel[1]
        column_bytes = plan.channels * STEP
        begin = first * tir.constant(spec.strides[1] * column_bytes) + tir.constant(vector * LANES * STEP)
        begin = body.let("begin", begin)
        for group in range(plan.row_groups):
            step = (absolute * tir.constant(plan.row_groups) + tir.constant(group)) * tir.constant(taps * VECTOR_BYTES)
            weights = [
                body.let("weight", load_vector(self.constants["weights"], step + tir.constant(tap * VECTOR_BYTES)))
                for tap in range(taps)
            ]
            base = group * self.positions * STEP
            for column, uses in self._columns().items():
                place = begin + tir.constant(base + column * column_bytes)
                word = body.let("word", load_vector(words, place))
                for unit, tap in uses:
                    totals[unit] = body.let("total", hvx.DOT_VECTORS(totals[unit], word, weights[tap]))
        known = self.writer.column_constants(constants)
        return [self.writer.rescaled(total, known) for total in totals]

    def _columns(self) -> dict[int, list[tuple[int, int]]]:
        """The input columns under a tile, counted from its first one, each with the units and taps that read it."""
        plan, spec = self.plan, self.plan.spec
        found: dict[int, list[tuple[int, int]]] = {}
        for unit in range(plan.units):
            for tap in range(spec.kernel[1]):
                column = unit * plan.unit * spec.strides[1] + tap * spec.dilations[1]
                found.setdefault(column, []).append((unit, tap))
        return dict(sorted(found.items()))

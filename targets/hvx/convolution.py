"""Convolutions and matrix products by `vrmpy`: four activation bytes in a scalar register, the weights in a vector.

A tile of rows (output pixels) × vectors of output channels has its accumulators in registers. Each turn of the inner
loop reads eight bytes of every row, adds two `vrmpy` for each accumulator, and one scalar `vrmpybsu` to the row's sum,
which takes the surplus of the unsigned weights back in the end.

The last tile of a segment, and the last segment of a line, overlap the ones before: the code has one tile only.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qcc.targets import hexagon_instructions as hvx
from qcc.targets import tir
from qcc.targets.hexagon_instructions import LANES, VECTOR_BYTES
from qcc.targets.hvx.depthwise import DepthwisePlan, depthwise, is_depthwise
from qcc.targets.hvx.lines import Lines, overlapping
from qcc.targets.hvx.memory import Source, blocks, copy_bytes, load_vector, rounded_up, store_vector
from qcc.targets.hvx.plan import PAIR, Plan
from qcc.targets.hvx.writer import Writer, constant_names, lane_constants
from qcc.targets.instructions import STEP, Array, DotInstruction
from qcc.targets.nests.convolution import Convolution
from qcc.targets.nests.epilogue import wrapped_bias
from qcc.targets.tir import Body, Buffer, Expr, PrimFunc

_ONES = 0x0101010101010101


def staged_packing(spec: Convolution) -> str:
    """The name of the order in which `staged_constants` puts the weights."""
    return (DepthwisePlan(spec) if is_depthwise(spec) else Plan(spec)).packing


def staged_constants(
    spec: Convolution,
    dot: DotInstruction,
    weights: npt.NDArray[np.int8],
    bias: npt.NDArray[np.integer],
    multiplier: npt.NDArray[np.integer] | None = None,
    shift: npt.NDArray[np.integer] | None = None,
) -> dict[str, Array]:
    """The constant arguments of `staged_convolution` by name, in order, the table excepted."""
    plan = DepthwisePlan(spec) if is_depthwise(spec) else Plan(spec)
    offset = dot.activation_offset(spec.input_type)
    folded = wrapped_bias(bias, weights, spec.input_zero_point, offset)
    lanes = lane_constants(spec.epilogue, folded, multiplier, shift, plan.lane_columns())
    return {"weights": plan.packed_weights(weights), **lanes}


def staged_convolution(spec: Convolution) -> PrimFunc:
    """The function `NAME(input, weights, bias[, multiplier, shift[, pre_shift]][, table], output)`.

    `input` and `output` may lie anywhere, the constants at multiples of 128 bytes.
    """
    plan = DepthwisePlan(spec) if is_depthwise(spec) else Plan(spec)
    body = Body()
    source = tir.buffer("input", int(np.prod(spec.input)), spec.input_type)
    lanes = len(plan.lane_columns())
    constants = {"weights": tir.buffer("weights", plan.weight_bytes, "int8")}
    constants |= {name: tir.buffer(name, lanes, kind) for name, kind in constant_names(spec.epilogue)}
    if spec.epilogue.table:
        constants["table"] = tir.buffer("table", 256, spec.epilogue.output_type)
    output = tir.buffer("output", int(np.prod(spec.output)), spec.epilogue.output_type)
    readable = Source.of(body, source, int(np.prod(spec.input)))
    writer = Writer(body, spec.epilogue, constants, output)
    if isinstance(plan, DepthwisePlan):
        depthwise(plan, readable, constants, writer)
    else:
        _Nest(plan, body, readable, constants, writer).emit()
    aligned = dict.fromkeys(constants.values(), VECTOR_BYTES)
    return body.function(spec.name, [source, *constants.values(), output], aligned)


@dataclass(frozen=True)
class _Rows:
    """Where the rows of a tile lie: `local` bytes, each row's first byte, and the distance of its runs."""

    local: Buffer
    starts: list[Expr]
    distances: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class _Nest:
    """Emits the function of one matrix nest."""

    plan: Plan
    body: Body
    source: Source
    constants: Mapping[str, Buffer]
    writer: Writer

    @property
    def _flip(self) -> bool:
        return self.plan.spec.input_type == "uint8"

    def emit(self) -> None:
        """All tiles."""
        plan, body = self.plan, self.body
        local = None
        if plan.kind != "lines":
            local = body.allocate("rows", rounded_up(plan.rows * plan.run_bytes) + 2 * VECTOR_BYTES, "int8")
        if plan.kind == "dense":
            with overlapping(body, plan.pixels, plan.rows) as first:
                self._groups(self._dense(local, first), first)
            return
        lines = Lines(plan.window, plan.pixels, plan.spec.input[3], plan.spec.input_zero_point, self._flip)
        copy = lines.allocate(body)
        height, width = plan.window.output_size
        with ExitStack() as stack:
            extents = {"image": plan.spec.input[0], "row": height, "segment": blocks(width, plan.pixels)}
            image, row, segment = (stack.enter_context(body.loop(*loop)) for loop in extents.items())
            start = tir.minimum(segment * tir.constant(plan.pixels), tir.constant(width - plan.pixels))
            column = body.let("column", start)
            lines.stage(body, self.source, copy, (image, row, column))
            line = (image * tir.constant(height) + row) * tir.constant(width) + column
            with overlapping(body, plan.pixels, plan.rows) as first:
                if local is None:
                    self._groups(self._windowed(lines, copy, first), line + first)
                else:
                    self._gathered(lines, copy, local, first, line + first)

    def _dense(self, local: Buffer, first: Expr) -> _Rows:
        """Copy rows that follow one another."""
        plan, body = self.plan, self.body
        size = plan.run_bytes
        if plan.depth == size:
            begin = first * tir.constant(size)
            copy_bytes(body, self.source, begin, local, tir.constant(0), plan.rows * size, self._flip)
        else:
            with body.loop("tile_row", plan.rows) as row:
                begin = (first + row) * tir.constant(plan.depth)
                copy_bytes(body, self.source, begin, local, row * tir.constant(size), size, self._flip)
        return _Rows(local, [tir.constant(row * size) for row in range(plan.rows)])

    def _windowed(self, lines: Lines, copy: Buffer, first: Expr) -> _Rows:
        """Rows in the copied lines."""
        plan = self.plan
        pixel = plan.window.strides[1] * plan.spec.input[3]
        start = self.body.let("start", first * tir.constant(pixel))
        starts = [start + tir.constant(row * pixel) for row in range(plan.rows)]
        return _Rows(copy, starts, (lines.pitch, plan.window.dilations[1] * plan.spec.input[3]))

    def _gathered(self, lines: Lines, copy: Buffer, local: Buffer, first: Expr, output: Expr) -> None:
        """Windows put together, for each group."""
        plan, body = self.plan, self.body
        rows = _Rows(local, [tir.constant(row * plan.run_bytes) for row in range(plan.rows)])
        with body.loop("group", plan.spec.groups) as group:
            with body.loop("tile_row", plan.rows) as row:
                pixel = (first + row) * tir.constant(plan.window.strides[1] * plan.spec.input[3])
                begin = body.let("begin", pixel + group * tir.constant(plan.group_channels))
                self._gather(lines, (copy, begin), (local, body.let("place", row * tir.constant(plan.run_bytes))))
            self._blocks(rows, group, output)

    def _gather(self, lines: Lines, source: tuple[Buffer, Expr], target: tuple[Buffer, Expr]) -> None:
        """Copy one window, run by run: each run overwrites what the copy of the one before left behind it."""
        plan, body = self.plan, self.body
        height, width = plan.window.kernel
        (copy, begin), (local, place) = source, target
        parts = 1 if plan.joins_taps else width
        size = plan.group_channels * width // parts
        with body.loop("kernel_row", height) as row, body.loop("part", parts) as part:
            tap = part * tir.constant(plan.window.dilations[1] * plan.spec.input[3])
            start = body.let("tap", begin + row * tir.constant(lines.pitch) + tap)
            to = body.let("target", place + (row * tir.constant(parts) + part) * tir.constant(size))
            for piece in range(0, size, VECTOR_BYTES):
                vector = load_vector(copy, start + tir.constant(piece))
                store_vector(body, local, to + tir.constant(piece), vector)

    def _groups(self, rows: _Rows, output: Expr) -> None:
        """All blocks of columns, for the one group."""
        self._blocks(rows, tir.constant(0), output)

    def _blocks(self, rows: _Rows, group: Expr, output: Expr) -> None:
        """All blocks of columns of a group; `output` is the first output pixel."""
        plan, body = self.plan, self.body
        with body.loop("block", plan.blocks) as block:
            absolute = body.let("block_index", group * tir.constant(plan.blocks) + block)
            values = self._products(rows, absolute)
            width = plan.vectors * LANES
            column = block * tir.constant(width)
            count: Expr | int = plan.columns
            if plan.blocks > 1:
                count = (
                    width
                    if plan.columns % width == 0
                    else tir.minimum(tir.constant(plan.columns) - column, tir.constant(width))
                )
            offset = output * tir.constant(plan.spec.output_channels) + group * tir.constant(plan.columns) + column
            self.writer.write(values, body.let("target", offset), count, plan.spec.output_channels)

    def _products(self, rows: _Rows, block: Expr) -> list[list[Expr]]:
        """The rescaled vectors of a tile."""
        plan, body = self.plan, self.body
        count, vectors = plan.rows, plan.vectors
        offsets = [(block * tir.constant(vectors) + tir.constant(v)) * tir.constant(LANES) for v in range(vectors)]
        offsets = [body.let("constants", offset) for offset in offsets]
        accumulators = body.allocate("accumulators", count * vectors, hvx.TYPES["vector"])
        sums = body.allocate("sums", count, "int64")
        for vector, offset in enumerate(offsets):
            bias = body.let("initial", tir.load(self.constants["bias"], offset, LANES))
            for row in range(count):
                body.store(accumulators, row * vectors + vector, bias)
        for row in range(count):
            body.store(sums, row, tir.constant(0, "int64"))
        self._runs(rows, block, accumulators, sums)
        known = [self.writer.column_constants(offset) for offset in offsets]
        values = []
        for row in range(count):
            surplus = tir.splat(body.let("surplus", _surplus(body, tir.load(sums, row))), LANES)
            totals = [tir.load(accumulators, row * vectors + vector) - surplus for vector in range(vectors)]
            values.append([self.writer.rescaled(t, k) for t, k in zip(totals, known, strict=True)])
        return values

    def _runs(self, rows: _Rows, block: Expr, accumulators: Buffer, sums: Buffer) -> None:
        """All steps of all runs."""
        plan, body = self.plan, self.body
        turns = plan.run_bytes // PAIR
        size = 2 * plan.vectors * VECTOR_BYTES
        with body.loop("kernel_row", plan.runs[0]) as line, body.loop("kernel_column", plan.runs[1]) as part:
            run = (block * tir.constant(plan.runs[0]) + line) * tir.constant(plan.runs[1]) + part
            weights = body.let("run_weights", run * tir.constant(turns * size))
            distance = line * tir.constant(rows.distances[0]) + part * tir.constant(rows.distances[1])
            distance = body.let("run", distance)
            with body.loop("turn", turns) as turn:
                offset = weights + turn * tir.constant(size)
                loaded = [
                    body.let("weight", load_vector(self.constants["weights"], offset + tir.constant(place)))
                    for place in range(0, size, VECTOR_BYTES)
                ]
                for row, start in enumerate(rows.starts):
                    bytes_ = tir.load(rows.local, start + distance + turn * tir.constant(PAIR), PAIR)
                    pair = body.let("pair", tir.reinterpret(bytes_, "int64"))
                    self._turn(pair, loaded, (row, accumulators, sums))

    def _turn(self, pair: Expr, weights: list[Expr], target: tuple[int, Buffer, Buffer]) -> None:
        """Eight bytes of one row."""
        body, vectors = self.body, self.plan.vectors
        row, accumulators, sums = target
        body.store(sums, row, hvx.ROW_SUM(tir.load(sums, row), pair, tir.constant(_ONES, "int64")))
        words = [tir.cast(pair, "int32"), tir.cast(pair >> tir.constant(8 * STEP, "int64"), "int32")]
        for vector in range(vectors):
            total = tir.load(accumulators, row * vectors + vector)
            for step, word in enumerate(words):
                total = hvx.DOT_SCALAR(total, weights[step * vectors + vector], word)
            body.store(accumulators, row * vectors + vector, total)


def _surplus(body: Body, total: Expr) -> Expr:
    """128 times the sum of a row, from the two sums of `vrmpybsu`."""
    known = body.let("sums", total)
    halves = tir.cast(known, "int32") + tir.cast(known >> tir.constant(32, "int64"), "int32")
    return halves << tir.constant(7)

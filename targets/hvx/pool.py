"""Pools and sums over axes: the largest byte or the sum of each window, 128 channels at a time.

Sums are kept in halfwords along a row of a window and added to int32 behind it. A tensor of more than a vector of
channels is walked in blocks, the last of which overlaps the one before it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from qcc.ir import Array, Value
from qcc.ir.ops import MaxPool2d, ReduceSum, SumPool2d
from qcc.targets import hexagon_instructions as hvx
from qcc.targets import tir
from qcc.targets.hexagon_instructions import LANES, VECTOR_BYTES
from qcc.targets.hvx.elements import Codes, NoVectorForm, Term, VectorPlace, Words, code_vector, loaded_codes
from qcc.targets.hvx.memory import VECTOR, Source, blocks, load_vector, splat_bytes, store_bytes
from qcc.targets.kernel import LoweredKernel
from qcc.targets.portable.parameters import Parameters, code_range, storage_dtype
from qcc.targets.portable.sums import sum_bounds
from qcc.targets.portable.windows import span
from qcc.targets.tir import Expr

MOST_IN_A_ROW = 128
"""So many bytes have a sum that fits 16 bits."""

_BYTES = ("int8", "uint8")


def pool(parameters: Parameters) -> LoweredKernel | None:
    """A kernel whose anchor is a pool of codes or a sum over axes; None where it has no vector form."""
    try:
        _Nest(parameters).emit()
    except NoVectorForm:
        return None
    return parameters.finish()


@dataclass(frozen=True)
class _Taps:
    """The elements of one window: rows × columns of them.

    Attributes:
        rows, columns: how many.
        start: the offset of the first one's first channel.
        distances: elements from row to row and from column to column.
    """

    rows: Expr | int
    columns: Expr | int
    start: Expr
    distances: tuple[int, int]


class _Nest:
    """The nest of one kernel."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters, self.body = parameters, parameters.body
        op = parameters.kernel.anchor
        if not isinstance(op, MaxPool2d | SumPool2d | ReduceSum) or storage_dtype(op.x.type) not in _BYTES:
            raise NoVectorForm(op.name)
        self.op = op
        outputs = parameters.kernel.outputs
        if len(outputs) != 1 or storage_dtype(outputs[0].type) not in _BYTES or not op.x.type.size:
            raise NoVectorForm("a result that is no tensor of bytes")
        self.output = outputs[0]
        self.shape = _walked(op)
        self.channels = self.shape[-1]
        if self.channels * math.prod(self.shape[:-1]) != self.output.type.size:
            raise NoVectorForm("a result of another shape")

    def emit(self) -> None:
        """All pixels, all blocks of channels."""
        body, size = self.body, self.output.type.size
        source = Source.of(body, self.parameters.input(self.op.x), self.op.x.type.size)
        others = {}
        for value in self.parameters.kernel.inputs:
            if value.name == self.op.x.name:
                continue
            if value.type.size != size or storage_dtype(value.type) not in _BYTES:
                raise NoVectorForm("an operand of another shape")
            others[value.name] = Source.of(body, self.parameters.input(value), size)
        count = min(self.channels, VECTOR_BYTES)
        with ExitStack() as stack:
            pixel = tuple(stack.enter_context(body.loop(n, s)) for n, s in zip("nyx", self.shape[:-1], strict=False))
            taps = self._taps(pixel)
            block = stack.enter_context(body.loop("block", blocks(self.channels)))
            channel = block * tir.constant(VECTOR_BYTES)
            if self.channels % VECTOR_BYTES:
                channel = tir.minimum(channel, tir.constant(self.channels - count))
            channel = body.let("channel", channel)
            known = {self.op.result.name: self._window(source, taps, channel)}
            place = _Place(self.parameters, others, (self.shape, pixel, channel), known)
            store_bytes(body, self.parameters.output(self.output), place.offset, code_vector(place, self.output), count)

    def _taps(self, pixel: Sequence[Expr]) -> list[_Taps]:
        """The elements of a window, in parts that are summed one after another."""
        op, body, zero = self.op, self.body, tir.constant(0)
        if isinstance(op, ReduceSum):
            outer, reduced, channels = _split(op)
            del outer
            start = pixel[0] * tir.constant(reduced * channels)
            full, rest = divmod(reduced, MOST_IN_A_ROW)
            parts = [(full, MOST_IN_A_ROW, 0), (1, rest, full * MOST_IN_A_ROW)]
            row = MOST_IN_A_ROW * channels
            return [
                _Taps(rows, columns, start + tir.constant(first * channels), (row, channels))
                for rows, columns, first in parts
                if rows * columns
            ]
        if op.kernel[1] > MOST_IN_A_ROW:
            raise NoVectorForm("a long row")
        _, height, width, channels = op.x.type.shape
        sizes = (height, width)
        spans = [span(body, op, a, op.kernel[a], pixel[1 + a], sizes[a], self.shape[1 + a]) for a in (0, 1)]
        first = [s.origin + s.first * tir.constant(op.dilation[a]) for a, s in enumerate(spans)]
        line = (pixel[0] * tir.constant(height) + first[0]) * tir.constant(width) + first[1]
        start = body.let("start", line * tir.constant(channels))
        rows, columns = (tir.maximum(s.count, zero) if not isinstance(s.count, int) else s.count for s in spans)
        distances = (op.dilation[0] * width * channels, op.dilation[1] * channels)
        return [_Taps(rows, columns, start, distances)]

    def _load(self, source: Source, offset: Expr) -> Expr:
        """128 channels, or as many as there are."""
        if self.channels >= VECTOR_BYTES:
            return self.body.let("codes", load_vector(source.buffer, offset))
        return self.body.let("codes", source.load(self.body, offset))

    def _window(self, source: Source, parts: list[_Taps], channel: Expr) -> Term:
        """The maximum or the sum."""
        if isinstance(self.op, MaxPool2d):
            return self._largest(source, parts[0], channel)
        return self._sum(source, parts, channel)

    def _largest(self, source: Source, taps: _Taps, channel: Expr) -> Codes:
        """The largest code."""
        body, dtype = self.body, storage_dtype(self.op.x.type)
        largest, kind = body.allocate("largest", 1, VECTOR), f"{dtype}x{VECTOR_BYTES}"
        body.store(largest, 0, splat_bytes(int(np.iinfo(dtype).min)))
        with body.loop("ky", taps.rows) as ky, body.loop("kx", taps.columns) as kx:
            at = ky * tir.constant(taps.distances[0]) + kx * tir.constant(taps.distances[1])
            new = self._load(source, taps.start + at + channel)
            both = (tir.reinterpret(v, kind) for v in (tir.load(largest, 0), new))
            body.store(largest, 0, tir.reinterpret(tir.maximum(*both), VECTOR))
        return Codes(body.let("maximum", tir.load(largest, 0)), dtype, *code_range(self.op.x.type))

    def _sum(self, source: Source, parts: list[_Taps], channel: Expr) -> Words:
        """The sum less the zero points."""
        body = self.body
        low, high = sum_bounds(self.op)
        if low < -(2**31) or high >= 2**31 or isinstance(self.op, MaxPool2d):
            raise NoVectorForm("a sum of more than 32 bits")
        totals = body.allocate("totals", 4, VECTOR)
        halves = body.allocate("halves", 2, "int16x64")
        for part in range(4):
            body.store(totals, part, tir.splat(0, LANES))
        number: Expr = tir.constant(0)
        for taps in parts:
            number = number + tir.index(taps.rows) * tir.index(taps.columns)
            with body.loop("ky", taps.rows) as ky:
                self._row(source, taps, ky, (channel, halves))
                for half in range(2):
                    loaded = tir.reinterpret(tir.load(halves, half), VECTOR)
                    wide = body.let("wide", hvx.UNPACK_HALFWORDS(loaded))
                    for which, choose in enumerate((hvx.LOWER, hvx.UPPER)):
                        place = half * 2 + which
                        body.store(totals, place, tir.load(totals, place) + choose(wide))
        vectors = [tir.load(totals, part) for part in range(4)]
        if self.op.input_zero_point:
            surplus = body.let("surplus", number * tir.constant(self.op.input_zero_point))
            vectors = [vector - tir.splat(surplus, LANES) for vector in vectors]
        return Words(tuple(body.let("sum", vector) for vector in vectors), low, high)

    def _row(self, source: Source, taps: _Taps, ky: Expr, place: tuple[Expr, Expr]) -> None:
        """The sum of one row, in halfwords."""
        body = self.body
        channel, halves = place
        unpack = hvx.UNPACK_SIGNED if storage_dtype(self.op.x.type) == "int8" else hvx.UNPACK_UNSIGNED
        for half in range(2):
            body.store(halves, half, tir.splat(0, 2 * LANES, "int16"))
        with body.loop("kx", taps.columns) as kx:
            at = ky * tir.constant(taps.distances[0]) + kx * tir.constant(taps.distances[1])
            pair = body.let("pair", unpack(self._load(source, taps.start + at + channel)))
            for half, choose in enumerate((hvx.LOWER, hvx.UPPER)):
                body.store(halves, half, tir.load(halves, half) + tir.reinterpret(choose(pair), "int16x64"))


def _split(op: ReduceSum) -> tuple[int, int, int]:
    """The sizes before, along and behind the axes, which must follow one another and leave the last one."""
    shape = op.x.type.shape
    axes = sorted(a % len(shape) for a in op.axes)
    if not axes or axes != list(range(axes[0], axes[-1] + 1)) or axes[-1] == len(shape) - 1:
        raise NoVectorForm("a sum along the last axis")
    before, along, behind = shape[: axes[0]], shape[axes[0] : axes[-1] + 1], shape[axes[-1] + 1 :]
    return math.prod(before), math.prod(along), math.prod(behind)


def _walked(op: MaxPool2d | SumPool2d | ReduceSum) -> tuple[int, ...]:
    """The extents that are walked, channels last."""
    if isinstance(op, ReduceSum):
        outer, _, channels = _split(op)
        return outer, channels
    return op.result.type.shape


class _Place(VectorPlace):
    """The channels of one pixel from `channel` on."""

    def __init__(
        self,
        parameters: Parameters,
        sources: dict[str, Source],
        where: tuple[tuple[int, ...], tuple[Expr, ...], Expr],
        known: dict[str, Term],
    ) -> None:
        super().__init__(parameters, known)
        self._sources = sources
        self._shape, self._pixel, self._channel = where
        line: Expr = tir.constant(0)
        for size, index in zip(self._shape[:-1], self._pixel, strict=True):
            line = line * tir.constant(size) + index
        self.offset = self.body.let("target", line * tir.constant(self._shape[-1]) + self._channel)

    def load(self, value: Value) -> Codes:
        """Elements of a tensor of the result's size."""
        vector = self._sources[value.name].load(self.body, self.offset)
        return loaded_codes(value, self.body.let("codes", vector))

    def lanes(self, name: str, array: Array) -> tuple[Expr, ...]:
        """A number, one for each channel, or one for each pixel of an image."""
        if np.all(array == array.flat[0]):
            return (tir.splat(int(array.flat[0]), LANES),) * 4
        if array.shape[-1] == self._shape[-1] and math.prod(array.shape[:-1]) == 1:
            padded = np.concatenate([array.reshape(-1), np.zeros(VECTOR_BYTES)]).astype(np.int32)
            table = self.parameters.table(name, padded, fold=False)
            starts = (self._channel + tir.constant(part * LANES) for part in range(4))
            return tuple(self.body.let(name, tir.load(table.buffer, start, LANES)) for start in starts)
        shape = (1,) * (len(self._shape) - array.ndim) + array.shape
        if shape[-1] != 1 or len(shape) != len(self._shape):
            raise NoVectorForm(f"a constant of shape {list(array.shape)}")
        table = self.parameters.table(name, array.astype(np.int32), fold=False)
        place: Expr = tir.constant(0)
        for size, index in zip(shape[:-1], self._pixel, strict=True):
            place = place * tir.constant(size) + (index if size > 1 else tir.constant(0))
        return (tir.splat(self.body.let(name, tir.load(table.buffer, place)), LANES),) * 4

"""From int32 accumulators to the bytes of the output: rescale, narrowing, clamp, table, stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from qcc.targets import hexagon_instructions as hvx
from qcc.targets import tir
from qcc.targets.hexagon_instructions import LANES, VECTOR_BYTES
from qcc.targets.hvx.memory import VECTOR, element_bytes, load_vector, store_bytes, store_vector
from qcc.targets.hvx.memory import rounded_up as room
from qcc.targets.hvx.rescaling import cut, double_constants, high_constants, rounded_twice, rounded_up
from qcc.targets.nests.epilogue import Epilogue, Rescale
from qcc.targets.tir import Body, Buffer, Expr

Int32Array = npt.NDArray[np.int32]


def has_epilogue(epilogue: Epilogue) -> bool:
    """Whether the rescale can be computed: results that saturate need no more than 32 bits of the accumulator."""
    rescale = epilogue.rescale
    return rescale is None or not saturates(rescale) or epilogue.output_type != "int32"


def saturates(rescale: Rescale) -> bool:
    """Whether accumulators are cut before they are shifted left."""
    return rescale.form == "wide"


def is_double(rescale: Rescale) -> bool:
    """Whether the rescale rounds twice."""
    return rescale.form in ("double", "double_up")


def constant_names(epilogue: Epilogue) -> tuple[tuple[str, str], ...]:
    """Names and element types of the constants of each lane, in the order of the parameters."""
    rescale = epilogue.rescale
    names = [("bias", "int32")]
    if rescale is not None:
        names += [("multiplier", "int32"), ("shift", "int32")]
        names += [("pre_shift", "int32")] if rescale.pre_shift or saturates(rescale) else []
    return tuple(names)


def lane_constants(
    epilogue: Epilogue,
    bias: npt.NDArray[np.integer],
    multiplier: npt.NDArray[np.integer] | None,
    shift: npt.NDArray[np.integer] | None,
    columns: npt.NDArray[np.intp],
) -> dict[str, Int32Array]:
    """The constants in the order of the code's lanes: `columns[i]` is the channel of lane `i`, −1 is unused."""
    arrays = {"bias": np.where(columns < 0, 0, np.asarray(bias, np.int64)[columns]).astype(np.int32)}
    rescale = epilogue.rescale
    if rescale is None or multiplier is None or shift is None:
        return arrays
    factors, shifts = (np.broadcast_to(np.reshape(a, -1), len(bias)) for a in (multiplier, shift))
    if is_double(rescale):
        constants = double_constants(factors, shifts)
    else:
        constants = high_constants(factors, shifts, saturates(rescale))
    lanes = {"multiplier": constants.multiplier, "shift": constants.right, "pre_shift": constants.left}
    return arrays | {
        name: np.where(columns < 0, int(name == "shift"), lanes[name][columns]).astype(np.int32)
        for name, _ in constant_names(epilogue)[1:]
    }


def vector_table(table: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A table of 256 codes, lowest code first, in the order of `vlut32`: by the code's bits, halves interleaved."""
    smallest = np.iinfo(table.dtype).min
    codes = np.arange(256, dtype=np.uint8).view(table.dtype).astype(np.int64) - smallest
    by_bits = table[codes].reshape(2, 2, 64)
    return np.ascontiguousarray(np.swapaxes(by_bits, 1, 2)).reshape(-1)


@dataclass(frozen=True)
class Writer:
    """Writes rows of accumulators; `buffers` are the constants by name, `table` of 256 bytes among them or not."""

    body: Body
    epilogue: Epilogue
    buffers: Mapping[str, Buffer]
    output: Buffer

    def column_constants(self, offset: Expr) -> dict[str, Expr]:
        """The rescale's constants of the 32 lanes from element `offset` on, a multiple of 32."""
        names = [name for name, _ in constant_names(self.epilogue)[1:]]
        known = {name: self.body.let(name, tir.load(self.buffers[name], offset, LANES)) for name in names}
        if self.epilogue.rescale is not None and not is_double(self.epilogue.rescale):
            one = tir.splat(1, LANES)
            known["half"] = self.body.let("half", one << (known["shift"] - one))
        return known

    def rescaled(self, accumulator: Expr, known: dict[str, Expr]) -> Expr:
        """The rounded quotient, without the zero point."""
        rescale = self.epilogue.rescale
        if rescale is None:
            return accumulator
        value = accumulator
        if "pre_shift" in known:
            value = cut(value, known["pre_shift"]) if saturates(rescale) else value
            value = self.body.let("shifted", value << known["pre_shift"])
        factor, right = known["multiplier"], known["shift"]
        if is_double(rescale):
            result = rounded_twice(self.body, value, factor, right, rescale.form == "double")
        else:
            result = rounded_up(self.body, value, factor, right, known["half"])
        return self.body.let("rescaled", result)

    def narrowed(self, vectors: Sequence[Expr]) -> Expr:
        """One to four vectors of results as bytes, the first vector's first; clamped, and looked up in the table."""
        rescale = self.epilogue.rescale
        if rescale is None:
            return vectors[0]
        if self.epilogue.output_type == "int32":
            value = vectors[0] + tir.splat(rescale.zero_point, LANES)
            return tir.maximum(tir.minimum(value, tir.splat(rescale.high, LANES)), tir.splat(rescale.low, LANES))
        code = packed(self.body, vectors, self.epilogue.output_type, rescale.zero_point)
        code = clamped(self.body, code, self.epilogue.output_type, rescale.low, rescale.high)
        return self.looked_up(code) if self.epilogue.table else code

    def looked_up(self, code: Expr) -> Expr:
        """The entries of the table."""
        tables = [self.body.let("table_half", load_vector(self.buffers["table"], place)) for place in (0, VECTOR_BYTES)]
        return look_up(self.body, code, tables)

    @property
    def element_bytes(self) -> int:
        """Bytes of an output element."""
        return element_bytes(self.epilogue.output_type)

    @property
    def group(self) -> int:
        """Vectors of accumulators in a vector of outputs."""
        return 4 // self.element_bytes

    def write(self, rows: Sequence[Sequence[Expr]], offset: Expr, count: Expr | int, pitch: int) -> None:
        """Store `count` elements of each row of rescaled vectors, from element `offset` on, `pitch` elements apart."""
        joined = isinstance(count, int) and count == pitch
        if joined and count % LANES == 0:
            self._write_groups([v for row in rows for v in row[: int(count) // LANES]], offset)
        elif joined and len(rows) > 1 and self.element_bytes == 1:
            self._write_joined(rows, offset, pitch)
        else:
            for number, row in enumerate(rows):
                self._write_row(row, offset + tir.constant(number * pitch), count)

    def _write_groups(self, vectors: Sequence[Expr], offset: Expr) -> None:
        """Vectors whose elements follow one another."""
        for start in range(0, len(vectors), self.group):
            group = vectors[start : start + self.group]
            count = len(group) * LANES * self.element_bytes
            store_bytes(self.body, self.output, offset + tir.constant(start * LANES), self._value(group), count)

    def _write_row(self, row: Sequence[Expr], offset: Expr, count: Expr | int) -> None:
        """One row, in groups; the last block of columns of a row may end before the last groups begin."""
        for start in range(0, len(row), self.group):
            group, place = row[start : start + self.group], offset + tir.constant(start * LANES)
            most = len(group) * LANES
            if isinstance(count, int):
                here = min(count - start * LANES, most) * self.element_bytes
                if here > 0:
                    store_bytes(self.body, self.output, place, self._value(group), here)
                continue
            left = tir.minimum(count - tir.constant(start * LANES), tir.constant(most))
            left = self.body.let("left", left * tir.constant(self.element_bytes))
            with self.body.when(left > tir.constant(0)) if start else nullcontext():
                store_bytes(self.body, self.output, place, self._value(group), left)

    def _write_joined(self, rows: Sequence[Sequence[Expr]], offset: Expr, count: int) -> None:
        """Rows that follow one another: put together in local memory, each over the surplus of the one before."""
        total = len(rows) * count
        local = self.body.allocate("joined", room(total) + room(len(rows[0]) * LANES), "int8")
        for number, row in enumerate(rows):
            for start in range(0, len(row), self.group):
                place = number * count + start * LANES
                store_vector(self.body, local, place, self._value(row[start : start + self.group]))
        for place in range(0, total, VECTOR_BYTES):
            here = min(VECTOR_BYTES, total - place)
            store_bytes(self.body, self.output, offset + tir.constant(place), load_vector(local, place), here)

    def _value(self, vectors: Sequence[Expr]) -> Expr:
        return self.body.let("bytes", self.narrowed(vectors))


def packed(body: Body, vectors: Sequence[Expr], output_type: str, zero_point: int) -> Expr:
    """One to four int32 vectors as saturated bytes, the zero point added between, where it costs half."""
    four = [*vectors, *[vectors[-1]] * (4 - len(vectors))] if len(vectors) > 2 else [vectors[0], vectors[-1]]
    halves = [hvx.PACK_WORDS(four[i + 1], four[i]) for i in range(0, len(four), 2)]
    if zero_point:
        surplus = splat_halfwords(zero_point)
        halves = [hvx.ADD_HALFWORDS(half, surplus) for half in halves]
    halves = [body.let("halfwords", half) for half in halves]
    pack = hvx.PACK_SIGNED if output_type == "int8" else hvx.PACK_UNSIGNED
    return body.let("packed", pack(halves[-1], halves[0]))


def splat_halfwords(value: int) -> Expr:
    """A vector with `value` in every halfword."""
    word = (value & 0xFFFF) * 0x10001
    return tir.splat(word - (1 << 32) if word >= 1 << 31 else word, LANES)


def clamped(body: Body, code: Expr, output_type: str, low: int, high: int) -> Expr:
    """Bytes clamped to bounds, where these are tighter than the type's."""
    info = np.iinfo(output_type)
    value = tir.reinterpret(code, f"{output_type}x{VECTOR_BYTES}")
    if high < info.max:
        value = tir.minimum(value, tir.splat(high, VECTOR_BYTES, output_type))
    if low > info.min:
        value = tir.maximum(value, tir.splat(low, VECTOR_BYTES, output_type))
    return body.let("clamped", tir.reinterpret(value, VECTOR)) if (low, high) != (info.min, info.max) else code


def look_up(body: Body, code: Expr, tables: Sequence[Expr]) -> Expr:
    """Each byte's entry of a table in the order of `vector_table`, in two vectors."""
    result = hvx.LOOK_UP(code, tables[0], tir.constant(0))
    for match in range(1, 8):
        result = hvx.LOOK_UP_MORE(body.let("entries", result), code, tables[match // 4], tir.constant(match))
    return result

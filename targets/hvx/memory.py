"""Vector loads and stores of caller's memory, at any address, that touch no byte outside of the buffer."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx
from tvm.ir import PointerType, PrimType

from qcc.targets import hexagon_instructions as hvx
from qcc.targets import tir
from qcc.targets.hexagon_instructions import VECTOR_BYTES
from qcc.targets.tir import Body, Buffer, Expr

VECTOR = hvx.TYPES["vector"]


def blocks(count: int, size: int = VECTOR_BYTES) -> int:
    """How many blocks of `size` hold `count`."""
    return -(-count // size)


def rounded_up(count: int, size: int = VECTOR_BYTES) -> int:
    """The smallest multiple of `size` that holds `count`."""
    return blocks(count, size) * size


def element_bytes(dtype: str) -> int:
    """Bytes of an element of a buffer."""
    return int(dtype.removeprefix("u").removeprefix("int")) // 8


def load_vector(source: Buffer, offset: Expr | int) -> Expr:
    """The 128 bytes from element `offset`, all of them inside the buffer, as a vector register."""
    dtype = str(source.dtype)
    loaded = tir.load(source, offset, VECTOR_BYTES // element_bytes(dtype))
    return loaded if dtype == "int32" else tir.reinterpret(loaded, VECTOR)


def store_vector(body: Body, target: Buffer, offset: Expr | int, vector: Expr) -> None:
    """Store a whole vector from element `offset` on; all of it is inside the buffer."""
    dtype = str(target.dtype)
    lanes = VECTOR_BYTES // element_bytes(dtype)
    value = vector if dtype == "int32" else tir.reinterpret(vector, f"{dtype}x{lanes}")
    body.store(target, offset, value, lanes)


def splat_bytes(value: int) -> Expr:
    """A vector with `value` in every byte."""
    byte = value & 255
    word = byte * 0x01010101
    return tir.splat(word - (1 << 32) if word >= 1 << 31 else word, hvx.LANES)


@dataclass(frozen=True)
class Source:
    """A tensor of bytes in the caller's memory; a tensor shorter than a vector is copied to local memory first.

    The copy holds its bytes with the top bit changed: LLVM would make a plain copy one load of a short vector, which
    on this machine reads a whole one.
    """

    buffer: Buffer
    total: int
    """Bytes that may be loaded from."""
    is_copy: bool = False

    @staticmethod
    def of(body: Body, buffer: Buffer, elements: int) -> Source:
        """The source for a parameter of `elements` bytes; may emit the copy, so call it where the function begins."""
        if elements >= VECTOR_BYTES:
            return Source(buffer, elements)
        local = body.allocate("short_source", 2 * VECTOR_BYTES, str(buffer.dtype))
        for place in (0, VECTOR_BYTES):
            store_vector(body, local, place, splat_bytes(0))
        with body.loop("byte", elements) as place:
            value = tir.load(buffer, place)
            top = tir.constant(128 if value.ty.dtype == "uint8" else -128, value.ty.dtype)
            body.store(local, place, value ^ top)
        return Source(local, 2 * VECTOR_BYTES, is_copy=True)

    def load(self, body: Body, offset: Expr) -> Expr:
        """The bytes from `offset` on, as far as they lie in the tensor; what follows its end is arbitrary."""
        offset = body.let("source_offset", offset)
        start = body.let("inside", tir.minimum(offset, tir.constant(self.total - VECTOR_BYTES)))
        vector = body.let("loaded", load_vector(self.buffer, start))
        return hvx.ROTATE(vector ^ splat_bytes(0x80) if self.is_copy else vector, offset - start)


def store_bytes(body: Body, target: Buffer, offset: Expr, vector: Expr, count: Expr | int) -> None:
    """Store the first `count` bytes of a vector, 1 … 128, from element `offset` on, at any address.

    HVX masks stores by the byte, at aligned addresses: the vector is rotated into place and goes into the aligned
    vector that holds the first byte and, where it is another one, into that of the last byte.
    """
    if isinstance(count, int) and count == VECTOR_BYTES:
        store_vector(body, target, offset, vector)
        return
    count = tir.index(count)
    size, zero = tir.constant(VECTOR_BYTES), tir.constant(0)
    address = body.let("address", tir.cast(tir.address(target, offset), "int32"))
    low = body.let("low", address & tir.constant(VECTOR_BYTES - 1))
    end = body.let("end", low + count)
    rotated = body.let("rotated", hvx.ROTATE(vector, zero - low))
    first = hvx.AND_NOT(hvx.BELOW_OR_ALL(tir.minimum(end, size)), hvx.BELOW(low))
    over = body.let("over", tir.maximum(end - size, zero))
    base = body.let("base", address - low)
    step = tir.select(over > zero, size, zero)
    _masked(body, first, base, rotated)
    _masked(body, hvx.BELOW(over), base + step, rotated)


def _masked(body: Body, mask: Expr, address: Expr, vector: Expr) -> None:
    """One masked store to an aligned address."""
    kind = PointerType(PrimType("int8"))
    pointer = tirx.op.call_intrin(kind, "tirx.reinterpret", tir.cast(address, "int64"))
    body.add(tirx.Evaluate(tirx.call_llvm_intrin("void", hvx.MASKED_STORE, mask, pointer, vector)))


def copy_bytes(
    body: Body, source: Source, start: Expr, target: Buffer, place: Expr, count: Expr | int, flip: bool = False
) -> None:
    """Copy `count` bytes to local memory in whole vectors: up to 127 bytes behind the last one become arbitrary.

    `flip` changes the top bit of each byte: unsigned bytes become signed ones, less 128.
    """
    loops = blocks(count) if isinstance(count, int) else (count + tir.constant(127)) >> tir.constant(7)
    start, place = body.let("copy_start", start), body.let("copy_place", place)
    with body.loop("piece", loops) as piece:
        at = piece * tir.constant(VECTOR_BYTES)
        vector = source.load(body, start + at)
        store_vector(body, target, place + at, vector ^ splat_bytes(0x80) if flip else vector)


def fill_bytes(body: Body, target: Buffer, place: Expr, count: Expr | int, value: int) -> None:
    """Set `count` bytes of local memory to `value` in whole vectors: up to 127 bytes behind become `value` too."""
    place = body.let("fill_place", place)
    loops = blocks(count) if isinstance(count, int) else (count + tir.constant(127)) >> tir.constant(7)
    with body.loop("piece", loops) as piece:
        store_vector(body, target, place + piece * tir.constant(VECTOR_BYTES), splat_bytes(value))

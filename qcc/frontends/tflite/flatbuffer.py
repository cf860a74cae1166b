"""A reader of flatbuffers that trusts nothing: every offset and count is checked against the file.

Format: https://flatbuffers.dev/internals (little endian). A table begins with the signed distance to its vtable; the
vtable says how far from the table each field lies, 0 for a field that is absent. Strings and vectors begin with a
count.

Tables may share what they point to, so a small file can stand for much: what is read is counted, and may be
`SHARING` times the size of the file and not more.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from qcc.ir import Array, FrontendError

#: How many times the size of the file its vectors and strings may add up to.
SHARING = 16

#: Bytes that may be read in any case.
_FREE = 1 << 20

_SCALARS = {name: struct.Struct(f"<{name}") for name in "?bBhHiIqQf"}


class Buffer:
    """The bytes of a file, and how much of them may still be read.

    Args:
        data: the file.
        place: of the file, for messages.
    """

    def __init__(self, data: bytes, place: str) -> None:
        self.data = data
        self.place = place
        self._left = SHARING * len(data) + _FREE

    def scalar(self, position: int, kind: str) -> Any:
        """Return the number of `struct` type `kind` at a position."""
        format = _SCALARS[kind]
        self._check(position, format.size)
        return format.unpack_from(self.data, position)[0]

    def target(self, position: int) -> int:
        """Return where the offset at a position leads, which is behind it."""
        distance = int(self.scalar(position, "I"))
        if distance == 0:
            raise self.damaged(f"an offset at byte {position} leads nowhere")
        self._check(position + distance, 4)
        return position + distance

    def vector(self, position: int, size: int) -> tuple[int, int]:
        """Return where the elements of the vector at a position begin and how many there are, of `size` bytes each."""
        count = int(self.scalar(position, "I"))
        self._check(position + 4, count * size)
        self._left -= count * size + 8
        if self._left < 0:
            raise self.damaged("its parts are shared so often that they stand for much more than the file")
        return position + 4, count

    def root(self) -> Table:
        """Return the table that the file is."""
        return Table(self, self.target(0))

    def damaged(self, what: str) -> FrontendError:
        """Return the error of a file that is not what it should be."""
        return FrontendError(what, place=self.place, help="the file is truncated, damaged or of another format")

    def _check(self, position: int, size: int) -> None:
        if position < 0 or position + size > len(self.data):
            raise self.damaged(f"{size} bytes at {position} lie outside the file, which has {len(self.data)}")


class Table:
    """A table of a file; fields are asked for by slot, their position in the schema."""

    def __init__(self, buffer: Buffer, position: int) -> None:
        self.buffer = buffer
        self.position = position
        self._vtable = position - int(buffer.scalar(position, "i"))
        self._slots = int(buffer.scalar(self._vtable, "H")) // 2 - 2
        if self._slots < 0:
            raise buffer.damaged(f"the table at byte {position} has no valid list of fields")

    def has(self, slot: int) -> bool:
        """True where the field is present."""
        return self._field(slot) is not None

    def scalar(self, slot: int, kind: str, default: Any) -> Any:
        """Return a number of `struct` type `kind`."""
        position = self._field(slot)
        return default if position is None else self.buffer.scalar(position, kind)

    def table(self, slot: int) -> Table | None:
        """Return a table, None where the field is absent."""
        position = self._field(slot)
        return None if position is None else Table(self.buffer, self.buffer.target(position))

    def tables(self, slot: int) -> list[Table]:
        """Return the tables of a vector; empty where the field is absent."""
        position = self._field(slot)
        if position is None:
            return []
        start, count = self.buffer.vector(self.buffer.target(position), 4)
        return [Table(self.buffer, self.buffer.target(start + 4 * i)) for i in range(count)]

    def text(self, slot: int) -> str:
        """Return a string, empty where the field is absent; bytes that are not UTF-8 become question marks."""
        return self.bytes(slot).decode("utf-8", "replace")

    def bytes(self, slot: int) -> bytes:
        """Return the bytes of a vector or string, empty where the field is absent."""
        position = self._field(slot)
        if position is None:
            return b""
        start, count = self.buffer.vector(self.buffer.target(position), 1)
        return self.buffer.data[start : start + count]

    def extent(self, slot: int) -> tuple[int, int]:
        """Return where the bytes of a vector begin and how many there are, without reading them."""
        position = self._field(slot)
        if position is None:
            return 0, 0
        target = self.buffer.target(position)
        count = int(self.buffer.scalar(target, "I"))
        if target + 4 + count > len(self.buffer.data):
            raise self.buffer.damaged(f"{count} bytes of data at {target} lie outside the file")
        return target + 4, count

    def numbers(self, slot: int, dtype: str) -> Array:
        """Return a vector of numbers of a NumPy type, empty where the field is absent."""
        position = self._field(slot)
        if position is None:
            return np.empty(0, dtype)
        start, count = self.buffer.vector(self.buffer.target(position), np.dtype(dtype).itemsize)
        return np.frombuffer(self.buffer.data, dtype, count, start)

    def integers(self, slot: int) -> tuple[int, ...]:
        """Return a vector of 32-bit integers, empty where the field is absent."""
        return tuple(self.numbers(slot, "<i4").tolist())

    def _field(self, slot: int) -> int | None:
        if slot >= self._slots:
            return None
        distance = int(self.buffer.scalar(self._vtable + 4 + 2 * slot, "H"))
        return self.position + distance if distance else None

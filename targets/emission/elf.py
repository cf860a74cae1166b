"""What an object file holds: section sizes and symbols, read from its ELF tables (64-bit, little-endian).

Reference: System V Application Binary Interface, chapter 4, object files.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from qcc.ir import ToolError

_WRITE, _ALLOCATE, _EXECUTE = 1, 2, 4
_NO_BITS, _SYMBOL_TABLE = 8, 2
_OBJECT, _FUNCTION = 1, 2


@dataclass(frozen=True)
class Section:
    """A section: name, bytes, and whether it is loaded, written, executed, or has no bytes in the file (bss)."""

    name: str
    size: int
    type: int
    flags: int

    @property
    def loaded(self) -> bool:
        """True where the section is in memory at run time."""
        return bool(self.flags & _ALLOCATE)

    @property
    def writable(self) -> bool:
        """True for data and bss."""
        return bool(self.flags & _WRITE)


@dataclass(frozen=True)
class Symbol:
    """A symbol with its size; `kind` is `object`, `function` or `other`."""

    name: str
    size: int
    kind: str
    section: int


@dataclass(frozen=True)
class ObjectFile:
    """Sections and symbols of an object file."""

    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]

    @property
    def text_bytes(self) -> int:
        """What `size` calls text: loaded and not written (code and constants)."""
        return sum(s.size for s in self.sections if s.loaded and not s.writable)

    @property
    def data_bytes(self) -> int:
        """What `size` calls data: loaded, written, with bytes in the file."""
        return sum(s.size for s in self.sections if s.loaded and s.writable and s.type != _NO_BITS)

    @property
    def bss_bytes(self) -> int:
        """What `size` calls bss: loaded, written, all zero at the start."""
        return sum(s.size for s in self.sections if s.loaded and s.writable and s.type == _NO_BITS)

    @property
    def code_bytes(self) -> int:
        """Bytes of sections that are executed."""
        return sum(s.size for s in self.sections if s.loaded and s.flags & _EXECUTE)


def read_object(data: bytes) -> ObjectFile:
    """Return the sections and symbols of an object file; a ToolError if it is not 64-bit little-endian ELF."""
    if data[:6] != b"\x7fELF\x02\x01":
        raise ToolError("the compiler did not make a 64-bit little-endian ELF object")
    (table,) = struct.unpack_from("<Q", data, 0x28)
    entry_size, count, names_index = struct.unpack_from("<HHH", data, 0x3A)
    raw = [struct.unpack_from("<IIQQQQIIQQ", data, table + index * entry_size) for index in range(count)]
    names = raw[names_index][4]
    sections = tuple(Section(_text(data, names + r[0]), r[5], r[1], r[2]) for r in raw)
    symbols: list[Symbol] = []
    for r in raw:
        if r[1] == _SYMBOL_TABLE:
            strings = raw[r[6]][4]
            for at in range(r[4], r[4] + r[5], 24):
                name, info, _, section, _, size = struct.unpack_from("<IBBHQQ", data, at)
                kind = {_OBJECT: "object", _FUNCTION: "function"}.get(info & 15, "other")
                symbols.append(Symbol(_text(data, strings + name), size, kind, section))
    return ObjectFile(sections, tuple(symbols))


def _text(data: bytes, start: int) -> str:
    return data[start : data.index(b"\0", start)].decode("utf-8", "replace")

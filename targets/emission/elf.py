"""Object files and programs: sections and symbols, read from their ELF tables (32 or 64 bits, little-endian).

Reference: System V Application Binary Interface, chapter 4, object files.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from qcc.ir import ToolError

WRITE, ALLOCATE, EXECUTE, GROUPED = 1, 2, 4, 0x200
"""Flags of sections: written, loaded, executed; member of a group."""
PROGBITS, SYMBOL_TABLE, STRING_TABLE, RELA, NO_BITS, REL = 1, 2, 3, 4, 8, 9
"""Types of sections."""
ATTRIBUTES = 0x70000003
"""Type of the sections of ARM and Hexagon that say which processor the code is for."""
LOCAL, GLOBAL, WEAK = 0, 1, 2
"""Bindings of symbols."""
OBJECT, FUNCTION, SECTION = 1, 2, 3
"""Types of symbols."""
UNDEFINED, FIRST_RESERVED = 0, 0xFF00
"""Section numbers of symbols: none, and from here on no sections (absolute, common)."""


@dataclass(frozen=True)
class ElfFormat:
    """How the tables of one word size are laid out, for `struct`."""

    bits: int
    header: str
    section: str
    symbol: str
    rela: str
    rel: str

    def relocation(self, kind: int) -> str:
        """The layout of an entry of a section of type `REL` or `RELA`."""
        return self.rela if kind == RELA else self.rel

    @property
    def symbol_shift(self) -> int:
        """Where in a relocation's `info` the symbol begins."""
        return 32 if self.bits == 64 else 8


ELF64 = ElfFormat(64, "<16sHHIQQQIHHHHHH", "<IIQQQQIIQQ", "<IBBHQQ", "<QQq", "<QQ")
ELF32 = ElfFormat(32, "<16sHHIIIIIHHHHHH", "<IIIIIIIIII", "<IIIBBH", "<IIi", "<II")


@dataclass(frozen=True)
class Section:
    """A section: name, bytes, and whether it is loaded, written, executed, or has no bytes in the file (bss)."""

    name: str
    size: int
    type: int
    flags: int
    data: bytes = field(default=b"", repr=False)
    link: int = 0
    info: int = 0
    alignment: int = 1
    entry_size: int = 0

    @property
    def loaded(self) -> bool:
        """True where the section is in memory at run time."""
        return bool(self.flags & ALLOCATE)

    @property
    def writable(self) -> bool:
        """True for data and bss."""
        return bool(self.flags & WRITE)


@dataclass(frozen=True)
class Symbol:
    """A symbol with its size; `kind` is `object`, `function` or `other`."""

    name: str
    size: int
    kind: str
    section: int
    value: int = 0
    binding: int = LOCAL
    type: int = 0
    other: int = 0


@dataclass(frozen=True)
class ObjectFile:
    """Sections and symbols of an object file or a program."""

    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]
    format: ElfFormat = ELF64
    machine: int = 0
    flags: int = 0

    @property
    def text_bytes(self) -> int:
        """What `size` calls text: loaded and not written (code and constants)."""
        return sum(s.size for s in self.sections if s.loaded and not s.writable)

    @property
    def data_bytes(self) -> int:
        """What `size` calls data: loaded, written, with bytes in the file."""
        return sum(s.size for s in self.sections if s.loaded and s.writable and s.type != NO_BITS)

    @property
    def bss_bytes(self) -> int:
        """What `size` calls bss: loaded, written, all zero at the start."""
        return sum(s.size for s in self.sections if s.loaded and s.writable and s.type == NO_BITS)

    @property
    def code_bytes(self) -> int:
        """Bytes of sections that are executed."""
        return sum(s.size for s in self.sections if s.loaded and s.flags & EXECUTE)


def read_object(data: bytes) -> ObjectFile:
    """Return the sections and symbols of an object file; a ToolError if it is not little-endian ELF."""
    layouts = {b"\x7fELF\x02\x01": ELF64, b"\x7fELF\x01\x01": ELF32}
    layout = layouts.get(data[:6])
    if layout is None:
        raise ToolError("the compiler did not make a little-endian ELF object")
    header = struct.unpack_from(layout.header, data)
    table, size, count, names_index = header[6], header[11], header[12], header[13]
    raw = [struct.unpack_from(layout.section, data, table + index * size) for index in range(count)]
    names = raw[names_index][4]
    sections = tuple(_section(data, names, entry) for entry in raw)
    symbols: list[Symbol] = []
    for section in sections:
        if section.type == SYMBOL_TABLE:
            symbols += _symbols(section, sections[section.link].data, layout)
    return ObjectFile(sections, tuple(symbols), layout, header[2], header[7])


def _section(data: bytes, names: int, entry: tuple[int, ...]) -> Section:
    name, kind, flags, _, offset, size, link, info, alignment, entry_size = entry
    content = b"" if kind == NO_BITS else data[offset : offset + size]
    return Section(text_at(data, names + name), size, kind, flags, content, link, info, max(alignment, 1), entry_size)


def _symbols(section: Section, strings: bytes, layout: ElfFormat) -> list[Symbol]:
    symbols = []
    for entry in struct.iter_unpack(layout.symbol, section.data):
        if layout is ELF64:
            name, info, other, index, value, size = entry
        else:
            name, value, size, info, other, index = entry
        kind = {OBJECT: "object", FUNCTION: "function"}.get(info & 15, "other")
        symbols.append(Symbol(text_at(strings, name), size, kind, index, value, info >> 4, info & 15, other))
    return symbols


def text_at(data: bytes, start: int) -> str:
    """Return the zero-terminated text at `start`."""
    return data[start : data.index(b"\0", start)].decode("utf-8", "replace")

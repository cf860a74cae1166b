"""Joins relocatable object files and constants to one object file, as `ld -r` and `objcopy` would.

No binary tools of the foreign chip are needed, and the same objects give the same bytes everywhere. Sections stay as
they are, one behind the other; symbols that another object defines are bound to that definition; of the defined
symbols only those asked for stay visible.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from qcc.ir import Array, ToolError

from .elf import (
    ALLOCATE,
    ATTRIBUTES,
    ELF64,
    FIRST_RESERVED,
    GLOBAL,
    GROUPED,
    LOCAL,
    NO_BITS,
    OBJECT,
    PROGBITS,
    REL,
    RELA,
    SECTION,
    STRING_TABLE,
    SYMBOL_TABLE,
    UNDEFINED,
    WEAK,
    ElfFormat,
    ObjectFile,
    Section,
    Symbol,
)

_UNWANTED = (".eh_frame", ".ARM.exidx", ".ARM.extab", ".text.tvm.fp16.conv")
"""Beginnings of names of sections that are left out: unwind tables, conversions that TVM adds and nothing calls."""


@dataclass
class _Strings:
    """A string table under construction."""

    data: bytearray = field(default_factory=lambda: bytearray(b"\0"))
    places: dict[str, int] = field(default_factory=lambda: {"": 0})

    def add(self, text: str) -> int:
        """Return where a text stands in the table, added at its first use."""
        if text not in self.places:
            self.places[text] = len(self.data)
            self.data += text.encode() + b"\0"
        return self.places[text]


@dataclass
class _Joiner:
    """Collects sections and symbols; numbers are those of the joined object, 0 is none."""

    keep: Collection[str]
    format: ElfFormat
    sections: list[Section] = field(default_factory=list)
    symbols: list[Symbol] = field(default_factory=list)
    defined: dict[str, int] = field(default_factory=dict)
    relocations: list[tuple[Section, int, list[int | str]]] = field(default_factory=list)
    strong: set[str] = field(default_factory=set)
    """What is defined, and not weakly: a second such definition is an error."""

    required: set[str] = field(default_factory=set)
    """What an object can't do without; other undefined symbols are weak, and 0 where nothing defines them."""

    def add_section(self, section: Section) -> int:
        """Append a section and return its number."""
        self.sections.append(section)
        return len(self.sections)

    def add_object(self, file: ObjectFile) -> None:
        """Take over the sections that are loaded, their symbols and their relocations."""
        numbers: dict[int, int] = {}
        attributes = any(s.type == ATTRIBUTES for s in self.sections)  # one for the whole object
        for index, section in enumerate(file.sections):
            wanted = section.loaded and section.size and not section.name.startswith(_UNWANTED)
            if wanted or (section.type == ATTRIBUTES and not attributes):
                plain = replace(section, flags=section.flags & ~GROUPED, link=0, info=0)
                numbers[index] = self.add_section(plain)
        meanings = [self._add_symbol(symbol, numbers) for symbol in file.symbols]
        for section in file.sections:
            if section.type in (REL, RELA) and section.info in numbers:
                self.relocations.append((section, numbers[section.info], meanings))

    def _add_symbol(self, symbol: Symbol, numbers: dict[int, int]) -> int | str:
        """Return the index of the symbol here, or its name where it has to be found in another object."""
        special = symbol.section >= FIRST_RESERVED
        if symbol.section == UNDEFINED or (symbol.section not in numbers and not special):
            if symbol.binding != WEAK:
                self.required.add(symbol.name)
            return symbol.name
        binding = GLOBAL if symbol.name in self.keep else LOCAL
        if symbol.binding == GLOBAL:
            if symbol.name in self.strong:
                raise ToolError(f"two objects define {symbol.name!r}", help="give the model another name: --name NAME")
            self.strong.add(symbol.name)
        if symbol.binding != LOCAL and symbol.name in self.defined:
            return symbol.name
        number = symbol.section if special else numbers[symbol.section]
        self.symbols.append(replace(symbol, section=number, binding=binding, other=0))
        if symbol.binding != LOCAL:
            self.defined[symbol.name] = len(self.symbols) - 1
        return len(self.symbols) - 1

    def add_constants(self, constants: Sequence[tuple[str, Array]], alignment: int) -> None:
        """Add a section of read-only data with a symbol for each constant."""
        data = bytearray()
        number = len(self.sections) + 1
        for name, array in constants:
            data += bytes(-len(data) % alignment)
            content = array.tobytes() or b"\0"
            self.symbols.append(Symbol(name, len(content), "object", number, len(data), LOCAL, OBJECT))
            self.defined[name] = len(self.symbols) - 1
            data += content
        if constants:
            self.add_section(Section(".rodata", len(data), PROGBITS, ALLOCATE, bytes(data), alignment=alignment))

    def finish(self, machine: int, flags: int) -> bytes:
        """Return the joined object."""
        self.add_section(Section(".note.GNU-stack", 0, PROGBITS, 0))
        used = {m for m in self._used() if m not in self.defined}
        undefined = [
            Symbol(name, 0, "other", UNDEFINED, 0, GLOBAL if name in self.required else WEAK) for name in sorted(used)
        ]
        ordered = sorted(range(len(self.symbols)), key=lambda i: self.symbols[i].binding != LOCAL)
        place = {old: new + 1 for new, old in enumerate(ordered)}
        names = {name: place[index] for name, index in self.defined.items()}
        names |= {symbol.name: 1 + len(ordered) + i for i, symbol in enumerate(undefined)}
        symbols = [*(self.symbols[i] for i in ordered), *undefined]
        table = len(self.sections) + len(self.relocations) + 1
        for section, target, meanings in self.relocations:
            indices = [place[m] if isinstance(m, int) else names.get(m, 0) for m in meanings]
            data = self._relocated(section, indices)
            self.sections.append(replace(section, data=data, link=table, info=target, flags=section.flags & ~GROUPED))
        strings = _Strings()
        packed = bytes(struct.calcsize(self.format.symbol)) + b"".join(self._packed(s, strings) for s in symbols)
        locals_ = 1 + sum(s.binding == LOCAL for s in symbols)
        size = struct.calcsize(self.format.symbol)
        word = self.format.bits // 8
        self.add_section(Section(".symtab", len(packed), SYMBOL_TABLE, 0, packed, table + 1, locals_, word, size))
        self.add_section(Section(".strtab", len(strings.data), STRING_TABLE, 0, bytes(strings.data)))
        return self._file(machine, flags)

    def _used(self) -> set[str]:
        """Return the symbols that relocations name, of those to be found in another object."""
        shift = self.format.symbol_shift
        found = set()
        for section, _, meanings in self.relocations:
            for entry in struct.iter_unpack(self.format.relocation(section.type), section.data):
                meaning = meanings[entry[1] >> shift]
                if isinstance(meaning, str) and meaning:
                    found.add(meaning)
        return found

    def _relocated(self, section: Section, indices: Sequence[int]) -> bytes:
        """The relocations with the joined object's numbers of symbols."""
        layout, shift = self.format.relocation(section.type), self.format.symbol_shift
        entries = []
        for offset, info, *addend in struct.iter_unpack(layout, section.data):
            number = indices[info >> shift]
            if info >> shift and not number:
                raise ToolError(
                    f"{section.name} points into a section that is left out",
                    help="report this as a defect of qcc, with the model and the versions that `qcc --version` prints",
                )
            entries.append(struct.pack(layout, offset, number << shift | (info & ((1 << shift) - 1)), *addend))
        return b"".join(entries)

    def _packed(self, symbol: Symbol, strings: _Strings) -> bytes:
        name = 0 if symbol.type == SECTION else strings.add(symbol.name)
        info = symbol.binding << 4 | symbol.type
        if self.format is ELF64:
            fields = (name, info, symbol.other, symbol.section, symbol.value, symbol.size)
        else:
            fields = (name, symbol.value, symbol.size, info, symbol.other, symbol.section)
        return struct.pack(self.format.symbol, *fields)

    def _file(self, machine: int, flags: int) -> bytes:
        """Header, contents, section table."""
        names = _Strings()
        for section in self.sections:
            names.add(section.name)
        names.add(".shstrtab")
        listed = [*self.sections, Section(".shstrtab", len(names.data), STRING_TABLE, 0, bytes(names.data))]
        header_size = struct.calcsize(self.format.header)
        body = bytearray(header_size)
        table = [struct.pack(self.format.section, *(0,) * 10)]
        for s in listed:
            body += bytes(-len(body) % s.alignment)
            entry = (names.add(s.name), s.type, s.flags, 0, len(body), s.size, s.link, s.info, s.alignment)
            table.append(struct.pack(self.format.section, *entry, s.entry_size))
            body += b"" if s.type == NO_BITS else s.data
        body += bytes(-len(body) % 8)
        identity = b"\x7fELF" + bytes([2 if self.format is ELF64 else 1, 1, 1]) + bytes(9)
        sizes = (header_size, 0, 0, struct.calcsize(self.format.section), len(table), len(table) - 1)
        header = struct.pack(self.format.header, identity, 1, machine, 1, 0, 0, len(body), flags, *sizes)
        body[:header_size] = header
        return bytes(body) + b"".join(table)


def join_objects(
    objects: Sequence[ObjectFile], constants: Sequence[tuple[str, Array]], keep: Collection[str], alignment: int
) -> bytes:
    """Return one relocatable object file.

    Args:
        objects: of one machine; the first one says for which processor the whole is.
        constants: symbol and data, each put at a multiple of `alignment`.
        keep: symbols that stay visible to others.
        alignment: in bytes.
    """
    first = objects[0]
    if any((o.machine, o.format) != (first.machine, first.format) for o in objects):
        raise ToolError("the compilers made objects for different machines", help="remove the wrong one from PATH")
    joiner = _Joiner(keep, first.format)
    for file in objects:
        joiner.add_object(file)
    joiner.add_constants(constants, alignment)
    return joiner.finish(first.machine, first.flags)

"""Versions of the C library's symbols that a shared library asks for, made optional where only weak symbols have them.

The linker notes for each symbol of glibc the version in which it came, and the loader refuses a library whose versions
an older glibc lacks, even where the symbols are weak and may be absent. The flag `VER_FLG_WEAK` says that it may be so.
Reference: Linux Standard Base, Core, chapter 10.7, symbol versioning.
"""

from __future__ import annotations

import struct

from .elf import ELF64, UNDEFINED, WEAK, read_object

_NEEDED, _ENTRY = "<HHIII", "<IHHII"
"""A needed library: version, entries, name, first entry, next library. An entry: hash, flags, number, name, next."""
_WEAK_VERSION = 2


def with_weak_versions(library: bytes) -> bytes:
    """Return a shared library (ELF, 64 bits) whose loading does not need the versions of weak symbols."""
    sections = {section.name: section for section in read_object(library).sections}
    if not {".gnu.version_r", ".gnu.version", ".dynsym"} <= sections.keys():
        return library
    numbers = struct.unpack(f"<{sections['.gnu.version'].size // 2}H", sections[".gnu.version"].data)
    symbols = list(struct.iter_unpack(ELF64.symbol, sections[".dynsym"].data))
    required = {
        number & 0x7FFF
        for number, (_, info, _, section, _, _) in zip(numbers, symbols, strict=True)
        if section == UNDEFINED and info >> 4 != WEAK
    }
    old = sections[".gnu.version_r"].data
    return library.replace(old, _weakened(old, required), 1)


def _weakened(versions: bytes, required: set[int]) -> bytes:
    """Return the section's data with the flag on all versions whose number is not required."""
    data, library, last = bytearray(versions), 0, not versions
    while not last:
        _, count, _, first, following = struct.unpack_from(_NEEDED, data, library)
        place = library + first
        for _ in range(count):
            digest, flags, number, name, step = struct.unpack_from(_ENTRY, data, place)
            if number not in required:
                struct.pack_into(_ENTRY, data, place, digest, flags | _WEAK_VERSION, number, name, step)
            place += step
        library, last = library + following, not following
    return bytes(data)

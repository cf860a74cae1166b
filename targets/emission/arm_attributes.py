"""Build attributes of ARM's objects: which firmware a library may be linked into.

A linker refuses objects of two floating-point calling conventions. A library whose functions take and give pointers
alone fits both, and says so: `Tag_ABI_VFP_args = 3`. Reference: Addenda to the ABI for the Arm Architecture, chapter 3.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace

from .elf import ATTRIBUTES, ObjectFile, Section

_ARM = 40
"""The machine's number in ELF headers."""
_VENDOR = b"aeabi\0"
_VFP_ARGUMENTS, _ANY_CONVENTION = 28, 3
_TEXTS = (4, 5)
"""Tags below 32 whose value is a text; from 32 on it is one where the tag is odd, for 32 a number and a text."""
_HEAD = 1 + 4 + len(_VENDOR)
"""Bytes before the attributes of the file: the format's version, the length of the vendor's part, its name."""


def without_float_arguments(file: ObjectFile) -> ObjectFile:
    """Return an object of ARM that fits both calling conventions, unless it names one; other machines' as they are."""
    if file.machine != _ARM:
        return file
    return replace(file, sections=tuple(_neutral(s) if s.type == ATTRIBUTES else s for s in file.sections))


def _neutral(section: Section) -> Section:
    """The section with the tag behind the attributes of the file, which come first."""
    data = section.data
    if data[:1] != b"A" or data[5:_HEAD] != _VENDOR or data[_HEAD] != 1:
        return section
    (vendor,), (length,) = struct.unpack_from("<I", data, 1), struct.unpack_from("<I", data, _HEAD + 1)
    end = _HEAD + length
    if _VFP_ARGUMENTS in _tags(data[_HEAD + 5 : end]):
        return section
    added = bytes([_VFP_ARGUMENTS, _ANY_CONVENTION])
    parts = (b"A", struct.pack("<I", vendor + 2), _VENDOR, b"\x01", struct.pack("<I", length + 2))
    changed = b"".join(parts) + data[_HEAD + 5 : end] + added + data[end:]
    return replace(section, data=changed, size=len(changed))


def _tags(data: bytes) -> Iterator[int]:
    """The tags of a list of attributes."""
    place = 0
    while place < len(data):
        tag, place = _number(data, place)
        yield tag
        if tag not in _TEXTS and (tag <= 32 or tag % 2 == 0):
            _, place = _number(data, place)
        if tag in _TEXTS or tag == 32 or (tag > 32 and tag % 2):
            place = data.index(b"\0", place) + 1


def _number(data: bytes, place: int) -> tuple[int, int]:
    """A number of seven bits a byte, lowest first, and where what follows it begins."""
    value = shift = 0
    while True:
        byte = data[place]
        value, shift, place = value | (byte & 127) << shift, shift + 7, place + 1
        if byte < 128:
            return value, place

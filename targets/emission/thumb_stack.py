"""How much stack the functions of Thumb code take, read from the instructions that move the stack pointer.

LLVM's own `.stack_sizes` can't be asked for through TVM. A function moves the stack pointer down in its prologue only,
so the sum of all that it takes off is its frame. Reference: Armv7-M Architecture Reference Manual, chapter A7.7,
encodings of PUSH, STMDB, STR, STRD, VPUSH, SUB (SP minus immediate), BFC and MOV.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import pairwise

from .elf import ObjectFile, Symbol

_SP_ALIGNMENT = 8
"""What the stack pointer is a multiple of where a function begins (AAPCS)."""


def frame_sizes(file: ObjectFile) -> dict[str, int] | None:
    """Return the bytes of stack of each function of an object of Thumb code; None where one's are not constant."""
    sizes = {}
    for function in file.symbols:
        if function.kind != "function":
            continue
        frame = _frame(list(_instructions(file, function)))
        if frame is None:
            return None
        sizes[function.name] = frame
    return sizes


def _frame(instructions: list[tuple[int, int]]) -> int | None:
    """Return the bytes that the instructions of a function take off the stack pointer in all."""
    frame = 0
    for place, (first, second) in enumerate(instructions):
        taken = _taken(first, second)
        if first & 0xFF87 == 0x4685:  # mov sp, a register
            taken = _aligned(instructions[max(place - 4, 0) : place], first >> 3 & 15)
        if taken is None:
            return None
        frame += taken
    return frame


def _aligned(before: list[tuple[int, int]], register: int) -> int:
    """Return what a stack pointer loses that comes from a register whose lowest bits were just cleared."""
    cleared = [second for first, second in before if first == 0xF36F and second & 0x70C0 == 0]  # bfc …, #0, #…
    widths = [(second & 31) + 1 for second in cleared if second >> 8 & 15 == register]
    return max((1 << width) - _SP_ALIGNMENT for width in widths) if widths else 0


def _instructions(file: ObjectFile, function: Symbol) -> Iterator[tuple[int, int]]:
    """Yield the instructions of a function, each as two halfwords, the second 0 where there is none.

    Mapping symbols say where data lies between them: `$d` begins data, `$t` code.
    """
    start, data = function.value & ~1, file.sections[function.section].data
    marks = [s for s in file.symbols if s.section == function.section and s.name[:2] in ("$d", "$t")]
    kinds = {s.value: s.name[:2] for s in sorted(marks, key=lambda s: s.value)}
    end = start + function.size
    inside = [place for place in kinds if start < place < end]
    before = [kind for place, kind in kinds.items() if place <= start]
    for place, following in pairwise([start, *inside, end]):
        kind = kinds[place] if place in inside else (before or ["$t"])[-1]
        while kind == "$t" and place < following:
            (first,) = struct.unpack_from("<H", data, place)
            wide = first >> 11 in (0b11101, 0b11110, 0b11111)
            yield first, struct.unpack_from("<H", data, place + 2)[0] if wide else 0
            place += 4 if wide else 2


def _taken(first: int, second: int) -> int | None:
    """Return by how many bytes an instruction moves the stack pointer down; None where a register says it."""
    if first & 0xFE00 == 0xB400:  # push {…}
        return 4 * (first & 0x1FF).bit_count()
    if first & 0xFF80 == 0xB080:  # sub sp, #…
        return 4 * (first & 0x7F)
    if first == 0xE92D:  # stmdb sp!, {…}
        return 4 * second.bit_count()
    if first == 0xF84D and second & 0xF00 == 0xD00:  # str …, [sp, #-…]!
        return second & 0xFF
    if first == 0xE96D:  # strd …, …, [sp, #-…]!
        return 4 * (second & 0xFF)
    if first & 0xFFBF == 0xED2D and second & 0xE00 == 0xA00:  # vpush {…}
        return 4 * (second & 0xFF)
    immediate = (first >> 10 & 1) << 11 | (second >> 12 & 7) << 8 | second & 0xFF
    if first & 0xFBEF == 0xF1AD and second & 0x8F00 == 0xD00:  # sub.w sp, sp, #…
        return _expanded(immediate)
    if first & 0xFBFF == 0xF2AD and second & 0x8F00 == 0xD00:  # subw sp, sp, #…
        return immediate
    if first & 0xFFEF == 0xEBAD or first & 0xFF87 == 0x4485:  # sub …, sp, a register; add sp, a register
        return None
    return 0


def _expanded(immediate: int) -> int:
    """Return what the twelve bits of a modified immediate stand for (ThumbExpandImm)."""
    byte = immediate & 0xFF
    if immediate >> 10 == 0:
        return byte * (1, 0x10001, 0x1000100, 0x1010101)[immediate >> 8 & 3]
    turned = immediate >> 7
    value = 0x80 | byte & 0x7F
    return (value >> turned | value << (32 - turned)) & 0xFFFFFFFF

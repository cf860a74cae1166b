"""What a library leaves to the program that it is linked into: calls of soft float show there, not as instructions."""

from __future__ import annotations

from collections.abc import Set

from qcc.targets.emission.elf import WEAK, read_object


def outside_names(archive: bytes, allowed: Set[str]) -> set[str]:
    """Return the names that the archive's first object lacks, the weak and the allowed ones left out."""
    file = read_object(archive[archive.index(b"\x7fELF") :])
    undefined = {s.name for s in file.symbols if s.section == 0 and s.name and s.binding != WEAK}
    return undefined - allowed

"""Names: those that are free, and those that C and C tools accept."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable


def c_identifier(name: str) -> str:
    """Return `name` with all that a C identifier can't hold replaced by underscores."""
    name = re.sub(r"\W", "_", name, flags=re.ASCII) or "model"
    return "_" + name if name[0].isdigit() else name


def printable(text: str, keep: str = "\n\t") -> str:
    """Return text without characters that steer a terminal or an editor: those not in `keep` are written as escapes."""
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def free_name(wish: str, taken: Container[str], first: int = 1) -> str:
    """Return `wish`, or where that is taken `wish_1`, `wish_2`, …, counted from `first`: the first that is free."""
    name, count = wish, first
    while name in taken:
        name, count = f"{wish}_{count}", count + 1
    return name


class UniqueNames:
    """Names that are taken. As many as are asked for take time in proportion: no number is tried twice.

    Args:
        taken: names that are taken from the start.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)
        self._next: dict[str, int] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._taken

    def take(self, *names: str) -> None:
        """Take names as they are."""
        self._taken.update(names)

    def unique(self, wish: str) -> str:
        """Return `wish` (`v` where it is empty), with the first free number behind it where it is taken; take it."""
        wish = wish or "v"
        name, count = wish, self._next.get(wish, 1)
        while name in self._taken:
            name, count = f"{wish}_{count}", count + 1
        self._next[wish] = count
        self._taken.add(name)
        return name

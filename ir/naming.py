"""Names: those that are free, and those that C and C tools accept."""

from __future__ import annotations

import re
from collections.abc import Container


def c_identifier(name: str) -> str:
    """Return `name` with all that a C identifier can't hold replaced by underscores."""
    name = re.sub(r"\W", "_", name, flags=re.ASCII) or "model"
    return "_" + name if name[0].isdigit() else name


def free_name(wish: str, taken: Container[str], first: int = 1) -> str:
    """Return `wish`, or where that is taken `wish_1`, `wish_2`, …, counted from `first`: the first that is free."""
    name, count = wish, first
    while name in taken:
        name, count = f"{wish}_{count}", count + 1
    return name

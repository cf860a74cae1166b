"""Names that C and C tools accept."""

from __future__ import annotations

import re


def c_identifier(name: str) -> str:
    """Return `name` with all that a C identifier can't hold replaced by underscores."""
    name = re.sub(r"\W", "_", name, flags=re.ASCII) or "model"
    return "_" + name if name[0].isdigit() else name

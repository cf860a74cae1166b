"""How the code of a target finds out, when it runs, whether the processor has what it needs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CpuCheck:
    """Statements of C that `return 0` where the processor can't run the code, and go on where it can.

    `return 1` ends them where nothing can be known. They are part of the entry functions, which are compiled for the
    weakest processor of the family, and use nothing of a C library but what they declare themselves.

    Attributes:
        always: for all code.
        floats: further ones for code that computes in floating point.
        doubles: further ones for code that computes in binary64.
        note: what else a user must know of it, sentences for the comment in NAME.h.
        declarations: of what the user may define for it, for NAME.h.
    """

    always: str = ""
    floats: str = ""
    doubles: str = ""
    note: str = ""
    declarations: str = ""

    def statements(self, *, floats: bool, doubles: bool) -> str:
        """Return the statements for a program; empty where any processor can run it."""
        return self.always + (self.floats if floats else "") + (self.doubles if doubles else "")

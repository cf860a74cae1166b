"""Finds innermost loops in the assembly text of ARM code, for tests that count instructions."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LABEL = re.compile(r"(\.LBB\w+):")
_BRANCH = re.compile(r"\s(?:b\w*|le|letp|cbn?z)(?:\.[wn])?\s+.*?(\.LBB\w+)")


@dataclass(frozen=True)
class Loop:
    """The instructions of an innermost loop."""

    lines: tuple[str, ...]

    def count(self, pattern: str) -> int:
        """How many instructions match."""
        return sum(re.search(pattern, line) is not None for line in self.lines)


def busiest_loop(assembly: str, pattern: str) -> Loop:
    """Return the innermost loop with the most instructions that match."""
    lines, labels, found = assembly.splitlines(), dict[str, int](), []
    for number, line in enumerate(lines):
        if label := _LABEL.match(line):
            labels[label[1]] = number
        branch = _BRANCH.search(line)
        if branch and branch[1] in labels:
            body = lines[labels[branch[1]] + 1 : number + 1]
            if not any(_LABEL.match(inner) for inner in body):
                found.append(Loop(tuple(inner for inner in body if re.match(r"\s+[a-z]", inner))))
    return max(found, key=lambda loop: loop.count(pattern))

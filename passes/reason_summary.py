"""One line for many operations that have a reason each."""

from __future__ import annotations

from collections.abc import Iterable

#: Reasons that a summary names.
SHOWN = 5


def reason_summary(found: Iterable[tuple[str, str]]) -> str:
    """Return pairs of an operation and a reason as text: each reason once, the commonest first.

    >>> reason_summary([("add %a", "it is large"), ("mul %b", "it is small"), ("mul %c", "it is small")])
    'mul %b and 1 more: it is small; add %a: it is large'
    """
    groups: dict[str, list[str]] = {}
    for operation, reason in found:
        groups.setdefault(reason, []).append(operation)
    ordered = sorted(groups.items(), key=lambda group: -len(group[1]))
    parts = [
        f"{operations[0]}{f' and {len(operations) - 1} more' if len(operations) > 1 else ''}: {reason}"
        for reason, operations in ordered[:SHOWN]
    ]
    rest = sum(len(operations) for _, operations in ordered[SHOWN:])
    return "; ".join([*parts, f"and {rest} more"] if rest else parts)

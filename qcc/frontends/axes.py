"""Axes as model files give them: counted from either end."""

from __future__ import annotations

from collections.abc import Sequence

from .problem import Unsupported


def normalized_axis(axis: int, rank: int) -> int:
    """Return `axis` counted from the front; Unsupported where a tensor of `rank` does not have it."""
    if not -rank <= axis < max(rank, 1):
        raise Unsupported(f"axis {axis} of a tensor of rank {rank}")
    return axis % max(rank, 1)


def normalized_axes(axes: Sequence[int], rank: int) -> tuple[int, ...]:
    """Return the axes counted from the front; Unsupported where one is out of range or given twice."""
    result = tuple(normalized_axis(a, rank) for a in axes)
    if len(set(result)) != len(result):
        raise Unsupported(f"axes {list(axes)} name one axis twice")
    return result

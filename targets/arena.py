"""Packing buffers with lifetimes into one arena: offsets such that buffers that live together do not overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from qcc.ir import VerifyError


@dataclass(frozen=True)
class Buffer:
    """Memory that is needed for some time.

    Attributes:
        name: says which.
        size: in bytes.
        first, last: the first and the last step at which it holds something, both included.
    """

    name: str
    size: int
    first: int
    last: int

    def meets(self, other: Buffer) -> bool:
        """True where both live at some step."""
        return self.first <= other.last and other.first <= self.last


def lower_bound(buffers: Iterable[Buffer]) -> int:
    """Return the largest sum of the sizes of buffers that live at one step: no arena can be smaller."""
    changes: dict[int, int] = {}
    for buffer in buffers:
        changes[buffer.first] = changes.get(buffer.first, 0) + buffer.size
        changes[buffer.last + 1] = changes.get(buffer.last + 1, 0) - buffer.size
    alive = most = 0
    for step in sorted(changes):
        alive += changes[step]
        most = max(most, alive)
    return most


def peak(buffers: Iterable[Buffer], offsets: Mapping[str, int]) -> int:
    """Return the bytes of the smallest arena that holds all buffers at their offsets."""
    return max((offsets[b.name] + b.size for b in buffers), default=0)


def pack(buffers: Sequence[Buffer], alignment: int) -> dict[str, int]:
    """Return an offset for each buffer, multiples of `alignment`: the best of several greedy orders.

    Each order places one buffer after the other into the smallest gap that it fits between those already placed that
    it meets (best fit). The orders: by size, by lifetime, by both, and by how crowded the step is at which a buffer
    lives (Pisarchyk and Lee, Efficient Memory Management for Deep Neural Net Inference, 2020). Before them, buffers
    are placed at the bottom and the top of the smallest conceivable arena by turns, which is best for plain chains.
    """
    bound = lower_bound(buffers)
    best = _from_both_ends(buffers, alignment, bound)
    for order in _orders(buffers):
        if best is not None and peak(buffers, best) <= bound:
            break
        offsets = _place(sorted(buffers, key=order), alignment)
        if best is None or peak(buffers, offsets) < peak(buffers, best):
            best = offsets
    return best or {}


def check_packing(buffers: Sequence[Buffer], offsets: Mapping[str, int], alignment: int) -> None:
    """Raise a VerifyError if two buffers that live together overlap, or an offset is negative or not aligned."""
    for buffer in buffers:
        if offsets[buffer.name] < 0 or offsets[buffer.name] % alignment:
            raise VerifyError(f"%{buffer.name} lies at offset {offsets[buffer.name]}, not a multiple of {alignment}")
    placed = sorted((b for b in buffers if b.size), key=lambda b: offsets[b.name])
    for index, low in enumerate(placed):
        for high in placed[index + 1 :]:
            if offsets[high.name] >= offsets[low.name] + low.size:
                break
            if low.meets(high):
                raise VerifyError(
                    f"%{low.name} ({low.size} bytes at {offsets[low.name]}) and %{high.name} ({high.size} bytes at "
                    f"{offsets[high.name]}) overlap while both are alive",
                    help="run plan-memory again",
                )


def _orders(buffers: Sequence[Buffer]) -> list[Callable[[Buffer], tuple[int, ...]]]:
    """Return the sort keys of the orders that are tried."""
    crowd = _crowding(buffers)

    def by_size(b: Buffer) -> tuple[int, ...]:
        return (-b.size, b.first)

    def by_crowd(b: Buffer) -> tuple[int, ...]:
        return (-crowd[b.name], -b.size, b.first)

    def by_area(b: Buffer) -> tuple[int, ...]:
        return (-b.size * (b.last - b.first + 1), b.first)

    def by_length(b: Buffer) -> tuple[int, ...]:
        return (b.first - b.last, -b.size, b.first)

    def by_start(b: Buffer) -> tuple[int, ...]:
        return (b.first, -b.size)

    return [by_size, by_crowd, by_area, by_length, by_start]


def _crowding(buffers: Sequence[Buffer]) -> dict[str, int]:
    """Return for each buffer the largest sum of sizes alive at a step of its life."""
    steps = {b.first for b in buffers}
    alive = {step: sum(b.size for b in buffers if b.first <= step <= b.last) for step in steps}
    return {b.name: max(alive[step] for step in steps if b.first <= step <= b.last) for b in buffers}


def _from_both_ends(buffers: Sequence[Buffer], alignment: int, size: int) -> dict[str, int] | None:
    """Return offsets within `size` bytes, buffers of even steps as low and of odd steps as high as they go.

    None where that does not work out.
    """
    offsets: dict[str, int] = {}
    placed: list[Buffer] = []
    for buffer in sorted(buffers, key=lambda b: (b.first, -b.size)):
        rivals = sorted((offsets[b.name], b.size) for b in placed if b.meets(buffer) and b.size)
        starts, start = [], 0
        for offset, length in [*rivals, (size, 0)]:
            high = (offset - buffer.size) // alignment * alignment
            if high >= start:
                starts += [start, high]
            start = max(start, -(-(offset + length) // alignment) * alignment)
        if not starts:
            return None
        offsets[buffer.name] = max(starts) if buffer.first % 2 else min(starts)
        placed.append(buffer)
    return offsets


def _place(order: Sequence[Buffer], alignment: int) -> dict[str, int]:
    """Return offsets: each buffer of `order` in the smallest gap that it fits."""
    offsets: dict[str, int] = {}
    placed: list[Buffer] = []
    for buffer in order:
        rivals = sorted((offsets[b.name], b.size) for b in placed if b.meets(buffer) and b.size)
        offsets[buffer.name] = _best_fit(buffer.size, rivals, alignment)
        placed.append(buffer)
    return offsets


def _best_fit(size: int, rivals: Sequence[tuple[int, int]], alignment: int) -> int:
    """Return the start of the smallest gap between `rivals` (offset, size; sorted) that holds `size` bytes."""
    start, best, waste = 0, -1, -1
    for offset, length in rivals:
        gap = offset - start
        if gap >= size and (best < 0 or gap - size < waste):
            best, waste = start, gap - size
        start = max(start, -(-(offset + length) // alignment) * alignment)
    return start if best < 0 else best

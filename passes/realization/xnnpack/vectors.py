"""LiteRT's optimized kernels outside XNNPACK: whole vectors are rounded in one way, what is left over in another."""

from __future__ import annotations

from collections.abc import Callable

from qcc.ir import Value, ops

from ..realizer import Realizer


def by_vectors(
    r: Realizer,
    result: Value,
    x: Value,
    lanes: int,
    whole: Callable[[Value, str], Value],
    rest: Callable[[Value, str], Value],
) -> None:
    """Define `result` element by element: `whole` for the vectors of `lanes` elements in memory, `rest` for the others.

    Both get elements as a tensor of rank 1 and a name, and return their codes.
    """
    full = x.type.size - x.type.size % lanes
    flat = r.emit(ops.Reshape, x, shape=(x.type.size,), name=f"{result.name}_flat")
    parts = []
    for start, size, function, name in ((0, full, whole, "vectors"), (full, x.type.size - full, rest, "rest")):
        if size == x.type.size:
            parts.append(function(flat, f"{result.name}_{name}_codes"))
        elif size:
            label = f"{result.name}_{name}"
            piece = r.emit(ops.Slice, flat, starts=(start,), sizes=(size,), strides=(1,), name=label)
            parts.append(function(piece, f"{label}_codes"))
    joined = parts[0] if len(parts) == 1 else r.emit(ops.Concat, *parts, axis=0, name=f"{result.name}_joined")
    r.define(result, ops.Reshape, joined, shape=result.type.shape)

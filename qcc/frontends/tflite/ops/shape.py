"""The same elements in another shape or order, and shapes as data."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from qcc.ir.ops import Broadcast, Concat, Reshape, Transpose

from ...axes import normalized_axes, normalized_axis
from ...problem import Unsupported
from ..emission import Tensor
from ..node import Node


def reshape(node: Node) -> Tensor:
    """RESHAPE: to the shape of its second input, of its options, or as its result is declared; −1 is what is left."""
    x, given = node.input(0), node.optional(1)
    if given is not None and given.array is not None:
        shape = list(node.integers(1, "shape"))
    elif given is None and node.option("new_shape"):
        shape = list(node.option("new_shape"))
    else:
        shape = list(node.outputs[0].shape)
    if shape.count(-1) == 1:
        known = math.prod(d for d in shape if d != -1)
        if known <= 0 or x.type.size % known:
            raise Unsupported(f"{x.type.size} elements do not fit the shape {shape}")
        shape[shape.index(-1)] = x.type.size // known
    if min(shape, default=1) < 0 or math.prod(shape) != x.type.size:
        raise Unsupported(f"{x.type.size} elements do not fit the shape {shape}")
    return node.emit(Reshape, x, shape=tuple(shape))


def squeeze(node: Node) -> Tensor:
    """SQUEEZE: without the axes named, or without all of size 1."""
    x = node.input(0)
    named = set(normalized_axes(node.option("squeeze_dims"), x.rank))
    axes = named or {a for a, d in enumerate(x.shape) if d == 1}
    if any(x.shape[a] != 1 for a in axes):
        raise Unsupported(f"axes {sorted(axes)} of {list(x.shape)} are not all of size 1")
    return node.emit(Reshape, x, shape=tuple(d for a, d in enumerate(x.shape) if a not in axes))


def expand_dims(node: Node) -> Tensor:
    """EXPAND_DIMS: with a new axis of size 1."""
    x = node.input(0)
    axis = normalized_axis(node.integer(1, "axis"), x.rank + 1)
    return node.emit(Reshape, x, shape=(*x.shape[:axis], 1, *x.shape[axis:]))


def transpose(node: Node) -> Tensor:
    """TRANSPOSE."""
    x = node.input(0)
    return node.emit(Transpose, x, permutation=normalized_axes(node.integers(1, "permutation"), x.rank))


def _block(node: Node, x: Tensor) -> int:
    size = int(node.option("block_size"))
    if x.rank != 4 or size < 1:
        raise Unsupported(f"blocks of {size} of {list(x.shape)}")
    return size


def space_to_depth(node: Node) -> Tensor:
    """SPACE_TO_DEPTH: each block of rows and columns becomes channels, in the order row, column, channel."""
    x = node.input(0)
    b = _block(node, x)
    n, h, w, c = x.shape
    if h % b or w % b:
        raise Unsupported(f"blocks of {b} do not divide {list(x.shape)}")
    parts = node.emit(Reshape, x, shape=(n, h // b, b, w // b, b, c))
    moved = node.emit(Transpose, parts, permutation=(0, 1, 3, 2, 4, 5))
    return node.emit(Reshape, moved, shape=(n, h // b, w // b, b * b * c))


def depth_to_space(node: Node) -> Tensor:
    """DEPTH_TO_SPACE: the inverse of SPACE_TO_DEPTH."""
    x = node.input(0)
    b = _block(node, x)
    n, h, w, c = x.shape
    if c % (b * b):
        raise Unsupported(f"blocks of {b} do not divide the channels of {list(x.shape)}")
    parts = node.emit(Reshape, x, shape=(n, h, w, b, b, c // (b * b)))
    moved = node.emit(Transpose, parts, permutation=(0, 1, 3, 2, 4, 5))
    return node.emit(Reshape, moved, shape=(n, h * b, w * b, c // (b * b)))


def shape_of(node: Node) -> Tensor:
    """SHAPE: known at import."""
    return node.known(np.asarray(node.input(0).shape, node.element().storage.dtype))


def rank_of(node: Node) -> Tensor:
    """RANK: known at import."""
    return node.known(np.asarray(node.input(0).rank, node.element().storage.dtype))


def broadcast_to(node: Node) -> Tensor:
    """BROADCAST_TO."""
    return node.emit(Broadcast, node.input(0), shape=node.integers(1, "shape"))


def tile(node: Node) -> Tensor:
    """TILE: the tensor repeated along each axis."""
    x, counts = node.input(0), node.integers(1, "multiples")
    if len(counts) != x.rank or min(counts, default=1) < 0 or max(counts, default=1) > 1 << 12:
        raise Unsupported(f"multiples {list(counts)} of {list(x.shape)}")
    for axis, count in enumerate(counts):
        if count != 1:
            x = node.emit_as(x.element, Concat, *(x,) * count, axis=axis)
    return x


IMPORTERS: dict[str, Callable[[Node], Tensor]] = {
    "BROADCAST_TO": broadcast_to,
    "DEPTH_TO_SPACE": depth_to_space,
    "EXPAND_DIMS": expand_dims,
    "RANK": rank_of,
    "RESHAPE": reshape,
    "SHAPE": shape_of,
    "SPACE_TO_DEPTH": space_to_depth,
    "SQUEEZE": squeeze,
    "TILE": tile,
    "TRANSPOSE": transpose,
}

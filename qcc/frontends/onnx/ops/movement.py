"""Operations that give a tensor another shape or order."""

from __future__ import annotations

import math

import numpy as np

from qcc.ir.ops import Broadcast, Concat, Reshape, Transpose

from ...limits import check_fold_size
from ..emission import Tensor
from ..node import Node, normalized_axes, normalized_axis
from ..problem import Unsupported


def reshape(node: Node) -> Tensor:
    """Reshape: 0 keeps a dimension (unless `allowzero`), −1 follows from the others."""
    x, wished = node.input(0), list(node.constant_ints(1, "shape") or ())
    if not node.get_int("allowzero", 0):
        if any(d == 0 and axis >= x.rank for axis, d in enumerate(wished)):
            raise Unsupported(f"shape {wished} keeps a dimension that {list(x.shape)} does not have")
        wished = [x.shape[axis] if d == 0 else d for axis, d in enumerate(wished)]
    if wished.count(-1) == 1:
        rest, size = math.prod(d for d in wished if d != -1), math.prod(x.shape)
        wished[wished.index(-1)] = size // rest if rest else 0
    return node.emit(Reshape, x, shape=tuple(wished))


def flatten(node: Node) -> Tensor:
    """Flatten: a matrix, split before `axis`."""
    x, axis = node.input(0), node.get_int("axis", 1)
    if not -x.rank <= axis <= x.rank:
        raise Unsupported(f"axis {axis} of a tensor of rank {x.rank}")
    axis = axis + x.rank if axis < 0 else axis
    return node.emit(Reshape, x, shape=(math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))


def _axes(node: Node, index: int = 1) -> tuple[int, ...] | None:
    """Return `axes`, which are an attribute before opset 13, an input since."""
    if node.opset < 13:
        return node.get_ints("axes") if node.has("axes") else None
    return node.constant_ints(index, "axes")


def squeeze(node: Node) -> Tensor:
    """Squeeze: drops axes of size 1, all of them where none is named."""
    x, axes = node.input(0), _axes(node)
    chosen = tuple(a for a, d in enumerate(x.shape) if d == 1) if axes is None else normalized_axes(axes, x.rank)
    if any(x.shape[a] != 1 for a in chosen):
        raise Unsupported(f"axes {list(chosen)} of {list(x.shape)} are not all of size 1")
    return node.emit(Reshape, x, shape=tuple(d for a, d in enumerate(x.shape) if a not in chosen))


def unsqueeze(node: Node) -> Tensor:
    """Unsqueeze: adds axes of size 1, counted in the result."""
    x, axes = node.input(0), _axes(node)
    if axes is None:
        raise Unsupported("axes are missing")
    rank = x.rank + len(axes)
    chosen, rest = normalized_axes(axes, rank), iter(x.shape)
    return node.emit(Reshape, x, shape=tuple(1 if a in chosen else next(rest) for a in range(rank)))


def transpose(node: Node) -> Tensor:
    """Transpose; without `perm` all axes reversed."""
    x = node.input(0)
    permutation = node.get_ints("perm") if node.has("perm") else tuple(reversed(range(x.rank)))
    return node.emit(Transpose, x, permutation=permutation)


def concat(node: Node) -> Tensor:
    """Concat."""
    tensors = [node.input(i) for i in range(len(node.inputs))]
    if not tensors:
        raise Unsupported("has no inputs")
    axis = normalized_axis(node.get_int("axis"), tensors[0].rank)
    return tensors[0] if len(tensors) == 1 else node.emit(Concat, *tensors, axis=axis)


def expand(node: Node) -> Tensor:
    """Expand: broadcasts x and a shape against each other."""
    x, wished = node.input(0), node.constant_ints(1, "shape") or ()
    try:
        shape = np.broadcast_shapes(x.shape, wished)
    except ValueError as error:
        raise Unsupported(f"shapes {list(x.shape)} and {list(wished)} do not broadcast") from error
    return x if shape == x.shape else node.emit(Broadcast, x, shape=shape)


def tile(node: Node) -> Tensor:
    """Tile: `y[i] = x[i mod size]`, as a broadcast over new axes."""
    x, repeats = node.input(0), node.constant_ints(1, "repeats") or ()
    if len(repeats) != x.rank or min(repeats, default=0) < 0:
        raise Unsupported(f"repeats {list(repeats)} do not fit {list(x.shape)}")
    check_fold_size(math.prod(x.shape) * math.prod(repeats))
    apart = node.emit(Reshape, x, shape=tuple(n for d in x.shape for n in (1, d)))
    wide = node.emit(Broadcast, apart, shape=tuple(n for r, d in zip(repeats, x.shape, strict=True) for n in (r, d)))
    return node.emit(Reshape, wide, shape=tuple(r * d for r, d in zip(repeats, x.shape, strict=True)))


def depth_to_space(node: Node) -> Tensor:
    """DepthToSpace: channels become blocks of pixels."""
    x, block = node.input(0), node.get_int("blocksize")
    mode = node.get_string("mode", "DCR")
    if x.rank != 4 or block < 1 or x.shape[1] % (block * block) or mode not in ("DCR", "CRD"):
        raise Unsupported(f"blocks of {block} in mode {mode!r} of {list(x.shape)}")
    n, c, h, w = x.shape
    depth = c // (block * block)
    parts = (n, block, block, depth, h, w) if mode == "DCR" else (n, depth, block, block, h, w)
    order = (0, 3, 4, 1, 5, 2) if mode == "DCR" else (0, 1, 4, 2, 5, 3)
    moved = node.emit(Transpose, node.emit(Reshape, x, shape=parts), permutation=order)
    return node.emit(Reshape, moved, shape=(n, depth, h * block, w * block))


def space_to_depth(node: Node) -> Tensor:
    """SpaceToDepth: blocks of pixels become channels."""
    x, block = node.input(0), node.get_int("blocksize")
    mode = node.get_string("mode", "DCR")
    if x.rank != 4 or block < 1 or x.shape[2] % block or x.shape[3] % block or mode not in ("DCR", "CRD"):
        raise Unsupported(f"blocks of {block} in mode {mode!r} of {list(x.shape)}")
    n, c, h, w = x.shape
    parts = node.emit(Reshape, x, shape=(n, c, h // block, block, w // block, block))
    order = (0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4)
    moved = node.emit(Transpose, parts, permutation=order)
    return node.emit(Reshape, moved, shape=(n, c * block * block, h // block, w // block))


IMPORTERS = {
    "Concat": concat,
    "DepthToSpace": depth_to_space,
    "Expand": expand,
    "Flatten": flatten,
    "Reshape": reshape,
    "SpaceToDepth": space_to_depth,
    "Squeeze": squeeze,
    "Tile": tile,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}

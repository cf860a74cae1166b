"""RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR."""

from __future__ import annotations

import numpy as np

from qcc.ir import Array, Value
from qcc.ir.ops import Gather, Resize

from ...problem import Unsupported
from ..emission import Tensor
from ..node import Node

#: Rows and columns of a result.
SIZE_LIMIT = 1 << 16


def _size(node: Node, x: Tensor) -> tuple[int, int]:
    size = node.integers(1, "size")
    if x.rank != 4 or 0 in x.shape or len(size) != 2 or min(size) < 1 or max(size) > SIZE_LIMIT:
        raise Unsupported(f"{list(x.shape)} to {list(size)} rows and columns")
    return size[0], size[1]


def _attributes(node: Node, x: Tensor, size: tuple[int, int], nearest: bool) -> dict[str, object]:
    shape = (x.shape[0], *size, x.shape[3])
    align, half = bool(node.option("align_corners")), bool(node.option("half_pixel_centers"))
    if align and half:
        raise Unsupported("align_corners and half_pixel_centers are both set")
    half_pixel = "tf_half_pixel_for_nn" if nearest else "half_pixel"
    return {
        "shape": shape,
        "scales": tuple(after / before for before, after in zip(x.shape, shape, strict=True)),
        "mode": "nearest" if nearest else "linear",
        "coordinates": "align_corners" if align else half_pixel if half else "asymmetric",
        **({"rounding": "round_prefer_ceil" if align else "floor"} if nearest else {}),
    }


def bilinear(node: Node) -> Tensor:
    """RESIZE_BILINEAR."""
    x = node.input(0)
    return node.emit_as(x.element, Resize, x, **_attributes(node, x, _size(node, x), nearest=False))


def nearest(node: Node) -> Tensor:
    """RESIZE_NEAREST_NEIGHBOR: where binary32, in which the kernels compute positions, picks others, by two gathers."""
    x = node.input(0)
    size = _size(node, x)
    attributes = _attributes(node, x, size, nearest=True)
    resize = Resize(operands=(Value("x", x.type),), **attributes)  # type: ignore[arg-type]  # attributes by name
    align, half = bool(node.option("align_corners")), bool(node.option("half_pixel_centers"))
    picked = [_sources(x.shape[axis], size[axis - 1], align, half) for axis in (1, 2)]
    if all(np.array_equal(p, resize.nearest_indices(axis)) for p, axis in zip(picked, (1, 2), strict=True)):
        return node.emit_as(x.element, Resize, x, **attributes)
    for axis, indices in zip((1, 2), picked, strict=True):
        flat = tuple(int(i) for i in indices)
        x = node.emit(Gather, x, axis=axis, indices=flat, indices_shape=(len(flat),))
    return x


def _sources(before: int, after: int, align: bool, half: bool) -> Array:
    """Return the index that each of `after` results copies, computed in binary32 as the kernels do."""
    f32 = np.float32
    scale = f32(before - 1) / f32(after - 1) if align and after > 1 else f32(before) / f32(after)
    position = (np.arange(after).astype(f32) + f32(0.5 if half else 0.0)) * scale
    index = np.floor(position.astype(np.float64) + 0.5) if align else np.floor(position)
    return np.clip(index, 0, before - 1).astype(np.int64)


IMPORTERS = {"RESIZE_BILINEAR": bilinear, "RESIZE_NEAREST_NEIGHBOR": nearest}

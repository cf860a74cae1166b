"""Parts of a tensor: SLICE, STRIDED_SLICE, GATHER, REVERSE_V2."""

from __future__ import annotations

from collections.abc import Callable

from qcc.ir.ops import Gather, Reshape, Slice

from ...axes import normalized_axes, normalized_axis
from ...problem import Unsupported
from ..emission import Tensor
from ..node import Node


def slice_box(node: Node) -> Tensor:
    """SLICE: a box; a size of −1 reaches to the end."""
    x = node.input(0)
    starts, sizes = node.integers(1, "begin"), node.integers(2, "size")
    if not len(starts) == len(sizes) == x.rank:
        raise Unsupported(f"a box from {list(starts)} of {list(sizes)} in {list(x.shape)}")
    ends = [d - b if s == -1 else s for d, b, s in zip(x.shape, starts, sizes, strict=True)]
    return node.emit(Slice, x, starts=starts, sizes=tuple(ends), strides=(1,) * x.rank)


def strided_slice(node: Node) -> Tensor:
    """STRIDED_SLICE: NumPy's slices; masks say which bounds are open and which axes are one index, and dropped.

    An open first bound is the first element also where an axis is dropped. With `offset` the second bounds count from
    the first ones.
    """
    x = node.input(0)
    begins, ends, strides = (node.integers(i, w) for i, w in ((1, "begin"), (2, "end"), (3, "strides")))
    if not len(begins) == len(ends) == len(strides) <= x.rank or 0 in strides:
        raise Unsupported(f"bounds {list(begins)}, {list(ends)} and strides {list(strides)} of {list(x.shape)}")
    if node.option("ellipsis_mask") or node.option("new_axis_mask"):
        raise Unsupported("ellipses and new axes are not supported")
    shrink_mask = int(node.option("shrink_axis_mask"))
    dropped = {a for a in range(len(begins)) if shrink_mask >> a & 1}
    starts, sizes, steps = [0] * x.rank, list(x.shape), [1] * x.rank
    for axis, stride in enumerate(strides):
        begin = None if int(node.option("begin_mask")) >> axis & 1 else begins[axis]
        end = None if int(node.option("end_mask")) >> axis & 1 else ends[axis]
        if end is not None and node.option("offset"):
            end += _from_start(begins[axis] if begin is None else begin, x.shape[axis])
        part = _one(begin, stride, axis, x) if axis in dropped else _some(begin, end, stride, x.shape[axis])
        starts[axis], sizes[axis], steps[axis] = part
    y = node.emit(Slice, x, starts=tuple(starts), sizes=tuple(sizes), strides=tuple(steps))
    return node.emit(Reshape, y, shape=tuple(d for a, d in enumerate(sizes) if a not in dropped)) if dropped else y


def _from_start(index: int, size: int) -> int:
    """Return an index counted from the first element; negative ones count from behind the last."""
    return index + size if index < 0 else index


def _one(begin: int | None, stride: int, axis: int, x: Tensor) -> tuple[int, int, int]:
    """Return start, count and step of one index of an axis."""
    size = x.shape[axis]
    index = (0 if stride > 0 else size - 1) if begin is None else begin
    if not -size <= index < size:
        raise Unsupported(f"index {index} leaves axis {axis} of {list(x.shape)}")
    return index % size, 1, 1


def _some(begin: int | None, end: int | None, stride: int, size: int) -> tuple[int, int, int]:
    """Return start, count and step of a slice of an axis."""
    first, last, step = slice(begin, end, stride).indices(size)
    count = len(range(first, last, step))
    return first if count else 0, count, step


def gather(node: Node) -> Tensor:
    """GATHER: slices along an axis at constant indices."""
    x = node.input(0)
    indices = node.constant(1, "indices")
    if indices.dtype.kind not in "iu" or indices.size > 1 << 20:
        raise Unsupported(f"{indices.size} indices of {indices.dtype}")
    if node.option("batch_dims"):
        raise Unsupported("batch dimensions are not supported")
    axis = normalized_axis(int(node.option("axis")), x.rank)
    flat = tuple(int(i) for i in indices.reshape(-1))
    return node.emit(Gather, x, axis=axis, indices=flat, indices_shape=tuple(indices.shape))


def reverse(node: Node) -> Tensor:
    """REVERSE_V2: axes read backwards."""
    x = node.input(0)
    axes = normalized_axes(node.integers(1, "axes"), x.rank)
    starts = tuple(max(d - 1, 0) if a in axes else 0 for a, d in enumerate(x.shape))
    steps = tuple(-1 if a in axes else 1 for a in range(x.rank))
    return node.emit(Slice, x, starts=starts, sizes=x.shape, strides=steps)


IMPORTERS: dict[str, Callable[[Node], Tensor]] = {
    "GATHER": gather,
    "REVERSE_V2": reverse,
    "SLICE": slice_box,
    "STRIDED_SLICE": strided_slice,
}

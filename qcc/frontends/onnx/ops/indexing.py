"""Parts of tensors, and padding around them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from qcc.ir.ops import Gather, Pad, Slice, Split

from ..emission import Tensor
from ..node import Node, normalized_axes, normalized_axis
from ..problem import Unsupported


def slice_(node: Node) -> Tensor:
    """Slice: bounds beyond the tensor are cut; steps may be negative."""
    x = node.input(0)
    starts, ends, given, steps = _bounds(node)
    axes = normalized_axes(tuple(range(len(starts))) if given is None else given, x.rank)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise Unsupported("starts, ends, axes and steps must be of one length, steps not 0")
    boxes = [range(d) for d in x.shape]
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        boxes[axis] = _indices(x.shape[axis], start, end, step)
    starting = tuple(box.start if len(box) else 0 for box in boxes)
    sizes, strides = tuple(len(box) for box in boxes), tuple(box.step for box in boxes)
    if starting == (0,) * x.rank and sizes == x.shape and all(s > 0 for s in strides):
        return x
    return node.emit(Slice, x, starts=starting, sizes=sizes, strides=strides)


def _bounds(node: Node) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...] | None, tuple[int, ...]]:
    """Return starts, ends, axes (None for the first ones) and steps: attributes before opset 10, inputs since."""
    if node.opset < 10:
        starts, axes = node.get_ints("starts"), node.get_ints("axes") if node.has("axes") else None
        return starts, node.get_ints("ends"), axes, (1,) * len(starts)
    starts, ends = node.constant_ints(1, "starts") or (), node.constant_ints(2, "ends") or ()
    return starts, ends, node.constant_ints(3, "axes"), node.constant_ints(4, "steps") or (1,) * len(starts)


def _indices(size: int, start: int, end: int, step: int) -> range:
    """Return the indices that a slice takes of an axis.

    Unlike NumPy, ONNX cuts a start to an element of the axis (0 … size − 1 for negative steps, 0 … size for others).
    """
    start, end = (bound + size if bound < 0 else bound for bound in (start, end))
    if step > 0:
        return range(min(max(start, 0), size), min(max(end, 0), size), step)
    return range(min(max(start, 0), size - 1), min(max(end, -1), size - 1), step)


def split(node: Node) -> tuple[Tensor, ...]:
    """Split: into sizes given (an attribute before opset 13, an input since), or into equal parts."""
    x, axis = node.input(0), node.get_int("axis", 0)
    axis = normalized_axis(axis, x.rank)
    given = (node.get_ints("split") or None) if node.opset < 13 else node.constant_ints(1, "split")
    if given is None:
        count = node.get_int("num_outputs", len(node.outputs))
        if count < 1 or count != len(node.outputs):
            raise Unsupported(f"{count} parts for {len(node.outputs)} outputs")
        part = -(-x.shape[axis] // count)
        given = (*(part,) * (count - 1), x.shape[axis] - part * (count - 1))
    if len(given) != len(node.outputs):
        raise Unsupported(f"{len(given)} sizes for {len(node.outputs)} outputs")
    return node.emit_many(Split, x, axis=axis, sizes=given)


def gather(node: Node) -> Tensor:
    """Gather at indices known at import; negative ones count from the end."""
    x, indices = node.input(0), node.constant(1, "indices")
    axis = normalized_axis(node.get_int("axis", 0), x.rank)
    size = x.shape[axis] if x.rank else 0
    if indices.size and not (-size <= indices.min() and indices.max() < size):
        raise Unsupported(f"an index leaves the {size} elements of axis {axis}")
    flat = tuple(int(i) % size for i in indices.reshape(-1))
    return node.emit(Gather, x, axis=axis, indices=flat, indices_shape=indices.shape)


_PAD_MODES = {"constant": "constant", "reflect": "reflect", "edge": "edge", "wrap": "wrap"}


def pad(node: Node) -> Tensor:
    """Pad: negative pads cut, before the others are added."""
    x = node.input(0)
    mode = node.get_string("mode", "constant")
    if mode not in _PAD_MODES:
        raise Unsupported(f"attribute 'mode' is {mode!r}")
    value = _pad_value(node)
    low, high = _pad_counts(node, x.rank)
    x = _cut(node, x, low, high)
    low, high = tuple(max(c, 0) for c in low), tuple(max(c, 0) for c in high)
    if not any((*low, *high)):
        return x
    if mode == "reflect" and any(max(a, b) and d < 2 for a, b, d in zip(low, high, x.shape, strict=True)):
        raise Unsupported("mode 'reflect' needs at least 2 elements along a padded axis")
    return node.emit(Pad, x, low=low, high=high, mode=_PAD_MODES[mode], value=value)


def _pad_value(node: Node) -> float:
    if node.opset < 11:
        return node.get_float("value", 0.0)
    array = node.optional_constant(2, "constant_value")
    if array is None or not array.size:
        return 0.0
    value = float(array.reshape(-1)[0])
    if math.isnan(value):
        raise Unsupported("constant_value is NaN")
    return value


def _pad_counts(node: Node, rank: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return how many elements to add before and after, by axis: an attribute before opset 11, an input since."""
    pads = node.get_ints("pads") if node.opset < 11 else node.constant_ints(1, "pads") or ()
    given = node.constant_ints(3, "axes")
    axes = normalized_axes(tuple(range(rank)) if given is None else given, rank)
    if len(pads) != 2 * len(axes):
        raise Unsupported(f"{len(pads)} pads for {len(axes)} axes")
    low, high = [0] * rank, [0] * rank
    for index, axis in enumerate(axes):
        low[axis], high[axis] = pads[index], pads[index + len(axes)]
    return tuple(low), tuple(high)


def _cut(node: Node, x: Tensor, low: Sequence[int], high: Sequence[int]) -> Tensor:
    if min((*low, *high), default=0) >= 0:
        return x
    starts = tuple(max(-a, 0) for a in low)
    sizes = tuple(d - s - max(-b, 0) for d, s, b in zip(x.shape, starts, high, strict=True))
    if min(sizes) < 0:
        raise Unsupported("negative pads cut more than there is")
    return node.emit(Slice, x, starts=starts, sizes=sizes, strides=(1,) * x.rank)


IMPORTERS = {"Gather": gather, "Pad": pad, "Slice": slice_, "Split": split}

"""Tensors joined and taken apart: CONCATENATION, PACK, SPLIT, SPLIT_V, UNPACK."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qcc.ir import U8
from qcc.ir.ops import Concat, Reshape, Split

from ...axes import normalized_axis
from ...problem import Unsupported
from ..emission import Tensor
from ..node import Node


def concatenation(node: Node) -> Tensor:
    """CONCATENATION."""
    inputs = [node.input(i) for i in range(len(node.inputs))]
    if not inputs:
        raise Unsupported("has no inputs")
    axis = normalized_axis(int(node.option("axis")), inputs[0].rank)
    parts = [x if x.element.storage == U8 else node.alike(x) for x in inputs]  # kernels of unsigned bytes rescale
    return node.behind(node.activation(), node.result(Concat, *parts, axis=axis, notes=node.notes))


def pack(node: Node) -> Tensor:
    """PACK: the inputs as slices along a new axis."""
    inputs = [node.input(i) for i in range(len(node.inputs))]
    if not inputs:
        raise Unsupported("has no inputs")
    axis = normalized_axis(int(node.option("axis")), inputs[0].rank + 1)
    slices = [node.emit(Reshape, x, shape=(*x.shape[:axis], 1, *x.shape[axis:])) for x in inputs]
    return slices[0] if len(slices) == 1 else node.result(Concat, *(node.alike(s) for s in slices), axis=axis)


def _parts(node: Node, x: Tensor, axis: int, sizes: Sequence[int]) -> Sequence[Tensor]:
    if len(sizes) == 1:
        return [x]
    return node.emitter.emit(Split, [x], {"axis": axis, "sizes": tuple(sizes)})


def split(node: Node) -> Sequence[Tensor]:
    """SPLIT: equal parts along an axis, which is the first input."""
    x, count = node.input(1), int(node.option("num_splits"))
    axis = normalized_axis(node.integer(0, "axis"), x.rank)
    if count < 1 or count != len(node.outputs) or x.shape[axis] % count:
        raise Unsupported(f"{count} parts of {list(x.shape)} along axis {axis}")
    return _parts(node, x, axis, [x.shape[axis] // count] * count)


def split_by_sizes(node: Node) -> Sequence[Tensor]:
    """SPLIT_V: parts of given sizes; one may be −1, which is what the others leave."""
    x, sizes = node.input(0), list(node.integers(1, "sizes"))
    axis = normalized_axis(node.integer(2, "axis"), x.rank)
    if sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = x.shape[axis] - (sum(sizes) + 1)
    if not sizes or min(sizes) < 0 or sum(sizes) != x.shape[axis]:
        raise Unsupported(f"parts of {sizes} of {list(x.shape)} along axis {axis}")
    return _parts(node, x, axis, sizes)


def unpack(node: Node) -> Sequence[Tensor]:
    """UNPACK: the slices along an axis, without it."""
    x, count = node.input(0), int(node.option("num"))
    axis = normalized_axis(int(node.option("axis")), x.rank)
    if not x.rank or x.shape[axis] != count or count != len(node.outputs) or not count:
        raise Unsupported(f"{count} slices of {list(x.shape)} along axis {axis}")
    shape = (*x.shape[:axis], *x.shape[axis + 1 :])
    return [node.emit(Reshape, part, shape=shape) for part in _parts(node, x, axis, [1] * count)]


IMPORTERS: dict[str, Callable[[Node], Tensor | Sequence[Tensor]]] = {
    "CONCATENATION": concatenation,
    "PACK": pack,
    "SPLIT": split,
    "SPLIT_V": split_by_sizes,
    "UNPACK": unpack,
}

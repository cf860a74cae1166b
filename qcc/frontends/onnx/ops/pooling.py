"""Pools over windows and over whole images."""

from __future__ import annotations

from qcc.ir.ops import AvgPool2d, MaxPool2d, Pad, ReduceMax, ReduceMean

from ..emission import Tensor
from ..node import Node
from ..problem import Unsupported
from .layout import WINDOW_LIMIT, check_spatial, from_image, spatial_pair, to_image, window_padding

Padding = tuple[tuple[int, int], tuple[int, int]]


class Window:
    """The window of a pool, as a node describes it.

    Attributes:
        kernel, strides, dilation: of height and width.
        padding: (begin, end) of height and width, as declared.
        excess: rows and columns that `ceil_mode` reads beyond the declared padding.
    """

    def __init__(self, node: Node, x: Tensor) -> None:
        self.spatial = check_spatial(x)
        if not node.has("kernel_shape"):
            raise Unsupported("attribute 'kernel_shape' is missing")
        self.kernel = spatial_pair(node, "kernel_shape", self.spatial)
        self.strides = spatial_pair(node, "strides", self.spatial)
        self.dilation = spatial_pair(node, "dilations", self.spatial)
        if min(*self.kernel, *self.strides, *self.dilation) < 1:
            raise Unsupported("kernel, strides and dilations must be at least 1")
        sizes = (1, x.shape[2]) if self.spatial == 1 else x.shape[2:]
        extents = [(k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation, strict=True)]
        if max(extents) > WINDOW_LIMIT:
            raise Unsupported(f"a window of {extents} rows and columns, {WINDOW_LIMIT} is the limit")
        self.padding = window_padding(node, sizes, extents, self.strides, self.spatial)
        ceil = node.get_int("ceil_mode", 0) != 0
        self.excess = tuple(
            _excess(sizes[a], extents[a], self.strides[a], self.padding[a]) if ceil else 0 for a in (0, 1)
        )
        if any(b < 0 or e < 0 or b >= n or e >= n for (b, e), n in zip(self.padding, extents, strict=True)):
            raise Unsupported(f"padding {self.padding} is negative or not smaller than the window {extents}")

    def attributes(self, padding: Padding) -> dict[str, object]:
        """Return the attributes of the IR's pools, with `excess` added to a padding."""
        (top, bottom), (left, right) = padding
        return {
            "kernel": self.kernel,
            "strides": self.strides,
            "dilation": self.dilation,
            "padding": (top, bottom + self.excess[0], left, right + self.excess[1]),
        }


def _excess(size: int, extent: int, stride: int, padding: tuple[int, int]) -> int:
    """Return how many elements the last window of `ceil_mode` reads beyond the padding; it must start before them."""
    begin, end = padding
    count = -(-(size + begin + end - extent) // stride) + 1
    if (count - 1) * stride >= size + begin:
        count -= 1
    return max((count - 1) * stride + extent - (size + begin + end), 0)


def max_pool(node: Node) -> Tensor:
    """MaxPool without indices."""
    if node.wants(1):
        raise Unsupported("the output 'Indices' is not supported")
    node.ignore("storage_order")  # orders the indices
    x = node.input(0)
    window = Window(node, x)
    y = node.emit(MaxPool2d, to_image(node, x), **window.attributes(window.padding))
    return from_image(node, y, window.spatial)


def average_pool(node: Node) -> Tensor:
    """AveragePool: counted padding that `ceil_mode` reads beyond becomes a pad of its own."""
    x = node.input(0)
    window = Window(node, x)
    counted = node.get_int("count_include_pad", 0) != 0
    image, padding = to_image(node, x), window.padding
    if counted and any(window.excess):
        (top, bottom), (left, right) = padding
        image = node.emit(Pad, image, low=(0, top, left, 0), high=(0, bottom, right, 0))
        padding, counted = ((0, 0), (0, 0)), False
    y = node.emit(AvgPool2d, image, count_include_pad=counted, **window.attributes(padding))
    return from_image(node, y, window.spatial)


def global_average_pool(node: Node) -> Tensor:
    """GlobalAveragePool: the mean over all spatial dimensions."""
    x = node.input(0)
    if x.rank != 4:
        return node.emit(ReduceMean, x, axes=tuple(range(2, x.rank)))
    return from_image(node, node.emit(ReduceMean, to_image(node, x), axes=(1, 2)), 2)


def global_max_pool(node: Node) -> Tensor:
    """GlobalMaxPool: the largest element over all spatial dimensions."""
    x = node.input(0)
    if x.rank != 4:
        return node.emit(ReduceMax, x, axes=tuple(range(2, x.rank)))
    return from_image(node, node.emit(ReduceMax, to_image(node, x), axes=(1, 2)), 2)


IMPORTERS = {
    "AveragePool": average_pool,
    "GlobalAveragePool": global_average_pool,
    "GlobalMaxPool": global_max_pool,
    "MaxPool": max_pool,
}

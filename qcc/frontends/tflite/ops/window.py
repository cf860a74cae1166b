"""Padding and size of windows (ARITHMETIC: SAME puts the odd row or column behind)."""

from __future__ import annotations

from ...problem import Unsupported
from .. import schema
from ..node import Node

#: Rows and columns that a window may span.
WINDOW_LIMIT = 1 << 16

#: Rows and columns from one window to the next, at most.
STRIDE_LIMIT = 1 << 16

Padding = tuple[int, int, int, int]


def strides(node: Node) -> tuple[int, int]:
    """Return the strides of height and width."""
    found = int(node.option("stride_h")), int(node.option("stride_w"))
    if not (min(found) >= 1 and max(found) <= STRIDE_LIMIT):
        raise Unsupported(f"strides {list(found)}, they must be 1 … {STRIDE_LIMIT}")
    return found


def dilation(node: Node) -> tuple[int, int]:
    """Return the dilation of height and width."""
    found = int(node.option("dilation_h_factor")), int(node.option("dilation_w_factor"))
    if not (min(found) >= 1 and max(found) <= WINDOW_LIMIT):
        raise Unsupported(f"dilations {list(found)}, they must be 1 … {WINDOW_LIMIT}")
    return found


def same_padding(size: int, extent: int, stride: int) -> tuple[int, int]:
    """Return the rows before and behind that SAME adds to `size` rows for windows of `extent` rows."""
    total = max(0, (-(-size // stride) - 1) * stride + extent - size)
    return total // 2, total - total // 2


def padding(node: Node, sizes: tuple[int, ...], extents: tuple[int, int], steps: tuple[int, int]) -> Padding:
    """Return the rows and columns that the node's padding adds: top, bottom, left, right.

    Args:
        sizes: height and width of the image.
        extents: height and width of the window, dilation included.
        steps: strides.
    """
    if max(extents) > WINDOW_LIMIT:
        raise Unsupported(f"a window of {list(extents)} rows and columns, {WINDOW_LIMIT} is the limit")
    if node.choice("padding", schema.PADDINGS) == "VALID":
        if any(e > s for e, s in zip(extents, sizes, strict=True)):
            raise Unsupported(f"a window of {list(extents)} rows and columns leaves an image of {list(sizes)}")
        return 0, 0, 0, 0
    (top, bottom), (left, right) = (same_padding(*a) for a in zip(sizes, extents, steps, strict=True))
    return top, bottom, left, right

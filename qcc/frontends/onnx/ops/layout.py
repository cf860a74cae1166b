"""Between ONNX's channels-first images and the IR's N×H×W×C.

A signal of rank 3 (N×C×L) is an image of height 1. The pairs of transposes that meet are cancelled by
`legalize-layout`.
"""

from __future__ import annotations

from collections.abc import Sequence

from qcc.ir.ops import Reshape, Transpose

from ..emission import Tensor
from ..node import Node
from ..problem import Unsupported

#: Rows or columns that a window may span, step over or be padded by: more than any image has.
WINDOW_LIMIT = 1 << 16


def check_spatial(x: Tensor) -> int:
    """Return how many spatial dimensions an N×C×… tensor has: 1 or 2, Unsupported for other numbers."""
    if x.rank not in (3, 4):
        raise Unsupported(f"only 1-D and 2-D are supported, the input has the shape {list(x.shape)}")
    return x.rank - 2


def to_image(node: Node, x: Tensor) -> Tensor:
    """Return an N×C×H×W or N×C×L tensor as N×H×W×C."""
    if check_spatial(x) == 2:
        return node.emit(Transpose, x, permutation=(0, 2, 3, 1))
    y = node.emit(Transpose, x, permutation=(0, 2, 1))
    return node.emit(Reshape, y, shape=(y.shape[0], 1, *y.shape[1:]))


def from_image(node: Node, y: Tensor, spatial: int) -> Tensor:
    """Return an N×H×W×C tensor as N×C×H×W, or N×C×W where the model's tensors have one spatial dimension."""
    if spatial == 2:
        return node.emit(Transpose, y, permutation=(0, 3, 1, 2))
    y = node.emit(Reshape, y, shape=(y.shape[0], y.shape[2], y.shape[3]))
    return node.emit(Transpose, y, permutation=(0, 2, 1))


def spatial_pair(node: Node, name: str, spatial: int, default: int = 1) -> tuple[int, int]:
    """Return an attribute of one number a spatial dimension for height and width; height is `default` in 1-D."""
    numbers = node.get_ints(name) or (default,) * spatial
    if len(numbers) != spatial:
        raise Unsupported(f"attribute {name!r} has {len(numbers)} numbers for {spatial} spatial dimensions")
    _check_window(name, numbers)
    return (default, numbers[0]) if spatial == 1 else (numbers[0], numbers[1])


def _check_window(name: str, numbers: Sequence[int]) -> None:
    if any(abs(n) > WINDOW_LIMIT for n in numbers):
        raise Unsupported(f"attribute {name!r} is {list(numbers)}, {WINDOW_LIMIT} is the limit")


def begins_and_ends(pads: Sequence[int], spatial: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return ONNX's `pads` as (begin, end) of height and (begin, end) of width."""
    if len(pads) != 2 * spatial:
        raise Unsupported(f"attribute 'pads' has {len(pads)} numbers for {spatial} spatial dimensions")
    pairs = [(pads[a], pads[a + spatial]) for a in range(spatial)]
    return ((0, 0), pairs[0]) if spatial == 1 else (pairs[0], pairs[1])


def same_padding(size: int, extent: int, stride: int, upper: bool) -> tuple[int, int]:
    """Return the padding with which a window of `extent` gives ⌈size / stride⌉ results; the odd one last if `upper`."""
    total = max((-(-size // stride) - 1) * stride + extent - size, 0)
    return (total // 2, total - total // 2) if upper else (total - total // 2, total // 2)


def window_padding(
    node: Node, sizes: Sequence[int], extents: Sequence[int], strides: Sequence[int], spatial: int
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the padding (begin, end) of height and width that `auto_pad` or `pads` asks for."""
    auto = node.get_string("auto_pad", "NOTSET")
    pads = node.get_ints("pads") or (0,) * (2 * spatial)
    _check_window("pads", pads)
    if auto == "NOTSET":
        return begins_and_ends(pads, spatial)
    if auto == "VALID":
        return (0, 0), (0, 0)
    if auto not in ("SAME_UPPER", "SAME_LOWER"):
        raise Unsupported(f"attribute 'auto_pad' is {auto!r}")
    if min(strides) < 1:
        raise Unsupported(f"strides {list(strides)} are not positive")
    first, second = (same_padding(sizes[a], extents[a], strides[a], auto == "SAME_UPPER") for a in (0, 1))
    return first, second

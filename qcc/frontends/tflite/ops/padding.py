"""PAD, PADV2 and MIRROR_PAD."""

from __future__ import annotations

from qcc.ir import UniformType
from qcc.ir.ops import Pad

from ...problem import Unsupported
from ..emission import Tensor
from ..node import Node


def _widths(node: Node, x: Tensor) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return how many elements to add before and behind along each axis."""
    widths = node.constant(1, "paddings")
    if widths.shape != (x.rank, 2) or widths.dtype.kind not in "iu" or (widths.size and widths.min() < 0):
        raise Unsupported(f"paddings of the shape {list(widths.shape)} for {list(x.shape)}, or negative ones")
    return tuple(int(w) for w in widths[:, 0]), tuple(int(w) for w in widths[:, 1])


def pad(node: Node) -> Tensor:
    """PAD: with real zeros."""
    x = node.input(0)
    low, high = _widths(node, x)
    return node.result(Pad, node.alike(x), low=low, high=high)


def pad_with(node: Node) -> Tensor:
    """PADV2: with a constant."""
    x = node.input(0)
    low, high = _widths(node, x)
    array, given = node.constant(2, "value"), node.input(2)
    if array.size != 1:
        raise Unsupported(f"the value has the shape {list(array.shape)}, it must be one number")
    element = node.alike(given).element
    if isinstance(element, UniformType):
        array = element.dequantize(array.reshape(()))
    return node.result(Pad, node.alike(x), low=low, high=high, value=float(array.reshape(-1)[0]))


def mirror_pad(node: Node) -> Tensor:
    """MIRROR_PAD: REFLECT leaves the edge out, SYMMETRIC repeats it."""
    x = node.input(0)
    low, high = _widths(node, x)
    mode = node.choice("mode", ("reflect", "symmetric"))
    most = [d - (mode == "reflect") for d in x.shape]
    if any(max(a, b) > m for a, b, m in zip(low, high, most, strict=True)):
        raise Unsupported(f"paddings {list(low)} and {list(high)} are wider than the {mode} image of {list(x.shape)}")
    return node.result(Pad, node.alike(x), low=low, high=high, mode=mode)


IMPORTERS = {"MIRROR_PAD": mirror_pad, "PAD": pad, "PADV2": pad_with}

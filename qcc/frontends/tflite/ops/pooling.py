"""AVERAGE_POOL_2D and MAX_POOL_2D."""

from __future__ import annotations

from collections.abc import Callable

from qcc.ir import Op
from qcc.ir.ops import AvgPool2d, MaxPool2d

from ...problem import Unsupported
from ..emission import Tensor
from ..node import Node
from .window import padding, strides


def _pool(op_class: type[Op]) -> Callable[[Node], Tensor]:
    """Return an importer of a pool; padding does not count."""

    def importer(node: Node) -> Tensor:
        x = node.input(0)
        if x.rank != 4:
            raise Unsupported(f"takes N×H×W×C, not {list(x.shape)}")
        kernel, steps = (int(node.option("filter_height")), int(node.option("filter_width"))), strides(node)
        if min(kernel) < 1:
            raise Unsupported(f"a window of {list(kernel)} rows and columns")
        pads = padding(node, x.shape[1:3], kernel, steps)
        return node.activated(op_class, x, kernel=kernel, strides=steps, padding=pads)

    return importer


IMPORTERS = {"AVERAGE_POOL_2D": _pool(AvgPool2d), "MAX_POOL_2D": _pool(MaxPool2d)}

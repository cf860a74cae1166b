"""AVERAGE_POOL_2D and MAX_POOL_2D."""

from __future__ import annotations

from collections.abc import Callable

from qcc.ir import Op, UniformType
from qcc.ir.ops import AvgPool2d, MaxPool2d

from ...problem import Unsupported
from ..emission import Tensor
from ..node import Node
from .window import padding, strides


def _pool(op_class: type[Op]) -> Callable[[Node], Tensor]:
    """Return an importer of a pool; padding does not count.

    Kernels keep the parameters of the input, whatever the file says of the result.
    """

    def importer(node: Node) -> Tensor:
        x = node.input(0)
        if x.rank != 4:
            raise Unsupported(f"takes N×H×W×C, not {list(x.shape)}")
        kernel, steps = (int(node.option("filter_height")), int(node.option("filter_width"))), strides(node)
        if min(kernel) < 1:
            raise Unsupported(f"a window of {list(kernel)} rows and columns")
        pads = padding(node, x.shape[1:3], kernel, steps)
        attributes = {"kernel": kernel, "strides": steps, "padding": pads}
        element = node.element()
        if element == x.element or not isinstance(element, UniformType) or element.storage != x.element.storage:
            return node.activated(op_class, x, **attributes)
        node.defects.add(node.label, "the scale or zero point of its result is not that of its input; codes are kept")
        y = node.reinterpreted(node.emit_as(x.element, op_class, x, **attributes), element)
        return node.behind(node.activation(), y)

    return importer


IMPORTERS = {"AVERAGE_POOL_2D": _pool(AvgPool2d), "MAX_POOL_2D": _pool(MaxPool2d)}

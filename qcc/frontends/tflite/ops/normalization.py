"""SOFTMAX and L2_NORMALIZATION."""

from __future__ import annotations

from qcc.ir.ops import L2Normalize, Softmax

from ..emission import Tensor
from ..node import Node


def softmax(node: Node) -> Tensor:
    """SOFTMAX over the last axis, of the input times beta."""
    return node.result(Softmax, node.input(0), axis=-1, beta=float(node.option("beta")))


def l2_normalization(node: Node) -> Tensor:
    """L2_NORMALIZATION over the last axis."""
    return node.behind(node.activation(), node.result(L2Normalize, node.input(0), axis=-1))


IMPORTERS = {"L2_NORMALIZATION": l2_normalization, "SOFTMAX": softmax}

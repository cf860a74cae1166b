"""FULLY_CONNECTED and BATCH_MATMUL."""

from __future__ import annotations

from qcc.ir import I16, I32, I64, UniformType
from qcc.ir.ops import Matmul, Reshape, Transpose

from ...problem import Unsupported
from ..emission import Tensor
from ..node import Node
from .convolution import accumulator
from .parameters import bias_operand, weight_operand


def fully_connected(node: Node) -> Tensor:
    """FULLY_CONNECTED: the input as rows of the filter's length, times the filter O×I transposed."""
    x, given = node.input(0), node.input(1, "filter")
    if node.option("weights_format"):
        raise Unsupported("shuffled weights are not supported")
    if given.rank != 2 or not given.shape[1] or x.type.size % given.shape[1]:
        raise Unsupported(f"a filter of the shape {list(given.shape)} for an input of {list(x.shape)}")
    outputs, inputs = given.shape
    weight = weight_operand(node, given, 0, (1, 0))
    bias = bias_operand(node, 2, x, weight, 1)
    rows = x if x.rank == 2 and x.shape[1] == inputs else node.emit(Reshape, x, shape=(x.type.size // inputs, inputs))
    operands = (rows, weight) if bias is None else (rows, weight, bias)
    y = node.activated(Matmul, *operands, accumulator=accumulator(node, x, bias), notes=node.notes)
    if not node.option("keep_num_dims"):
        return y
    if x.shape[-1:] != (inputs,):
        raise Unsupported(f"keeps the dimensions of {list(x.shape)}, whose last one is not {inputs}")
    shape = (*x.shape[:-1], outputs)
    return y if shape == y.shape else node.emit(Reshape, y, shape=shape)


def batch_matmul(node: Node) -> Tensor:
    """BATCH_MATMUL: the last two axes of either operand may be swapped first."""
    x, w = node.input(0), node.input(1)
    if min(x.rank, w.rank) < 2:
        raise Unsupported(f"takes matrices, not {list(x.shape)} and {list(w.shape)}")
    a = _swapped(node, x) if node.option("adj_x") else x
    b = _swapped(node, w) if node.option("adj_y") else w
    wide = isinstance(x.element, UniformType) and x.element.storage == I16
    return node.result(Matmul, a, b, accumulator=I64 if wide else I32, notes=node.notes)


def _swapped(node: Node, x: Tensor) -> Tensor:
    """Return x with its last two axes swapped."""
    axes = tuple(range(x.rank))
    return node.emit(Transpose, x, permutation=(*axes[:-2], axes[-1], axes[-2]))


IMPORTERS = {"BATCH_MATMUL": batch_matmul, "FULLY_CONNECTED": fully_connected}

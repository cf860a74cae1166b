"""Layers with a memory: SVDF."""

from __future__ import annotations

from qcc.ir.ops import Add, Concat, Matmul, Mul, ReduceSum, Reshape, Slice, Svdf, Transpose

from ...problem import Unsupported
from ..emission import Tensor
from ..node import Node
from ..variables import Handle
from .parameters import weight_operand


def svdf(node: Node) -> Tensor:
    """SVDF: its state is a tensor that is marked as variable; 8-bit features with a 16- or 8-bit state, or all real."""
    x, handle, rank = node.input(0), node.input(4, "state"), int(node.option("rank"))
    if not isinstance(handle, Handle) or handle.variable is None:
        raise Unsupported("its state is no variable tensor")
    if x.rank != 2 or rank < 1:
        raise Unsupported(f"takes a matrix and a positive rank, not {list(x.shape)} and {rank}")
    state = node.variables.read(handle.key, handle.variable)
    feature, time, bias = node.input(1), node.input(2), node.optional(3)
    if not node.is_quantized:
        feature, time = weight_operand(node, feature, 0), weight_operand(node, time, 0)
        y, kept = _real(node, (x, feature, time, state, bias), rank)
        node.variables.write(handle.key, kept)
        return node.behind(node.activation(), y)
    operands = (x, feature, time, state) if bias is None else (x, feature, time, state, bias)
    # The integer kernels take RELU only, and do not apply it: they limit to the codes of the result.
    y, kept = node.emitter.emit(Svdf, operands, {"rank": rank}, [node.element(), state.element])
    node.variables.write(handle.key, kept)
    return y


def _real(
    node: Node, operands: tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None], rank: int
) -> tuple[Tensor, Tensor]:
    """Return result and state of real numbers, in operations that every target has."""
    x, feature, time, state, bias = operands
    if feature.rank != 2 or time.rank != 2 or feature.shape[0] != time.shape[0] or time.shape[0] % rank:
        raise Unsupported(f"weights of the shapes {list(feature.shape)} and {list(time.shape)} for rank {rank}")
    batch, (filters, memory) = x.shape[0], time.shape
    column = node.emit(Matmul, x, node.emit(Transpose, feature, permutation=(1, 0)))
    moved = node.emit(Reshape, column, shape=(batch, filters, 1))
    if memory > 1:
        old = node.emit(Reshape, state, shape=(batch, filters, memory))
        sizes = (batch, filters, memory - 1)
        later = node.emit(Slice, old, starts=(0, 0, 1), sizes=sizes, strides=(1, 1, 1))
        moved = node.emit(Concat, later, moved, axis=2)
    kept = node.emit(Reshape, moved, shape=state.shape)
    rows = node.emit(Reshape, node.emit(Mul, moved, time), shape=(batch, filters // rank, rank * memory))
    y = node.emit(ReduceSum, rows, axes=(2,), keep_dims=False)
    return (y if bias is None else node.emit(Add, y, bias)), kept


IMPORTERS = {"SVDF": svdf}

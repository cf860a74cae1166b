"""MatMul and Gemm."""

from __future__ import annotations

import numpy as np

from qcc.ir.ops import Add, Matmul, Mul, Reshape, Transpose

from ..emission import Tensor
from ..node import Node
from ..problem import Unsupported


def matmul(node: Node) -> Tensor:
    """MatMul of any ranks: a vector is a matrix of one row or column for as long as it takes."""
    a, b = node.input(0), node.input(1)
    if a.rank == 0 or b.rank == 0:
        raise Unsupported("takes no scalars")
    row = node.emit(Reshape, a, shape=(1, *a.shape)) if a.rank == 1 else a
    column = node.emit(Reshape, b, shape=(*b.shape, 1)) if b.rank == 1 else b
    y = node.emit(Matmul, row, column)
    if a.rank > 1 and b.rank > 1:
        return y
    last = y.shape[-1:] if b.rank > 1 else ()
    before = y.shape[:-2] if a.rank == 1 else y.shape[:-1]
    return node.emit(Reshape, y, shape=(*before, *last))


def gemm(node: Node) -> Tensor:
    """Gemm, `alpha·A·B + beta·C`: factors go into constants, a C of one row becomes the bias."""
    a, b, c = node.input(0), node.input(1), node.optional(2)
    if a.rank != 2 or b.rank != 2:
        raise Unsupported(f"takes matrices, not {list(a.shape)} and {list(b.shape)}")
    if node.get_int("transA", 0):
        a = node.emit(Transpose, a, permutation=(1, 0))
    if node.get_int("transB", 0):
        b = node.emit(Transpose, b, permutation=(1, 0))
    alpha, beta = node.get_float("alpha", 1.0), node.get_float("beta", 1.0)
    if b.array is not None:
        b = _scaled(node, b, alpha)
        alpha = 1.0
    c = None if c is None or beta == 0 else _scaled(node, c, beta)
    bias = _as_bias(node, c, b.shape[1]) if alpha == 1 else None
    if bias is not None:
        return node.emit(Matmul, a, b, bias)
    y = _scaled(node, node.emit(Matmul, a, b), alpha)
    return y if c is None else node.emit(Add, y, c)


def _scaled(node: Node, x: Tensor, factor: float) -> Tensor:
    """Return x · factor, in x's own type."""
    if factor == 1:
        return x
    if x.array is not None:
        return node.like((x.array * np.asarray(factor, x.array.dtype)).astype(x.array.dtype), x)
    return node.emit(Mul, x, node.known(np.asarray(factor, x.element.dtype)))


def _as_bias(node: Node, c: Tensor | None, columns: int) -> Tensor | None:
    """Return C as a vector of one number a column, None where it has several rows."""
    if c is None:
        return None
    if c.shape == (columns,):
        return c
    if c.array is not None and c.array.size == 1 and c.rank <= 2:
        return node.like(np.broadcast_to(c.array.reshape(1), (columns,)), c)
    return node.emit(Reshape, c, shape=(columns,)) if c.shape == (1, columns) else None


IMPORTERS = {"Gemm": gemm, "MatMul": matmul}

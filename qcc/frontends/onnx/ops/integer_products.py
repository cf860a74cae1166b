"""ConvInteger and MatMulInteger: exact sums of products of 8-bit integers, 32 bits wide.

Zero points that are known are attributes of the operation. One that is computed at run time, as dynamic quantization
makes it, is taken out of the sum: `Σ (a − z)·b = Σ a·b − z·Σ b`, exact modulo 2^32.
"""

from __future__ import annotations

import numpy as np

from qcc.ir import I8, I32, U8
from qcc.ir.ops import Cast, Matmul, Mul, ReduceSum, Reshape, Sub

from ..emission import Tensor
from ..node import Node
from ..problem import Unsupported
from .convolution import conv
from .layout import check_spatial
from .linear import matmul


def _check(node: Node, tensors: tuple[Tensor, Tensor], points: tuple[Tensor | None, Tensor | None]) -> None:
    for index, (tensor, point) in enumerate(zip(tensors, points, strict=True)):
        if tensor.element not in (I8, U8):
            raise Unsupported(f"input {index} is of type {tensor.element}, it must hold 8-bit integers")
        if point is not None and point.element != tensor.element:
            raise Unsupported(f"the zero point is of type {point.element}, the codes are {tensor.element}")


def _wide(node: Node, x: Tensor, point: Tensor | None) -> Tensor:
    """Return `x − point` in 32 bits."""
    wide = node.emit(Cast, x, to=I32)
    return wide if point is None else node.emit(Sub, wide, node.emit(Cast, point, to=I32))


def _single(point: Tensor | None) -> int | None:
    """Return the one known number that a zero point is, 0 where it is left out, else None."""
    if point is None:
        return 0
    return int(point.array.reshape(())) if point.array is not None and point.array.size == 1 else None


def matmul_integer(node: Node) -> Tensor:
    """MatMulInteger: a zero point for each row of a, each column of b."""
    a, b = node.input(0), node.input(1)
    points = node.optional(2), node.optional(3)
    _check(node, (a, b), points)
    known = _single(points[0]), _single(points[1])
    if known[0] is not None and known[1] is not None and a.rank > 1 and b.rank > 1:
        return node.emit(Matmul, a, b, input_zero_point=known[0], weight_zero_point=known[1])
    if points[0] is None or points[0].type.size == 1 or a.rank < 2:
        row = None if points[0] is None else node.emit(Reshape, points[0], shape=())
    else:
        row = node.emit(Reshape, points[0], shape=_trailing(points[0], a.shape[-2], (1,)))
    column = points[1] if points[1] is None or points[1].type.size > 1 else node.emit(Reshape, points[1], shape=())
    if a.rank > 1 and b.rank > 1 and known[1] is not None and row is not None and points[0] is not None:
        y = node.emit(Matmul, a, b, weight_zero_point=known[1])
        return node.emit(Sub, y, node.emit(Mul, node.emit(Cast, row, to=I32), _column_sums(node, b, known[1])))
    return matmul(node.with_inputs(_wide(node, a, row), _wide(node, b, column)))


def _trailing(point: Tensor, rows: int, behind: tuple[int, ...]) -> tuple[int, ...]:
    if point.shape == (rows,):
        return (rows, *behind)
    if point.rank > 1 and point.shape[-2:] == (rows, 1):
        return point.shape
    raise Unsupported(f"a zero point of the shape {list(point.shape)} for {rows} rows")


def _column_sums(node: Node, b: Tensor, zero_point: int) -> Tensor:
    """Return `Σ (b − zero_point)` over the rows of b, …×1×N."""
    return node.emit(ReduceSum, b, axes=(b.rank - 2,), input_zero_point=zero_point)


def conv_integer(node: Node) -> Tensor:
    """ConvInteger: what is padded is the zero point, the real number 0."""
    x, w = node.input(0), node.input(1)
    points = node.optional(2), node.optional(3)
    _check(node, (x, w), points)
    check_spatial(x)
    if w.array is None:
        raise Unsupported("input 1 (w) is computed at run time, it must be constant")
    if points[1] is not None and points[1].array is None:
        raise Unsupported("input 3 (w_zero_point) is computed at run time, it must be constant")
    weight = _centred(w, points[1], node)
    x_point = _single(points[0])
    if x_point is not None:
        return conv(node.with_inputs(x, weight), input_zero_point=x_point)
    if points[0] is None or points[0].type.size != 1:
        raise Unsupported("input 2 (x_zero_point) must be one number")
    ones = node.known(np.ones(x.shape, x.element.dtype))
    taps = conv(node.with_inputs(ones, weight))  # Σ w over the taps inside the image, known
    point = node.emit(Cast, node.emit(Reshape, points[0], shape=()), to=I32)
    return node.emit(Sub, conv(node.with_inputs(x, weight)), node.emit(Mul, taps, point))


def _centred(w: Tensor, point: Tensor | None, node: Node) -> Tensor:
    """Return the weights less their zero points: as they are where these are 0, else in 32 bits."""
    if w.array is None or point is None or point.array is None or not point.array.any():
        return w
    zeros = point.array.astype(np.int32)
    if zeros.size > 1:
        zeros = zeros.reshape(-1, *(1,) * (w.rank - 1))
    return node.like((w.array.astype(np.int32) - zeros.reshape(zeros.shape or ())).astype(np.int32), w)


IMPORTERS = {"ConvInteger": conv_integer, "MatMulInteger": matmul_integer}

"""Integer products with real results: DynamicQuantizeMatMul and MatMulIntegerToFloat of ONNX Runtime.

Both are imported as what they do: the exact integer product, times the product of the scales, plus a bias.
"""

from __future__ import annotations

from qcc.ir import F32
from qcc.ir.ops import Add, Cast, Mul, Reshape

from ..emission import Tensor
from ..node import Node
from ..problem import Unsupported
from .integer_products import matmul_integer
from .quantization import dynamic_quantize_linear


def _check_columns(what: str, tensor: Tensor, columns: int) -> None:
    """Refuse what is not one number, nor one number a column, perhaps with axes of size 1 in front."""
    if tensor.type.size != 1 and (tensor.type.size != columns or tensor.shape[-1] != columns):
        raise Unsupported(f"{what} has the shape {list(tensor.shape)} for {columns} columns")


def _scaled(node: Node, product: Tensor, scales: tuple[Tensor, Tensor], bias: Tensor | None) -> Tensor:
    """Return `f32(product) · (s_a · s_b) + bias`, rounded after each step."""
    columns = product.shape[-1]
    if scales[0].type.size != 1:
        raise Unsupported(f"the scale of a has the shape {list(scales[0].shape)}, it must be one number")
    _check_columns("the scale of b", scales[1], columns)
    factor = node.emit(Mul, node.emit(Reshape, scales[0], shape=()), _row(node, scales[1]))
    y = node.emit(Mul, node.emit(Cast, product, to=F32), factor)
    if bias is None:
        return y
    _check_columns("the bias", bias, columns)
    return node.emit(Add, y, _row(node, bias))


def _row(node: Node, tensor: Tensor) -> Tensor:
    return node.emit(Reshape, tensor, shape=() if tensor.type.size == 1 else (tensor.type.size,))


def matmul_integer_to_float(node: Node) -> Tensor:
    """MatMulIntegerToFloat: a, b, their scales, their zero points (b's perhaps one a column), a bias."""
    scales = node.input(2, "a_scale"), node.input(3, "b_scale")
    integers = node.with_inputs(node.input(0), node.input(1), node.optional(4), node.optional(5))
    return _scaled(node, matmul_integer(integers), scales, node.optional(6))


def dynamic_quantize_matmul(node: Node) -> Tensor:
    """DynamicQuantizeMatMul: a is quantized by its own range, as DynamicQuantizeLinear does it."""
    codes, scale, point = dynamic_quantize_linear(node.with_inputs(node.input(0)))
    integers = node.with_inputs(codes, node.input(1), point, node.optional(3))
    return _scaled(node, matmul_integer(integers), (scale, node.input(2, "b_scale")), node.optional(4))


MICROSOFT_IMPORTERS = {
    "DynamicQuantizeMatMul": dynamic_quantize_matmul,
    "MatMulIntegerToFloat": matmul_integer_to_float,
}

"""Operations on integers with scales (QLinear…): imported as dequantize, the real operation, quantize.

That is what the same model says when it is written with QuantizeLinear and DequantizeLinear; `absorb-quantization`
makes one operation on quantized values of either.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from qcc.ir import I32, Op, UniformType
from qcc.ir.ops import Add, Concat, LeakyRelu, Mul, Sigmoid, Transpose

from ..emission import Tensor
from ..node import Node, normalized_axis
from ..problem import Unsupported
from .convolution import conv
from .linear import gemm, matmul
from .normalization import softmax
from .pooling import average_pool, global_average_pool
from .quantization import dequantized, quantized, uniform_type

OneInput = Callable[[Node], Tensor]


def _input_type(node: Node, first: int, axis: int = 0) -> UniformType:
    """Return the quantized type of input `first`; the next two are its scale and zero point."""
    x = node.input(first)
    if x.element.bits > 8 or not x.element.is_integer:
        raise Unsupported(f"input {first} is of type {x.element}, it must hold codes of 8 bits")
    return uniform_type(x.element, node.input(first + 1, "scale"), node.optional(first + 2), x.shape, axis)


def _input(node: Node, first: int, axis: int = 0) -> Tensor:
    """Return input `first` as real numbers; the next two are its scale and zero point."""
    return dequantized(node, node.input(first), _input_type(node, first, axis))


def _output(node: Node, y: Tensor, first: int, axis: int = 0) -> Tensor:
    """Return y as integers; inputs `first` and the next are scale and zero point."""
    zero = node.optional(first + 1)
    storage = node.input(0).element if zero is None else zero.element
    return quantized(node, y, uniform_type(storage, node.input(first, "output scale"), zero, y.shape, axis))


def _bias(node: Node, index: int, x: UniformType, w: UniformType) -> Tensor | None:
    """Return an optional bias, of codes in units of the product of two scales."""
    bias = node.optional(index)
    if bias is None:
        return None
    if bias.element != I32 or bias.array is None:
        raise Unsupported(f"the bias, input {index}, must be a constant of int32")
    scales = np.float32(x.scale) * np.asarray(w.scales, np.float32)
    axis = bias.rank - 1 if scales.size > 1 else None
    type = UniformType(I32, tuple(map(float, scales)), (0,) * scales.size, axis)
    return dequantized(node, bias, type)


def _channels_first(node: Node, importer: OneInput) -> OneInput:
    """Return an importer that also takes images whose channels are last (attribute `channels_last`)."""
    if not node.get_int("channels_last", 0):
        return importer

    def moved(inner: Node) -> Tensor:
        x = inner.input(0)
        last = x.rank - 1
        forth, back = (0, last, *range(1, last)), (0, *range(2, x.rank), 1)
        first = inner.emit(Transpose, x, permutation=forth)
        y = importer(inner.with_inputs(first, *inner.inputs[1:]))
        return inner.emit(Transpose, y, permutation=back)

    return moved


def qlinear_conv(node: Node) -> Tensor:
    """QLinearConv: weights may have a scale for each output channel."""
    x_type, w_type = _input_type(node, 0), _input_type(node, 3)
    bias = _bias(node, 8, x_type, w_type)
    x, w = dequantized(node, node.input(0), x_type), dequantized(node, node.input(3), w_type)
    importer = _channels_first(node, conv)
    return _output(node, importer(node.with_inputs(x, w, bias)), 6)


def qlinear_matmul(node: Node) -> Tensor:
    """QLinearMatMul: a scale for each row of a, each column of b."""
    a, b = _input(node, 0, axis=-2), _input(node, 3, axis=-1)
    return _output(node, matmul(node.with_inputs(a, b)), 6, axis=-2)


def qgemm(node: Node) -> Tensor:
    """QGemm of ONNX Runtime: `alpha` goes into the scale of a, in binary32; a result without a scale is real."""
    alpha = node.get_float("alpha", 1.0)
    a_type = _input_type(node, 0)
    b_type = _input_type(node, 3, axis=0 if node.get_int("transB", 0) else 1)
    if alpha <= 0:
        raise Unsupported(f"attribute 'alpha' is {alpha}, it must be positive")
    scales = tuple(float(np.float32(alpha) * np.float32(s)) for s in a_type.scales)
    a_type = UniformType(a_type.storage_type, scales, a_type.zero_points, a_type.axis)
    c = _bias(node, 6, a_type, b_type)
    a, b = dequantized(node, node.input(0), a_type), dequantized(node, node.input(3), b_type)
    y = gemm(node.with_inputs(a, b, c).without("alpha"))
    return y if node.optional(7) is None else _output(node, y, 7)


def _two_inputs(op_class: type[Op]) -> OneInput:
    """Return an importer of arithmetic: a, its scale and zero point, b and its, those of the result."""
    return lambda node: _output(node, node.emit(op_class, _input(node, 0), _input(node, 3)), 6)


def _one_input(importer: OneInput) -> OneInput:
    """Return an importer of a function: x, its scale and zero point, those of the result."""
    return lambda node: _output(node, importer(node.with_inputs(_input(node, 0))), 3)


def qlinear_concat(node: Node) -> Tensor:
    """QLinearConcat: scale and zero point of the result, then three inputs for each operand."""
    if len(node.inputs) < 5 or (len(node.inputs) - 2) % 3:
        raise Unsupported(f"{len(node.inputs)} inputs are given, it takes 2 and 3 for each operand")
    operands = [_input(node, first) for first in range(2, len(node.inputs), 3)]
    axis = normalized_axis(node.get_int("axis"), operands[0].rank)
    y = node.emit(Concat, *operands, axis=axis)
    zero = node.optional(1)
    storage = node.input(2).element if zero is None else zero.element
    return quantized(node, y, uniform_type(storage, node.input(0, "output scale"), zero, y.shape, axis))


def qlinear_softmax(node: Node) -> Tensor:
    """QLinearSoftmax: attribute `opset` says which Softmax."""
    opset = node.get_int("opset")
    return _output(node, softmax(node.with_inputs(_input(node, 0), opset=opset)), 3)


def _pool(importer: OneInput) -> OneInput:
    """Return an importer of a pool, of images whose channels are first or last."""
    return lambda node: _one_input(_channels_first(node, importer))(node)


def _leaky_relu(node: Node) -> Tensor:
    return node.emit(LeakyRelu, node.input(0), alpha=node.get_float("alpha", 0.01))


IMPORTERS = {"QLinearConv": qlinear_conv, "QLinearMatMul": qlinear_matmul}

MICROSOFT_IMPORTERS: dict[str, Callable[[Node], Tensor | Sequence[Tensor]]] = {
    "QGemm": qgemm,
    "QLinearAdd": _two_inputs(Add),
    "QLinearAveragePool": _pool(average_pool),
    "QLinearConcat": qlinear_concat,
    "QLinearConv": qlinear_conv,
    "QLinearGlobalAveragePool": _pool(global_average_pool),
    "QLinearLeakyRelu": _one_input(_leaky_relu),
    "QLinearMul": _two_inputs(Mul),
    "QLinearSigmoid": _one_input(lambda node: node.emit(Sigmoid, node.input(0))),
    "QLinearSoftmax": qlinear_softmax,
}

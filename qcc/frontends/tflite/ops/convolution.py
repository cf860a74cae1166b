"""CONV_2D, DEPTHWISE_CONV_2D and TRANSPOSE_CONV."""

from __future__ import annotations

from qcc.ir import I16, I32, I64, ScalarType, UniformType
from qcc.ir.ops import Conv2d, ConvTranspose2d

from ...problem import Unsupported
from ..emission import Tensor
from ..node import Node
from ..schema import ELEMENT_NUMBERS
from .parameters import bias_operand, weight_operand
from .window import dilation, padding, strides

_UNNAMED = (
    "its int32 bias asks for sums of 32 bits, as in TensorFlow Lite Micro, but the option quantized_bias_type does not "
    "say INT32, without which LiteRT reads the bias as int64 numbers: its results are others"
)


def _image(node: Node, index: int) -> Tensor:
    image = node.input(index, "image")
    if image.rank != 4:
        raise Unsupported(f"takes N×H×W×C, not {list(image.shape)}")
    return image


def accumulator(node: Node, x: Tensor, bias: Tensor | None) -> ScalarType:
    """Return the type of the sums: i64 for 16-bit activations, but i32 where the bias, or else the option, says so."""
    if not isinstance(x.element, UniformType) or x.element.storage != I16:
        return I32
    if bias is not None:
        return I64 if bias.element.storage == I64 else I32
    return I32 if node.option("quantized_bias_type") == ELEMENT_NUMBERS["INT32"] else I64


def _convolution(node: Node, x: Tensor, weight: Tensor, groups: int, sums: ScalarType, bias: Tensor | None) -> Tensor:
    steps, dilations = strides(node), dilation(node)
    extents = tuple((k - 1) * d + 1 for k, d in zip(weight.shape[1:3], dilations, strict=True))
    operands = (x, weight) if bias is None else (x, weight, bias)
    return node.activated(
        Conv2d,
        *operands,
        strides=steps,
        padding=padding(node, x.shape[1:3], (extents[0], extents[1]), steps),
        dilation=dilations,
        groups=groups,
        accumulator=sums,
        notes=node.notes,
    )


def conv(node: Node) -> Tensor:
    """CONV_2D: weights O×KH×KW×I; groups follow from I."""
    x, weight = _image(node, 0), weight_operand(node, node.input(1, "filter"), 0)
    if weight.rank != 4 or not weight.shape[3] or x.shape[3] % weight.shape[3]:
        raise Unsupported(f"a filter of the shape {list(weight.shape)} for an image of {list(x.shape)}")
    bias = bias_operand(node, 2, x, weight, 0)
    sums = accumulator(node, x, bias)
    wide = isinstance(x.element, UniformType) and x.element.storage == I16
    if wide and sums == I32 and node.option("quantized_bias_type") != ELEMENT_NUMBERS["INT32"]:
        node.defects.add(node.label, _UNNAMED)
    return _convolution(node, x, weight, x.shape[3] // weight.shape[3], sums, bias)


def depthwise_conv(node: Node) -> Tensor:
    """DEPTHWISE_CONV_2D: weights 1×KH×KW×(C·multiplier) become O×KH×KW×1; output channel c·m + j reads channel c."""
    x, given = _image(node, 0), node.input(1, "filter")
    channels = x.shape[3]
    if given.rank != 4 or given.shape[0] != 1 or not channels or given.shape[3] % channels:
        raise Unsupported(f"a filter of the shape {list(given.shape)} for an image of {list(x.shape)}")
    if given.array is None:
        raise Unsupported("its filter is computed at run time, it must be constant")
    weight = weight_operand(node, given, 3, (3, 1, 2, 0))
    bias = bias_operand(node, 2, x, weight, 0)
    wide = isinstance(x.element, UniformType) and x.element.storage == I16
    return _convolution(node, x, weight, channels, I64 if wide else I32, bias)


def transpose_conv(node: Node) -> Tensor:
    """TRANSPOSE_CONV: its padding is that of the convolution which leads from its result to its input."""
    shape, x = node.integers(0, "output shape"), _image(node, 2)
    weight = weight_operand(node, node.input(1, "filter"), 0)
    if weight.rank != 4 or len(shape) != 4 or weight.shape[3] != x.shape[3] or shape[0] != x.shape[0]:
        raise Unsupported(f"a filter of the shape {list(weight.shape)} from {list(x.shape)} to {list(shape)}")
    steps = strides(node)
    kernel, size = weight.shape[1:3], (shape[1], shape[2])
    top, _, left, _ = padding(node, size, (kernel[0], kernel[1]), steps)
    full = [(n - 1) * s + k for n, s, k in zip(x.shape[1:3], steps, kernel, strict=True)]
    ends = [f - o - before for f, o, before in zip(full, size, (top, left), strict=True)]
    bias = bias_operand(node, 3, x, weight, 0)
    return node.activated(
        ConvTranspose2d,
        *((x, weight) if bias is None else (x, weight, bias)),
        strides=steps,
        padding=(top, max(ends[0], 0), left, max(ends[1], 0)),
        output_padding=(max(-ends[0], 0), max(-ends[1], 0)),
        accumulator=accumulator(node, x, bias),
        notes=node.notes,
    )


IMPORTERS = {"CONV_2D": conv, "DEPTHWISE_CONV_2D": depthwise_conv, "TRANSPOSE_CONV": transpose_conv}

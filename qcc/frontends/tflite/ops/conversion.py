"""Changes of type: QUANTIZE, DEQUANTIZE, CAST, FAKE_QUANT."""

from __future__ import annotations

import numpy as np

from qcc.ir import F32, U8, UniformType
from qcc.ir.ops import Cast, Dequantize, Quantize, Requantize

from ...problem import Unsupported
from ..emission import Tensor
from ..node import Node


def quantize(node: Node) -> Tensor:
    """QUANTIZE: of real numbers, or of codes from one scale to another."""
    x, to = node.input(0), node.element()
    if not isinstance(to, UniformType):
        raise Unsupported(f"its result is {to}, which has no scale")
    if isinstance(x.element, UniformType):
        return node.emit_as(to, Requantize, x)
    if x.is_integer:
        raise Unsupported(f"of plain {x.element} is not supported")
    return node.emit(Quantize, x, to=to)


def dequantize(node: Node) -> Tensor:
    """DEQUANTIZE: codes or half-precision numbers to real numbers."""
    x = node.input(0)
    if isinstance(x.element, UniformType):
        return node.emit(Dequantize, x)
    if x.is_integer:
        raise Unsupported(f"of {x.element} without a scale")
    return x if x.element == F32 else node.emit(Cast, x, to=F32)


def cast(node: Node) -> Tensor:
    """CAST between plain numbers."""
    x, to = node.input(0), node.element()
    if isinstance(x.element, UniformType) or isinstance(to, UniformType):
        raise Unsupported(f"from {x.element} to {to} is not supported, only between plain numbers")
    return x if x.element == to else node.emit(Cast, x, to=to)


def fake_quant(node: Node) -> Tensor:
    """FAKE_QUANT: to codes of 8 bits or fewer and back, with TensorFlow's nudged zero point (in binary32).

    Real numbers become codes as the profile's QUANTIZE has it: ties may fall to the other side than in TFLite's float
    kernel (ARITHMETIC §1.3). The file counts as quantized by what it says, so its other operations stay in float.
    """
    x, bits = node.input(0), int(node.option("num_bits"))
    low, high = np.float32(node.option("min")), np.float32(node.option("max"))
    smallest = 1 if node.option("narrow_range") else 0
    if not 2 <= bits <= 8 or not low < high or not np.isfinite([low, high]).all():
        raise Unsupported(f"{bits} bits for {low} … {high}")
    largest = (1 << bits) - 1
    scale = np.float32((high - low) / np.float32(largest - smallest))
    zero_point = np.float32(np.float32(smallest) - np.float32(low / scale))
    nudged = int(np.clip(np.floor(np.float64(zero_point) + 0.5), smallest, largest))
    element = UniformType(U8, (float(scale),), (nudged,), storage_minimum=smallest, storage_maximum=largest)
    return node.emit(Dequantize, node.emit(Quantize, x, to=element))


IMPORTERS = {"CAST": cast, "DEQUANTIZE": dequantize, "FAKE_QUANT": fake_quant, "QUANTIZE": quantize}

"""QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear, of ONNX and of ONNX Runtime.

Between a real tensor and integers stand two operations of the IR: `quantize` gives a value of quantized type, and
`storage_cast` its codes as plain integers, which are what ONNX's tensors hold; `dequantize` stands behind a
`storage_cast` the other way. `absorb-quantization` cancels the casts. Constants stay codes.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from qcc.ir import F32, I1, I2, I4, I8, I16, I32, U2, U4, U8, U16, Array, ScalarType, UniformType
from qcc.ir.ops import (
    Add,
    Cast,
    Clamp,
    Dequantize,
    Div,
    Mul,
    Quantize,
    ReduceMax,
    ReduceMin,
    Reshape,
    Round,
    StorageCast,
    Sub,
)

from ..emission import Tensor, narrow_type
from ..node import Node, normalized_axis
from ..problem import Unsupported
from ..tensor_data import type_name

#: What QuantizeLinear gives, by ONNX's number of the type.
_OUTPUT_TYPES: dict[int, ScalarType] = {
    TensorProto.INT2: I2,
    TensorProto.UINT2: U2,
    TensorProto.INT4: I4,
    TensorProto.UINT4: U4,
    TensorProto.INT8: I8,
    TensorProto.UINT8: U8,
    TensorProto.INT16: I16,
    TensorProto.UINT16: U16,
}
_QUANTIZED = tuple(_OUTPUT_TYPES.values())


def real_numbers(tensor: Tensor, what: str) -> Array:
    """Return the known data of a scale, binary32."""
    if tensor.array is None:
        raise Unsupported(f"{what} is computed at run time, it must be constant")
    if tensor.array.dtype.kind != "f":
        raise Unsupported(f"{what} holds {tensor.array.dtype}, it must hold floats")
    return tensor.array.astype(np.float32)


def uniform_type(
    storage: ScalarType, scale: Tensor, zero_point: Tensor | None, shape: tuple[int, ...], axis: int, block: int = 0
) -> UniformType:
    """Return the quantized type of a tensor of `shape` from a node's scale and zero point.

    Args:
        axis: of the scales, where there is more than one.
        block: elements along `axis` that share a scale, 0 where one index has one scale.

    Raises:
        Unsupported: shapes or types contradict each other, or a scale is no positive number.
    """
    scales = real_numbers(scale, "the scale")
    if not np.all(np.isfinite(scales) & (scales > 0)):
        raise Unsupported("a scale is not a positive number")
    zeros = _zero_points(zero_point, storage, scales)
    if scales.size == 1 and not block:
        return UniformType(storage, (float(scales.reshape(())),), (int(zeros.reshape(())),))
    axis = normalized_axis(axis, len(shape))
    expected: tuple[int, ...] = shape[axis : axis + 1]
    if block:
        expected = (*shape[:axis], -(-shape[axis] // block), *shape[axis + 1 :])
    if scales.shape != expected:
        text = f"the scale has the shape {list(scales.shape)}, {list(expected)} is needed for {list(shape)}"
        raise Unsupported(f"{text} along axis {axis}" + (f" in blocks of {block}" if block else ""))
    numbers = tuple(map(float, scales.reshape(-1))), tuple(map(int, zeros.reshape(-1)))
    return UniformType(storage, *numbers, axis, block_size=block or None)


def _zero_points(zero_point: Tensor | None, storage: ScalarType, scales: Array) -> Array:
    """Return the zero points, of the shape of the scales."""
    if zero_point is None:
        return np.zeros(scales.shape, np.int64)
    if zero_point.array is None:
        raise Unsupported("the zero point is computed at run time, it must be constant")
    if zero_point.element != storage:
        raise Unsupported(f"the zero point is of type {zero_point.element}, the codes are {storage}")
    if zero_point.array.size == scales.size == 1:
        return zero_point.array.reshape(scales.shape).astype(np.int64)
    if zero_point.shape != scales.shape:
        raise Unsupported(f"the zero point has the shape {list(zero_point.shape)}, the scale {list(scales.shape)}")
    return zero_point.array.astype(np.int64)


def dequantized(node: Node, x: Tensor, type: UniformType) -> Tensor:
    """Return the real numbers that integers stand for; those of known data stay codes, behind a `dequantize`."""
    if x.array is not None:
        return node.emit(Dequantize, node.emitter.coded_constant(x.name, x.array, type))
    return node.emit(Dequantize, node.emit(StorageCast, x, to=type))


def quantized(node: Node, x: Tensor, type: UniformType) -> Tensor:
    """Return a real tensor as integers."""
    if x.array is not None:
        codes = type.quantize(x.array)
        return Tensor(x.name, codes, note=x.note, nameless=True, narrow=narrow_type(type.storage_type))
    return node.emit(StorageCast, node.emit(Quantize, x, to=type))


def _computed(*tensors: Tensor | None) -> bool:
    """True where scale or zero point are computed at run time."""
    return any(t is not None and t.array is None for t in tensors)


def _aligned(node: Node, parameter: Tensor, x: Tensor, axis: int) -> Tensor:
    """Return a scale or zero point computed at run time so that it broadcasts against x."""
    if parameter.type.size == 1:
        return node.emit(Reshape, parameter, shape=())
    axis = normalized_axis(axis, x.rank)
    if parameter.shape != x.shape[axis : axis + 1]:
        raise Unsupported(f"a scale or zero point of the shape {list(parameter.shape)} for {list(x.shape)}")
    return node.emit(Reshape, parameter, shape=tuple(-1 if a == axis else 1 for a in range(x.rank)))


def _block_size(node: Node) -> int:
    block = node.get_int("block_size", 0)
    if block < 0:
        raise Unsupported(f"attribute 'block_size' is {block}")
    return block


def quantize_linear(node: Node) -> Tensor:
    """QuantizeLinear: `saturate(RHE(x / scale) + zero_point)`."""
    node.ignore("saturate")  # of 8-bit floats
    x, scale, zero = node.input(0, "x"), node.input(1, "y_scale"), node.optional(2)
    axis, block = node.get_int("axis", 1), _block_size(node)
    if node.get_int("precision", 0) not in (0, TensorProto.FLOAT):
        raise Unsupported("attribute 'precision' asks for another division than that of float32")
    storage = _output_type(node, zero)
    if not x.element.is_float:
        x = node.emit(Cast, x, to=F32)
    if not _computed(scale, zero):
        return quantized(node, x, uniform_type(storage, scale, zero, x.shape, axis, block))
    if block:
        raise Unsupported("scales of blocks are computed at run time, they must be constant")
    steps = node.emit(Round, node.emit(Div, x, _aligned(node, scale, x, axis)))
    if zero is not None:
        steps = node.emit(Add, steps, node.emit(Cast, _aligned(node, zero, x, axis), to=F32))
    return node.emit(Cast, node.emit(Clamp, steps, minimum=storage.minimum, maximum=storage.maximum), to=storage)


def _output_type(node: Node, zero: Tensor | None) -> ScalarType:
    wanted = node.get_int("output_dtype", 0)
    if wanted and wanted not in _OUTPUT_TYPES:
        raise Unsupported(f"codes of type {type_name(wanted)} are not supported")
    storage = zero.element if zero is not None else _OUTPUT_TYPES.get(wanted, U8)
    if storage not in _QUANTIZED:
        raise Unsupported(f"codes of type {storage} are not supported")
    return storage


def dequantize_linear(node: Node) -> Tensor:
    """DequantizeLinear: `(x − zero_point) · scale`."""
    x, scale, zero = node.input(0, "x"), node.input(1, "x_scale"), node.optional(2)
    axis, block = node.get_int("axis", 1), _block_size(node)
    node.ignore("output_dtype")  # floats are f32
    storage = x.element
    if storage not in (*_QUANTIZED, I32):
        raise Unsupported(f"codes of type {storage} are not supported")
    if not _computed(scale, zero):
        return dequantized(node, x, uniform_type(storage, scale, zero, x.shape, axis, block))
    if block:
        raise Unsupported("scales of blocks are computed at run time, they must be constant")
    steps = node.emit(Cast, x, to=I32)
    if zero is not None:
        steps = node.emit(Sub, steps, node.emit(Cast, _aligned(node, zero, x, axis), to=I32))
    return node.emit(Mul, node.emit(Cast, steps, to=F32), _aligned(node, scale, x, axis))


def dynamic_quantize_linear(node: Node) -> list[Tensor]:
    """DynamicQuantizeLinear: scale and zero point of u8 from the range of x, which is widened to hold 0.

    The scale of a tensor of zeros is 1, as in ONNX Runtime.
    """
    x = node.input(0)
    axes = tuple(range(x.rank))
    flat = x if x.rank else node.emit(Reshape, x, shape=(1,))
    axes = axes or (0,)
    zero = node.known(np.zeros((), np.float32))

    def edge(op: type[ReduceMin] | type[ReduceMax], low: float, high: float) -> Tensor:
        found = node.emit(Reshape, node.emit(op, flat, axes=axes), shape=())
        return node.emit(Clamp, found, minimum=low, maximum=high)

    smallest, largest = edge(ReduceMin, -np.inf, 0.0), edge(ReduceMax, 0.0, np.inf)
    span = node.emit(Sub, largest, smallest)
    some = node.emit(Cast, node.emit(Cast, span, to=I1), to=F32)
    none = node.emit(Sub, node.known(np.ones((), np.float32)), some)
    scale = node.emit(Add, node.emit(Div, span, node.known(np.asarray(255, np.float32))), none)
    offset = node.emit(Sub, zero, node.emit(Div, smallest, scale))
    point = node.emit(Round, node.emit(Clamp, offset, minimum=0.0, maximum=255.0))
    steps = node.emit(Add, node.emit(Round, node.emit(Div, x, scale)), point)
    codes = node.emit(Cast, node.emit(Clamp, steps, minimum=0.0, maximum=255.0), to=U8)
    return [codes, scale, node.emit(Cast, point, to=U8)]


IMPORTERS = {
    "DequantizeLinear": dequantize_linear,
    "DynamicQuantizeLinear": dynamic_quantize_linear,
    "QuantizeLinear": quantize_linear,
}

#: ONNX Runtime's own, which took types of 16 and 4 bits before ONNX did.
MICROSOFT_IMPORTERS = {"DequantizeLinear": dequantize_linear, "QuantizeLinear": quantize_linear}

"""What a tensor of a file is in the IR: its type with the file's scales, and its data as codes."""

from __future__ import annotations

import math

import numpy as np

from qcc.ir import (
    F16,
    F32,
    F64,
    I1,
    I4,
    I8,
    I16,
    I32,
    I64,
    U4,
    U8,
    U16,
    U32,
    Array,
    ElementType,
    IrError,
    ScalarType,
    TensorType,
    UniformType,
)

from ..limits import check_size
from ..problem import Unsupported
from . import schema
from .defects import Defects
from .model_file import FileTensor, ModelFile

_SCALARS: dict[str, ScalarType] = {
    "FLOAT32": F32,
    "FLOAT16": F16,
    "FLOAT64": F64,
    "INT4": I4,
    "INT8": I8,
    "INT16": I16,
    "INT32": I32,
    "INT64": I64,
    "UINT4": U4,
    "UINT8": U8,
    "UINT16": U16,
    "UINT32": U32,
    "BOOL": I1,
}


def element_name(number: int) -> str:
    """Return the schema's name of an element type, also of one that is not known."""
    return schema.ELEMENTS[number][0] if 0 <= number < len(schema.ELEMENTS) else f"type {number}"


def scalar_type(number: int) -> ScalarType:
    """Return the IR's type of an element type; Unsupported where it has none."""
    name = element_name(number)
    if name not in _SCALARS:
        raise Unsupported(f"elements of {name} are not supported")
    return _SCALARS[name]


def tensor_type(tensor: FileTensor, shape: tuple[int, ...], defects: Defects) -> TensorType:
    """Return the type of a tensor in a shape; Unsupported says what it has that the IR has not."""
    scalar = scalar_type(tensor.type)
    if any(d < 0 for d in shape):
        raise Unsupported(f"the shape {list(shape)} has negative dimensions")
    try:
        check_size([TensorType(shape, scalar)])
        return TensorType(shape, element_type(tensor, scalar, shape, defects))
    except IrError as error:
        raise Unsupported(error.message) from error


def element_type(tensor: FileTensor, scalar: ScalarType, shape: tuple[int, ...], defects: Defects) -> ElementType:
    """Return the element type: quantized where the file gives scales to integers."""
    given = tensor.quantization
    if given.custom:
        raise Unsupported("its quantization is of a custom or block-wise kind, which is not supported")
    if not given.scales.size or scalar.is_float:
        return scalar
    scales = [float(s) for s in given.scales]
    if not all(math.isfinite(s) and s > 0 for s in scales):
        raise Unsupported("a scale is not positive and finite")
    zero_points = [int(z) for z in given.zero_points] or [0]
    if len(zero_points) == 1:
        zero_points *= len(scales)
    if len(zero_points) != len(scales):
        raise Unsupported(f"{len(scales)} scales with {len(zero_points)} zero points")
    axis = None if len(scales) == 1 else _axis(tensor, len(scales), shape, defects)
    return UniformType(scalar, tuple(scales), tuple(zero_points), axis)


def _axis(tensor: FileTensor, count: int, shape: tuple[int, ...], defects: Defects) -> int:
    """Return the axis that scales run along: the file's, or where that does not exist the only one of their number."""
    axis = tensor.quantization.dimension
    if 0 <= axis < len(shape):
        return axis
    fitting = [a for a, d in enumerate(shape) if d == count]
    if len(fitting) != 1:
        raise Unsupported(f"{count} scales along dimension {axis} of the shape {list(shape)}")
    defects.add(tensor.label, f"quantized_dimension {axis} is out of range; read as {fitting[0]}")
    return fitting[0]


def tensor_data(file: ModelFile, tensor: FileTensor, type: TensorType) -> Array:
    """Return the data of a constant tensor, read-only and not copied; 4-bit elements one a byte."""
    if tensor.is_sparse:
        raise Unsupported("its data is sparse or external, which is not supported")
    data = file.data(tensor.buffer)
    bits = type.element.storage.bits
    needed = -(-type.size * bits // 8) if bits == 4 else type.size * type.element.storage.dtype.itemsize
    if len(data) != needed:
        raise Unsupported(f"holds {len(data)} bytes of data, its shape and type need {needed}")
    if bits == 4:
        return _unpacked(np.frombuffer(data, np.uint8), type)
    dtype = np.dtype(schema.ELEMENTS[tensor.type][1])
    if dtype == np.bool_:
        return np.asarray(np.frombuffer(data, np.uint8).reshape(type.shape) != 0)
    return np.frombuffer(data, dtype).reshape(type.shape)


def _unpacked(packed: Array, type: TensorType) -> Array:
    """Return 4-bit elements: the even ones are the low halves of the bytes."""
    halves = np.stack([packed & 15, packed >> 4], axis=-1).reshape(-1)[: type.size].astype(np.int8)
    if type.element.storage == I4:
        halves = np.where(halves > 7, halves - 16, halves)
    return halves.astype(type.element.storage.dtype).reshape(type.shape)

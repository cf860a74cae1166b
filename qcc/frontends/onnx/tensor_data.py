"""The data of ONNX tensors as NumPy arrays, checked against what the file declares.

The `onnx` package's own conversion trusts sizes and paths in the file; here every size is checked before memory is
taken, and external data must lie below the folder of the model.
"""

from __future__ import annotations

import math
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from qcc.ir import I2, I4, U2, U4, Array, FrontendError, ScalarType

from ..limits import RANK_LIMIT

#: Elements that a tensor in a file may have.
ELEMENT_LIMIT = 1 << 31

_DTYPES: dict[int, Any] = {
    TensorProto.FLOAT: "<f4",
    TensorProto.DOUBLE: "<f8",
    TensorProto.FLOAT16: "<f2",
    TensorProto.BFLOAT16: "<u2",
    TensorProto.INT8: "i1",
    TensorProto.INT16: "<i2",
    TensorProto.INT32: "<i4",
    TensorProto.INT64: "<i8",
    TensorProto.UINT8: "u1",
    TensorProto.UINT16: "<u2",
    TensorProto.UINT32: "<u4",
    TensorProto.UINT64: "<u8",
    TensorProto.BOOL: "?",
    **dict.fromkeys((TensorProto.INT2, TensorProto.INT4), "i1"),
    **dict.fromkeys((TensorProto.UINT2, TensorProto.UINT4), "u1"),
}

#: Element types narrower than the NumPy type that holds them; a file packs two or four a byte, the first one low.
NARROW_TYPES: dict[int, ScalarType] = {
    TensorProto.INT2: I2,
    TensorProto.UINT2: U2,
    TensorProto.INT4: I4,
    TensorProto.UINT4: U4,
}

# Where each element type is kept when it is not in `raw_data`.
_FIELDS: dict[int, str] = {
    TensorProto.FLOAT: "float_data",
    TensorProto.DOUBLE: "double_data",
    TensorProto.INT64: "int64_data",
    TensorProto.UINT32: "uint64_data",
    TensorProto.UINT64: "uint64_data",
}


def type_name(data_type: int) -> str:
    """Return ONNX's name of an element type, also of one that this version does not know."""
    known = TensorProto.DataType.values()
    return TensorProto.DataType.Name(data_type).lower() if data_type in known else f"type {data_type}"


def numpy_type(data_type: int) -> np.dtype[Any] | None:
    """Return the NumPy type of an ONNX element type, None where qcc has none; bfloat16 is widened to float32."""
    if data_type == TensorProto.BFLOAT16:
        return np.dtype(np.float32)
    return np.dtype(_DTYPES[data_type]) if data_type in _DTYPES else None


def tensor_array(tensor: onnx.TensorProto, folder: Path | None, place: str) -> Array:
    """Return the data of a tensor.

    Args:
        folder: of the model file, below which external data lies; None where the model did not come from a file.
        place: of the tensor, for messages.

    Raises:
        FrontendError: sizes do not fit, the type is unknown, or external data can't be read.
    """
    shape = tuple(tensor.dims)
    count = math.prod(shape)
    if any(not 0 <= d <= ELEMENT_LIMIT for d in shape) or count > ELEMENT_LIMIT or len(shape) > RANK_LIMIT:
        raise FrontendError(
            f"declares the shape {list(shape)}, which is not sensible", place=place, help="the file is damaged"
        )
    dtype = _DTYPES.get(tensor.data_type)
    if dtype is None:
        raise FrontendError(
            f"has elements of {type_name(tensor.data_type)}, which are not supported",
            place=place,
            help="supported: " + ", ".join(sorted(type_name(t) for t in _DTYPES)),
        )
    if tensor.data_location == TensorProto.EXTERNAL:
        raw: bytes | None = _external_bytes(tensor, folder, place)
    else:
        raw = tensor.raw_data if tensor.HasField("raw_data") else None
    if tensor.data_type in NARROW_TYPES:
        return _from_packed(tensor, raw, count, place).reshape(shape)
    data = _from_bytes(raw, np.dtype(dtype), count, place) if raw is not None else _from_field(tensor, count, place)
    if tensor.data_type == TensorProto.BFLOAT16:
        data = (data.astype(np.uint32) << 16).view(np.float32)
    return data.reshape(shape)


def _from_bytes(raw: bytes, dtype: np.dtype[Any], count: int, place: str) -> Array:
    if len(raw) != count * dtype.itemsize:
        raise FrontendError(
            f"holds {len(raw)} bytes of data, its shape and type need {count * dtype.itemsize}",
            place=place,
            help="the file is damaged: export the model again",
        )
    return np.frombuffer(raw, dtype)


def _from_packed(tensor: onnx.TensorProto, raw: bytes | None, count: int, place: str) -> Array:
    """Return elements of 2 or 4 bits, a byte each."""
    if raw is None:
        raw = np.array(tensor.int32_data, np.int64).astype(np.uint8).tobytes()
    type = NARROW_TYPES[tensor.data_type]
    each = 8 // type.bits
    packed = _from_bytes(raw, np.dtype(np.uint8), -(-count // each), place)
    shifts = np.arange(each, dtype=np.uint8) * type.bits
    high = (packed[:, None] >> shifts).reshape(-1)[:count] << (8 - type.bits)
    return high.astype(np.uint8).view(type.dtype) >> (8 - type.bits)


def _from_field(tensor: onnx.TensorProto, count: int, place: str) -> Array:
    field = getattr(tensor, _FIELDS.get(tensor.data_type, "int32_data"))
    if len(field) != count:
        raise FrontendError(
            f"holds {len(field)} elements, its shape {list(tensor.dims)} needs {count}",
            place=place,
            help="the file is damaged: export the model again",
        )
    dtype = np.dtype(_DTYPES[tensor.data_type])
    if tensor.data_type in (TensorProto.FLOAT16, TensorProto.BFLOAT16):  # the bits, as integers
        return np.array(field, np.int64).astype(np.uint16).view(dtype)
    return np.array(field, np.int64).astype(dtype) if dtype.itemsize < 4 else np.array(field, dtype)


def _external_bytes(tensor: onnx.TensorProto, folder: Path | None, place: str) -> bytes:
    entries = {e.key: e.value for e in tensor.external_data}
    location = entries.get("location", "")
    if folder is None or not location:
        raise FrontendError("keeps its data in another file, which is not named", place=place)
    root = folder.resolve()
    path = (root / PurePosixPath(location)).resolve()
    if not path.is_relative_to(root):
        raise FrontendError(
            f"keeps its data in {location!r}, outside the model's folder",
            place=place,
            help="move the data below the folder of the model",
        )
    try:
        offset, length = int(entries.get("offset", "0")), int(entries.get("length", "-1"))
        size = path.stat().st_size
        if not path.is_file():
            raise FrontendError(f"keeps its data in {location!r}, which is not a file", place=place)
        if offset < 0 or offset > size or length > size - offset:
            raise FrontendError(
                f"keeps {length} bytes at {offset} of {location!r}, which has {size}",
                place=place,
                help="the data file is truncated: copy or export it again",
            )
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(length if length >= 0 else size - offset)
    except ValueError as error:
        raise FrontendError(f"external data: {error}", place=place, help="the file is damaged") from error
    except OSError as error:
        raise FrontendError(
            f"keeps its data in {location!r}, which can't be read: {error.strerror}",
            place=place,
            help="keep the data file beside the model",
        ) from error

"""Constants, shapes and changes of element type."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from qcc.ir import FrontendError, ScalarType
from qcc.ir.ops import Cast

from ...limits import check_fold_size
from ..emission import Tensor, narrow_type, scalar_type
from ..node import Node
from ..problem import Unsupported
from ..tensor_data import NARROW_TYPES, numpy_type, tensor_array, type_name


def constant(node: Node) -> Tensor:
    """Constant: a tensor, a number or a list of numbers."""
    if node.has("value"):
        try:
            proto = node.get_tensor("value")
            return node.known(tensor_array(proto, None, "attribute 'value'"), NARROW_TYPES.get(proto.data_type))
        except FrontendError as error:
            raise Unsupported(f"attribute 'value' {error.message}") from error
    if node.has("value_float"):
        return node.known(np.asarray(node.get_float("value_float", 0), np.float32))
    if node.has("value_int"):
        return node.known(np.asarray(node.get_int("value_int"), np.int64))
    if node.has("value_floats"):
        return node.known(np.asarray(node.get_floats("value_floats"), np.float32))
    if node.has("value_ints"):
        return node.known(np.asarray(node.get_ints("value_ints"), np.int64))
    raise Unsupported("only tensors and numbers are supported as constants")


def constant_of_shape(node: Node) -> Tensor:
    """ConstantOfShape: `value`, or zero, in a shape known at import."""
    shape = node.constant_ints(0, "shape") or ()
    value = constant(node).array if node.has("value") else np.zeros(1, np.float32)
    if value is None or value.size != 1:
        raise Unsupported("attribute 'value' must hold one number")
    if min(shape, default=0) < 0:
        raise Unsupported(f"negative dimension in shape {list(shape)}")
    check_fold_size(math.prod(shape))
    return node.known(np.full(shape, value.reshape(())))


def shape(node: Node) -> Tensor:
    """Shape: dimensions `start` to `end`; all shapes are known."""
    x = node.input(0)
    start, end = node.get_int("start", 0), node.get_int("end", x.rank)
    return node.known(np.asarray(x.shape[slice(start, end)], np.int64))


def size(node: Node) -> Tensor:
    """Size: the number of elements."""
    return node.known(np.asarray(math.prod(node.input(0).shape), np.int64))


def identity(node: Node) -> Tensor:
    """Identity."""
    return node.input(0)


def _cast(node: Node, x: Tensor, data_type: int) -> Tensor:
    """Return x in another type of ONNX; known data exactly so, values at run time with all floats f32."""
    dtype = numpy_type(data_type)
    if dtype is None:
        raise Unsupported(f"a cast to {type_name(data_type)} is not supported")
    return _converted(node, x, dtype, NARROW_TYPES.get(data_type))


def _converted(node: Node, x: Tensor, dtype: np.dtype[Any], narrow: ScalarType | None) -> Tensor:
    if x.array is not None and narrow is None:
        with np.errstate(all="ignore"):
            return Tensor(x.name, x.array.astype(dtype), note=x.note, nameless=True)
    to = narrow or scalar_type(np.dtype(np.float32) if dtype.kind == "f" else dtype)
    return x if x.element == to else node.emit(Cast, x, to=to)


def cast(node: Node) -> Tensor:
    """Cast."""
    node.ignore("saturate", "round_mode")  # of 8-bit floats
    return _cast(node, node.input(0), node.get_int("to"))


def cast_like(node: Node) -> Tensor:
    """CastLike: a cast to the type of another tensor."""
    node.ignore("saturate", "round_mode")
    like = node.input(1)
    dtype = like.element.dtype if like.array is None else like.array.dtype
    return _converted(node, node.input(0), dtype, narrow_type(like.element))


def arange(node: Node) -> Tensor:
    """Range: numbers known at import."""
    start, limit, delta = (node.constant(i, name) for i, name in enumerate(("start", "limit", "delta")))
    if start.size != 1 or limit.size != 1 or delta.size != 1 or delta.reshape(()) == 0:
        raise Unsupported("start, limit and delta must be one number each, delta not 0")
    count = math.ceil((float(limit.reshape(())) - float(start.reshape(()))) / float(delta.reshape(())))
    check_fold_size(count)
    steps = np.arange(max(count, 0), dtype=start.dtype)
    return node.known((start.reshape(()) + steps * delta.reshape(())).astype(start.dtype))


IMPORTERS = {
    "Cast": cast,
    "CastLike": cast_like,
    "Constant": constant,
    "ConstantOfShape": constant_of_shape,
    "Identity": identity,
    "Range": arange,
    "Shape": shape,
    "Size": size,
}

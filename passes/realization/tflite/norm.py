"""L2_NORMALIZATION: in fixed point in every profile, since TFLite's kernel is as good as another one would be."""

from __future__ import annotations

from qcc.ir import U8, PassError, UniformType, Value, ops

from ...profiles import SINGLE
from ..realizer import Realizer, realizes

SCALE = 1 / 128
"""Of the results."""


@realizes(ops.L2Normalize, profiles=("tflm",))
def l2_normalize(r: Realizer, op: ops.L2Normalize) -> None:
    """Realize L2_NORMALIZATION: the sum of squares, its inverse square root in Q3.28, one rescale an element."""
    kernel_type = _result_type(op)
    to = op.result.type.uniform()
    if (to.scale, to.zero_point) != (kernel_type.scale, kernel_type.zero_point):
        message = f"TFLite's L2 normalization gives {kernel_type}, the result has {to}"
        raise PassError(message, help="correct the model's quantization, or choose --arithmetic single")
    _define(r, op, op.result, kernel_type)


@realizes(ops.L2Normalize, profiles=(SINGLE,))
def l2_normalize_rescaled(r: Realizer, op: ops.L2Normalize) -> None:
    """Realize an L2 normalization as TFLite does, and a rescale behind it where the result has other parameters."""
    kernel_type, to = _result_type(op), op.result.type.uniform()
    if to == kernel_type:
        _define(r, op, op.result, kernel_type)
        return
    normalized = Value(r.builder.unique(f"{op.result.name}_normalized"), op.result.type.with_element(kernel_type))
    _define(r, op, normalized, kernel_type)
    r.requantize(normalized, op.result)


def _result_type(op: ops.L2Normalize) -> UniformType:
    """Return what the kernel's codes mean."""
    storage = op.x.type.uniform().storage_type
    if storage.bits != 8 or op.result.type.uniform().storage_type != storage:
        raise PassError("L2 normalization takes and gives 8-bit codes", help="keep it in float: --keep-float")
    if op.x.type.shape[op.axis] > ops.LONGEST_NORM:
        message = f"the squares of a row of {op.x.type.shape[op.axis]} codes do not fit 31 bits"
        raise PassError(message, help="keep it in float: --keep-float l2_normalize")
    return UniformType(storage, (SCALE,), ((storage.minimum + storage.maximum + 1) // 2,))


def _define(r: Realizer, op: ops.L2Normalize, result: Value, type: UniformType) -> None:
    zero_points = {"input_zero_point": op.x.type.uniform().zero_point, "output_zero_point": type.zero_point}
    apart = type.storage_type == U8
    r.define(result, ops.L2NormalizeFixedPoint, r.codes(op.x), axis=op.axis, shifts_apart=apart, **zero_points)

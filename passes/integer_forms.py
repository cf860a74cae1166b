"""Which real operations have an integer form: the one list that `nudge-zero-points` and `insert-rescale` share."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from qcc.ir import Array, Module, Op, Value, ops

from .operands import KEEP_FLOAT
from .realization import profiles_with


def is_real(value: Value) -> bool:
    """True where a value is a float tensor, calibrated or not."""
    return value.type.is_float


def kept_float(op: Op) -> bool:
    """True where an operation stays in float: the user asked for it, or it converts between types itself."""
    return op.boundary or bool(op.note(KEEP_FLOAT))


def is_quantizable(op: Op) -> bool:
    """True where an operation works on real numbers and is not kept in float."""
    return not kept_float(op) and any(is_real(v) or v.type.is_quantized for v in (*op.operands, *op.results))


def no_integer_form(op: Op, module: Module) -> str:
    """Return why `op` has no integer form, or an empty string where it has one."""
    if isinstance(op, ops.Conv2d | ops.ConvTranspose2d | ops.Matmul):
        if op.bias is not None and module.constant(op.bias) is None:
            return "its bias is not a constant"
        return ""
    if isinstance(op, ops.Add | ops.Sub | ops.Mul | ops.Div):
        return _binary_reason(op, module)
    if isinstance(op, ops.Pow):
        return "" if _scalar(module.constant(op.b)) else "its exponent is not a constant number"
    if isinstance(op, ops.Prelu):
        return "" if module.constant(op.slope) is not None else "its slope is not a constant"
    if isinstance(op, ops.BatchNorm):
        return "a batch norm that could not be folded has no integer form"
    return "" if profiles_with(op) else "no integer form of this operation is known"


def _binary_reason(op: ops.Binary, module: Module) -> str:
    constants = [module.constant(v) is not None for v in (op.a, op.b)]
    if all(constants):
        return "both operands are constants: run fold-constants first"
    divisor = module.constant(op.b) if isinstance(op, ops.Div) else None
    if divisor is not None and not np.all(divisor):
        return "it divides by zero"
    return ""


def _scalar(array: Array | None) -> bool:
    return array is not None and array.size == 1


def stays_real(op: Op, position: int, module: Module) -> bool:
    """True where the operand at `position` is a constant that the integer form takes as real numbers.

    These are weights (until `quantize-weights`), biases, slopes, exponents, and constants of arithmetic.
    """
    array = module.constant(op.operands[position])
    if array is None:
        return False
    if isinstance(op, ops.Conv2d | ops.ConvTranspose2d | ops.Matmul | ops.Prelu | ops.Pow):
        return position > 0
    if isinstance(op, ops.Div):
        return position == 1 or array.size == 1
    return isinstance(op, ops.Add | ops.Sub | ops.Mul)


def quantized_operands(op: Op, module: Module) -> Iterator[tuple[int, Value]]:
    """Yield position and value of the real operands of `op` that its integer form takes as codes."""
    for position, value in enumerate(op.operands):
        if (is_real(value) or value.type.is_quantized) and not stays_real(op, position, module):
            yield position, value

"""How operations that have no layout of their own look when their tensors are transposed."""

from __future__ import annotations

from typing import Any

from qcc.ir import Array, Module, Op, UniformType, Value
from qcc.ir.ops import (
    ArgMax,
    BatchNorm,
    Broadcast,
    Concat,
    Dequantize,
    Gather,
    Pad,
    Quantize,
    Reduction,
    Resize,
    Slice,
    Softmax,
    Split,
    StorageCast,
)

from .layout_classes import Permutation


def layout_members(op: Op, module: Module) -> tuple[Value, ...] | None:
    """Return the values that must be transposed together for `op` to mean the same, None where its layout is fixed.

    Constants are not among them: they are transposed at compile time.
    """
    if not op.results or not op.operands or op.fusion or not _is_flexible(op):
        return None
    operands = [v for v in permuted_operands(op) if module.constant(v) is None]
    members = (*operands, *op.results)
    if not operands or len({v.type.rank for v in members}) != 1 or op.results[0].type.rank < 2:
        return None
    per_axis = any(isinstance(v.type.element, UniformType) and v.type.element.per_axis for v in members)
    return None if per_axis else members


def _is_flexible(op: Op) -> bool:
    match op:
        case Reduction() | ArgMax():
            return op.keep_dims
        case Gather():
            return len(op.indices_shape) == 1
        case Concat() | Split() | Slice() | Pad() | Resize() | Softmax() | BatchNorm() | Broadcast():
            return True
        case Quantize() | Dequantize() | StorageCast():
            return True
        case _:
            return op.elementwise


def permuted_operands(op: Op) -> tuple[Value, ...]:
    """Return the operands that have the axes of the result."""
    return op.operands if op.elementwise or isinstance(op, Concat) else op.operands[:1]


def permuted_attributes(op: Op, permutation: Permutation) -> dict[str, Any]:
    """Return the attributes that change when axis i of every tensor becomes what was axis `permutation[i]`."""

    def axis_of(axis: int) -> int:
        return permutation.index(axis % len(permutation))

    def reordered(items: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(items[axis] for axis in permutation)

    match op:
        case Concat() | Split() | Softmax() | Gather() | BatchNorm() | ArgMax():
            return {"axis": axis_of(op.axis)}
        case Reduction():
            return {"axes": tuple(sorted(map(axis_of, op.axes)))}
        case Slice():
            return {"starts": reordered(op.starts), "sizes": reordered(op.sizes), "strides": reordered(op.strides)}
        case Pad():
            return {"low": reordered(op.low), "high": reordered(op.high)}
        case Resize():
            return {"shape": reordered(op.shape), "scales": reordered(op.scales)}
        case Broadcast():
            return {"shape": reordered(op.shape)}
        case _:
            return {}


def permuted_constant(array: Array, permutation: Permutation) -> Array:
    """Return a constant that broadcasts against the transposed tensors as `array` did against the original ones."""
    if array.size == 1:
        return array
    return array.reshape((1,) * (len(permutation) - array.ndim) + array.shape).transpose(permutation)

"""Rules that gather the conversions of a quantized model around its arithmetic.

Models of this kind carry quantization as operations: `quantize` and `dequantize`, and `storage_cast` where codes travel
as plain integers. Here casts cancel, a `dequantize` moves below what only moves elements, a `quantize` above it, until
both stand next to the arithmetic. All of this is exact: quantizing works element by element and is monotonic.
Every rule has its algebra on the line above it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qcc.ir import Array, Mismatch, Module, Op, Pattern, Rewriter, TensorType, UniformType, Value, replace_op
from qcc.ir.ops import (
    ArgMax,
    Broadcast,
    Concat,
    Dequantize,
    Gather,
    Maximum,
    MaxPool2d,
    Minimum,
    Pad,
    Quantize,
    ReduceMax,
    ReduceMin,
    Requantize,
    Reshape,
    Resize,
    Slice,
    Split,
    StorageCast,
    Transpose,
)

from .operands import KEEP_FLOAT

#: Operations whose results are elements of their operands, chosen by place or by order.
_SELECTING = (
    Broadcast, Concat, Gather, Maximum, MaxPool2d, Minimum, Pad, ReduceMax, ReduceMin, Reshape, Resize, Slice, Split,
    Transpose,
)  # fmt: skip


def selects(op: Op) -> bool:
    """True where the results of `op` are elements of its operands (or a constant that a pad adds)."""
    return isinstance(op, _SELECTING) and not (isinstance(op, Resize) and op.mode != "nearest")


def per_tensor(type: TensorType) -> UniformType | None:
    """Return the uniform type of a tensor with one scale, else None."""
    return type.element if isinstance(type.element, UniformType) and not type.element.per_axis else None


def divides_to_even(op: Quantize) -> bool:
    """True where a quantize is ONNX's QuantizeLinear, as which quantized types and integer forms are understood."""
    return op.rounding == "half_even" and not op.by_reciprocal


# storage_cast(storage_cast(q)) = q where the type of q comes back
class CancelCasts(Pattern):
    """Two casts that undo each other go."""

    root = StorageCast

    def apply(self, op: Op, rewriter: Rewriter) -> Value | Mismatch | None:
        """Return what the inner cast reads."""
        inner = rewriter.definition(op.operands[0])
        if not isinstance(inner, StorageCast):
            return None
        if inner.x.type != op.result.type:
            return Mismatch(f"the codes of {inner.x.type.element} are read as those of {op.result.type.element}")
        return inner.x


# quantize(dequantize(q)) = q in the same type: |q − z|·2^−23 is far below half a step
class CancelPair(Pattern):
    """A quantize of a dequantized value of its own type goes."""

    root = Quantize

    def apply(self, op: Op, rewriter: Rewriter) -> Value | None:
        """Return the codes."""
        inner = rewriter.definition(op.operands[0])
        if not isinstance(inner, Dequantize) or inner.x.type != op.result.type:
            return None
        return inner.x if op.result.type.element.storage.bits <= 16 else None


# quantize(dequantize(q)) = requantize(q) in another type
class JoinPair(Pattern):
    """A quantize of a dequantized value in other parameters is a change of parameters."""

    root = Quantize

    def apply(self, op: Op, rewriter: Rewriter) -> Value | None:
        """Requantize codes of 8 bits."""
        inner = rewriter.definition(op.operands[0])
        if not isinstance(inner, Dequantize) or not isinstance(op, Quantize) or not divides_to_even(op):
            return None
        types = per_tensor(inner.x.type), per_tensor(op.result.type)
        if any(t is None or t.storage_type.bits != 8 for t in types) or types[0] == types[1]:
            return None
        return rewriter.emit(Requantize, inner.x, types=(op.result.type,))


# quantize(constant) = its codes
class QuantizeConstant(Pattern):
    """Real numbers known at compile time are quantized there."""

    root = Quantize

    def apply(self, op: Op, rewriter: Rewriter) -> Value | None:
        """Return the codes as a constant."""
        array = rewriter.constant(op.operands[0])
        if array is None or not isinstance(op, Quantize):
            return None
        return rewriter.constant_like(op.evaluate(array), op.operands[0], op.result.type)


@dataclass(frozen=True)
class _Inner:
    """The operands of a selecting operation without their conversions."""

    values: tuple[Value, ...]
    type: UniformType


def _unconverted(op: Op, conversion: type[StorageCast] | type[Dequantize], rewriter: Rewriter) -> _Inner | None:
    """Return what the operands of `op` are conversions of, None unless all have one per-tensor type.

    None too for codes of more than 16 bits, which binary32 does not tell apart, where `op` does more than move them.
    """
    inner = [rewriter.definition(v) for v in op.operands]
    values = tuple(d.operands[0] for d in inner if isinstance(d, conversion))
    if len(values) != len(op.operands) or len({v.type.element for v in values}) != 1:
        return None
    found = per_tensor(values[0].type)
    if found is None or (found.storage_type.bits > 16 and not op.moves_data):
        return None
    return _Inner(values, found)


def _select(op: Op, inner: Sequence[Value], type: UniformType, rewriter: Rewriter, **changes: Any) -> tuple[Value, ...]:
    """Return the results of `op` on operands of a quantized type."""
    types = tuple(v.type.with_element(type) for v in op.results)
    return rewriter.emit_op(op, operands=tuple(inner), types=types, **changes)


def _exact(type: UniformType, value: float) -> bool:
    """True where a real number is one that `type` holds."""
    real = np.array(value, np.float32)
    return float(type.dequantize(type.quantize(real))) == float(real)


# select(cast(q)) = cast(select(q))
class SinkCast(Pattern):
    """Codes that are only moved keep their quantized type: the cast to plain integers moves behind."""

    root = _SELECTING

    def apply(self, op: Op, rewriter: Rewriter) -> tuple[Value, ...] | None:
        """Move the elements first."""
        inner = _unconverted(op, StorageCast, rewriter) if selects(op) else None
        if inner is None or any(v.type.element != inner.type.storage_type for v in op.results):
            return None
        changes: dict[str, Any] = {}
        if isinstance(op, Pad) and op.mode == "constant":
            value = float(inner.type.dequantize(np.array(op.value, inner.type.storage_type.dtype)))
            changes = {"value": value}
        moved = _select(op, inner.values, inner.type, rewriter, **changes)
        return tuple(rewriter.emit(StorageCast, v) for v in moved)


# select(dequantize(q)) = dequantize(select(q))
class SinkDequantize(Pattern):
    """A dequantize moves behind what selects elements, nearer to arithmetic."""

    root = _SELECTING

    def apply(self, op: Op, rewriter: Rewriter) -> tuple[Value, ...] | Mismatch | None:
        """Select codes first."""
        inner = _unconverted(op, Dequantize, rewriter) if selects(op) else None
        if inner is None or op.note(KEEP_FLOAT):
            return None
        if isinstance(op, Pad) and op.mode == "constant" and not _exact(inner.type, op.value):
            return Mismatch(f"no code of {inner.type} stands for the padded value {op.value}")
        moved = _select(op, inner.values, inner.type, rewriter)
        return tuple(rewriter.emit(Dequantize, v) for v in moved)


# move(dequantize(c)) = dequantize(move(c)) for constant codes c, whose axis of scales moves along
class MoveConstant(Pattern):
    """Constant codes with a scale a channel are moved at compile time."""

    root = (Transpose, Reshape)

    def apply(self, op: Op, rewriter: Rewriter) -> Value | Mismatch | None:
        """Move the codes and the axis."""
        inner = rewriter.definition(op.operands[0])
        codes = rewriter.constant(inner.x) if isinstance(inner, Dequantize) else None
        if codes is None or not isinstance(inner, Dequantize) or not isinstance(inner.x.type.element, UniformType):
            return None
        element = moved_type(op, inner.x.type)
        if element is None:
            return Mismatch("the scales of the constant do not stay along one axis")
        moved = moved_codes(op, codes)
        type = TensorType(moved.shape, element)
        return rewriter.emit(Dequantize, rewriter.constant_like(moved, inner.x, type))


def moved_codes(op: Op, codes: Array) -> Array:
    """Return codes transposed or reshaped as `op` says."""
    if isinstance(op, Transpose):
        return np.ascontiguousarray(codes.transpose(op.permutation))
    return codes.reshape(op.result.type.shape)


def moved_type(op: Op, type: TensorType) -> UniformType | None:
    """Return the type of a tensor behind a transpose or reshape, None where its scales leave their axis."""
    element = type.uniform()
    if element.axis is None:
        return element
    if element.block_size is not None:
        return None
    if isinstance(op, Transpose):
        axis = op.permutation.index(element.axis)
    else:
        before, after = int(np.prod(type.shape[: element.axis])), op.result.type.shape
        found = [a for a, d in enumerate(after) if d == type.shape[element.axis] and int(np.prod(after[:a])) == before]
        if not found:
            return None
        axis = found[0]
    return UniformType(
        element.storage_type,
        element.scales,
        element.zero_points,
        axis,
        element.minimum,
        element.maximum,
        base=element.base,
    )


# quantize(select(x)) = select(quantize(x))
class HoistQuantize(Pattern):
    """A quantize moves in front of what selects elements, nearer to the arithmetic that made them."""

    root = Quantize

    def apply(self, op: Op, rewriter: Rewriter) -> Value | Mismatch | None:
        """Quantize first."""
        inner = rewriter.definition(op.operands[0])
        to = per_tensor(op.result.type)
        if inner is None or to is None or not selects(inner) or len(inner.results) != 1 or inner.note(KEEP_FLOAT):
            return None
        if any(not v.type.is_float for v in inner.operands):
            return None
        if rewriter.use_count(inner.result) != 1:
            return Mismatch(f"%{inner.result.name} is read as real numbers too")
        types = [v.type.with_element(to) for v in inner.operands]
        operands = tuple(
            rewriter.emit_op(op, operands=(v,), types=(t,))[0] for v, t in zip(inner.operands, types, strict=True)
        )
        (moved,) = rewriter.emit_op(inner, operands=operands, types=(inner.result.type.with_element(to),))
        return moved


# argmax(dequantize(q)) = argmax(q): dequantizing with one positive scale keeps the order; what differs stays different
# for codes of up to 16 bits, which are exact in binary32
class ReadCodes(Pattern):
    """What only compares elements reads the codes."""

    root = ArgMax

    def apply(self, op: Op, rewriter: Rewriter) -> Value | Mismatch | None:
        """Compare codes."""
        inner = rewriter.definition(op.operands[0])
        if not isinstance(inner, Dequantize) or op.note(KEEP_FLOAT):
            return None
        type = per_tensor(inner.x.type)
        if type is None:
            return None
        if type.storage_type.bits > 16:
            return Mismatch(f"codes of {type.storage_type} that differ may be one real number")
        (found,) = rewriter.emit_op(op, operands=(inner.x,), types=(op.result.type,))
        return found


#: In the order in which they are tried.
CONVERSION_RULES: tuple[type[Pattern], ...] = (
    CancelCasts,
    CancelPair,
    JoinPair,
    QuantizeConstant,
    SinkCast,
    MoveConstant,
    SinkDequantize,
    HoistQuantize,
    ReadCodes,
)


def merge_equal_conversions(module: Module) -> Module:
    """Return the module with one conversion for all of one value to one type: exporters write one for each use."""
    first: dict[tuple[object, ...], Value] = {}
    replaced: dict[str, Value] = {}
    made = []
    for op in module.ops:
        if any(v.name in replaced for v in op.operands):
            op = replace_op(op, operands=tuple(replaced.get(v.name, v) for v in op.operands))
        if isinstance(op, Quantize | Dequantize | StorageCast) and op.result.name not in module.output_names:
            key = type(op), op.operands[0].name, op.result.type, *op.attributes().items()
            kept = first.setdefault(key, op.result)
            if kept is not op.result:
                replaced[op.result.name] = kept
                continue
        made.append(op)
    return module.replace(ops=tuple(made)) if replaced else module

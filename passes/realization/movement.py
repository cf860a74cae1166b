"""Operations that mean the same on codes, and the conversions to and from real numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from qcc.ir import Op, Value, attribute_fields, ops, replace_op

from .realizer import Realizer, realizes


def attributes_of(op: Op) -> dict[str, Any]:
    """Return the attributes of an operation and its notes, for a copy with other operands."""
    return {**{f.name: getattr(op, f.name) for f in attribute_fields(type(op))}, "notes": op.notes}


@realizes(ops.Movement, ops.MaxPool2d, ops.ReduceMax, ops.ReduceMin, ops.Resize)
def single(r: Realizer, op: Op) -> None:
    """Realize an operation of one operand on codes: results of other parameters are rescaled behind it.

    Selecting an element and rescaling commute, since rescaling is monotone and works element by element.
    """
    own = op.operands[0].type.uniform()
    codes = replace_op(op, operands=(r.codes(op.operands[0]),), results=(), location=op.location.by(r.pass_name))
    types = codes.infer()
    names = [v.name if v.type.uniform() == own else r.builder.unique(f"{v.name}_unscaled") for v in op.results]
    results = tuple(Value(name, type) for name, type in zip(names, types, strict=True))
    r.append(replace_op(codes, results=results))
    for old, new in zip(op.results, results, strict=True):
        if old.name != new.name:
            to = old.type.uniform()
            r.define_rescale(old, new, own.scale / to.scale, own.zero_point)


@realizes(ops.Concat, ops.Minimum, ops.Maximum)
def several(r: Realizer, op: Op) -> None:
    """Realize an operation of several operands on codes: operands of other parameters than the result are rescaled."""
    to = op.result.type.uniform()
    r.define(op.result, type(op), *(r.codes_as(v, to) for v in op.operands), **attributes_of(op))


@realizes(ops.Pad)
def pad(r: Realizer, op: ops.Pad) -> None:
    """Realize a pad with the code of its value, in the parameters of the result."""
    to = op.result.type.uniform()
    code = float(to.quantize(np.array(op.value, np.float32)))
    r.define(op.result, ops.Pad, r.codes_as(op.x, to), **{**attributes_of(op), "value": code})


@realizes(ops.ArgMax)
def argmax(r: Realizer, op: ops.ArgMax) -> None:
    """Realize argmax on codes: the order of codes is that of the real numbers."""
    r.define(op.result, ops.ArgMax, r.codes(op.x), **attributes_of(op))


@realizes(ops.Constant)
def constant(r: Realizer, op: ops.Constant) -> None:
    """Realize a quantized constant as its codes."""
    type = op.result.type.with_element(op.result.type.uniform().storage_type)
    r.append(replace_op(op, results=(Value(op.result.name, type),), location=op.location.by(r.pass_name)))


@realizes(ops.Quantize)
def quantize(r: Realizer, op: ops.Quantize) -> None:
    """Realize a quantize as it is, or as a rescale of the codes where its operand is a dequantized value."""
    source = r.module.definition(op.x)
    if isinstance(source, ops.Dequantize):
        own = source.x.type.uniform()
        r.define_rescale(op.result, r.codes(source.x), own.scale / op.to.scale, own.zero_point)
        return
    codes = r.emit(ops.Quantize, r.as_quantized(op.x), to=op.to, name=f"{op.result.name}_quantized", notes=op.notes)
    r.define(op.result, ops.StorageCast, codes)


@realizes(ops.Dequantize)
def dequantize(r: Realizer, op: ops.Dequantize) -> None:
    """Realize a dequantize behind a cast to the quantized type."""
    r.append(replace_op(op, operands=(r.as_quantized(op.x),)))


@realizes(ops.StorageCast)
def storage_cast(r: Realizer, op: ops.StorageCast) -> None:
    """Realize a cast as nothing: codes are codes."""
    r.alias(op.result, r.codes(op.x))

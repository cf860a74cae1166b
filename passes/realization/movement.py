"""Operations that mean the same on codes, and the conversions to and from real numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from qcc.ir import Op, Value, attribute_fields, ops, replace_op

from ..profiles import COMMON
from .realizer import Realizer, Rule, realizes

_COMMON = (COMMON,)


def attributes_of(op: Op) -> dict[str, Any]:
    """Return the attributes of an operation and its notes, for a copy with other operands."""
    return {**{f.name: getattr(op, f.name) for f in attribute_fields(type(op))}, "notes": op.notes}


@realizes(ops.Resize)
@realizes(ops.Movement, ops.MaxPool2d, ops.ReduceMax, ops.ReduceMin, profiles=_COMMON)
def one_operand(r: Realizer, op: Op) -> None:
    """Realize an operation of one operand on codes: results of other parameters are requantized behind it.

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
            r.requantize(Value(new.name, old.type.with_element(own)), old)


def in_own_parameters(r: Realizer, op: Op, rule: Rule) -> None:
    """Realize an operation whose kernel leaves parameters as they are in those of its operand, then requantize."""
    element = op.operands[0].type.uniform()
    unscaled = Value(r.builder.unique(f"{op.result.name}_unscaled"), op.result.type.with_element(element))
    rule(r, replace_op(op, results=(unscaled,)))
    r.requantize(unscaled, op.result)


@realizes(ops.Concat, ops.Minimum, ops.Maximum, profiles=_COMMON)
def several_operands(r: Realizer, op: Op) -> None:
    """Realize an operation of several operands on codes: operands of other parameters change first."""
    to = op.result.type.uniform()
    r.define(op.result, type(op), *(r.codes_as(v, to) for v in op.operands), **attributes_of(op))


@realizes(ops.Pad, profiles=_COMMON)
def pad(r: Realizer, op: ops.Pad) -> None:
    """Realize a pad with the code of its value, in the parameters of the result."""
    to = op.result.type.uniform()
    code = float(to.quantize(np.array(op.value, np.float32)))
    r.define(op.result, ops.Pad, r.codes_as(op.x, to), **{**attributes_of(op), "value": code})


@realizes(ops.ArgMax, profiles=_COMMON)
def argmax(r: Realizer, op: ops.ArgMax) -> None:
    """Realize argmax on codes: the order of codes is that of the real numbers."""
    r.define(op.result, ops.ArgMax, r.codes(op.x), **attributes_of(op))


@realizes(ops.Constant, profiles=_COMMON)
def constant(r: Realizer, op: ops.Constant) -> None:
    """Realize a quantized constant as its codes."""
    type = op.result.type.with_element(op.result.type.element.storage)
    r.append(replace_op(op, results=(Value(op.result.name, type),), location=op.location.by(r.pass_name)))


@realizes(ops.Quantize)
def quantize(r: Realizer, op: ops.Quantize) -> None:
    """Realize a quantize as it is, or as a rescale of the codes where its operand is a dequantized value."""
    source = r.module.definition(op.x)
    if isinstance(source, ops.Dequantize):
        own = source.x.type.uniform()
        r.define_rescale(op.result, r.codes(source.x), own.scale / op.to.scale, own.zero_point)
        return
    quantize_real(r, op)


@realizes(ops.Requantize)
def requantize(r: Realizer, op: ops.Requantize) -> None:
    """Realize a change of parameters as one rescale."""
    own, to = op.x.type.uniform(), op.result.type.uniform()
    r.define_rescale(op.result, r.codes(op.x), own.scale / to.scale, own.zero_point)


@realizes(ops.Quantize, profiles=_COMMON)
def quantize_real(r: Realizer, op: ops.Quantize) -> None:
    """Realize a quantize of real numbers as it is."""
    x = r.as_quantized(op.x)
    codes = r.emit(ops.Quantize, x, name=f"{op.result.name}_quantized", **op.attributes(), notes=op.notes)
    r.define(op.result, ops.StorageCast, codes)


@realizes(ops.Dequantize, profiles=_COMMON)
def dequantize(r: Realizer, op: ops.Dequantize) -> None:
    """Realize a dequantize behind a cast to the quantized type."""
    r.append(replace_op(op, operands=(r.as_quantized(op.x),)))


@realizes(ops.StorageCast, profiles=_COMMON)
def storage_cast(r: Realizer, op: ops.StorageCast) -> None:
    """Realize a cast as nothing: codes are codes."""
    r.alias(op.result, r.codes(op.x))

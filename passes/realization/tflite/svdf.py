"""SVDF with 8-bit activations and a state of 16 or 8 bits, as TFLM's reference kernel (ARITHMETIC §3.30)."""

from __future__ import annotations

import numpy as np

from qcc.ir import I8, I16, Array, PassError, UniformType, Value, ops

from ...operands import MAY_WRAP
from ..realizer import Realizer, realizes
from ..rescales import Into
from .bounds import activation_bounds
from .products import WRAPS
from .rescales import twice_rounded


def _factor(a: UniformType, b: UniformType, to: UniformType) -> float:
    """Return `f32(f32(a·b) / to)` of the scales, as the kernel forms it."""
    return float(np.float32(np.float32(a.scale) * np.float32(b.scale)) / np.float32(to.scale))


def _data(r: Realizer, value: Value) -> Array:
    array = r.module.constant(value)
    if array is None:
        raise PassError(f"%{value.name} is computed at run time", help="svdf takes constant weights")
    return array


@realizes(ops.Svdf, profiles=("tflm",))
def svdf(r: Realizer, op: ops.Svdf) -> None:
    """Realize: codes of the new column, twice rounded to the state's; it moves by one; sums over time and rank."""
    y, kept = op.results
    x, feature, time, state, to = (v.type.uniform() for v in (op.x, op.feature_weight, op.time_weight, op.state, y))
    narrow, memories = (x.storage_type, feature.storage_type), (time.storage_type, state.storage_type)
    if narrow != (I8, I8) or memories not in ((I16, I16), (I8, I8)) or kept.type.uniform() != state or time.zero_point:
        raise PassError(
            f"svdf has {x} activations, {feature} feature weights, {time} time weights and a state of {state}",
            help="kernels have i8 activations and feature weights, time weights and state both of i16 or of i8",
        )
    if state.storage_type == I16 and state.zero_point:
        raise PassError("the 16-bit state of an svdf has a zero point", help="kernels have none; it must be 0")
    batch, (filters, memory) = op.x.type.shape[0], op.time_weight.type.shape
    units, name = filters // op.rank, y.name
    wrap = ((MAY_WRAP, WRAPS),)
    transposed = r.integers(np.ascontiguousarray(_data(r, op.feature_weight).T), f"{name}_feature_weight")
    features = r.emit(
        ops.Matmul, r.codes(op.x), transposed, name=f"{name}_features", input_zero_point=x.zero_point, notes=wrap
    )
    column = twice_rounded(r, features, _factor(x, feature, state), Into.of(state), name=f"{name}_column")
    old = r.emit(ops.Reshape, r.codes(op.state), name=f"{name}_old", shape=(batch, filters, memory))
    newest = r.emit(ops.Reshape, column, name=f"{name}_newest", shape=(batch, filters, 1))
    moved = newest
    if memory > 1:
        box = {"starts": (0, 0, 1), "sizes": (batch, filters, memory - 1), "strides": (1, 1, 1)}
        later = r.emit(ops.Slice, old, name=f"{name}_later", **box)
        moved = r.emit(ops.Concat, later, newest, name=f"{name}_moved", axis=2)
    r.define(kept, ops.Reshape, moved, shape=(batch, filters * memory))
    rows = r.emit(ops.Reshape, moved, name=f"{name}_rows", shape=(batch, units, 1, op.rank * memory))
    weights = r.integers(_data(r, op.time_weight).reshape(units, op.rank * memory, 1), f"{name}_time_weight")
    sums = r.emit(ops.Matmul, rows, weights, name=f"{name}_time_sums", input_zero_point=state.zero_point, notes=wrap)
    total = r.emit(ops.Reshape, sums, name=f"{name}_sums", shape=(batch, units))
    if op.bias is not None:
        bias = r.integers(_data(r, op.bias).astype(np.int32), f"{name}_bias")
        total = r.emit(ops.Add, total, bias, name=f"{name}_with_bias", notes=wrap)
    into = Into.of(to, activation_bounds(to, op.clamp))
    twice_rounded(r, total, _factor(state, time, to), into, result=y)


@realizes(ops.Svdf, profiles=("litert-ref",))
def svdf_of_litert(r: Realizer, op: ops.Svdf) -> None:
    """Realize as `tflm`; LiteRT reads time weights and states of 8 bits as 16-bit ones, past their end."""
    if op.state.type.uniform().storage_type == I8:
        message = "LiteRT's svdf reads 8-bit time weights and states as 16-bit ones, past their end"
        raise PassError(message, help="its results mean nothing: choose --arithmetic tflm")
    svdf(r, op)

"""ADD, SUB and MUL of the profile `litert-xnn`."""

from __future__ import annotations

import math

import numpy as np

from qcc.ir import I8, U8, Array, ops

from ..operands import Codes
from ..realizer import Realizer, realizes
from ..rescales import WHOLE, Into, fixed_point, in_floats
from ..tflite.arithmetic import add_or_shift as reference_sum
from ..tflite.arithmetic import exact_product, multiply_narrow, operands
from ..tflite.codes import table_of_codes
from .bounds import output_into

#: Bits of the larger multiplier of a sum.
_MULTIPLIER_BITS = 20


def _is_taken(op: ops.Binary, a: Codes, b: Codes) -> bool:
    storage = op.result.type.uniform().storage_type
    return storage in (I8, U8) and a.type.storage_type == b.type.storage_type == storage


@realizes(ops.Add, ops.Sub, profiles=("litert-xnn",))
def add(r: Realizer, op: ops.Add | ops.Sub) -> None:
    """Realize `⌊((x1 − z1)·α ± (x2 − z2)·β + 2^(n−1)) / 2^n⌋ + z`, the larger multiplier of 21 bits.

    With A = f32(s1 / s_y), B = f32(s2 / s_y): n = 20 − ⌊log2 max(A, B)⌋, α = RHE(A·2^n), β = RHE(B·2^n).
    """
    a, b = operands(r, op)
    scale = np.float32(op.result.type.uniform().scale)
    ratios = [float(np.float32(t.scale) / scale) for t in (a.type, b.type)]
    if not _is_taken(op, a, b) or not all(2.0**-10 <= ratio < 2.0**8 for ratio in ratios):
        reference_sum(r, op)
        return
    n = _MULTIPLIER_BITS - (math.frexp(max(ratios))[1] - 1)
    name = op.result.name
    parts = []
    for x, ratio, part, sign in ((a, ratios[0], "left", 1), (b, ratios[1], "right", -1 if _negates(op) else 1)):
        factor = np.array(sign * int(np.rint(math.ldexp(ratio, n))))
        zero = x.type.zero_point
        label = f"{name}_{part}"
        parts.append(fixed_point(r, x.value, factor, np.array(0), WHOLE, "half_up", input_zero_point=zero, name=label))
    total = r.emit(ops.Add, *parts, name=f"{name}_sum")
    into = output_into(op.result.type.uniform(), op.clamp)
    fixed_point(r, total, np.array(1), np.array(n), into, "half_up", result=op.result)


def _negates(op: ops.Add | ops.Sub) -> bool:
    return isinstance(op, ops.Sub)


@realizes(ops.Mul, profiles=("litert-xnn",))
def multiply(r: Realizer, op: ops.Mul) -> None:
    """Realize `RHE(f32(f32((a − z_a)·(b − z_b))·S)) + z` with S = f32(f32(s_a·s_b) / s_y)."""
    a, b = operands(r, op)
    factor = np.float32(a.type.scale) * np.float32(b.type.scale) / np.float32(op.result.type.uniform().scale)
    if not _is_taken(op, a, b) or not 2.0**-16 <= factor < 2.0**8:
        multiply_narrow(r, op)
        return
    into = output_into(op.result.type.uniform(), op.clamp)
    if op.a == op.b:
        _square(r, op, into)
        return
    in_floats(r, exact_product(r, op, a, b), np.asarray(factor, np.float32), into, "half_even", result=op.result)


def _square(r: Realizer, op: ops.Mul, into: Into) -> None:
    """Define x·x as XNNPACK's square, a table: `RHE(f32(f32(v·v·f32(1 / s_y)) + z_y))` with v = f32((q − z_x)·s_x)."""
    own, to = op.a.type.uniform(), op.result.type.uniform()

    def function(q: Array) -> Array:
        v = (q - own.zero_point).astype(np.float32) * np.float32(own.scale)
        code = v * v * (np.float32(1) / np.float32(to.scale)) + np.float32(to.zero_point)
        return np.asarray(np.clip(np.rint(code), into.minimum, into.maximum), np.int64)

    table_of_codes(r, op.result, op.a, function)

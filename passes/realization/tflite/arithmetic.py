"""ADD, SUB and MUL of the profiles `tflm` and `litert-ref`."""

from __future__ import annotations

import math

import numpy as np

from qcc.ir import I16, ScalarType, Value, ops

from ..multipliers import multiplier_of
from ..operands import Codes, operand_codes
from ..realizer import Realizer, realizes
from ..rescales import WHOLE, Into, fixed_point
from .bounds import activation_bounds
from .rescales import twice_rounded
from .shifted_sums import is_shifted, shifted_codes


def result_into(op: ops.Binary) -> Into:
    """Return the codes of the result, within the fused activation."""
    to = op.result.type.uniform()
    return Into.of(to, activation_bounds(to, op.clamp))


def operands(r: Realizer, op: ops.Binary) -> tuple[Codes, Codes]:
    """Return both operands as codes; real constants of the storage of the result, 16-bit ones symmetric."""
    storage = op.result.type.uniform().storage_type
    a, b = (operand_codes(r, v, storage, symmetric=storage == I16) for v in (op.a, op.b))
    return a, b


def headroom(storage: ScalarType) -> int:
    """Return k: codes are multiplied by 2^k before they are rescaled."""
    return 15 if storage == I16 else 20


def shifted_term(r: Realizer, x: Codes, ratio: float, k: int, name: str) -> Value:
    """Append `MBQM((x − z)·2^k, ratio)` for a ratio of at most 1/2; return its 32-bit integers.

    SRDHM((x − z)·2^k, m) = ⌊((x − z)·m + 2^(30−k)) / 2^(31−k)⌋, since no code leaves 32 bits, and what follows is a
    rounding division by 2^(s−31). Factors of two that both sides share are left out, so that the operand of the larger
    scale, whose ratio is 1/2, is an exact product.
    """
    m, s = multiplier_of(ratio)
    common = min((m & -m).bit_length() - 1, 31 - k) if m else 31 - k
    first = fixed_point(
        r,
        x.value,
        np.array(m >> common),
        np.array(31 - k - common),
        WHOLE,
        "half_up",
        input_zero_point=x.type.zero_point,
        name=f"{name}_high" if s > 31 else name,
    )
    if s == 31:
        return first
    return fixed_point(r, first, np.array(1), np.array(s - 31), WHOLE, "half_away", name=name)


def shifted_sum(r: Realizer, op: ops.Add | ops.Sub, a: Codes, b: Codes, ratios: tuple[float, float, float]) -> None:
    """Define the result of `op` by the ratios of both operands and of the result."""
    k = headroom(a.type.storage_type)
    name = op.result.name
    left = shifted_term(r, a, ratios[0], k, f"{name}_left")
    right = shifted_term(r, b, ratios[1], k, f"{name}_right")
    total = r.emit(ops.Sub if isinstance(op, ops.Sub) else ops.Add, left, right, name=f"{name}_sum")
    twice_rounded(r, total, ratios[2], result_into(op), result=op.result)


@realizes(ops.Add, ops.Sub, profiles=("litert-ref",))
def add_or_shift(r: Realizer, op: ops.Add | ops.Sub) -> None:
    """Realize a sum or difference as LiteRT, which has a kernel of its own for 16 bits and powers of two."""
    a, b = operands(r, op)
    if is_shifted(op, a, b):
        shifted_codes(r, op, a, b, result_into(op))
    else:
        add(r, op)


@realizes(ops.Add, profiles=("tflm",))
def add(r: Realizer, op: ops.Add | ops.Sub) -> None:
    """Realize a sum or difference whose ratios are formed in binary64."""
    a, b = operands(r, op)
    s1, s2, s = (float(np.float32(t.scale)) for t in (a.type, b.type, op.result.type.uniform()))
    twice = 2.0 * max(s1, s2)
    shifted_sum(r, op, a, b, (s1 / twice, s2 / twice, twice / (math.ldexp(1.0, headroom(a.type.storage_type)) * s)))


@realizes(ops.Sub, profiles=("tflm",))
def subtract(r: Realizer, op: ops.Sub) -> None:
    """Realize a difference whose ratios TensorFlow Lite Micro forms in binary32."""
    a, b = operands(r, op)
    s1, s2, s = (np.float32(t.scale) for t in (a.type, b.type, op.result.type.uniform()))
    twice = np.float32(2) * max(s1, s2)
    unit = np.float32(math.ldexp(1.0, headroom(a.type.storage_type))) * s
    shifted_sum(r, op, a, b, (float(s1 / twice), float(s2 / twice), float(twice / unit)))


@realizes(ops.Mul, profiles=("tflm",))
def multiply(r: Realizer, op: ops.Mul) -> None:
    """Realize a product whose factor is formed in binary64."""
    a, b = operands(r, op)
    factor = np.float64(a.type.scale) * np.float64(b.type.scale) / np.float64(op.result.type.uniform().scale)
    product(r, op, a, b, float(factor))


@realizes(ops.Mul, profiles=("litert-ref",))
def multiply_narrow(r: Realizer, op: ops.Mul) -> None:
    """Realize a product whose factor LiteRT forms in binary32."""
    a, b = operands(r, op)
    factor = np.float32(a.type.scale) * np.float32(b.type.scale) / np.float32(op.result.type.uniform().scale)
    product(r, op, a, b, float(factor))


def product(r: Realizer, op: ops.Mul, a: Codes, b: Codes, factor: float) -> None:
    """Define the result of `op` as `MBQM((a − z_a)·(b − z_b), factor)`."""
    twice_rounded(r, exact_product(r, op, a, b), factor, result_into(op), result=op.result)


def exact_product(r: Realizer, op: ops.Mul, a: Codes, b: Codes) -> Value:
    """Append `(a − z_a)·(b − z_b)` in 32 bits."""
    name = op.result.name
    left = distance(r, a, f"{name}_left")
    right = left if op.a == op.b else distance(r, b, f"{name}_right")
    return r.emit(ops.Mul, left, right, name=f"{name}_product")


def distance(r: Realizer, x: Codes, name: str) -> Value:
    """Append `x − z` in 32 bits."""
    one, none = np.array(1), np.array(0)
    return fixed_point(r, x.value, one, none, WHOLE, "half_up", input_zero_point=x.type.zero_point, name=name)

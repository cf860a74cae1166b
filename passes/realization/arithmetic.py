"""Sums, products and quotients of two operands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qcc.ir import Array, PassError, UniformType, Value, ops

from .functions import define_table
from .multipliers import sum_shift
from .operands import real_constant
from .realizer import Realizer, compact, realizes


@dataclass(frozen=True)
class Term:
    """A summand: codes with their zero point, times a real factor (in steps of the result)."""

    codes: Value
    zero_point: int
    factor: Array


def define_sum(
    r: Realizer, result: Value, terms: list[Term], constant: Array | None, clamp: tuple[float, float] | None
) -> None:
    """Define `result` as the sum of one or two terms and a constant, rounded once.

    y = ⌊(Σ (q_i − z_i)·α_i + c + 2^(n−1)) / 2^n⌋ + z_y with α_i = RHE(factor_i·2^n), c = RHE(constant·2^n): before
    rounding, off by at most (Σ |q_i − z_i| + 1) / 2^(n+1) of a step, and exact where the factors times 2^n are
    integers. The sum can't leave 32 bits (`sum_shift`).
    """
    bits = max(t.codes.type.element.storage.bits for t in terms)
    largest = 0.0 if constant is None else float(np.max(np.abs(constant), initial=0.0))
    n = sum_shift([t.factor for t in terms], bits, largest)
    parts = []
    for index, term in enumerate(terms):
        alpha = np.rint(np.ldexp(compact(term.factor), n))
        parts.append(r.scaled(term.codes, term.zero_point, alpha, f"{result.name}_term{index}"))
    if constant is not None:
        units = np.rint(np.ldexp(constant.astype(np.float64), n)).astype(np.int32)
        parts.append(r.integers(units, f"{result.name}_constant"))
    total = r.emit(ops.Add, *parts, name=f"{result.name}_sum")
    r.halved(result, total, n, clamp)


@realizes(ops.Add, ops.Sub)
def add(r: Realizer, op: ops.Add | ops.Sub) -> None:
    """Realize `a ± b`, either one a constant."""
    step = np.float64(op.result.type.uniform().scale)
    terms: list[Term] = []
    constant: Array | None = None
    for value, sign in ((op.a, 1.0), (op.b, -1.0 if isinstance(op, ops.Sub) else 1.0)):
        real = r.constant(value)
        if real is not None:
            constant = real.astype(np.float64) * sign / step
            continue
        type = value.type.uniform()
        terms.append(Term(r.codes(value), type.zero_point, np.asarray(np.float64(type.scale) * sign / step)))
    if not terms:
        raise PassError("both operands are constants", help="run fold-constants before")
    define_sum(r, op.result, terms, constant, op.clamp)


@realizes(ops.Mul)
def multiply(r: Realizer, op: ops.Mul) -> None:
    """Realize `a · b`: one rescale by a constant, or the exact product and a rescale."""
    for value, other in ((op.a, op.b), (op.b, op.a)):
        real = r.constant(value)
        if real is not None:
            _scale(r, op, other, real.astype(np.float64))
            return
    a, b = op.a.type.uniform(), op.b.type.uniform()
    factor = np.float64(a.scale) * np.float64(b.scale) / np.float64(op.result.type.uniform().scale)
    if a.storage_type.bits + b.storage_type.bits > 16:
        raise PassError("a product of 16-bit codes does not fit 32 bits", help="keep it in float: --keep-float mul")
    one = np.array(1)
    left = r.scaled(r.codes(op.a), a.zero_point, one, f"{op.result.name}_left")
    right = r.scaled(r.codes(op.b), b.zero_point, one, f"{op.result.name}_right")
    product = r.emit(ops.Mul, left, right, name=f"{op.result.name}_product")
    r.define_rescale(op.result, product, factor, 0, op.clamp)


def _scale(r: Realizer, op: ops.Binary, x: Value, factor: Array) -> None:
    """Define the result of `op` as x times a real constant."""
    type = x.type.uniform()
    codes = r.codes(x)
    if codes.type.shape != op.result.type.shape:
        codes = r.emit(ops.Broadcast, codes, shape=op.result.type.shape, name=f"{x.name}_broadcast")
    real = np.float64(type.scale) * factor / np.float64(op.result.type.uniform().scale)
    r.define_rescale(op.result, codes, real, type.zero_point, op.clamp)


@realizes(ops.Div)
def divide(r: Realizer, op: ops.Div) -> None:
    """Realize `a / b`: by a constant a rescale, of a constant number a table, else reciprocals and a product."""
    divisor, dividend = r.constant(op.b), r.constant(op.a)
    if divisor is not None:
        if not np.all(divisor):
            raise PassError("it divides by zero", help="correct the model, or keep it in float: --keep-float div")
        _scale(r, op, op.a, 1.0 / divisor.astype(np.float64))
        return
    if dividend is not None:
        if op.result.type.shape != op.b.type.shape:
            raise PassError("a constant dividend broadcasts the divisor", help="keep it in float: --keep-float div")
        define_table(r, op.result, op.b, lambda b: np.asarray(op.evaluate(dividend.reshape(()), b)))
        return
    _quotient(r, op)


def _quotient(r: Realizer, op: ops.Div) -> None:
    """Define `(a − z_a)·R[b] / 2^n` with R[b] = RHE(2^n·C / (b − z_b)), C = s_a / (s_b·s_y).

    Entries are cut at ±2^10 steps of the result for each step of a, where every nonzero a saturates; b = z_b, the real
    number 0, counts as one step. Before rounding, off by at most |a − z_a| / 2^(n+1) of a step.
    """
    a, b, y = (v.type.uniform() for v in (op.a, op.b, op.result))
    if max(a.storage_type.bits, b.storage_type.bits) > 8:
        raise PassError("a quotient of 16-bit codes has no integer form", help="keep it in float: --keep-float div")
    ratio = np.float64(a.scale) / (np.float64(b.scale) * np.float64(y.scale))
    cut = min(ratio, 1024.0)
    distance = b.storage_type.codes.astype(np.int64) - b.zero_point
    with np.errstate(divide="ignore"):
        reciprocals = np.where(distance == 0, np.inf, ratio / distance)
    n = sum_shift([np.asarray(cut)], 8)
    table = np.rint(np.ldexp(np.clip(reciprocals, -cut, cut), n)).astype(np.int32)
    entries = r.emit(
        ops.Table, r.codes(op.b), r.integers(table, f"{op.result.name}_reciprocals"), name=f"{op.b.name}_reciprocal"
    )
    left = r.scaled(r.codes(op.a), a.zero_point, np.array(1), f"{op.result.name}_left")
    product = r.emit(ops.Mul, left, entries, name=f"{op.result.name}_product")
    r.halved(op.result, product, n, op.clamp)


@realizes(ops.Prelu)
def prelu(r: Realizer, op: ops.Prelu) -> None:
    """Realize PReLU: a table, one a channel, or for any other slope two half-sums of which one is zero."""
    real = real_constant(r, op.slope)
    if real is None:
        raise PassError("a slope that is not a constant has no integer form", help="keep it in float")
    slope = real.astype(np.float64)
    while slope.ndim > 1 and slope.shape[0] == 1:
        slope = slope[0]
    channels = op.x.type.shape[-1] if op.x.type.rank else 1
    x = op.x.type.uniform()
    if x.storage_type.bits == 8 and (slope.size == 1 or slope.shape == (channels,)):
        rows = real.reshape(-1, 1) if slope.size > 1 else real.reshape(())
        define_table(r, op.result, op.x, lambda x: op.evaluate(x, rows))
        return
    _split_prelu(r, op, x, slope)


def _split_prelu(r: Realizer, op: ops.Prelu, x: UniformType, slope: Array) -> None:
    """Define max(x, 0) + slope·min(x, 0)."""
    factor = np.float64(x.scale) / np.float64(op.result.type.uniform().scale)
    zero = x.zero_point
    positive = r.emit(ops.Clamp, r.codes(op.x), minimum=zero, maximum=x.maximum, name=f"{op.result.name}_positive")
    negative = r.emit(ops.Clamp, r.codes(op.x), minimum=x.minimum, maximum=zero, name=f"{op.result.name}_negative")
    terms = [Term(positive, zero, np.asarray(factor)), Term(negative, zero, factor * slope)]
    define_sum(r, op.result, terms, None, None)

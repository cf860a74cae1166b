"""What each element-by-element integer operation computes, as TIR: written once, for every nest and target.

Each entry of `EXPRESSIONS` turns the operands of one operation at one element into the result's element, in exact
integer arithmetic. The bits are those of the operation's `evaluate`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

import numpy as np

from qcc.ir import I32, Array, Op, ScalarType, TargetError, TensorType, Value, print_op
from qcc.ir.ops import Add, Binary, Cast, Clamp, Maximum, Minimum, Mul, Rescale, RescaleFloat, Sub, SumFloat, Table
from qcc.targets import terms, tir
from qcc.targets.terms import Term
from qcc.targets.tir import Body


class Scope(Protocol):
    """One element of the result of an operation: where its operands are found."""

    body: Body

    def operand(self, value: Value) -> Term:
        """The operand's element."""

    def constant(self, value: Value) -> Array:
        """The data of an operand that must be a constant."""

    def is_constant(self, value: Value) -> bool:
        """Whether `constant` has the data of an operand."""

    def load(self, name: str, array: Array) -> Term:
        """The element of `array`, which broadcasts against the result."""

    def along(self, value: Value, axis: int) -> Term:
        """The element of a one-dimensional operand that belongs to the result's place along `axis`."""

    def look_up(self, name: str, table: Array, code: Term) -> Term:
        """`table[code]`, or `table[channel, code]` of a table with a row for each channel."""


Expression: TypeAlias = Callable[[Any, Scope], Term]


def _wrapped(term: Term, type: TensorType) -> Term:
    """An integer result as its type holds it."""
    return terms.wrap(term, type.element.storage)


def _limited(op: Binary, term: Term) -> Term:
    """The result within a fused clamp."""
    return term if op.clamp is None else clamp_codes(term, *op.clamp)


def clamp_codes(term: Term, minimum: float, maximum: float) -> Term:
    """An integer within bounds that may be infinite."""
    low = term.low if minimum == -np.inf else int(minimum)
    high = term.high if maximum == np.inf else int(maximum)
    return terms.clamp(term, low, high)


def _selected(combine: Callable[[Term, Term], Term]) -> Expression:
    """An operation that gives one of its operands."""
    return lambda op, scope: combine(scope.operand(op.a), scope.operand(op.b))


def _arithmetic(combine: Callable[[Term, Term], Term], symbol: str) -> Expression:
    """An operation of two integers that wraps at its type's width."""

    def expression(op: Binary, scope: Scope) -> Term:
        a, b = scope.operand(op.a), scope.operand(op.b)
        result = combine(a, b)
        if result.dtype == "int64" and op.result.type.element.storage == I32 and a.dtype == b.dtype == "int32":
            return _limited(op, terms.modular(symbol, a, b))
        return _limited(op, _wrapped(result, op.result.type))

    return expression


def _clamp(op: Clamp, scope: Scope) -> Term:
    """`min(max(x, minimum), maximum)`."""
    return clamp_codes(scope.operand(op.x), op.minimum, op.maximum)


def _cast(op: Cast, scope: Scope) -> Term:
    """The integer modulo 2^bits; a truth value is whether it is not 0."""
    x = scope.operand(op.x)
    if op.to.bits == 1:
        return Term(tir.select(x.expr != tir.constant(0, x.dtype), tir.constant(1), tir.constant(0)), "int32", 0, 1)
    return terms.wrap(x, op.to)


def _table(op: Table, scope: Scope) -> Term:
    """`table[x − smallest code]`."""
    x = scope.operand(op.x)
    return scope.look_up(
        "table", scope.constant(op.table), terms.subtract(x, terms.literal(op.x.type.element.storage.minimum))
    )


def _rescale(op: Rescale, scope: Scope) -> Term:
    """`clamp(round((x − zi)·m / 2^s) + zo)`."""
    x = terms.subtract(scope.operand(op.x), terms.literal(op.input_zero_point))
    multiplier = scope.constant(op.multiplier)
    shift = scope.constant(op.shift)
    y = ROUNDINGS[op.rounding](scope, x, multiplier, shift)
    y = terms.add(terms.narrow(y), terms.literal(op.output_zero_point))
    return terms.clamp(y, op.minimum, op.maximum)


def half_up(scope: Scope, x: Term, multiplier: Array, shift: Array) -> Term:
    """`⌊(x·m + 2^(s−1)) / 2^s⌋`, rounded once, ties toward +∞.

    Where the product needs 64 bits, only its upper half is kept if that can be done exactly: with s = 32 + t, t ≥ 1,
    the rounding constant is a multiple of 2^32, so `⌊(⌊x·m / 2^32⌋ + 2^(t−1)) / 2^t⌋` is the same number. A smaller s
    joins in by `x·2^l` with s + l ≥ 33 where x has bits to spare.
    """
    low, high = terms.array_bounds(multiplier)
    product = terms.multiply(x, Term(tir.constant(0), "int32", low, high))
    if product.dtype == "int64" and x.dtype == "int32":
        left = max(0, 33 - int(shift.min(initial=62)))
        fits = terms.carrier(x.low << left, x.high << left) == "int32" if left < 32 else False
        if fits and int(shift.max(initial=0)) + left <= 62:
            return _upper_half(scope, x, multiplier, shift.astype(np.int64), left)
    factor = scope.load("multiplier", multiplier)
    total = terms.bind(scope.body, "product", terms.multiply(x, factor))
    return rounded_shift(scope, total, shift)


def _upper_half(scope: Scope, x: Term, multiplier: Array, shift: Array, left: int) -> Term:
    """The rescale in 32 bits but for one multiplication."""
    scaled = terms.bind(scope.body, "scaled", terms.multiply(x, terms.literal(1 << left)))
    factor = scope.load("multiplier", multiplier)
    product = terms.multiply(Term(terms.widen(scaled, "int64"), "int64", scaled.low, scaled.high), factor)
    upper = terms.bind(scope.body, "upper", terms.narrow(terms.shift_right(product, terms.literal(32))))
    return rounded_shift(scope, upper, (shift + left - 32).astype(np.int8), "upper_shift")


def rounded_shift(scope: Scope, x: Term, shift: Array, name: str = "shift") -> Term:
    """`⌊(x + 2^(s−1)) / 2^s⌋`; for s = 0 it is x."""
    by = scope.load(name, shift)
    if by.literal is not None:
        half = 1 << (by.literal - 1) if by.literal else 0
        total = terms.add(x, terms.literal(half))
    else:
        most = terms.add(x, terms.literal(1 << (by.high - 1))) if by.high else x
        dtype = "int64" if "int64" in (most.dtype, x.dtype) or by.high > 30 else "int32"
        one = terms.Term(tir.constant(1, dtype), dtype, 1, 1)
        amount = terms.widen(by, dtype)
        exponent = amount - tir.constant(1, dtype) if by.low else amount
        power = tir.constant(1, dtype) << exponent
        half_expr = power if by.low else power >> tir.constant(1, dtype)
        bounds = (1 << (by.low - 1) if by.low else 0, 1 << (by.high - 1) if by.high else 0)
        total = terms.add(x, Term(half_expr, one.dtype, *bounds))
    if total.reach >= terms.LIMITS[total.dtype]:
        # TVM takes the sum modulo 2^64 for a positive number unless it is stored.
        total = terms.bind(scope.body, "total", total)
    return terms.shift_right(total, by)


def _doubled_high(scope: Scope, x: Term, multiplier: Array, shift: Array) -> Term:
    """`⌊(wrap32(x·2^L)·m + 2^30) / 2^31⌋` with L = max(31 − s, 0)."""
    left = scope.load("left_shift", np.maximum(31 - shift.astype(np.int64), 0).astype(np.int8))
    bits = tir.cast(terms.widen(x, "int64") if x.dtype == "int64" else x.expr, "uint32")
    if left.literal == 0:
        scaled = terms.wrap(x, ScalarType("i", 32))
    else:
        amount = tir.cast(left.expr, "uint32") if left.literal is None else tir.constant(left.literal, "uint32")
        scaled = Term(tir.cast(bits << amount, "int32"), "int32", *terms.INT32)
    wide = Term(terms.widen(terms.bind(scope.body, "scaled", scaled), "int64"), "int64", scaled.low, scaled.high)
    product = terms.multiply(wide, scope.load("multiplier", multiplier))
    return terms.bind(
        scope.body, "high", terms.shift_right(terms.add(product, terms.literal(1 << 30)), terms.literal(31))
    )


def _right_shifts(shift: Array) -> Array:
    """The second shift of the double roundings, max(s − 31, 0)."""
    return np.maximum(shift.astype(np.int64) - 31, 0).astype(np.int8)


def double(scope: Scope, x: Term, multiplier: Array, shift: Array) -> Term:
    """Two roundings: the doubling high product, saturated, then a shift with ties away from zero."""
    high = terms.narrow(terms.at_most(_doubled_high(scope, x, multiplier, shift), 2**31 - 1))
    return shifted_away(scope, terms.bind(scope.body, "saturated", high), _right_shifts(shift), "right_shift")


def double_up(scope: Scope, x: Term, multiplier: Array, shift: Array) -> Term:
    """Two roundings: the doubling high product, then a shift with ties toward +∞."""
    return rounded_shift(scope, _doubled_high(scope, x, multiplier, shift), _right_shifts(shift), "right_shift")


def half_away(scope: Scope, x: Term, multiplier: Array, shift: Array) -> Term:
    """Rounded once, ties away from zero."""
    total = terms.bind(scope.body, "product", terms.multiply(x, scope.load("multiplier", multiplier)))
    return shifted_away(scope, total, shift, "shift")


def shifted_away(scope: Scope, x: Term, shift: Array, name: str) -> Term:
    """`x / 2^s` to nearest, ties away from zero: `⌊(x + 2^(s−1) − [x < 0 and s > 0]) / 2^s⌋`.

    Less one, a negative integer has its ties one lower, and nothing else changes.
    """
    if int(shift.max(initial=0)) == 0:
        return x
    zero, one = (tir.constant(n, x.dtype) for n in (0, 1))
    if int(shift.min()) == 0:
        one = terms.widen(scope.load("ties", (shift > 0).astype(np.int8)), x.dtype)
    down = Term(tir.select(x.expr < zero, one, zero), x.dtype, 0, 1)
    return rounded_shift(scope, terms.subtract(x, down), shift, name)


def _rescale_float(op: RescaleFloat, scope: Scope) -> Term:
    """`clamp(round(f(f(x − zi)·factor) + offset) + zo)`, clamped before it is rounded: the bounds are whole numbers."""
    x = terms.narrow(terms.subtract(scope.operand(op.x), terms.literal(op.input_zero_point)))
    factor = scope.load("factor", scope.constant(op.factor))
    value = tir.product(tir.cast(x.expr, factor.dtype), factor.expr)
    if op.offset is not None:
        value = value + scope.load("offset", scope.constant(op.offset)).expr
    scaled = terms.bind(scope.body, "scaled", Term(value, factor.dtype))
    low, high = op.minimum - op.output_zero_point, op.maximum - op.output_zero_point
    code = rounded_float(scope.body, scaled, low, high, op.rounding)
    return terms.clamp(terms.add(code, terms.literal(op.output_zero_point)), op.minimum, op.maximum)


def _sum_float(op: SumFloat, scope: Scope) -> Term:
    """`clamp(RHE(fma(a, factor_a, fma(b, factor_b, offset))))`."""
    a, b = (tir.cast(scope.operand(v).expr, "float32") for v in (op.a, op.b))
    constants = ((n, v) for n, v in (("factor_a", op.factor_a), ("factor_b", op.factor_b), ("offset", op.offset)))
    factor_a, factor_b, offset = (scope.load(name, scope.constant(value)).expr for name, value in constants)
    inner = terms.bind(scope.body, "inner", Term(tir.fused_multiply_add(b, factor_b, offset), "float32"))
    total = Term(tir.fused_multiply_add(a, factor_a, inner.expr), "float32")
    return rounded_float(scope.body, terms.bind(scope.body, "total", total), op.minimum, op.maximum, "half_even")


def rounded_float(body: Body, x: Term, low: int, high: int, rounding: str) -> Term:
    """A float as the nearest whole number within bounds, which are exact in its type and below 2^22 or 2^51.

    Ties to even by a sum: x + 1.5·2^k, with k the bits of the mantissa less one, has no place for a fraction. Ties away
    from zero by `trunc(x ± the largest float below 1/2)`.
    """
    dtype = x.dtype
    above = tir.select(x.expr > tir.number(low, dtype), x.expr, tir.number(low, dtype))
    bounded = terms.bind(body, "limited", Term(above, dtype)).expr
    bounded = tir.select(bounded < tir.number(high, dtype), bounded, tir.number(high, dtype))
    within = terms.bind(body, "within", Term(bounded, dtype)).expr
    if rounding == "half_even":
        magic = tir.number(_MAGIC[dtype], dtype)
        moved = terms.bind(body, "whole", Term(within + magic, dtype)).expr - magic
    else:
        half = tir.number(float(np.nextafter(np.dtype(dtype).type(0.5), 0)), dtype)
        moved = within + tir.select(within < tir.number(0, dtype), tir.number(-1, dtype) * half, half)
    result = terms.carrier(low, high) or "int64"
    return Term(tir.cast(moved, result), result, low, high)


_MAGIC = {"float32": 1.5 * 2**23, "float64": 1.5 * 2**52}
"""Floats from which on the distance to the next is 1."""

ROUNDINGS: Mapping[str, Callable[[Scope, Term, Array, Array], Term]] = {
    "half_up": half_up,
    "half_away": half_away,
    "double": double,
    "double_up": double_up,
}
"""The roundings of `qcc.ir.ROUNDINGS` by name."""

EXPRESSIONS: Mapping[type[Op], Expression] = {
    Add: _arithmetic(terms.add, "+"),
    Sub: _arithmetic(terms.subtract, "-"),
    Mul: _arithmetic(terms.multiply, "*"),
    Minimum: _selected(terms.select_smaller),
    Maximum: _selected(terms.select_larger),
    Clamp: _clamp,
    Cast: _cast,
    Table: _table,
    Rescale: _rescale,
    RescaleFloat: _rescale_float,
    SumFloat: _sum_float,
}
"""Operations on integers."""


def element(op: Op, scope: Scope) -> Term:
    """The element of the result of `op`; a TargetError where generated code has no such operation."""
    from qcc.targets.float_expressions import FLOAT_EXPRESSIONS
    from qcc.targets.sigmoid_expressions import SIGMOID_EXPRESSIONS

    real = any(v.type.is_float for v in (op.operands[0], op.result))
    expression = (FLOAT_EXPRESSIONS if real else {**EXPRESSIONS, **SIGMOID_EXPRESSIONS}).get(type(op))
    if expression is None:
        kind = "reals" if real else "integers"
        message, help = f"there is no code for {op.name} of {kind}", "see `qcc ops` for operations that do the same"
        raise TargetError(message, place=op.location.node, op=print_op(op), help=help)
    return expression(op, scope)

"""Integer expressions with intervals: exact arithmetic in the narrowest C type that can't overflow.

A `Term` is a TIR scalar in int32 or int64 with the interval that it is known to lie in. Arithmetic on terms computes
the interval of the result and chooses the type by it, so generated code has no signed overflow (undefined in C) and
does not widen to 64 bits without need. Where an interval leaves 64 bits the arithmetic wraps, as NumPy's does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qcc.ir import Array, ScalarType
from qcc.targets import tir
from qcc.targets.tir import Body, Expr

INT32 = (-(2**31), 2**31 - 1)
INT64 = (-(2**63), 2**63 - 1)
LIMITS = {"int32": 2**31 - 2**24, "int64": 2**63 - 2**56}
"""Magnitudes from which on a term is near the ends of its type."""


@dataclass(frozen=True)
class Term:
    """A scalar expression.

    Attributes:
        expr: the TIR expression.
        dtype: its TIR type: `int32`, `int64`, `float32` or `float64`.
        low, high: bounds of an integer, inclusive.
        spread: where more than the bounds say: how far from 0 a sum or product can come when TVM's simplifier adds
            and multiplies its parts in another order; the type must hold that too.
    """

    expr: Expr
    dtype: str
    low: int = 0
    high: int = 0
    spread: int = 0

    @property
    def reach(self) -> int:
        """The largest magnitude among the term and its parts."""
        return max(self.spread, -self.low, self.high)

    @property
    def is_float(self) -> bool:
        """True for floating point."""
        return self.dtype.startswith("float")

    @property
    def literal(self) -> int | None:
        """The number, where it is an integer known at compile time."""
        return self.low if self.low == self.high and not self.is_float else None


def carrier(low: int, high: int) -> str | None:
    """Return the narrowest type that holds the interval: `int32`, `int64`, or None."""
    for dtype, (least, most) in (("int32", INT32), ("int64", INT64)):
        if least <= low and high <= most:
            return dtype
    return None


def literal(value: int) -> Term:
    """An integer known at compile time."""
    dtype = carrier(value, value) or "int64"
    return Term(tir.constant(value, dtype), dtype, value, value)


def real(value: float, dtype: str = "float32") -> Term:
    """A float known at compile time."""
    return Term(tir.number(value, dtype), dtype)


def widen(term: Term, dtype: str) -> Expr:
    """Return the expression of an integer term in `dtype`."""
    if term.dtype == dtype:
        return term.expr
    known = term.literal
    return tir.cast(term.expr, dtype) if known is None else tir.constant(known, dtype)


def narrow(term: Term) -> Term:
    """Return the term in int32 where its interval fits."""
    dtype = carrier(term.low, term.high)
    if term.is_float or dtype is None or dtype == term.dtype or term.dtype == "int32":
        return term
    return Term(widen(term, dtype), dtype, term.low, term.high, term.spread)


def loaded(expr: Expr, stored: str, low: int, high: int) -> Term:
    """A term for an element of type `stored` read from memory, known to lie in the interval."""
    if stored.startswith("float"):
        return Term(expr, stored)
    dtype = carrier(low, high) or "int64"
    return Term(expr if stored == dtype else tir.cast(expr, dtype), dtype, low, high)


def bind(body: Body, name: str, term: Term) -> Term:
    """Give the term a name in the generated code.

    A float is computed once, where it stands; so is an integer near the ends of its type: TVM's simplifier would
    combine it with what follows, past those ends.
    """
    if term.is_float or term.reach >= LIMITS[term.dtype]:
        return stored(body, name, term)
    if term.literal is not None:
        return literal(term.literal)
    return Term(body.let(name, term.expr), term.dtype, term.low, term.high, term.spread)


def stored(body: Body, name: str, term: Term) -> Term:
    """Give the term a name in the generated code, and compute it once, where it stands.

    TVM's simplifier puts what `Body.let` binds back into what reads it; a variable that is stored it leaves alone. C
    source and LLVM make a plain variable of both.
    """
    if term.literal is not None:
        return literal(term.literal)
    variable = body.allocate(name, 1, term.dtype)
    body.store(variable, 0, term.expr)
    return Term(tir.load(variable, 0), term.dtype, term.low, term.high)


def _arithmetic(symbol: str, a: Term, b: Term, interval: tuple[int, int]) -> Term:
    """`a symbol b` in a type that holds operands and result; modulo 2^64 where none does."""
    spread = a.reach * b.reach if symbol == "*" else a.reach + b.reach
    dtype = carrier(-max(spread, a.reach, b.reach), max(spread, a.reach, b.reach))
    if dtype is None:
        return Term(tir.cast(_wrapping(symbol, a, b), "int64"), "int64", *INT64)
    dtype = "int64" if "int64" in (a.dtype, b.dtype, dtype) else dtype
    return Term(_apply(symbol, widen(a, dtype), widen(b, dtype)), dtype, *interval, spread)


def _wrapping(symbol: str, a: Term, b: Term) -> Expr:
    """`a symbol b` modulo 2^64, unsigned. Negative constants become positive: TVM has none of 2^63 or more."""
    if a.literal is not None and symbol in "+*":
        a, b = b, a
    if a.literal is not None and symbol == "-":
        negated, positive = _negated(_modulo(b, 64), "uint64"), tir.constant(abs(a.literal), "uint64")
        return _apply("-" if a.literal < 0 else "+", negated, positive)
    if b.literal is None or b.literal >= 0:
        return _apply(symbol, _modulo(a, 64), _modulo(b, 64))
    positive = tir.constant(-b.literal, "uint64")
    if symbol == "*":
        return _negated(_modulo(a, 64) * positive, "uint64")
    return _apply("-" if symbol == "+" else "+", _modulo(a, 64), positive)


def _negated(x: Expr, dtype: str) -> Expr:
    """`−x` of an unsigned number, as `~x + 1`: TVM takes the difference of a constant and x for at most that."""
    return ~x + tir.constant(1, dtype)


def _apply(symbol: str, a: Expr, b: Expr) -> Expr:
    """The TIR expression `a symbol b`."""
    return {"+": lambda: a + b, "-": lambda: a - b, "*": lambda: a * b}[symbol]()


def _modulo(term: Term, bits: int) -> Expr:
    """The expression of an integer term modulo 2^bits, unsigned."""
    if term.literal is not None:
        return tir.constant(term.literal % 2**bits, f"uint{bits}")
    return tir.cast(widen(term, f"int{bits}"), f"uint{bits}")


def modular(symbol: str, a: Term, b: Term) -> Term:
    """`a symbol b` of int32 terms modulo 2^32, without overflow of a signed type."""
    left, right = (_modulo(t, 32) for t in (a, b))
    if symbol == "-" and a.literal is not None:
        symbol, right = "+", _negated(right, "uint32")
    return Term(tir.cast(_apply(symbol, left, right), "int32"), "int32", *INT32)


def add(a: Term, b: Term) -> Term:
    """The exact sum."""
    if a.literal is not None and b.literal is not None:
        return literal(a.literal + b.literal)
    if b.literal == 0 or a.literal == 0:
        return a if b.literal == 0 else b
    return _arithmetic("+", a, b, (a.low + b.low, a.high + b.high))


def subtract(a: Term, b: Term) -> Term:
    """The exact difference."""
    if b.literal is not None:
        return add(a, literal(-b.literal))
    return _arithmetic("-", a, b, (a.low - b.high, a.high - b.low))


def multiply(a: Term, b: Term) -> Term:
    """The exact product."""
    for one, other in ((a, b), (b, a)):
        if one.literal == 1:
            return other
        if one.literal == 0:
            return literal(0)
    products = [x * y for x in (a.low, a.high) for y in (b.low, b.high)]
    return _arithmetic("*", a, b, (min(products), max(products)))


def shift_right(a: Term, by: Term) -> Term:
    """`⌊a / 2^by⌋`; `by` is less than the bits of a's type."""
    if by.literal == 0:
        return a
    ends = [x >> y for x in (a.low, a.high) for y in (by.low, by.high)]
    return Term(a.expr >> widen(by, a.dtype), a.dtype, min(ends), max(ends), 0)


def at_least(a: Term, bound: int) -> Term:
    """`max(a, bound)`."""
    if a.low >= bound:
        return a
    expr = tir.maximum(a.expr, tir.constant(bound, a.dtype))
    return Term(expr, a.dtype, bound, max(a.high, bound)) if a.high > bound else literal(bound)


def at_most(a: Term, bound: int) -> Term:
    """`min(a, bound)`."""
    if a.high <= bound:
        return a
    expr = tir.minimum(a.expr, tir.constant(bound, a.dtype))
    return Term(expr, a.dtype, min(a.low, bound), bound) if a.low < bound else literal(bound)


def clamp(a: Term, low: int, high: int) -> Term:
    """`min(max(a, low), high)`, in int32 where the bounds allow."""
    return narrow(at_most(at_least(a, low), high))


def select_larger(a: Term, b: Term) -> Term:
    """`max(a, b)` of two integer terms."""
    dtype = "int64" if "int64" in (a.dtype, b.dtype) else "int32"
    expr = tir.maximum(widen(a, dtype), widen(b, dtype))
    return Term(expr, dtype, max(a.low, b.low), max(a.high, b.high))


def select_smaller(a: Term, b: Term) -> Term:
    """`min(a, b)` of two integer terms."""
    dtype = "int64" if "int64" in (a.dtype, b.dtype) else "int32"
    expr = tir.minimum(widen(a, dtype), widen(b, dtype))
    return Term(expr, dtype, min(a.low, b.low), min(a.high, b.high))


def wrap(a: Term, to: ScalarType) -> Term:
    """The integer modulo 2^bits, in the range of `to`."""
    if to.minimum <= a.low and a.high <= to.maximum:
        return narrow(a)
    half = 1 << (to.bits - 1) if to.kind == "i" else 0
    if to.bits < 32 and a.spread < 2**30 and a.low >= -(2**30) and a.high < 2**30:
        # No cast: TVM's analysis evaluates the casts of variables at the ends of their intervals, also beyond the type.
        moved = a.expr + tir.constant(half, a.dtype) if half else a.expr
        low = moved & tir.constant((1 << to.bits) - 1, a.dtype)
        return narrow(Term(low - tir.constant(half, a.dtype) if half else low, a.dtype, to.minimum, to.maximum))
    if to.is_narrow:
        count = 1 << to.bits
        last = tir.cast(a.expr, "int32") & tir.constant(count - 1)
        signed = tir.select(last > tir.constant(to.maximum), last - tir.constant(count), last)
        return Term(signed if to.kind == "i" else last, "int32", to.minimum, to.maximum)
    stored = tir.cast(a.expr, f"{'u' if to.kind == 'u' else ''}int{max(to.bits, 8)}")
    dtype = carrier(to.minimum, to.maximum) or "int64"
    expr = stored if f"int{to.bits}" == dtype and to.kind == "i" else tir.cast(stored, dtype)
    return Term(expr, dtype, to.minimum, to.maximum)


def array_bounds(array: Array) -> tuple[int, int]:
    """The smallest and the largest element; (0, 0) for none."""
    return (int(np.min(array)), int(np.max(array))) if array.size else (0, 0)

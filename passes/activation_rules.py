"""Rules that recognize functions which models write out: SiLU, hard swish, hard sigmoid, GELU, softmax.

A product is compared by its factors, so the order and the place of its constants do not matter. Constants may differ
from the exact ones by `TOLERANCE`, since models carry them rounded to binary32 or to five digits.
Every rule has its algebra on the line above it.
"""

from __future__ import annotations

import math

from qcc.ir import Mismatch, Op, Rewriter, Value
from qcc.ir.ops import (
    Add,
    Clamp,
    Div,
    Erf,
    Exp,
    Gelu,
    HardSigmoid,
    HardSwish,
    Mul,
    Pow,
    ReduceMax,
    ReduceSum,
    Sigmoid,
    Silu,
    Softmax,
    Sub,
    Tanh,
)

from .operands import KEEP_FLOAT, FloatPattern, inner_op, scalar_constant

#: Relative difference allowed between a constant of the model and the exact one.
TOLERANCE = 2e-5


def near(number: float | None, exact: float) -> bool:
    """True where a constant of the model means `exact`."""
    return number is not None and math.isclose(number, exact, rel_tol=TOLERANCE)


def factors(value: Value, rewriter: Rewriter) -> tuple[float, list[Value]]:
    """Return `value` as a number times values, by taking products, and powers with small integer exponents, apart."""
    op = rewriter.definition(value)
    number = scalar_constant(value, rewriter)
    if number is not None:
        return number, []
    if isinstance(op, Pow) and op.clamp is None:
        exponent = scalar_constant(op.b, rewriter)
        return (1.0, [op.a] * int(exponent)) if exponent in (2.0, 3.0) else (1.0, [value])
    if not isinstance(op, Mul) or op.clamp is not None:
        return 1.0, [value]
    return product(op, rewriter)


def product(op: Op, rewriter: Rewriter) -> tuple[float, list[Value]]:
    """Return the factors of a multiplication; inner products that others read too are not taken apart."""
    number, found = 1.0, list[Value]()
    for operand in op.operands:
        inner = inner_op(op, operand, rewriter)
        apart = not isinstance(inner, Mismatch) or scalar_constant(operand, rewriter) is not None
        part, values = factors(operand, rewriter) if apart else (1.0, [operand])
        number *= part
        found += values
    return number, found


def argument(value: Value, function: type[Op], outer: Op, rewriter: Rewriter) -> Value | None:
    """Return x where `value` is `function(x)` in the same float region as `outer`, else None."""
    op = rewriter.definition(value)
    if not isinstance(op, function) or bool(op.note(KEEP_FLOAT)) != bool(outer.note(KEEP_FLOAT)):
        return None
    return op.operands[0]


def plus(value: Value, number: float, rewriter: Rewriter) -> Value | None:
    """Return x where `value` is `x + number` without a clamp, else None."""
    op = rewriter.definition(value)
    if not isinstance(op, Add) or op.clamp is not None:
        return None
    for x, constant in (op.operands, op.operands[::-1]):
        if near(scalar_constant(constant, rewriter), number):
            return x
    return None


def limited_sum(value: Value, outer: Op, rewriter: Rewriter) -> tuple[Value, float, float, float] | None:
    """Return (x, c, low, high) where `value` is `clamp(x + c, low, high)` in the float region of `outer`, else None."""
    x = argument(value, Clamp, outer, rewriter)
    clamp = rewriter.definition(value)
    if x is None or not isinstance(clamp, Clamp):
        return None
    add = rewriter.definition(x)
    if not isinstance(add, Add) or add.clamp is not None:
        return None
    constant = scalar_constant(add.b, rewriter)
    return None if constant is None else (add.a, constant, clamp.minimum, clamp.maximum)


class ProductPattern(FloatPattern):
    """Base of rules about a number times two values, of which the first is the argument of the function."""

    root = Mul

    def apply_real(self, op: Op, rewriter: Rewriter) -> Value | Mismatch | None:
        """Try both orders of the factors."""
        number, values = product(op, rewriter)
        if len(values) != 2 or not isinstance(op, Mul):
            return None
        for x, other in (values, values[::-1]):
            found = self.recognize(number, x, other, op, rewriter) if x.type.shape == op.result.type.shape else None
            if found is not None:
                return found if op.clamp is None else limit(found, op.clamp, op, rewriter)
        return None

    def recognize(self, number: float, x: Value, other: Value, op: Op, rewriter: Rewriter) -> Value | None:
        """Return f(x) where `number · x · other` is the function f of x."""
        return None


def limit(value: Value, clamp: tuple[float, float], op: Op, rewriter: Rewriter) -> Value:
    """Return `value` within the clamp that was fused into `op`."""
    return rewriter.emit(Clamp, value, minimum=clamp[0], maximum=clamp[1], types=(op.result.type,))


# x · sigmoid(x) = silu(x)
class ToSilu(ProductPattern):
    """SiLU written as a product."""

    def recognize(self, number: float, x: Value, other: Value, op: Op, rewriter: Rewriter) -> Value | None:
        """Look for the sigmoid of the other factor."""
        matches = number == 1.0 and argument(other, Sigmoid, op, rewriter) == x
        return rewriter.emit(Silu, x, types=(op.result.type,)) if matches else None


# x · hard_sigmoid(x, 1/6, 1/2) = x · clamp(x + 3, 0, 6) / 6 = hard_swish(x)
class ToHardSwish(ProductPattern):
    """Hard swish written as a product."""

    def recognize(self, number: float, x: Value, other: Value, op: Op, rewriter: Rewriter) -> Value | None:
        """Look for the hard sigmoid, or the clamped sum, of the other factor."""
        sigmoid = rewriter.definition(other)
        if isinstance(sigmoid, HardSigmoid) and argument(other, HardSigmoid, op, rewriter) == x:
            matches = number == 1.0 and near(sigmoid.alpha, 1 / 6) and near(sigmoid.beta, 0.5)
        else:
            parts = limited_sum(other, op, rewriter)
            matches = parts is not None and parts == (x, 3.0, 0.0, 6.0) and near(number, 1 / 6)
        return rewriter.emit(HardSwish, x, types=(op.result.type,)) if matches else None


# x/2 · (1 + erf(x/√2)) = gelu(x); x/2 · (1 + tanh(√(2/π)·(x + 0.044715·x³))) = gelu(x), approximate = "tanh"
class ToGelu(ProductPattern):
    """GELU written as a product, in its exact and its tanh form."""

    def recognize(self, number: float, x: Value, other: Value, op: Op, rewriter: Rewriter) -> Value | None:
        """Look for one plus the error function or tanh of the other factor."""
        inner = plus(other, 1.0, rewriter)
        if inner is None or not near(number, 0.5):
            return None
        erf = argument(inner, Erf, op, rewriter)
        if erf is not None:
            scale, values = factors(erf, rewriter)
            matches = near(scale, math.sqrt(0.5)) and values == [x]
            return rewriter.emit(Gelu, x, types=(op.result.type,)) if matches else None
        tanh = argument(inner, Tanh, op, rewriter)
        if tanh is None or not is_gelu_polynomial(tanh, x, rewriter):
            return None
        return rewriter.emit(Gelu, x, approximate="tanh", types=(op.result.type,))


def is_gelu_polynomial(value: Value, x: Value, rewriter: Rewriter) -> bool:
    """True where `value` is √(2/π)·(x + 0.044715·x³) or √(2/π)·x·(1 + 0.044715·x²)."""
    scale, values = factors(value, rewriter)
    if not near(scale, math.sqrt(2 / math.pi)):
        return False
    if len(values) == 1:
        add = rewriter.definition(values[0])
        if not isinstance(add, Add) or add.clamp is not None or x not in add.operands:
            return False
        (cube,) = [v for v in add.operands if v != x] or [x]
        return _is_power(cube, x, 3, rewriter)
    for first, second in (values, values[::-1]) if len(values) == 2 else ():
        square = plus(second, 1.0, rewriter)
        if first == x and square is not None and _is_power(square, x, 2, rewriter):
            return True
    return False


def _is_power(value: Value, x: Value, exponent: int, rewriter: Rewriter) -> bool:
    """True where `value` is 0.044715·x^exponent."""
    number, values = factors(value, rewriter)
    return near(number, 0.044715) and values == [x] * exponent


# clamp(x + c, 0, 1/k) · k = clamp(k·x + c·k, 0, 1) = hard_sigmoid(x, k, c·k)
class ToHardSigmoid(FloatPattern):
    """Hard sigmoid written as a clamped sum times a constant."""

    root = Mul

    def apply_real(self, op: Op, rewriter: Rewriter) -> Value | Mismatch | None:
        """Look for the clamped sum."""
        number = scalar_constant(op.operands[1], rewriter)
        if number is None or not isinstance(op, Mul) or op.clamp is not None:
            return None
        parts = limited_sum(op.a, op, rewriter)
        if parts is None or parts[0].type.shape != op.result.type.shape:
            return None
        x, constant, low, high = parts
        if low != 0 or not near(number * high, 1.0):
            return Mismatch(f"the clamp times {number} is not 0 … 1")
        if rewriter.use_count(op.a) != 1:
            return Mismatch(f"%{op.a.name} is used elsewhere too")
        return rewriter.emit(HardSigmoid, x, alpha=number, beta=constant * number, types=(op.result.type,))


# exp(x) / Σ exp(x) = exp(x − max x) / Σ exp(x − max x) = softmax(x)
class ToSoftmax(FloatPattern):
    """Softmax written as exponentials over their sum."""

    root = Div

    def apply_real(self, op: Op, rewriter: Rewriter) -> Value | Mismatch | None:
        """Look for the exponentials, their sum along one axis, and the maximum that was subtracted."""
        total = rewriter.definition(op.operands[1])
        x = argument(op.operands[0], Exp, op, rewriter)
        if x is None or not isinstance(total, ReduceSum) or not isinstance(op, Div) or op.clamp is not None:
            return None
        if total.x != op.a or len(total.axes) != 1 or not total.keep_dims:
            return Mismatch("the divisor is not the sum of the exponentials along one axis, that axis kept")
        axis = total.axes[0]
        shifted = rewriter.definition(x)
        if isinstance(shifted, Sub) and shifted.clamp is None and _is_maximum(shifted, axis, rewriter):
            x = shifted.a
        return rewriter.emit(Softmax, x, axis=axis, types=(op.result.type,))


def _is_maximum(shifted: Sub, axis: int, rewriter: Rewriter) -> bool:
    """True where `shifted` subtracts from x the maximum of x along `axis`."""
    largest = rewriter.definition(shifted.b)
    if not isinstance(largest, ReduceMax):
        return False
    rank = shifted.a.type.rank
    return largest.x == shifted.a and largest.keep_dims and [a % rank for a in largest.axes] == [axis % rank]


ACTIVATION_RULES = (ToSilu, ToHardSwish, ToGelu, ToHardSigmoid, ToSoftmax)

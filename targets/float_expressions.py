"""What each element-by-element operation on real numbers computes, as TIR over binary32 and <math.h>.

The evaluator computes functions in binary64 and rounds once; generated code computes in the type of the operands, so
results differ by a few units in the last place. Conversions between codes and reals are exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from tvm import tirx

from qcc.ir import I32, IrError, Op, UniformType, ops
from qcc.targets import terms, tir
from qcc.targets.expressions import Expression, Scope
from qcc.targets.terms import Term
from qcc.targets.tir import Expr, number


def call(name: str, dtype: str, *arguments: Expr) -> Expr:
    """A function of <math.h>, with the suffix of the type."""
    return tirx.call_pure_extern(dtype, name + ("f" if dtype == "float32" else ""), *arguments)


def limited(term: Term, minimum: float, maximum: float) -> Term:
    """`min(max(x, minimum), maximum)`; not-a-number stays, an infinite bound costs nothing."""
    expr = term.expr
    if minimum != -math.inf:
        expr = tir.select(expr < number(minimum, term.dtype), number(minimum, term.dtype), expr)
    if maximum != math.inf:
        expr = tir.select(expr > number(maximum, term.dtype), number(maximum, term.dtype), expr)
    return Term(expr, term.dtype)


def larger(a: Term, b: Term) -> Term:
    """`max(a, b)`; not-a-number in `a` stays."""
    return Term(tir.select(a.expr < b.expr, b.expr, a.expr), a.dtype)


def smaller(a: Term, b: Term) -> Term:
    """`min(a, b)`; not-a-number in `a` stays."""
    return Term(tir.select(a.expr > b.expr, b.expr, a.expr), a.dtype)


def _unary(function: Callable[[Any, Expr, str], Expr]) -> Expression:
    """A function of one number, given as (operation, x, type)."""

    def expression(op: Any, scope: Scope) -> Term:
        x = terms.bind(scope.body, "value", scope.operand(op.x))
        return Term(function(op, x.expr, x.dtype), x.dtype)

    return expression


def _binary(combine: Callable[[Term, Term], Term]) -> Expression:
    """An operation of two numbers, within its fused clamp."""

    def expression(op: ops.Binary, scope: Scope) -> Term:
        a, b = (terms.bind(scope.body, n, scope.operand(v)) for n, v in (("left", op.a), ("right", op.b)))
        result = combine(a, b)
        return result if op.clamp is None else limited(terms.bind(scope.body, "result", result), *op.clamp)

    return expression


def _arithmetic(function: Callable[[Expr, Expr], Expr]) -> Expression:
    return _binary(lambda a, b: Term(function(a.expr, b.expr), a.dtype))


def _sum_or_product(function: Callable[[Expr, Expr], Expr]) -> Expression:
    """As `_arithmetic`; where the operation is exact no compiler joins it with what makes its operands or reads it."""
    free = _arithmetic(function)
    exact = _arithmetic(lambda a, b: tir.alone(function(tir.alone(a), tir.alone(b))))
    return lambda op, scope: exact(op, scope) if op.exact_floats else free(op, scope)


def _sigmoid(x: Expr, dtype: str) -> Expr:
    one = number(1, dtype)
    return one / (one + call("exp", dtype, number(0, dtype) - x))


def _hard(x: Expr, dtype: str, alpha: float, beta: float) -> Expr:
    line = Term(x * number(alpha, dtype) + number(beta, dtype), dtype)
    return limited(line, 0.0, 1.0).expr


def _gelu(op: ops.Gelu, x: Expr, dtype: str) -> Expr:
    half = number(0.5, dtype)
    if op.approximate == "tanh":
        inner = number(math.sqrt(2 / math.pi), dtype) * (x + number(0.044715, dtype) * x * x * x)
        return half * x * (number(1, dtype) + call("tanh", dtype, inner))
    return half * x * call("erfc", dtype, x * number(-math.sqrt(0.5), dtype))


def _elu(op: ops.Elu, x: Expr, dtype: str) -> Expr:
    zero = number(0, dtype)
    below = tir.select(x < zero, x, zero)
    return tir.select(x >= zero, x, number(op.alpha, dtype) * call("expm1", dtype, below))


def _prelu(op: ops.Prelu, scope: Scope) -> Term:
    x = terms.bind(scope.body, "value", scope.operand(op.x))
    slope = scope.operand(op.slope)
    return Term(tir.select(x.expr >= number(0, x.dtype), x.expr, slope.expr * x.expr), x.dtype)


def _clamp(op: ops.Clamp, scope: Scope) -> Term:
    return limited(terms.bind(scope.body, "value", scope.operand(op.x)), op.minimum, op.maximum)


def _cast(op: ops.Cast, scope: Scope) -> Term:
    """Real to integer goes toward zero and saturates, at 32 bits for types of 2 and 4 bits, whose last bits are kept.

    Not-a-number becomes the smallest integer.
    """
    x = terms.bind(scope.body, "value", scope.operand(op.x))
    if op.to.is_float:
        dtype = f"float{op.to.bits}"
        return x if x.dtype == dtype else Term(tir.cast(x.expr, dtype), dtype)
    if op.to.bits == 1:
        nonzero = tir.select(x.expr == number(0, x.dtype), tir.constant(0), tir.constant(1))
        return Term(nonzero, "int32", 0, 1)
    if op.to.is_narrow:
        return terms.wrap(_saturated(scope, x, I32.minimum, I32.maximum), op.to)
    return _saturated(scope, x, op.to.minimum, op.to.maximum)


def _saturated(scope: Scope, x: Term, low: int, high: int) -> Term:
    """A float as an integer within bounds; its fraction is cut off."""
    largest = float(np.nextafter(np.dtype(x.dtype).type(high), 0)) if int(np.dtype(x.dtype).type(high)) > high else high
    above = tir.select(x.expr > number(low, x.dtype), x.expr, number(low, x.dtype))
    bounded = terms.bind(scope.body, "limited", Term(above, x.dtype)).expr
    within = tir.select(bounded < number(largest, x.dtype), bounded, number(largest, x.dtype))
    dtype = terms.carrier(low, high) or "int64"
    return Term(tir.cast(within, dtype), dtype, low, high)


def _uniform(element: object) -> UniformType:
    if not isinstance(element, UniformType):
        raise IrError("generated code converts between reals and uniformly quantized codes only")
    return element


def _quantize(op: ops.Quantize, scope: Scope) -> Term:
    """`clamp(round(x / scale) + zero_point)`: the bounds less the zero point are exact floats up to 16 bits."""
    scales, zero_points = op.to.parameters(op.x.type.shape)
    x = scope.operand(op.x)
    if op.by_reciprocal:
        steps = tir.product(x.expr, scope.load("reciprocal", np.float32(1) / scales).expr)
    else:
        steps = x.expr / scope.load("scale", scales).expr
    if op.rounding == "half_away":
        steps = _half_away(terms.bind(scope.body, "steps", Term(steps, "float32")))
    else:
        steps = call("rint", "float32", steps)
    ratio = terms.bind(scope.body, "rounded", Term(steps, "float32"))
    bits = op.to.storage_type.bits
    zero_point = scope.load("zero_point", zero_points.astype(np.int32))
    low, high = terms.array_bounds(zero_points)
    if bits > 16:
        ratio = terms.bind(scope.body, "rounded_wide", Term(tir.cast(ratio.expr, "float64"), "float64"))
    # Rounded codes outside this interval are clamped whatever the zero point is.
    code = _saturated(scope, ratio, op.to.minimum - high, op.to.maximum - low)
    return terms.clamp(terms.add(code, zero_point), op.to.minimum, op.to.maximum)


def _half_away(x: Term) -> Expr:
    """`trunc(x ± the largest float below 1/2)`: to nearest, ties away from zero."""
    half = float(np.nextafter(np.dtype(x.dtype).type(0.5), 0))
    moved = tir.select(x.expr < number(0, x.dtype), x.expr - number(half, x.dtype), x.expr + number(half, x.dtype))
    return call("trunc", x.dtype, moved)


def _dequantize(op: ops.Dequantize, scope: Scope) -> Term:
    """`f32(code − zero_point) · scale`."""
    scales, zero_points = _uniform(op.x.type.element).parameters(op.x.type.shape)
    code = terms.subtract(scope.operand(op.x), scope.load("zero_point", zero_points.astype(np.int32)))
    return Term(tir.cast(code.expr, "float32") * scope.load("scale", scales).expr, "float32")


def _batch_norm(op: ops.BatchNorm, scope: Scope) -> Term:
    """`x·m + c` where the parameters are constants, else the formula as it stands."""
    x = scope.operand(op.x)
    if all(scope.is_constant(v) for v in op.operands[1:]):
        view = [1] * op.x.type.rank
        view[op.axis] = -1
        m, c = op.multiplier_and_offset(*(scope.constant(v) for v in op.operands[1:]))
        factor = scope.load("factor", m.reshape(view).astype(np.float32))
        return Term(x.expr * factor.expr + scope.load("offset", c.reshape(view).astype(np.float32)).expr, x.dtype)
    scale, offset, mean, variance = (scope.along(v, op.axis).expr for v in op.operands[1:])
    deviation = call("sqrt", x.dtype, variance + number(op.epsilon, x.dtype))
    return Term((x.expr - mean) / deviation * scale + offset, x.dtype)


FLOAT_EXPRESSIONS: Mapping[type[Op], Expression] = {
    ops.Add: _sum_or_product(lambda a, b: a + b),
    ops.Sub: _arithmetic(lambda a, b: a - b),
    ops.Mul: _sum_or_product(lambda a, b: a * b),
    ops.Div: _arithmetic(lambda a, b: a / b),
    ops.Pow: _binary(lambda a, b: Term(call("pow", a.dtype, a.expr, b.expr), a.dtype)),
    ops.Minimum: _binary(smaller),
    ops.Maximum: _binary(larger),
    ops.Clamp: _clamp,
    ops.Cast: _cast,
    ops.Prelu: _prelu,
    ops.BatchNorm: _batch_norm,
    ops.Quantize: _quantize,
    ops.Dequantize: _dequantize,
    ops.Sigmoid: _unary(lambda op, x, t: _sigmoid(x, t)),
    ops.Silu: _unary(lambda op, x, t: x * _sigmoid(x, t)),
    ops.Tanh: _unary(lambda op, x, t: call("tanh", t, x)),
    ops.LeakyRelu: _unary(lambda op, x, t: tir.select(x >= number(0, t), x, number(op.alpha, t) * x)),
    ops.HardSigmoid: _unary(lambda op, x, t: _hard(x, t, op.alpha, op.beta)),
    ops.HardSwish: _unary(lambda op, x, t: x * _hard(x, t, 1 / 6, 0.5)),
    ops.Erf: _unary(lambda op, x, t: call("erf", t, x)),
    ops.Gelu: _unary(_gelu),
    ops.Elu: _unary(_elu),
    ops.Exp: _unary(lambda op, x, t: call("exp", t, x)),
    ops.Log: _unary(lambda op, x, t: call("log", t, x)),
    ops.Sqrt: _unary(lambda op, x, t: call("sqrt", t, x)),
    ops.Reciprocal: _unary(lambda op, x, t: number(1, t) / x),
    ops.Abs: _unary(lambda op, x, t: call("fabs", t, x)),
    ops.Round: _unary(lambda op, x, t: call("rint", t, x)),
    ops.Neg: _unary(lambda op, x, t: x * number(-1, t)),  # 0 − x would make +0 of +0
}
"""Operations that read or give real numbers."""

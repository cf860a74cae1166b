"""Rules that bring real arithmetic with constants to one form: a sum, a product, a clamp.

Every rule has its algebra on the line above it. What they leave: constants on the right, no subtraction of and no
division by a constant, at most one constant in a chain of sums or of products, limits as clamps.
"""

from __future__ import annotations

import math

import numpy as np

from qcc.ir import Array, Mismatch, Op, Rewriter, Value
from qcc.ir.ops import (
    Add,
    Binary,
    Clamp,
    Div,
    LeakyRelu,
    Maximum,
    Minimum,
    Mul,
    Pow,
    Prelu,
    Reciprocal,
    Sqrt,
    Sub,
)

from .operands import FloatPattern, inner_op, scalar_constant


def constant_operand(op: Op, rewriter: Rewriter) -> Array | None:
    """Return the constant on the right of a binary operation, None where there is none or the left is one too."""
    left, right = op.operands
    return None if rewriter.constant(left) is not None else rewriter.constant(right)


# c + x = x + c, c · x = x · c, max(c, x) = max(x, c), min(c, x) = min(x, c)
class ConstantToTheRight(FloatPattern):
    """The constant of a commutative operation stands on the right."""

    root = (Add, Mul, Maximum, Minimum)

    def apply_real(self, op: Op, rewriter: Rewriter) -> Value | None:
        """Swap the operands."""
        left, right = op.operands
        if rewriter.constant(left) is None or rewriter.constant(right) is not None:
            return None
        (value,) = rewriter.emit_op(op, operands=(right, left), types=(op.result.type,))
        return value


# x − c = x + (−c), exactly
class SubToAdd(FloatPattern):
    """Subtracting a constant is adding its negative."""

    root = Sub

    def apply_real(self, op: Op, rewriter: Rewriter) -> Value | None:
        """Negate the constant."""
        constant = constant_operand(op, rewriter)
        if constant is None or not isinstance(op, Sub):
            return None
        negative = rewriter.constant_like(-constant, op.b)
        return rewriter.emit(Add, op.a, negative, clamp=op.clamp, types=(op.result.type,))


# x / c = x · (1/c), 1/c rounded once: relative error below 2^−23
class DivToMul(FloatPattern):
    """Dividing by a constant is multiplying by its reciprocal."""

    root = Div

    def apply_real(self, op: Op, rewriter: Rewriter) -> Value | Mismatch | None:
        """Invert the constant."""
        constant = constant_operand(op, rewriter)
        if constant is None or not isinstance(op, Div):
            return None
        with np.errstate(all="ignore"):
            inverse = (1 / constant.astype(np.float64)).astype(constant.dtype)
        if not np.all(np.isfinite(inverse)) or np.any(np.abs(inverse) < np.finfo(constant.dtype).tiny):
            return Mismatch("the reciprocal of the divisor is no normal number")
        return rewriter.emit(Mul, op.a, rewriter.constant_like(inverse, op.b), clamp=op.clamp, types=(op.result.type,))


# x + 0 = x, x · 1 = x, x ^ 1 = x; with a fused clamp: clamp(x)
class DropNeutral(FloatPattern):
    """Adding 0, multiplying by 1 and raising to 1 do nothing."""

    root = (Add, Mul, Pow)

    def apply_real(self, op: Op, rewriter: Rewriter) -> Value | None:
        """Return the other operand, limited as the operation was."""
        constant = constant_operand(op, rewriter)
        if constant is None or not isinstance(op, Binary) or op.a.type != op.result.type:
            return None
        if not np.all(constant == (0 if isinstance(op, Add) else 1)):
            return None
        if op.clamp is None:
            return op.a
        return rewriter.emit(Clamp, op.a, minimum=op.clamp[0], maximum=op.clamp[1], types=(op.result.type,))


# (x + c) + d = x + (c + d), (x · c) · d = x · (c · d), the constants' result rounded once
class MergeConstants(FloatPattern):
    """Two constants in a row are one."""

    root = (Add, Mul)

    def apply_real(self, op: Op, rewriter: Rewriter) -> Value | Mismatch | None:
        """Combine the constants in binary64."""
        outer = constant_operand(op, rewriter)
        inner = inner_op(op, op.operands[0], rewriter)
        if outer is None or isinstance(inner, Mismatch) or type(inner) is not type(op):
            return None
        constant = constant_operand(inner, rewriter)
        if constant is None or not isinstance(inner, Binary) or not isinstance(op, Binary):
            return None
        if inner.clamp is not None:
            return Mismatch("the inner operation is clamped")
        wide = constant.astype(np.float64)
        merged = (wide + outer if isinstance(op, Add) else wide * outer).astype(outer.dtype)
        if not np.all(np.isfinite(merged)):
            return Mismatch("the merged constant is not finite")
        if np.broadcast_shapes(inner.a.type.shape, merged.shape) != op.result.type.shape:
            return Mismatch("the constants grow the shape")
        value = rewriter.constant_like(merged, op.b)
        return rewriter.emit(type(op), inner.a, value, clamp=op.clamp, types=(op.result.type,))


# max(x, c) = clamp(x, c, ∞), min(x, c) = clamp(x, −∞, c) for one number c
class LimitToClamp(FloatPattern):
    """A maximum or minimum with one number is a clamp."""

    root = (Maximum, Minimum)

    def apply_real(self, op: Op, rewriter: Rewriter) -> Value | Mismatch | None:
        """Clamp instead."""
        bound = scalar_constant(op.operands[1], rewriter)
        if bound is None or not isinstance(op, Binary) or op.a.type != op.result.type:
            return None
        low, high = (bound, math.inf) if isinstance(op, Maximum) else (-math.inf, bound)
        return rewriter.emit(Clamp, op.a, minimum=low, maximum=high, types=(op.result.type,))


# prelu(x, a) = leaky_relu(x, a) for one number a
class PreluToLeakyRelu(FloatPattern):
    """A PReLU with one slope is a leaky ReLU."""

    root = Prelu

    def apply_real(self, op: Op, rewriter: Rewriter) -> Value | None:
        """Use the slope as the attribute."""
        slope = scalar_constant(op.operands[1], rewriter)
        if slope is None:
            return None
        return rewriter.emit(LeakyRelu, op.operands[0], alpha=slope, types=(op.result.type,))


# leaky_relu(x, 0) = clamp(x, 0, ∞), leaky_relu(x, 1) = x
class TrivialLeakyRelu(FloatPattern):
    """A leaky ReLU of slope 0 is ReLU, of slope 1 nothing."""

    root = LeakyRelu

    def apply_real(self, op: Op, rewriter: Rewriter) -> Value | None:
        """Clamp, or return the operand."""
        if not isinstance(op, LeakyRelu) or op.alpha not in (0.0, 1.0):
            return None
        if op.alpha == 1.0:
            return op.x if op.x.type == op.result.type else None
        return rewriter.emit(Clamp, op.x, minimum=0.0, maximum=math.inf, types=(op.result.type,))


# x ^ 2 = x · x, x ^ ½ = √x (x ≥ 0), x ^ −1 = 1/x
class SimplePower(FloatPattern):
    """Square, square root and reciprocal written as powers."""

    root = Pow

    def apply_real(self, op: Op, rewriter: Rewriter) -> Value | None:
        """Use the operation of that name."""
        exponent = scalar_constant(op.operands[1], rewriter)
        if not isinstance(op, Pow) or op.clamp is not None or op.a.type.shape != op.result.type.shape:
            return None
        if exponent == 2.0:
            return rewriter.emit(Mul, op.a, op.a, types=(op.result.type,))
        by_exponent = {0.5: Sqrt, -1.0: Reciprocal}
        if exponent not in by_exponent:
            return None
        return rewriter.emit(by_exponent[exponent], op.a, types=(op.result.type,))


ARITHMETIC_RULES = (
    ConstantToTheRight,
    SubToAdd,
    DivToMul,
    DropNeutral,
    MergeConstants,
    LimitToClamp,
    PreluToLeakyRelu,
    TrivialLeakyRelu,
    SimplePower,
)

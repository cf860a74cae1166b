"""Sigmoid and tanh of 16-bit codes as expressions."""

from __future__ import annotations

from collections.abc import Mapping

from qcc.ir import SIGMOID_ENTRIES, FixedPoint, Op, interpolated_sigmoid
from qcc.ir.ops import SigmoidFixedPoint, SigmoidInterpolated
from qcc.targets.expression_arithmetic import ExpressionArithmetic
from qcc.targets.expressions import Expression, Scope
from qcc.targets.terms import Term
from qcc.targets.tir import Expr


def sigmoid_interpolated(op: SigmoidInterpolated, scope: Scope) -> Term:
    """The straight line between two entries of the table, in 32 bits."""
    table = scope.constant(op.table)

    def entry(place: Expr) -> Expr:
        return scope.look_up("sigmoids", table, Term(place, "int32", 0, SIGMOID_ENTRIES - 1)).expr

    arithmetic = ExpressionArithmetic(scope.body, "int32")
    x = arithmetic.bind("code", scope.operand(op.x).expr)
    y = interpolated_sigmoid(arithmetic, entry, x, op.multiplier, op.shift, op.function)
    return Term(arithmetic.bind("result", y), "int32", -32768, 32767)


def sigmoid_fixed_point(op: SigmoidFixedPoint, scope: Scope) -> Term:
    """The function in 16-bit fixed point, in 32 bits."""
    arithmetic = ExpressionArithmetic(scope.body, "int32")
    x = arithmetic.bind("code", scope.operand(op.x).expr)
    y = op.compute(FixedPoint(16, arithmetic), x)
    return Term(arithmetic.bind("result", y), "int32", -32768, 32767)


SIGMOID_EXPRESSIONS: Mapping[type[Op], Expression] = {
    SigmoidInterpolated: sigmoid_interpolated,
    SigmoidFixedPoint: sigmoid_fixed_point,
}
"""Operations on 16-bit codes."""

"""Fixed-point functions as generated code: what `FixedPoint` needs beside Python's operators, on TIR expressions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from qcc.targets import tir
from qcc.targets.tir import Body, Expr


@dataclass(frozen=True)
class ExpressionArithmetic:
    """Arithmetic on integer expressions of one type.

    The type is wide enough for every product and sum that the functions form: int32 for 16-bit raws, int64 for 32-bit
    ones. Each named step is a variable of its own, which keeps TVM's simplifier from joining steps to expressions whose
    parts overflow.

    Attributes:
        body: where the steps are written.
        dtype: `int32` or `int64`.
    """

    body: Body
    dtype: str = "int64"

    def _expr(self, value: Expr | int) -> Expr:
        return tir.constant(value, self.dtype) if isinstance(value, int) else value

    def select(self, condition: Any, yes: Expr | int, no: Expr | int) -> Expr:
        """`yes` where the condition holds, else `no`."""
        return tir.select(condition, self._expr(yes), self._expr(no))

    def minimum(self, a: Expr, b: int) -> Expr:
        """The smaller."""
        return tir.minimum(a, self._expr(b))

    def maximum(self, a: Expr, b: int) -> Expr:
        """The larger."""
        return tir.maximum(a, self._expr(b))

    def bind(self, name: str, value: Expr) -> Expr:
        """The value in a variable."""
        variable = self.body.allocate(name, 1, self.dtype)
        self.body.store(variable, 0, self._expr(value))
        return tir.load(variable, 0)

"""Softmax along an axis: of reals, and of codes by a table of exponentials."""

from __future__ import annotations

from tvm import tirx

from qcc.ir.ops import Softmax, SoftmaxTable
from qcc.targets import terms, tir
from qcc.targets.float_expressions import call
from qcc.targets.kernel import Kernel, LoweredKernel
from qcc.targets.portable.parameters import storage_dtype
from qcc.targets.portable.rows import Rows
from qcc.targets.terms import Term
from qcc.targets.tir import Expr


def softmax(kernel: Kernel) -> LoweredKernel:
    """A kernel whose anchor is a softmax of reals; sums in the type of the operand."""
    op = kernel.anchor_as(Softmax)
    rows = Rows.of(kernel, op)
    body, dtype = rows.body, storage_dtype(op.x.type)
    largest, total = body.allocate("largest", 1, dtype), body.allocate("total", 1, dtype)

    def power(index: tuple[Expr, ...], k: Expr, top: Term) -> Expr:
        distance = rows.element(index, k).expr - top.expr
        return call("exp", dtype, distance if op.beta == 1 else distance * tir.number(op.beta, dtype))

    def row(index: tuple[Expr, ...]) -> None:
        top = rows.largest(index, largest)
        rows.total(total, tir.number(0, dtype), lambda k: power(index, k, top))
        with body.loop("k", rows.count) as k:
            share = power(index, k, top) / tir.load(total, 0)
            rows.store(index, k, terms.bind(body, "probability", Term(share, dtype)))

    return rows.each(row)


def softmax_table(kernel: Kernel) -> LoweredKernel:
    """A kernel whose anchor is a softmax of codes; unsigned arithmetic of 32 bits where the table allows, else 64."""
    op = kernel.anchor_as(SoftmaxTable)
    rows = Rows.of(kernel, op)
    body, limits = rows.body, op.x.type.element.storage
    data = kernel.constants[op.table.name]
    table = rows.table("table", 1, "exponentials")
    bound = int(data.max()) * 2 * max(op.levels, rows.count) + int(data.max()) * rows.count
    dtype = "uint32" if bound < 2**32 else "uint64"
    largest, total = body.allocate("largest", 1, "int32"), body.allocate("total", 1, dtype)

    def power(index: tuple[Expr, ...], k: Expr, top: Term) -> Expr:
        distance = terms.subtract(top, rows.element(index, k))
        return tir.cast(table.at(distance.expr).expr, dtype)

    def row(index: tuple[Expr, ...]) -> None:
        top = rows.largest(index, largest)
        rows.total(total, tir.constant(0, dtype), lambda k: power(index, k, top))
        with body.loop("k", rows.count) as k:
            numerator = power(index, k, top) * tir.constant(2 * op.levels, dtype) + tir.load(total, 0)
            quotient = tirx.truncdiv(numerator, tir.load(total, 0) * tir.constant(2, dtype))
            level = body.let("level", tir.cast(quotient, "int32"))
            # No part is larger than the whole: at most `levels`, and rounding adds less than one.
            code = terms.add(Term(level, "int32", 0, op.levels), terms.literal(op.output_zero_point))
            rows.store(index, k, terms.clamp(code, limits.minimum, limits.maximum))

    return rows.each(row)

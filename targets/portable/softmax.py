"""Softmax along an axis: of reals, and of codes by a table of exponentials."""

from __future__ import annotations

from tvm import tirx

from qcc.ir import IrError
from qcc.ir.ops import Softmax, SoftmaxTable
from qcc.targets import terms, tir
from qcc.targets.float_expressions import call
from qcc.targets.kernel import Kernel, LoweredKernel
from qcc.targets.portable.parameters import Parameters, storage_dtype
from qcc.targets.portable.rows import Rows
from qcc.targets.portable.sums import activations
from qcc.targets.terms import Term
from qcc.targets.tir import Expr


def softmax(kernel: Kernel) -> LoweredKernel:
    """A kernel whose anchor is a softmax of reals; sums in the type of the operand."""
    op = kernel.anchor
    if not isinstance(op, Softmax):
        raise IrError(f"{op.name} is not a softmax of reals")
    parameters = Parameters(kernel)
    rows = Rows(parameters, op, activations(parameters, op.x, 0))
    body, dtype = parameters.body, storage_dtype(op.x.type)
    largest, total = body.allocate("largest", 1, dtype), body.allocate("total", 1, dtype)

    def power(index: tuple[Expr, ...], k: Expr, top: Term) -> Expr:
        distance = rows.element(index, k).expr - top.expr
        return call("exp", dtype, distance if op.beta == 1 else distance * tir.number(op.beta, dtype))

    def row(index: tuple[Expr, ...]) -> None:
        top = rows.largest(index, largest)
        body.store(total, 0, tir.number(0, dtype))
        with body.loop("k", rows.count) as k:
            body.store(total, 0, tir.load(total, 0) + power(index, k, top))
        with body.loop("k", rows.count) as k:
            share = power(index, k, top) / tir.load(total, 0)
            rows.store(index, k, terms.bind(body, "probability", Term(share, dtype)))

    rows.each(row)
    return parameters.finish()


def softmax_table(kernel: Kernel) -> LoweredKernel:
    """A kernel whose anchor is a softmax of codes; unsigned arithmetic of 32 bits where the table allows, else 64."""
    op = kernel.anchor
    if not isinstance(op, SoftmaxTable):
        raise IrError(f"{op.name} is not a softmax of codes")
    parameters = Parameters(kernel)
    rows = Rows(parameters, op, activations(parameters, op.x, 0))
    body, limits = parameters.body, op.x.type.element.storage
    data = kernel.constants[op.table.name]
    table = parameters.table("table", data, "exponentials", fold=False)
    bound = int(data.max()) * 2 * max(op.levels, rows.count) + int(data.max()) * rows.count
    dtype = "uint32" if bound < 2**32 else "uint64"
    largest, total = body.allocate("largest", 1, "int32"), body.allocate("total", 1, dtype)

    def power(index: tuple[Expr, ...], k: Expr, top: Term) -> Expr:
        distance = terms.subtract(top, rows.element(index, k))
        return tir.cast(table.at(distance.expr).expr, dtype)

    def row(index: tuple[Expr, ...]) -> None:
        top = rows.largest(index, largest)
        body.store(total, 0, tir.constant(0, dtype))
        with body.loop("k", rows.count) as k:
            body.store(total, 0, tir.load(total, 0) + power(index, k, top))
        with body.loop("k", rows.count) as k:
            numerator = power(index, k, top) * tir.constant(2 * op.levels, dtype) + tir.load(total, 0)
            quotient = tirx.truncdiv(numerator, tir.load(total, 0) * tir.constant(2, dtype))
            level = body.let("level", tir.cast(quotient, "int32"))
            # No part is larger than the whole: at most `levels`, and rounding adds less than one.
            code = terms.add(Term(level, "int32", 0, op.levels), terms.literal(op.output_zero_point))
            rows.store(index, k, terms.clamp(code, limits.minimum, limits.maximum))

    rows.each(row)
    return parameters.finish()

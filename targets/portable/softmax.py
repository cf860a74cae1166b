"""Softmax along an axis: of reals, and of codes by a table of exponentials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tvm import tirx

from qcc.ir import IrError
from qcc.ir.ops import Softmax, SoftmaxTable
from qcc.targets import terms, tir
from qcc.targets.float_expressions import call
from qcc.targets.kernel import Kernel, LoweredKernel
from qcc.targets.portable.elements import Collapse, Place, flat_offset, store_outputs
from qcc.targets.portable.elementwise import walk
from qcc.targets.portable.parameters import Parameters, storage_dtype
from qcc.targets.portable.sums import Source, activations
from qcc.targets.terms import Term
from qcc.targets.tir import Buffer, Expr


@dataclass(frozen=True)
class _Rows:
    """The rows that a softmax works on, one at a time, with the largest element of the current one."""

    parameters: Parameters
    op: Softmax | SoftmaxTable
    x: Source

    @property
    def axis(self) -> int:
        """The axis, from the front."""
        return self.op.axis % self.op.x.type.rank

    @property
    def count(self) -> int:
        """Elements of a row."""
        return self.op.x.type.shape[self.axis]

    def each(self, visit: Callable[[tuple[Expr, ...]], None]) -> None:
        """Walk over all rows: indices with a place along the axis that `place` replaces."""
        shape = list(self.op.x.type.shape)
        shape[self.axis] = 1
        walk(self.parameters.body, shape, visit)

    def place(self, index: tuple[Expr, ...], k: Expr) -> tuple[Expr, ...]:
        """The index of element k of a row."""
        return (*index[: self.axis], k, *index[self.axis + 1 :])

    def element(self, index: tuple[Expr, ...], k: Expr) -> Term:
        """Element k of a row."""
        return self.x.at(flat_offset(self.op.x.type.shape, self.place(index, k)))

    def largest(self, index: tuple[Expr, ...], largest: Buffer) -> Term:
        """Find the largest element of a row."""
        body = self.parameters.body
        first = self.element(index, tir.constant(0))
        body.store(largest, 0, first.expr)
        with body.loop("k", self.count) as k:
            new = self.element(index, k).expr
            value = tir.load(largest, 0)
            body.store(largest, 0, tir.select(value < new, new, value))
        return Term(tir.load(largest, 0), first.dtype, first.low, first.high)

    def store(self, index: tuple[Expr, ...], k: Expr, result: Term) -> None:
        """Run the epilogue for element k of a row and store it."""
        collapse = Collapse.none(self.op.x.type.rank)
        known = {self.op.result.name: result}
        store_outputs(Place(self.parameters, collapse, self.place(index, k), known))


def softmax(kernel: Kernel) -> LoweredKernel:
    """A kernel whose anchor is a softmax of reals; sums in the type of the operand."""
    op = kernel.anchor
    if not isinstance(op, Softmax):
        raise IrError(f"{op.name} is not a softmax of reals")
    parameters = Parameters(kernel)
    rows = _Rows(parameters, op, activations(parameters, op.x, 0))
    body, dtype = parameters.body, storage_dtype(op.x.type)
    largest, total = body.allocate("largest", 1, dtype), body.allocate("total", 1, dtype)

    def row(index: tuple[Expr, ...]) -> None:
        top = rows.largest(index, largest)
        body.store(total, 0, tir.number(0, dtype))
        with body.loop("k", rows.count) as k:
            power = call("exp", dtype, rows.element(index, k).expr - top.expr)
            body.store(total, 0, tir.load(total, 0) + power)
        with body.loop("k", rows.count) as k:
            power = call("exp", dtype, rows.element(index, k).expr - top.expr)
            rows.store(index, k, terms.bind(body, "probability", Term(power / tir.load(total, 0), dtype)))

    rows.each(row)
    return parameters.finish()


def softmax_table(kernel: Kernel) -> LoweredKernel:
    """A kernel whose anchor is a softmax of codes; unsigned arithmetic of 32 bits where the table allows, else 64."""
    op = kernel.anchor
    if not isinstance(op, SoftmaxTable):
        raise IrError(f"{op.name} is not a softmax of codes")
    parameters = Parameters(kernel)
    rows = _Rows(parameters, op, activations(parameters, op.x, 0))
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

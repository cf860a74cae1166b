"""Walks over the rows of a tensor along one axis, for operations that look at each row as a whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from qcc.ir.ops import (
    L2Normalize,
    L2NormalizeFixedPoint,
    Softmax,
    SoftmaxFixedPoint,
    SoftmaxFloatTable,
    SoftmaxInterpolated,
    SoftmaxTable,
)
from qcc.targets import tir
from qcc.targets.kernel import Kernel, LoweredKernel
from qcc.targets.portable.elements import Collapse, Place, flat_offset, store_outputs
from qcc.targets.portable.elementwise import walk
from qcc.targets.portable.parameters import Parameters, Table
from qcc.targets.portable.sums import Source, activations
from qcc.targets.terms import Term
from qcc.targets.tir import Body, Buffer, Expr

RowOp = (
    Softmax
    | SoftmaxTable
    | SoftmaxFixedPoint
    | SoftmaxFloatTable
    | SoftmaxInterpolated
    | L2Normalize
    | L2NormalizeFixedPoint
)


def wide(variable: Buffer) -> Expr:
    """A variable in 64 bits."""
    return tir.cast(tir.load(variable, 0), "int64")


@dataclass(frozen=True)
class Rows:
    """The rows along the axis of an operation that looks at each row as a whole, one at a time."""

    parameters: Parameters
    op: RowOp
    x: Source

    @staticmethod
    def of(kernel: Kernel, op: RowOp, zero_point: int = 0) -> Rows:
        """The rows of the first operand of a kernel's anchor."""
        parameters = Parameters(kernel)
        return Rows(parameters, op, activations(parameters, op.x, zero_point))

    @property
    def body(self) -> Body:
        """Where statements go."""
        return self.parameters.body

    def table(self, name: str, index: int, comment: str) -> Table:
        """A constant operand as a table in flash."""
        data = self.parameters.kernel.constants[self.op.operands[index].name]
        return self.parameters.table(name, data, comment, fold=False)

    @property
    def axis(self) -> int:
        """The axis, from the front."""
        return self.op.axis % self.op.x.type.rank

    @property
    def count(self) -> int:
        """Elements of a row."""
        return self.op.x.type.shape[self.axis]

    def each(self, visit: Callable[[tuple[Expr, ...]], None]) -> LoweredKernel:
        """Walk over all rows, which ends the kernel: indices with a place along the axis that `place` replaces."""
        shape = list(self.op.x.type.shape)
        shape[self.axis] = 1
        walk(self.body, shape, visit)
        return self.parameters.finish()

    def place(self, index: tuple[Expr, ...], k: Expr) -> tuple[Expr, ...]:
        """The index of element k of a row."""
        return (*index[: self.axis], k, *index[self.axis + 1 :])

    def element(self, index: tuple[Expr, ...], k: Expr) -> Term:
        """Element k of a row."""
        return self.x.at(flat_offset(self.op.x.type.shape, self.place(index, k)))

    def largest(self, index: tuple[Expr, ...], largest: Buffer) -> Term:
        """Find the largest element of a row."""
        body = self.body
        first = self.element(index, tir.constant(0))
        body.store(largest, 0, first.expr)
        with body.loop("k", self.count) as k:
            new = self.element(index, k).expr
            value = tir.load(largest, 0)
            body.store(largest, 0, tir.select(value < new, new, value))
        return Term(tir.load(largest, 0), first.dtype, first.low, first.high)

    def total(self, total: Buffer, zero: Expr, summand: Callable[[Expr], Expr]) -> None:
        """Sum up a number for each element k of a row."""
        self.body.store(total, 0, zero)
        with self.body.loop("k", self.count) as k:
            self.body.store(total, 0, tir.load(total, 0) + summand(k))

    def store(self, index: tuple[Expr, ...], k: Expr, result: Term) -> None:
        """Store element k of a row, after the operations behind it."""
        collapse = Collapse.none(self.op.x.type.rank)
        known = {self.op.result.name: result}
        store_outputs(Place(self.parameters, collapse, self.place(index, k), known))

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
from qcc.targets.portable.elements import Collapse, Place, flat_offset, store_outputs
from qcc.targets.portable.elementwise import walk
from qcc.targets.portable.parameters import Parameters
from qcc.targets.portable.sums import Source
from qcc.targets.terms import Term
from qcc.targets.tir import Buffer, Expr

RowOp = (
    Softmax
    | SoftmaxTable
    | SoftmaxFixedPoint
    | SoftmaxFloatTable
    | SoftmaxInterpolated
    | L2Normalize
    | L2NormalizeFixedPoint
)


@dataclass(frozen=True)
class Rows:
    """The rows along the axis of an operation that looks at each row as a whole, one at a time."""

    parameters: Parameters
    op: RowOp
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
        """Store element k of a row, after the operations behind it."""
        collapse = Collapse.none(self.op.x.type.rank)
        known = {self.op.result.name: result}
        store_outputs(Place(self.parameters, collapse, self.place(index, k), known))

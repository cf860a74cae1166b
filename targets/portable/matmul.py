"""Matrix products, of two activations or with weights, over any batch dimensions.

Constant integer weights are stored N×K, so that each result is a product sum over contiguous elements; otherwise all
columns of a block get the products of one element at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qcc.ir import Array
from qcc.ir.ops import Matmul
from qcc.targets import terms, tir
from qcc.targets.float_expressions import limited
from qcc.targets.kernel import Kernel, LoweredKernel
from qcc.targets.portable.blocks import BLOCK, in_blocks
from qcc.targets.portable.elements import Collapse, Place, flat_offset, store_outputs
from qcc.targets.portable.elementwise import walk
from qcc.targets.portable.parameters import Parameters
from qcc.targets.portable.sums import Accumulator, Source, accumulator, activations, bounded_bias, initial
from qcc.targets.terms import Term
from qcc.targets.tir import Buffer, Expr


def matmul(kernel: Kernel) -> LoweredKernel:
    """A kernel whose anchor is a matrix product."""
    op = kernel.anchor_as(Matmul)
    parameters = Parameters(kernel)
    constants = dict(kernel.constants)
    sums = accumulator(op, constants)
    data = constants.get(op.weight.name)
    transposed = data is not None and data.ndim == 2 and not op.result.type.is_float
    folded = bounded_bias(op, constants, 1) if transposed and sums.dtype == "int32" else None
    x = activations(parameters, op.x, 0 if folded is not None else op.input_zero_point)
    if data is None:
        weight = activations(parameters, op.weight, op.weight_zero_point)
    else:
        stored = np.ascontiguousarray(data.T) if transposed else data
        layout = "weights N×K" if transposed else "weights K×N"
        table = parameters.table("weight", stored, layout, fold=False)
        weight = Source(table, op.weight.type, op.weight_zero_point)
    _Nest(parameters, op, sums, x, weight, transposed, folded).emit()
    return parameters.finish()


@dataclass(frozen=True)
class _Nest:
    """The nest of one matrix product."""

    parameters: Parameters
    op: Matmul
    accumulator: Accumulator
    x: Source
    weight: Source
    transposed: bool
    bias: Array | None

    def emit(self) -> None:
        """All rows, all blocks of columns."""
        shape = self.op.result.type.shape
        body = self.parameters.body
        sums = body.allocate("sums", min(BLOCK, max(shape[-1], 1)), self.accumulator.dtype)

        def row(index: tuple[Expr, ...]) -> None:
            in_blocks(body, shape[-1], lambda first, count: self._columns(index, first, count, sums))

        walk(body, shape[:-1], row)

    def _columns(self, row: tuple[Expr, ...], first: Expr, count: int, sums: Buffer) -> None:
        """One block of columns of one row."""
        body, op = self.parameters.body, self.op
        collapse = Collapse.none(op.result.type.rank)
        with body.loop("c", count) as c:
            place = Place(self.parameters, collapse, (*row, first + c))
            body.store(sums, c, initial(self.accumulator, place, op, self.bias))
        (self._dot if self.transposed else self._axpy)(row, first, count, sums)
        with body.loop("c", count) as c:
            index = (*row, first + c)
            result = self.accumulator.term(tir.load(sums, c))
            if result.is_float:
                result = self._finish_real(Place(self.parameters, collapse, index), result)
            store_outputs(Place(self.parameters, collapse, index, {op.result.name: result}))

    def _finish_real(self, place: Place, total: Term) -> Term:
        """Bias and fused clamp of a real sum."""
        if self.op.bias is not None:
            total = Term(total.expr + place.operand(self.op.bias).expr, total.dtype)
        if self.op.clamp is not None:
            total = limited(terms.bind(place.body, "total", total), *self.op.clamp)
        return total

    def _offset(self, shape: tuple[int, ...], row: tuple[Expr, ...], last: tuple[Expr, Expr]) -> Expr:
        """The offset in an operand of the batch of `row` and the two `last` indices."""
        batch = row[:-1][len(row) - 1 - (len(shape) - 2) :]
        return flat_offset(shape, (*batch, *last))

    def _dot(self, row: tuple[Expr, ...], first: Expr, count: int, sums: Buffer) -> None:
        """For each column a product sum."""
        body, depth = self.parameters.body, self.op.x.type.shape[-1]
        start = body.let("start", self._offset(self.op.x.type.shape, row, (row[-1], tir.constant(0))))
        total = body.allocate("total", 1, self.accumulator.dtype)
        with body.loop("c", count) as c:
            weights = body.let("weights", (first + c) * tir.constant(depth))
            body.store(total, 0, tir.load(sums, c))
            with body.loop("k", depth) as k:
                product = self.accumulator.product(self.x.at(start + k), self.weight.at(weights + k))
                body.store(total, 0, tir.load(total, 0) + product)
            body.store(sums, c, tir.load(total, 0))

    def _axpy(self, row: tuple[Expr, ...], first: Expr, count: int, sums: Buffer) -> None:
        """For each element of the row, its products with all columns."""
        body = self.parameters.body
        x, w = self.op.x.type.shape, self.op.weight.type.shape
        with body.loop("k", x[-1]) as k:
            element = self._offset(x, row, (row[-1], k))
            weights = self._offset(w, row, (k, first))
            with body.loop("c", count) as c:
                product = self.accumulator.product(self.x.at(element), self.weight.at(weights + c))
                body.store(sums, c, tir.load(sums, c) + product)

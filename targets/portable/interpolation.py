"""Bilinear interpolation of codes: the weights of the four neighbours once a pixel, then one loop over channels."""

from __future__ import annotations

import numpy as np

from qcc.ir.ops import Interpolate
from qcc.targets import terms, tir
from qcc.targets.kernel import Kernel, LoweredKernel
from qcc.targets.portable.elements import Collapse, Place, flat_offset, store_outputs
from qcc.targets.portable.elementwise import walk
from qcc.targets.portable.movement import mapped
from qcc.targets.portable.parameters import Parameters, code_range
from qcc.targets.portable.sums import Source, activations
from qcc.targets.terms import Term
from qcc.targets.tir import Expr


class _Nest:
    """The nest of one interpolation."""

    def __init__(self, parameters: Parameters, op: Interpolate) -> None:
        self.parameters, self.op, self.body = parameters, op, parameters.body
        self.source: Source = activations(parameters, op.x, 0)
        constants = parameters.kernel.constants
        self.places = [constants[v.name] for v in (op.rows, op.columns)]
        self.weights = [constants[v.name] for v in (op.row_weights, op.column_weights)]

    def emit(self) -> None:
        """All pixels, all channels."""
        shape = self.op.result.type.shape
        pair = ("first", "second")

        def pixel(index: tuple[Expr, ...]) -> None:
            n, i, j = index
            rows = [self.body.let(f"{pair[k]}_row", self._place(0, k, i)) for k in (0, 1)]
            columns = [self.body.let(f"{pair[k]}_column", self._place(1, k, j)) for k in (0, 1)]
            image = self.op.x.type.shape
            zero = tir.constant(0)
            corners = [self.body.let("corner", flat_offset(image, (n, r, c, zero))) for c in columns for r in rows]
            shares = self._real_shares(i, j) if self.op.is_real else self._shares(i, j)
            with self.body.loop("c", shape[3]) as c:
                values = [self.source.at(corner + c) for corner in corners]
                result = self._real(values, shares) if self.op.is_real else self._weighted(values, shares)
                place = Place(self.parameters, Collapse.none(4), (*index, c), {self.op.result.name: result})
                store_outputs(place)

        walk(self.body, shape[:3], pixel, "nyx")

    def _place(self, axis: int, neighbour: int, index: Expr) -> Expr:
        """The place of the first or second neighbour along an axis."""
        return mapped(self.parameters, self.places[axis][neighbour], index)

    def _weight(self, axis: int, index: Expr) -> Term:
        """The weight of the second neighbour along an axis."""
        name = ("row_weights", "column_weights")[axis]
        return self.parameters.table(name, self.weights[axis], "weights of the second neighbours").at(index)

    def _shares(self, i: Expr, j: Expr) -> list[Term]:
        """The weights of the four neighbours in units of one²."""
        one = terms.literal(1 << self.op.fraction_bits)
        u, v = (terms.bind(self.body, "weight", self._weight(a, place)) for a, place in enumerate((i, j)))
        rows, columns = ((terms.bind(self.body, "rest", terms.subtract(one, w)), w) for w in (u, v))
        return [terms.bind(self.body, "share", terms.multiply(r, c)) for c in columns for r in rows]

    def _weighted(self, values: list[Term], shares: list[Term]) -> Term:
        """The weighted mean, rounded."""
        op, dtype = self.op, "int32" if self._reach() < 2**31 else "int64"
        products = [terms.widen(v, dtype) * terms.widen(s, dtype) for v, s in zip(values, shares, strict=True)]
        total = self.body.let("total", products[0] + products[1] + products[2] + products[3])
        half = tir.constant(1 << (2 * op.fraction_bits - 1), dtype)
        if op.rounding == "half_away":
            half = half - tir.select(total < tir.constant(0, dtype), tir.constant(1, dtype), tir.constant(0, dtype))
        mean = (total + half) >> tir.constant(2 * op.fraction_bits, dtype)
        low, high = code_range(op.x.type)
        between = all(w.min(initial=0) >= 0 and w.max(initial=0) <= 1 << op.fraction_bits for w in self.weights)
        if between:
            return terms.narrow(Term(mean, dtype, low, high))
        bounds = terms.INT32 if dtype == "int32" else terms.INT64
        return terms.clamp(terms.bind(self.body, "mean", Term(mean, dtype, *bounds)), low, high)

    def _reach(self) -> int:
        """How far from 0 a partial sum and its rounding term can come."""
        one = 1 << self.op.fraction_bits
        wide = [w.astype(np.int64) for w in self.weights]
        rows, columns = (int(np.max(np.abs(one - w) + np.abs(w), initial=0)) for w in wide)
        return rows * columns * max(abs(c) for c in code_range(self.op.x.type)) + one * one

    def _real_shares(self, i: Expr, j: Expr) -> list[Term]:
        """The weights of rows and columns: first row, second row, first column, second column."""
        found = []
        for axis, place in enumerate((i, j)):
            weight = terms.bind(self.body, "weight", self._weight(axis, place))
            rest = Term(tir.number(1, "float32") - weight.expr, "float32")
            found += [terms.bind(self.body, "rest", rest), weight]
        return found

    def _real(self, values: list[Term], shares: list[Term]) -> Term:
        """The weighted mean in binary32, each step rounded, and its whole part after adding a half."""
        low, high = code_range(self.op.x.type)
        total: Expr | None = None
        for value, (column, row) in zip(values, ((2, 0), (2, 1), (3, 0), (3, 1)), strict=True):
            part = tir.product(tir.product(tir.cast(value.expr, "float32"), shares[row].expr), shares[column].expr)
            total = part if total is None else total + part
        moved = terms.bind(self.body, "total", Term(total, "float32")).expr + tir.number(0.5, "float32")
        whole = tir.cast(terms.bind(self.body, "moved", Term(moved, "float32")).expr, "int32")
        return terms.clamp(terms.bind(self.body, "whole", Term(whole, "int32", *terms.INT32)), low, high)


def interpolate(kernel: Kernel) -> LoweredKernel:
    """A kernel whose anchor is a bilinear interpolation of codes."""
    op = kernel.anchor_as(Interpolate)
    parameters = Parameters(kernel)
    _Nest(parameters, op).emit()
    return parameters.finish()

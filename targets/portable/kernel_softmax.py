"""Softmax of codes as TFLite's kernels compute it: in fixed point, in binary32, and by interpolated tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qcc.ir import FixedPoint, interpolated
from qcc.ir.ops import SoftmaxFixedPoint, SoftmaxFloatTable, SoftmaxInterpolated
from qcc.targets import terms, tir
from qcc.targets.expression_arithmetic import ExpressionArithmetic
from qcc.targets.expressions import ROUNDINGS
from qcc.targets.kernel import Kernel, LoweredKernel
from qcc.targets.portable.elements import Collapse, Place
from qcc.targets.portable.parameters import Table
from qcc.targets.portable.rows import Rows, wide
from qcc.targets.terms import Term
from qcc.targets.tir import Body, Buffer, Expr


def _power(rows: Rows, table: Table, place: tuple[tuple[Expr, ...], Expr], top: Term) -> Expr:
    """The exponential of an element: of a row's index, and a place in it."""
    return table.at(terms.subtract(top, rows.element(*place)).expr).expr


def softmax_fixed_point(kernel: Kernel) -> LoweredKernel:
    """A kernel of `softmax_fixed_point`: one reciprocal a row in 64 bits, one product of 32 bits an element."""
    op = kernel.anchor_as(SoftmaxFixedPoint)
    rows = Rows.of(kernel, op)
    body = rows.body
    table = rows.table("table", 1, "exponentials in units of 2^-31")
    largest = body.allocate("largest", 1, "int32")
    # a summand is at most 2^19
    dtype = "int32" if rows.count < 2**12 else "int64"
    total = body.allocate("total", 1, dtype)
    factor, places = body.allocate("factor", 1, "uint32"), body.allocate("places", 1, "uint32")

    def rounded(exponential: Expr) -> Expr:
        e = tir.cast(exponential, "uint32") + tir.constant(1 << 11, "uint32")
        return tir.cast(e >> tir.constant(12, "uint32"), dtype)

    def row(index: tuple[Expr, ...]) -> None:
        top = rows.largest(index, largest)
        rows.total(total, tir.constant(0, dtype), lambda k: rounded(_power(rows, table, (index, k), top)))
        _reciprocal(body, total, 43 - op.to.bits, factor, places)
        with body.loop("k", rows.count) as k:
            e = tir.cast(_power(rows, table, (index, k), top), "uint64")
            product = e * tir.cast(tir.load(factor, 0), "uint64") + tir.constant(1 << 30, "uint64")
            share = body.let("share", tir.cast(product >> tir.constant(31, "uint64"), "uint32"))
            half = tir.constant(1, "uint32") << (tir.load(places, 0) - tir.constant(1, "uint32"))
            level = body.let("level", tir.cast((share + half) >> tir.load(places, 0), "int32"))
            code = terms.add(Term(level, "int32", 0, 1 << op.to.bits), terms.literal(op.to.minimum))
            rows.store(index, k, terms.clamp(code, op.to.minimum, op.to.maximum))

    return rows.each(row)


def _reciprocal(body: Body, total: Buffer, most: int, factor: Buffer, places: Buffer) -> None:
    """Store the factor of a row's exponentials, 1/(1 + f) in Q0.31, and the shift of the products, 1 … 31.

    Where the shift would exceed 31 all products round to 0: the factor becomes 0.
    """
    numbers = FixedPoint(32, ExpressionArithmetic(body))
    bind, select = numbers.arithmetic.bind, numbers.arithmetic.select
    value = tir.load(total, 0)
    wide = value if total.dtype == "int64" else tir.cast(value, "int64")
    wide = bind("sum", tir.minimum(wide, tir.constant(2**31 - 1, "int64")))
    zeros = numbers.leading_zeros(wide)
    fraction = bind("fraction", (wide << zeros) - tir.constant(2**31, "int64"))
    reciprocal = numbers.reciprocal(fraction)
    shift = bind("right", tir.constant(most, "int64") - zeros)
    fits = shift <= tir.constant(31, "int64")
    body.store(factor, 0, tir.cast(select(fits, reciprocal, 0), "uint32"))
    body.store(places, 0, tir.cast(select(fits, shift, 31), "uint32"))


def softmax_float_table(kernel: Kernel) -> LoweredKernel:
    """A kernel of `softmax_float_table`: one division a row, one product an element."""
    op = kernel.anchor_as(SoftmaxFloatTable)
    rows = Rows.of(kernel, op)
    body = rows.body
    table = rows.table("table", 1, "exponentials")
    largest = body.allocate("largest", 1, "int32")
    total, inverse = body.allocate("total", 1, "float32"), body.allocate("inverse", 1, "float32")

    def row(index: tuple[Expr, ...]) -> None:
        top = rows.largest(index, largest)
        rows.total(total, tir.number(0, "float32"), lambda k: _power(rows, table, (index, k), top))
        body.store(total, 0, tir.load(total, 0) * tir.number(op.output_scale, "float32"))
        body.store(inverse, 0, tir.number(1, "float32") / tir.load(total, 0))
        with body.loop("k", rows.count) as k:
            rows.store(index, k, _rounded_share(body, op, _power(rows, table, (index, k), top) * tir.load(inverse, 0)))

    return rows.each(row)


def _rounded_share(body: Body, op: SoftmaxFloatTable, share: Expr) -> Term:
    """The code of a share, 0 ≤ share ≤ 2^16: its whole part, one more from the half on."""
    value = terms.bind(body, "share_value", Term(share, "float32"))
    whole = body.let("whole", tir.cast(value.expr, "int32"))
    half_way = tir.cast(whole, "float32") + tir.number(0.5, "float32")
    above = tir.select(value.expr >= half_way, tir.constant(1), tir.constant(0))
    level = body.let("level", whole + above)
    code = terms.add(Term(level, "int32", 0, 1 << 16), terms.literal(op.output_zero_point))
    return terms.clamp(code, op.to.minimum, op.to.maximum)


@dataclass(frozen=True)
class _Interpolation:
    """The exponentials of a row of `softmax_interpolated`."""

    rows: Rows
    op: SoftmaxInterpolated
    arithmetic: ExpressionArithmetic
    exponentials: Table

    def power(self, index: tuple[Expr, ...], k: Expr, top: Term) -> Expr:
        """The exponential of element k."""
        body, rows = self.rows.body, self.rows
        place = Place(rows.parameters, Collapse.none(rows.op.x.type.rank), rows.place(index, k))
        low = rows.op.x.type.element.storage.minimum - rows.op.x.type.element.storage.maximum
        distance = body.let("distance", rows.element(index, k).expr - top.expr)
        multiplier, shift = np.array(self.op.multiplier, np.int32), np.array(self.op.shift, np.int8)
        argument = ROUNDINGS["double"](place, Term(distance, "int32", low, 0), multiplier, shift)
        code = terms.clamp(terms.add(terms.narrow(argument), terms.literal(32767)), -32768, 32767)
        return look_up(self.arithmetic, self.exponentials, self.arithmetic.bind("code", code.expr))


def look_up(arithmetic: ExpressionArithmetic, table: Table, code: Expr) -> Expr:
    """The interpolated entry of a table for a 16-bit code."""
    return interpolated(arithmetic, lambda place: table.at(place).expr, code)


def softmax_interpolated(kernel: Kernel) -> LoweredKernel:
    """A kernel of `softmax_interpolated`, in 32 bits but for the rescale of the arguments."""
    op = kernel.anchor_as(SoftmaxInterpolated)
    rows = Rows.of(kernel, op)
    body = rows.body
    arithmetic = ExpressionArithmetic(body, "int32")
    powers = _Interpolation(rows, op, arithmetic, rows.table("exponentials", 1, "exp on -10 ... 0"))
    reciprocals = rows.table("reciprocals", 2, "1 / (1 + x) on 0 ... 1")
    largest, total = body.allocate("largest", 1, "int32"), body.allocate("total", 1, "int32")
    factor, zeros = body.allocate("factor", 1, "int32"), body.allocate("zero_bits", 1, "int32")

    def row(index: tuple[Expr, ...]) -> None:
        top = rows.largest(index, largest)
        rows.total(total, tir.constant(0), lambda k: powers.power(index, k, top))
        numbers = FixedPoint(32, ExpressionArithmetic(body))
        bind = numbers.arithmetic.bind
        body.store(zeros, 0, tir.cast(numbers.leading_zeros(bind("sum", wide(total))), "int32"))
        shifted = wide(total) << (tir.cast(tir.load(zeros, 0), "int64") - tir.constant(1, "int64"))
        scaled = bind("scaled", (shifted + tir.constant(1 << 13, "int64")) >> tir.constant(14, "int64"))
        code = tir.cast(scaled, "int32") - tir.constant(98304)
        bounded = arithmetic.maximum(arithmetic.minimum(arithmetic.bind("offset", code), 32767), -32768)
        body.store(factor, 0, look_up(arithmetic, reciprocals, arithmetic.bind("code", bounded)))
        with body.loop("k", rows.count) as k:
            product = arithmetic.bind("product", powers.power(index, k, top) * tir.load(factor, 0))
            half = tir.constant(1) << (tir.constant(30) - tir.load(zeros, 0))
            level = arithmetic.bind("level", (product + half) >> (tir.constant(31) - tir.load(zeros, 0)))
            rows.store(index, k, terms.clamp(Term(level, "int32", 0, 2**31 - 1), 0, 32767))

    return rows.each(row)

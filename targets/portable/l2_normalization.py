"""Division of rows by their Euclidean norm."""

from __future__ import annotations

from qcc.ir import FixedPoint
from qcc.ir.ops import L2Normalize, L2NormalizeFixedPoint
from qcc.targets import terms, tir
from qcc.targets.expression_arithmetic import ExpressionArithmetic
from qcc.targets.float_expressions import call, larger
from qcc.targets.kernel import Kernel, LoweredKernel
from qcc.targets.portable.parameters import storage_dtype
from qcc.targets.portable.rows import Rows, wide
from qcc.targets.terms import Term
from qcc.targets.tir import Body, Buffer, Expr


def l2_normalize(kernel: Kernel) -> LoweredKernel:
    """A kernel whose anchor divides rows of reals by their norm; sums in the type of the operand."""
    op = kernel.anchor_as(L2Normalize)
    rows = Rows.of(kernel, op)
    body, dtype = rows.body, storage_dtype(op.x.type)
    total, norm = body.allocate("total", 1, dtype), body.allocate("norm", 1, dtype)

    def row(index: tuple[Expr, ...]) -> None:
        rows.total(total, tir.number(0, dtype), lambda k: _square(rows, index, k))
        root = Term(call("sqrt", dtype, tir.load(total, 0)), dtype)
        body.store(norm, 0, larger(terms.bind(body, "root", root), terms.real(op.epsilon, dtype)).expr)
        with body.loop("k", rows.count) as k:
            share = rows.element(index, k).expr / tir.load(norm, 0)
            rows.store(index, k, terms.bind(body, "normalized", Term(share, dtype)))

    return rows.each(row)


def l2_normalize_fixed_point(kernel: Kernel) -> LoweredKernel:
    """A kernel of `l2_normalize_fixed_point`: one root a row in 64 bits, one product of 32 bits an element."""
    op = kernel.anchor_as(L2NormalizeFixedPoint)
    rows = Rows.of(kernel, op, op.input_zero_point)
    body, storage = rows.body, op.x.type.element.storage
    total, factor = body.allocate("total", 1, "int32"), body.allocate("factor", 1, "int32")
    left, right = body.allocate("left", 1, "int32"), body.allocate("right", 1, "int32")
    half, away = body.allocate("half", 1, "int32"), body.allocate("away", 1, "int32")

    def row(index: tuple[Expr, ...]) -> None:
        rows.total(total, tir.constant(0), lambda k: _square(rows, index, k))
        _root(body, op.shifts_apart, total, factor, left, right)
        # The second rounding, ties away from zero: half of 2^right, less 1 for negative numbers; nothing for right = 0.
        power = tir.constant(1) << tir.load(right, 0)
        body.store(half, 0, power >> tir.constant(1))
        body.store(away, 0, tir.minimum(tir.load(right, 0), tir.constant(1)))
        with body.loop("k", rows.count) as k:
            x = rows.element(index, k)
            product = tir.cast(x.expr * (tir.constant(1) << tir.load(left, 0)), "int64") * wide(factor)
            high = tir.cast((product + tir.constant(1 << 30, "int64")) >> tir.constant(31, "int64"), "int32")
            value = terms.bind(body, "scaled", Term(high, "int32", -(2**15), 2**15)).expr
            down = tir.select(value < tir.constant(0), tir.load(away, 0), tir.constant(0))
            level = body.let("level", (value + tir.load(half, 0) - down) >> tir.load(right, 0))
            code = terms.add(Term(level, "int32", -(2**15), 2**15), terms.literal(op.output_zero_point))
            rows.store(index, k, terms.clamp(code, storage.minimum, storage.maximum))

    return rows.each(row)


def _square(rows: Rows, index: tuple[Expr, ...], k: Expr) -> Expr:
    """The square of element k of a row."""
    x = terms.bind(rows.body, "value", rows.element(index, k)).expr
    return x * x


def _root(body: Body, apart: bool, total: Buffer, factor: Buffer, left: Buffer, right: Buffer) -> None:
    """Store the inverse square root of a row's sum of squares, and the shifts of the products before and behind."""
    numbers = FixedPoint(32, ExpressionArithmetic(body))
    root, shift = numbers.inverse_square_root(numbers.arithmetic.bind("sum", wide(total)))
    shift = tir.cast(numbers.arithmetic.bind("shift", shift), "int32")
    body.store(factor, 0, tir.cast(root, "int32"))
    seven, zero = tir.constant(7), tir.constant(0)
    body.store(left, 0, seven if apart else tir.maximum(seven - shift, zero))
    body.store(right, 0, shift if apart else tir.maximum(shift - seven, zero))

"""Division of rows by their Euclidean norm."""

from __future__ import annotations

from qcc.ir import IrError
from qcc.ir.ops import L2Normalize
from qcc.targets import terms, tir
from qcc.targets.float_expressions import call, larger
from qcc.targets.kernel import Kernel, LoweredKernel
from qcc.targets.portable.parameters import Parameters, storage_dtype
from qcc.targets.portable.rows import Rows
from qcc.targets.portable.sums import activations
from qcc.targets.terms import Term
from qcc.targets.tir import Expr


def l2_normalize(kernel: Kernel) -> LoweredKernel:
    """A kernel whose anchor divides rows of reals by their norm; sums in the type of the operand."""
    op = kernel.anchor
    if not isinstance(op, L2Normalize):
        raise IrError(f"{op.name} is not an L2 normalization of reals")
    parameters = Parameters(kernel)
    rows = Rows(parameters, op, activations(parameters, op.x, 0))
    body, dtype = parameters.body, storage_dtype(op.x.type)
    total, norm = body.allocate("total", 1, dtype), body.allocate("norm", 1, dtype)

    def row(index: tuple[Expr, ...]) -> None:
        body.store(total, 0, tir.number(0, dtype))
        with body.loop("k", rows.count) as k:
            x = terms.bind(body, "value", rows.element(index, k))
            body.store(total, 0, tir.load(total, 0) + x.expr * x.expr)
        root = Term(call("sqrt", dtype, tir.load(total, 0)), dtype)
        body.store(norm, 0, larger(terms.bind(body, "root", root), terms.real(op.epsilon, dtype)).expr)
        with body.loop("k", rows.count) as k:
            share = rows.element(index, k).expr / tir.load(norm, 0)
            rows.store(index, k, terms.bind(body, "normalized", Term(share, dtype)))

    rows.each(row)
    return parameters.finish()

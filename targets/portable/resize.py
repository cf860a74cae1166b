"""Linear resampling, axis by axis, from tables of neighbours and weights."""

from __future__ import annotations

import numpy as np

from qcc.ir import IrError
from qcc.ir.ops import WEIGHT_BITS, Resize
from qcc.targets import terms, tir
from qcc.targets.kernel import Kernel, LoweredKernel
from qcc.targets.portable.elements import Collapse, Place, flat_offset, store_outputs
from qcc.targets.portable.elementwise import walk
from qcc.targets.portable.movement import mapped
from qcc.targets.portable.parameters import Parameters
from qcc.targets.portable.sums import Source, activations
from qcc.targets.terms import Term
from qcc.targets.tir import Expr


def resize_linear(kernel: Kernel) -> LoweredKernel:
    """A kernel whose anchor is a linear resize; on codes each axis rounds, as the operation says."""
    op = kernel.anchor
    if not isinstance(op, Resize) or op.mode != "linear":
        raise IrError(f"{op.name} does not interpolate")
    parameters = Parameters(kernel)
    source = activations(parameters, op.x, 0)
    collapse = Collapse.none(op.result.type.rank)

    def visit(index: tuple[Expr, ...]) -> None:
        result = _interpolated(parameters, op, source, op.resized_axes, index)
        store_outputs(Place(parameters, collapse, index, {op.result.name: result}))

    walk(parameters.body, op.shape, visit)
    return parameters.finish()


def _interpolated(
    parameters: Parameters, op: Resize, source: Source, axes: tuple[int, ...], index: tuple[Expr, ...]
) -> Term:
    """The element at `index` after resampling along `axes`."""
    if not axes:
        return source.at(flat_offset(op.x.type.shape, index))
    axis = axes[-1]
    low, high, weight = op.linear_indices(axis)
    ends = []
    for sources in (low, high):
        place = parameters.body.let("neighbour", mapped(parameters, sources, index[axis]))
        moved = (*index[:axis], place, *index[axis + 1 :])
        ends.append(_interpolated(parameters, op, source, axes[:-1], moved))
    body = parameters.body
    if ends[0].is_float:
        one = tir.number(1, ends[0].dtype)
        share = parameters.table("weights", weight.astype(ends[0].dtype), "weights of the upper neighbours").at(
            index[axis]
        )
        total = ends[0].expr * (one - share.expr) + ends[1].expr * share.expr
        return terms.bind(body, "value", Term(total, ends[0].dtype))
    fixed = op.fixed_weights(axis).astype(np.int16)
    share = parameters.table("weights", fixed, "weights of the upper neighbours in units of 2^-11").at(index[axis])
    # a·(2^11 − w) + b·w, rounded half up: between a and b.
    rest = terms.subtract(terms.literal(1 << WEIGHT_BITS), share)
    products = terms.add(terms.multiply(ends[0], rest), terms.multiply(ends[1], share))
    rounded = terms.add(products, terms.literal(1 << (WEIGHT_BITS - 1)))
    value = terms.shift_right(rounded, terms.literal(WEIGHT_BITS))
    bounds = min(e.low for e in ends), max(e.high for e in ends)
    return terms.bind(body, "value", terms.narrow(Term(value.expr, value.dtype, *bounds)))

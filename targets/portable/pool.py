"""Pools: the largest element, the sum or the mean of each window, a block of channels at a time."""

from __future__ import annotations

from dataclasses import dataclass

from qcc.ir.ops import AvgPool2d, AvgPoolFloat, MaxPool2d, Pool, SumPool2d
from qcc.targets import terms, tir
from qcc.targets.expressions import rounded_float
from qcc.targets.float_expressions import limited
from qcc.targets.kernel import Kernel, LoweredKernel
from qcc.targets.portable.blocks import BLOCK, in_blocks
from qcc.targets.portable.elements import Collapse, Place, flat_offset, store_outputs
from qcc.targets.portable.elementwise import walk
from qcc.targets.portable.parameters import Parameters, code_range, storage_dtype
from qcc.targets.portable.sums import Source, activations, sum_bounds
from qcc.targets.portable.windows import Span, span
from qcc.targets.terms import Term
from qcc.targets.tir import Buffer, Expr


def pool(kernel: Kernel) -> LoweredKernel:
    """A kernel whose anchor is a pool."""
    op = kernel.anchor_as(Pool)
    parameters = Parameters(kernel)
    zero_point = op.input_zero_point if isinstance(op, SumPool2d) else 0
    if isinstance(op, AvgPoolFloat):
        zero_point = op.source.zero_point
    source = activations(parameters, op.x, zero_point)
    _Nest(parameters, op, source).emit()
    return parameters.finish()


@dataclass(frozen=True)
class _Nest:
    """The nest of one pool."""

    parameters: Parameters
    op: Pool
    x: Source

    @property
    def dtype(self) -> str:
        """The type of a running maximum or sum."""
        if isinstance(self.op, SumPool2d):
            return "int32" if terms.carrier(*sum_bounds(self.op)) == "int32" else "int64"
        if isinstance(self.op, AvgPoolFloat):
            return "float32"
        return storage_dtype(self.op.x.type)

    def emit(self) -> None:
        """All pixels, all blocks of channels."""
        shape, body = self.op.result.type.shape, self.parameters.body
        values = body.allocate("values", min(BLOCK, shape[3]), self.dtype)

        def pixel(index: tuple[Expr, ...]) -> None:
            op, image = self.op, self.op.x.type.shape
            spans = [span(body, op, a, op.kernel[a], index[1 + a], image[1 + a], shape[1 + a]) for a in (0, 1)]
            in_blocks(body, shape[3], lambda first, count: self._channels(index, spans, (first, count), values))

        walk(body, shape[:3], pixel, "nyx")

    def _channels(self, pixel: tuple[Expr, ...], spans: list[Span], block: tuple[Expr, int], values: Buffer) -> None:
        """One block of channels of one pixel."""
        body, op = self.parameters.body, self.op
        first, count = block
        with body.loop("c", count) as c:
            body.store(values, c, self._empty())
        with body.loop("ky", spans[0].count) as ky, body.loop("kx", spans[1].count) as kx:
            taps = (ky, kx)
            places = [spans[a].origin + (spans[a].first + taps[a]) * tir.constant(op.dilation[a]) for a in (0, 1)]
            start = body.let("start", flat_offset(op.x.type.shape, (pixel[0], *places, tir.constant(0))) + first)
            with body.loop("c", count) as c:
                body.store(values, c, self._combine(tir.load(values, c), start + c))
        with body.loop("c", count) as c:
            place = Place(self.parameters, Collapse.none(4), (*pixel, first + c))
            result = self._finish(place, tir.load(values, c), spans)
            store_outputs(Place(self.parameters, place.collapse, place.index, {op.result.name: result}))

    def _empty(self) -> Expr:
        """What a window without elements gives."""
        if not isinstance(self.op, MaxPool2d):
            return tir.number(0, self.dtype) if self.dtype.startswith("float") else tir.constant(0, self.dtype)
        if self.dtype.startswith("float"):
            return tir.number(float("-inf"), self.dtype)
        return tir.constant(self.op.x.type.element.storage.minimum, self.dtype)

    def _combine(self, value: Expr, offset: Expr) -> Expr:
        """The running value with one more element."""
        if isinstance(self.op, MaxPool2d):
            new = self.x.raw(offset)
            if self.dtype.startswith("float"):
                return tir.select(value < new, new, value)
            return tir.maximum(value, new)
        term = self.x.at(offset)
        if isinstance(self.op, AvgPoolFloat):
            return value + tir.product(tir.cast(term.expr, "float32"), tir.number(self.op.source.scale, "float32"))
        return value + (term.expr if term.is_float else terms.widen(term, self.dtype))

    def _finish(self, place: Place, value: Expr, spans: list[Span]) -> Term:
        """The result of a window."""
        op = self.op
        if isinstance(op, SumPool2d):
            return terms.wrap(Term(value, self.dtype, *sum_bounds(self.op)), op.result.type.element.storage)
        if not isinstance(op, AvgPool2d | AvgPoolFloat):
            return terms.loaded(value, self.dtype, *code_range(op.x.type))
        taps = tir.constant(op.kernel[0] * op.kernel[1])
        rows, columns = (tir.index(s.count) for s in spans)
        count = (
            taps if op.count_include_pad else tir.maximum(rows, tir.constant(0)) * tir.maximum(columns, tir.constant(0))
        )
        mean = Term(value / tir.cast(count, self.dtype), self.dtype)
        if isinstance(op, AvgPoolFloat):
            steps = mean.expr / tir.number(op.to.scale, "float32") + tir.number(op.to.zero_point, "float32")
            scaled = terms.bind(place.body, "scaled", Term(steps, "float32"))
            return rounded_float(place.body, scaled, op.minimum, op.maximum, "half_even")
        return mean if op.clamp is None else limited(terms.bind(place.body, "mean", mean), *op.clamp)

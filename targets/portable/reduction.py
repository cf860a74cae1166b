"""Reductions along axes, and the index of the largest element.

Adjacent dimensions that are all reduced or all kept are walked as one. Where the last one is kept, a block of results
is computed at a time, so that the innermost loop runs over contiguous elements.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from qcc.ir import Shape
from qcc.ir.ops import ArgMax, ReduceMax, ReduceMean, ReduceMin, ReduceSum, Reduction
from qcc.targets import terms, tir
from qcc.targets.kernel import Kernel, LoweredKernel
from qcc.targets.portable.blocks import BLOCK, in_blocks
from qcc.targets.portable.elements import Collapse, Place, flat_offset, store_outputs
from qcc.targets.portable.elementwise import walk
from qcc.targets.portable.parameters import Parameters, code_range, storage_dtype
from qcc.targets.portable.sums import Source, activations, sum_bounds
from qcc.targets.terms import Term
from qcc.targets.tir import Buffer, Expr


@dataclass(frozen=True)
class Axes:
    """The dimensions of a reduction's operand, adjacent ones of a kind joined; sizes and whether each is reduced."""

    sizes: tuple[int, ...]
    reduced: tuple[bool, ...]

    @staticmethod
    def of(shape: Shape, axes: Sequence[int]) -> Axes:
        """The axes of a reduction; those of size 1 are left out."""
        chosen = {a % len(shape) for a in axes}
        joined: list[tuple[int, bool]] = []
        for axis, size in enumerate(shape):
            if size == 1:
                continue
            if joined and joined[-1][1] == (axis in chosen):
                joined[-1] = (joined[-1][0] * size, joined[-1][1])
            else:
                joined.append((size, axis in chosen))
        return Axes(tuple(s for s, _ in joined), tuple(r for _, r in joined))

    def select(self, reduced: bool) -> tuple[int, ...]:
        """The sizes of the reduced or of the kept dimensions."""
        return tuple(s for s, r in zip(self.sizes, self.reduced, strict=True) if r == reduced)

    def offset(self, kept: Sequence[Expr], reduced: Sequence[Expr]) -> Expr:
        """The offset of an element of the operand."""
        sources = {True: iter(reduced), False: iter(kept)}
        return flat_offset(self.sizes, [next(sources[r]) for r in self.reduced])


def reduction(kernel: Kernel) -> LoweredKernel:
    """A kernel whose anchor is a reduction."""
    op = kernel.anchor_as(Reduction)
    parameters = Parameters(kernel)
    zero_point = op.input_zero_point if isinstance(op, ReduceSum) else 0
    nest = _Nest(parameters, op, activations(parameters, op.x, zero_point), Axes.of(op.x.type.shape, op.axes))
    nest.emit()
    return parameters.finish()


def result_place(parameters: Parameters, kept: Sequence[int], index: Sequence[Expr], result: Term) -> Place:
    """The place of an anchor's result of which only the kept dimensions are walked, as one flat index."""
    shape = parameters.kernel.anchor.result.type.shape
    names = parameters.kernel.anchor.result.name
    flat = flat_offset(tuple(kept), tuple(index))
    unflattened: list[Expr] = []
    rest = math.prod(shape)
    plain = len(parameters.kernel.ops) == 1
    if plain or len(shape) <= 1:
        collapse = Collapse((tuple(range(len(shape))),), len(shape))
        return Place(parameters, collapse, (flat,), {names: result})
    for position, size in enumerate(shape):
        rest //= max(size, 1)
        place = tir.divide(flat, rest)
        unflattened.append(tir.remainder(place, size) if position else place)
    return Place(parameters, Collapse.none(len(shape)), unflattened, {names: result})


@dataclass(frozen=True)
class _Nest:
    """The nest of one reduction."""

    parameters: Parameters
    op: Reduction
    x: Source
    axes: Axes

    @property
    def count(self) -> int:
        """Elements that one result is reduced from."""
        return math.prod(self.axes.select(reduced=True))

    @property
    def dtype(self) -> str:
        """The type of a running result."""
        stored = storage_dtype(self.op.x.type)
        if not isinstance(self.op, ReduceSum) or stored.startswith("float"):
            return stored
        return "int32" if terms.carrier(*sum_bounds(self.op)) == "int32" else "int64"

    def emit(self) -> None:
        """All results: blocks of the last kept dimension where it is innermost, else one at a time."""
        kept, body = self.axes.select(reduced=False), self.parameters.body
        inner = bool(self.axes.reduced) and not self.axes.reduced[-1] and kept[-1] > 1
        values = body.allocate("values", min(BLOCK, kept[-1]) if inner else 1, self.dtype)
        if not inner:
            walk(body, kept, lambda index: self._block(index, None, 1, values))
            return

        def row(index: tuple[Expr, ...]) -> None:
            in_blocks(body, kept[-1], lambda first, count: self._block(index, first, count, values))

        walk(body, kept[:-1], row)

    def _block(self, outer: tuple[Expr, ...], first: Expr | None, count: int, values: Buffer) -> None:
        """One result, or a block of them along the last dimension."""
        body = self.parameters.body

        def each(visit: Callable[[Expr, tuple[Expr, ...]], None]) -> None:
            if first is None:
                visit(tir.constant(0), outer)
                return
            with body.loop("c", count) as c:
                visit(c, (*outer, first + c))

        def begin(c: Expr, kept: tuple[Expr, ...]) -> None:
            body.store(values, c, self._empty(kept))

        def combine(c: Expr, kept: tuple[Expr, ...]) -> None:
            body.store(values, c, self._combine(tir.load(values, c), self.axes.offset(kept, places)))

        def finish(c: Expr, kept: tuple[Expr, ...]) -> None:
            result = self._finish(tir.load(values, c))
            store_outputs(result_place(self.parameters, self.axes.select(reduced=False), kept, result))

        each(begin)
        with ExitStack() as stack:
            sizes = self.axes.select(reduced=True)
            places = [stack.enter_context(body.loop(f"r{d}", size)) for d, size in enumerate(sizes)]
            each(combine)
        each(finish)

    def _empty(self, kept: tuple[Expr, ...]) -> Expr:
        """Where a running result starts: 0, or the first element."""
        if isinstance(self.op, ReduceMax | ReduceMin):
            zeros = [tir.constant(0)] * len(self.axes.select(reduced=True))
            return self.x.raw(self.axes.offset(kept, zeros))
        return tir.number(0, self.dtype) if self.dtype.startswith("float") else tir.constant(0, self.dtype)

    def _combine(self, value: Expr, offset: Expr) -> Expr:
        """The running result with one more element."""
        if isinstance(self.op, ReduceMax | ReduceMin):
            new = self.x.raw(offset)
            better = value < new if isinstance(self.op, ReduceMax) else new < value
            return tir.select(better, new, value)
        term = self.x.at(offset)
        return value + (term.expr if term.is_float else terms.widen(term, self.dtype))

    def _finish(self, value: Expr) -> Term:
        """The result."""
        op = self.op
        if isinstance(op, ReduceSum) and not op.result.type.is_float:
            return terms.wrap(Term(value, self.dtype, *sum_bounds(self.op)), op.result.type.element.storage)
        if isinstance(op, ReduceMean):
            return Term(value / tir.number(self.count, self.dtype), self.dtype)
        return terms.loaded(value, self.dtype, *code_range(op.x.type))


def argmax(kernel: Kernel) -> LoweredKernel:
    """A kernel whose anchor is an argmax."""
    op = kernel.anchor_as(ArgMax)
    parameters = Parameters(kernel)
    body, source = parameters.body, activations(parameters, op.x, 0)
    axes = Axes.of(op.x.type.shape, (op.axis,))
    count = op.x.type.shape[op.axis]
    best = body.allocate("best", 1, storage_dtype(op.x.type))
    position = body.allocate("position", 1, "int32")

    def element(index: tuple[Expr, ...], place: Expr) -> Expr:
        offset = axes.offset(index, [place] if count > 1 else [])
        return source.raw(offset)

    def result(index: tuple[Expr, ...]) -> None:
        body.store(best, 0, element(index, tir.constant(0)))
        body.store(position, 0, tir.constant(0))
        with body.loop("k", count) as k:
            new = element(index, k)
            better = new >= tir.load(best, 0) if op.select_last else new > tir.load(best, 0)
            with body.when(better):
                body.store(best, 0, new)
                body.store(position, 0, k)
        found = Term(tir.load(position, 0), "int32", 0, count - 1)
        store_outputs(result_place(parameters, axes.select(reduced=False), index, found))

    walk(body, axes.select(reduced=False), result)
    return parameters.finish()

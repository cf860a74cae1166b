"""Movement: results whose elements are elements of an operand, or a constant.

Each operation is a list of regions: a box of the result, and from which element of the operand each of its elements
comes. Loops run over the result; index arithmetic is in closed form where there is one, else by tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from qcc.ir import Array, IrError, Op, Shape, Value
from qcc.ir.ops import Broadcast, Concat, Gather, Pad, Resize, Slice, Split, Transpose
from qcc.targets import terms, tir
from qcc.targets.kernel import Kernel, LoweredKernel
from qcc.targets.portable.elements import Collapse, Place, flat_offset, store_outputs, stored
from qcc.targets.portable.elementwise import walk
from qcc.targets.portable.parameters import Parameters, code_range, storage_dtype
from qcc.targets.portable.sums import activations
from qcc.targets.terms import Term
from qcc.targets.tir import Expr

Index: TypeAlias = tuple[Expr, ...]


@dataclass(frozen=True)
class Region:
    """A box of a result and what fills it.

    Attributes:
        result: the value that the box is a part of.
        start, size: of the box.
        element: the element at an index within the box.
    """

    result: Value
    start: Shape
    size: Shape
    element: Callable[[Parameters, Index], Term]


def read(value: Value, place: Callable[[Parameters, Index], Index]) -> Callable[[Parameters, Index], Term]:
    """An element function that reads `value` at `place` of the index."""

    def element(parameters: Parameters, index: Index) -> Term:
        offset = flat_offset(value.type.shape, place(parameters, index))
        source = activations(parameters, value, 0)
        raw = source.raw(offset)
        return terms.loaded(raw, storage_dtype(value.type), *code_range(value.type))

    return element


def _whole(op: Op, x: Value, place: Callable[[Parameters, Index], Index]) -> list[Region]:
    shape = op.result.type.shape
    return [Region(op.result, (0,) * len(shape), shape, read(x, place))]


def mapped(parameters: Parameters, sources: Array, place: Expr) -> Expr:
    """`sources[place]`: in closed form where the sources are evenly spaced, else from a table."""
    steps = np.diff(sources)
    if not steps.size or np.all(steps == steps[0]):
        step = int(steps[0]) if steps.size else 0
        return place * tir.constant(step) + tir.constant(int(sources[0])) if sources.size else place
    for factor in (2, 3, 4, 8):
        if np.array_equal(sources, np.arange(sources.size) // factor):
            return tir.divide(place, factor)
    narrow = np.int16 if sources.max(initial=0) < 2**15 else np.int32
    entry = parameters.table("indices", sources.astype(narrow), "source of each place along an axis").at(place)
    return entry.expr


def _along_axes(op: Any, sources: Mapping[int, Array]) -> list[Region]:
    """Each axis in `sources` by its own map, the others as they are."""

    def place(parameters: Parameters, index: Index) -> Index:
        return tuple(mapped(parameters, sources[a], i) if a in sources else i for a, i in enumerate(index))

    return _whole(op, op.x, place)


def _transpose(op: Transpose) -> list[Region]:
    def place(_: Parameters, index: Index) -> Index:
        found = dict(zip(op.permutation, index, strict=True))
        return tuple(found[a] for a in range(len(index)))

    return _whole(op, op.x, place)


def _broadcast(op: Broadcast) -> list[Region]:
    missing = op.result.type.rank - op.x.type.rank
    return _whole(op, op.x, lambda _, index: index[missing:])


def _slice(op: Slice) -> list[Region]:
    sources = {a: op.starts[a] + op.strides[a] * np.arange(n) for a, n in enumerate(op.sizes)}
    return _along_axes(op, sources)


def _resize_nearest(op: Resize) -> list[Region]:
    return _along_axes(op, {a: op.nearest_indices(a) for a in op.resized_axes})


def _gather(op: Gather) -> list[Region]:
    axis, count = op.axis % op.x.type.rank, len(op.indices_shape)

    def place(parameters: Parameters, index: Index) -> Index:
        flat = flat_offset(op.indices_shape, index[axis : axis + count])
        source = mapped(parameters, np.array(op.indices, np.int64), flat)
        return (*index[:axis], source, *index[axis + count :])

    return _whole(op, op.x, place)


def _concat(op: Concat) -> list[Region]:
    regions, start, axis = [], 0, op.axis % op.result.type.rank
    for value in op.inputs:
        place = [0] * op.result.type.rank
        place[axis] = start
        regions.append(Region(op.result, tuple(place), value.type.shape, read(value, lambda _, index: index)))
        start += value.type.shape[axis]
    return regions


def _split(op: Split) -> list[Region]:
    regions, start, axis = [], 0, op.axis % op.x.type.rank
    for value in op.results:

        def place(_: Parameters, index: Index, start: int = start) -> Index:
            return (*index[:axis], index[axis] + tir.constant(start), *index[axis + 1 :])

        regions.append(Region(value, (0,) * value.type.rank, value.type.shape, read(op.x, place)))
        start += value.type.shape[axis]
    return regions


def _pad(op: Pad) -> list[Region]:
    shape = op.x.type.shape
    if op.mode != "constant":
        modes = [np.pad(np.arange(n), (a, b), mode=op.mode) for n, a, b in zip(shape, op.low, op.high, strict=True)]  # type: ignore[call-overload]  # one of numpy's modes, checked by the op
        return _along_axes(op, dict(enumerate(modes)))
    dtype = op.x.type.element.storage.dtype

    def fill(_: Parameters, __: Index) -> Term:
        value = dtype.type(op.value)
        return terms.real(float(value), str(dtype)) if dtype.kind == "f" else terms.literal(int(value))

    result = op.result.type.shape
    inside = Region(op.result, op.low, shape, read(op.x, lambda _, index: index))
    if result == shape:
        return [inside]
    return [Region(op.result, (0,) * len(result), result, fill), inside]


_REGIONS: dict[type[Op], Callable[[Any], list[Region]]] = {
    Transpose: _transpose,
    Broadcast: _broadcast,
    Slice: _slice,
    Gather: _gather,
    Concat: _concat,
    Split: _split,
    Pad: _pad,
    Resize: _resize_nearest,
}


def can_move(op: Op) -> bool:
    """Whether `movement` has the operation."""
    return type(op) in _REGIONS and not (isinstance(op, Resize) and op.mode != "nearest")


def movement(kernel: Kernel) -> LoweredKernel:
    """A kernel whose anchor moves elements."""
    op = kernel.anchor
    if not can_move(op):
        raise IrError(f"{op.name} does not only move elements")
    parameters = Parameters(kernel)
    written = {v.name for v in kernel.outputs}
    for region in _REGIONS[type(op)](op):
        if len(op.results) == 1:
            _emit(parameters, region, kernel.outputs)
        elif region.result.name in written and len(kernel.ops) == 1:
            _emit(parameters, region, (region.result,))
        elif len(kernel.ops) > 1:
            raise IrError(f"{op.name} with several results can't have operations behind it in its kernel")
    return parameters.finish()


def _emit(parameters: Parameters, region: Region, outputs: Sequence[Value]) -> None:
    """Loops over one region."""
    collapse = Collapse.none(region.result.type.rank)

    def visit(index: Index) -> None:
        place = tuple(i + tir.constant(s) if s else i for i, s in zip(index, region.start, strict=True))
        known = {region.result.name: region.element(parameters, index)}
        if tuple(v.name for v in outputs) == (region.result.name,):
            dtype = storage_dtype(region.result.type)
            target = flat_offset(region.result.type.shape, place)
            parameters.body.store(parameters.output(region.result), target, plain(known[region.result.name], dtype))
        else:
            store_outputs(Place(parameters, collapse, place, known), outputs)

    if all(region.size):
        walk(parameters.body, region.size, visit)


def plain(term: Term, dtype: str) -> Expr:
    """A moved element in the type of memory, without the detour over a wider type."""
    return stored(term, dtype)

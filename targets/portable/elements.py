"""The elements of a kernel's results: evaluates its element-by-element operations at one place."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from qcc.ir import Array, IrError, Op, Shape, Value, print_op
from qcc.ir.ops import BatchNorm, Dequantize, Quantize, SigmoidInterpolated, Table
from qcc.targets import terms, tir
from qcc.targets.expressions import element
from qcc.targets.portable.parameters import Parameters, code_range, storage_dtype
from qcc.targets.terms import Term
from qcc.targets.tir import Body, Expr


def flat_offset(shape: Sequence[int], index: Sequence[Expr]) -> Expr:
    """The row-major offset of `index` in a tensor of `shape`; dimensions of size 1 are skipped."""
    offset: Expr | None = None
    stride = math.prod(shape)
    for size, place in zip(shape, index, strict=True):
        stride //= max(size, 1)
        if size == 1:
            continue
        part = place * tir.constant(stride) if stride != 1 else place
        offset = part if offset is None else offset + part
    return tir.constant(0) if offset is None else offset


@dataclass(frozen=True)
class Collapse:
    """Dimensions of a result that are walked as one, because every operand has all or none of them.

    Attributes:
        groups: runs of adjacent dimensions, in order, all dimensions covered.
        rank: of the result.
    """

    groups: tuple[tuple[int, ...], ...]
    rank: int

    @staticmethod
    def none(rank: int) -> Collapse:
        """Every dimension on its own."""
        return Collapse(tuple((d,) for d in range(rank)), rank)

    @staticmethod
    def of(result: Shape, operands: Sequence[Shape]) -> Collapse:
        """The fewest dimensions that walk a result of shape `result` whose operands broadcast against it."""
        rank = len(result)
        padded = [(1,) * (rank - len(s)) + tuple(s) for s in operands]
        groups: list[list[int]] = []
        pattern: list[bool] | None = None
        for dimension in range(rank):
            if result[dimension] == 1 and groups:
                groups[-1].append(dimension)
                continue
            varies = [s[dimension] != 1 for s in padded]
            if groups and (pattern is None or pattern == varies):
                groups[-1].append(dimension)
            else:
                groups.append([dimension])
            if result[dimension] != 1:
                pattern = varies
        return Collapse(tuple(tuple(g) for g in groups), rank)

    def shape(self, shape: Sequence[int]) -> Shape:
        """A shape that broadcasts against the result, collapsed."""
        padded = (1,) * (self.rank - len(shape)) + tuple(shape)
        return tuple(math.prod(padded[d] for d in group) for group in self.groups)


def element_shapes(op: Op) -> list[Shape]:
    """The shapes, against that of the result, of all that an element-by-element operation reads."""
    if isinstance(op, Table):
        return [op.x.type.shape, (op.table.type.shape[0],) if op.table.type.rank == 2 else ()]
    if isinstance(op, SigmoidInterpolated):
        return [op.x.type.shape]
    if isinstance(op, BatchNorm):
        view = [1] * op.x.type.rank
        view[op.axis] = op.x.type.shape[op.axis]
        return [op.x.type.shape, tuple(view)]
    if isinstance(op, Quantize):
        return [op.x.type.shape, *(a.shape for a in op.to.parameters(op.x.type.shape))]
    if isinstance(op, Dequantize) and op.x.type.is_quantized:
        return [op.x.type.shape, *(a.shape for a in op.x.type.uniform().parameters(op.x.type.shape))]
    return [v.type.shape for v in op.operands]


class Place:
    """One place in the result: the scope in which operations are evaluated there, each once.

    Args:
        parameters: of the function.
        collapse: how the result's dimensions are walked.
        index: the place, one expression for each walked dimension.
        known: elements that the nest itself computed, by value name.
    """

    def __init__(
        self, parameters: Parameters, collapse: Collapse, index: Sequence[Expr], known: Mapping[str, Term] | None = None
    ) -> None:
        self.parameters = parameters
        self.kernel = parameters.kernel
        self.body: Body = parameters.body
        self.collapse = collapse
        self.index = tuple(index)
        self._terms: dict[str, Term] = dict(known or {})

    def operand(self, value: Value) -> Term:
        """The element of a value of the kernel that belongs to this place."""
        if value.name not in self._terms:
            self._terms[value.name] = self._compute(value)
        return self._terms[value.name]

    def _compute(self, value: Value) -> Term:
        op = self.kernel.definitions.get(value.name)
        if op is not None:
            name = terms.stored if value.name in self.kernel.read_inside else terms.bind
            return name(self.body, variable_name(op), element(op, self))
        if value.name in self.kernel.constants:
            return self.load(self.parameters.role(value), self.kernel.constants[value.name])
        stored = tir.load(self.parameters.input(value), self._offset(value.type.shape))
        return terms.loaded(stored, storage_dtype(value.type), *code_range(value.type))

    def _offset(self, shape: Sequence[int]) -> Expr:
        return flat_offset(self.collapse.shape(shape), self.index)

    def is_constant(self, value: Value) -> bool:
        """Whether the value is a constant of the kernel."""
        return value.name in self.kernel.constants

    def constant(self, value: Value) -> Array:
        """The data of an operand that must be a constant."""
        if value.name not in self.kernel.constants:
            ops = [op for op in self.kernel.ops if value in op.operands]
            raise IrError(f"%{value.name} must be a constant", op=print_op(ops[0]) if ops else "")
        return self.kernel.constants[value.name]

    def load(self, name: str, array: Array) -> Term:
        """The element of a constant that broadcasts against the result."""
        uniform = array.dtype.kind != "f" and array.size and np.all(array == array.flat[0])
        if uniform:
            return terms.literal(int(array.flat[0]))
        return self.parameters.table(name, array).at(self._offset(array.shape))

    def along(self, value: Value, axis: int) -> Term:
        """The element of a one-dimensional operand at the result's place along `axis`."""
        view = [1] * self.collapse.rank
        view[axis] = value.type.shape[0]
        if self.is_constant(value):
            return self.load(self.parameters.role(value), self.kernel.constants[value.name].reshape(view))
        stored = tir.load(self.parameters.input(value), self._offset(view))
        return terms.loaded(stored, storage_dtype(value.type), *code_range(value.type))

    def look_up(self, name: str, table: Array, code: Term) -> Term:
        """`table[code]`, or `table[channel, code]`."""
        offset = code.expr
        if table.ndim == 2:
            offset = self._offset((table.shape[0],)) * tir.constant(table.shape[1]) + offset
        return self.parameters.table(name, table, fold=False).at(offset)


def variable_name(op: Op) -> str:
    """The name of an operation's result in generated code."""
    return {"add": "sum", "sub": "difference", "mul": "product", "rescale": "rescaled", "clamp": "clamped"}.get(
        op.name, f"{op.name}_value"
    )


def stored(term: Term, dtype: str) -> Expr:
    """The expression of a term in the type of memory."""
    if term.dtype == dtype:
        return term.expr
    return tir.constant(term.low, dtype) if term.literal is not None else tir.cast(term.expr, dtype)


def store_outputs(place: Place, outputs: Sequence[Value] | None = None) -> None:
    """Evaluate and store the elements of the outputs at a place; they have the shape of the walked result."""
    for value in place.kernel.outputs if outputs is None else outputs:
        if math.prod(place.collapse.shape(value.type.shape)) != value.type.size:
            raise IrError(f"%{value.name} is not of the shape of its kernel's result")
        term = place.operand(value)
        offset = flat_offset(place.collapse.shape(value.type.shape), place.index)
        place.body.store(place.parameters.output(value), offset, stored(term, storage_dtype(value.type)))

"""Sums of products: what accumulators of convolutions and matrix products are made of.

The type of an accumulator follows from what it can become. Integer sums that provably fit 32 bits are int32; others of
a 32-bit accumulator wrap in uint32, as the evaluator does; wider accumulators are int64.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from qcc.ir import Array, Op, ScalarType, TensorType, Value
from qcc.ir.ops import Conv2d, ConvTranspose2d, Matmul
from qcc.passes import Interval, interval_of
from qcc.targets import terms, tir
from qcc.targets.folded_bias import folded_bias
from qcc.targets.portable.elements import Place
from qcc.targets.portable.parameters import Parameters, Table, code_range, storage_dtype
from qcc.targets.terms import Term
from qcc.targets.tir import Buffer, Expr

SumOp = Conv2d | ConvTranspose2d | Matmul


@dataclass(frozen=True)
class Accumulator:
    """How sums are kept.

    Attributes:
        dtype: TIR type of the running sum: `int32`, `uint32`, `int64` or a float.
        bounds: of the exact sum, for integers.
        result: the type that the sum has in the end.
    """

    dtype: str
    bounds: tuple[int, int]
    result: ScalarType

    @property
    def zero(self) -> Expr:
        """The empty sum."""
        return tir.number(0, self.dtype) if self.dtype.startswith("float") else tir.constant(0, self.dtype)

    def product(self, x: Term, w: Term) -> Expr:
        """A product to be added."""
        if self.dtype.startswith("float"):
            return x.expr * w.expr
        product = terms.multiply(x, w)
        if self.dtype == "uint32" and product.dtype == "int64":
            return tir.cast(x.expr, "uint32") * tir.cast(w.expr, "uint32")
        return self.summand(product)

    def summand(self, term: Term) -> Expr:
        """A term in the type of the sum."""
        if term.dtype == self.dtype:
            return term.expr
        if term.literal is not None:
            value = term.literal % 2**32 if self.dtype == "uint32" else term.literal
            return tir.constant(value, self.dtype)
        return tir.cast(term.expr, self.dtype)

    def term(self, total: Expr) -> Term:
        """The finished sum."""
        if self.dtype.startswith("float"):
            return Term(total, self.dtype)
        if self.dtype == "uint32":
            return terms.wrap(Term(tir.cast(total, "int32"), "int32", *terms.INT32), self.result)
        low, high = self.bounds
        if self.dtype == "int64":
            return terms.wrap(Term(total, "int64", max(low, terms.INT64[0]), min(high, terms.INT64[1])), self.result)
        return terms.wrap(Term(total, "int32", low, high), self.result)


def accumulator(op: SumOp, kernel_constants: Mapping[str, Array]) -> Accumulator:
    """The accumulator of a sum of products; `kernel_constants` is the data of its constant operands."""
    result = op.result.type.element.storage
    if op.result.type.is_float:
        return Accumulator(storage_dtype(op.result.type), (0, 0), result)
    # Partial sums stay within these bounds too: they include 0 and the bias.
    low, high = sum_bounds(op, kernel_constants)
    if terms.carrier(low, high) == "int32":
        return Accumulator("int32", (low, high), result)
    return Accumulator("int64" if result.bits > 32 else "uint32", (low, high), result)


def sum_bounds(op: Op, kernel_constants: Mapping[str, Array] | None = None) -> tuple[int, int]:
    """Bounds of every partial sum of an integer operation that sums, for any codes: what `prove-accumulators` finds."""
    constants = [(kernel_constants or {}).get(v.name) for v in op.operands]
    operands = [
        Interval.of(*(code_range(v.type) if data is None else terms.array_bounds(data)))
        for v, data in zip(op.operands, constants, strict=True)
    ]
    return interval_of(op, operands, constants).ends


@dataclass(frozen=True)
class Source:
    """Elements of a tensor less its zero point, in memory or in flash."""

    buffer: Buffer | Table
    type: TensorType
    zero_point: int = 0

    def at(self, offset: Expr) -> Term:
        """The element at a flat offset."""
        if isinstance(self.buffer, Table):
            term = self.buffer.at(offset)
        else:
            term = terms.loaded(tir.load(self.buffer, offset), storage_dtype(self.type), *code_range(self.type))
        return term if term.is_float or not self.zero_point else terms.subtract(term, terms.literal(self.zero_point))

    def raw(self, offset: Expr) -> Expr:
        """The element at a flat offset in the type of memory, zero point included."""
        if isinstance(self.buffer, Table) and self.buffer.buffer is None:
            return tir.cast(self.buffer.at(offset).expr, storage_dtype(self.type))
        return tir.load(self.buffer.buffer if isinstance(self.buffer, Table) else self.buffer, offset)


def activations(parameters: Parameters, value: Value, zero_point: int) -> Source:
    """The elements of an operand, as they are, wherever they are."""
    data = parameters.kernel.constants.get(value.name)
    if data is None:
        return Source(parameters.input(value), value.type, zero_point)
    return Source(parameters.table("data", data), value.type, zero_point)


def bounded_bias(op: SumOp, constants: Mapping[str, Array], axis: int) -> Array | None:
    """Return the bias with the input's zero point folded in, one an output; the sums then take the input as it is.

    None where operands are not constants, or a partial sum could leave 32 bits, which C does not define.
    """
    data = constants.get(op.weight.name)
    known = op.bias is None or op.bias.name in constants
    if data is None or not known or not op.input_zero_point or op.result.type.is_float:
        return None
    w = data.astype(np.int64) - op.weight_zero_point
    summed = tuple(a for a in range(w.ndim) if a != axis)
    bias = np.zeros(w.shape[axis], np.int64) if op.bias is None else constants[op.bias.name].astype(np.int64)
    folded = folded_bias(bias, w, op.input_zero_point, axis)
    reach = np.abs(w).sum(axis=summed) * max(abs(c) for c in code_range(op.x.type)) + np.abs(folded)
    return folded.astype(np.int32) if reach.max(initial=0) < 2**31 else None


def initial(accumulators: Accumulator, place: Place, op: SumOp, folded: Array | None = None) -> Expr:
    """What a sum starts with: the bias, or 0. Real sums get their bias at the end, as the evaluator does."""
    if folded is not None:
        return accumulators.summand(place.load("bias", folded))
    if op.bias is None or op.result.type.is_float:
        return accumulators.zero
    return accumulators.summand(place.operand(op.bias))

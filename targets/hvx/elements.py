"""Element-by-element operations on 128 elements at a time: bytes in one vector, integers in four.

Each operation has the bits of its `evaluate`. What has no vector form (64-bit products that are stored in 32 bits,
tables a channel, …) raises `NoVectorForm`; the scalar nests compute the kernel then.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from qcc.ir import Array, Op, Value
from qcc.ir.ops import Add, Cast, Clamp, Maximum, Minimum, Mul, Rescale, Sub, Table
from qcc.targets import hexagon_instructions as hvx
from qcc.targets import terms, tir
from qcc.targets.hexagon_instructions import LANES, VECTOR_BYTES
from qcc.targets.hvx import rescaling
from qcc.targets.hvx.memory import VECTOR, load_vector
from qcc.targets.hvx.writer import clamped, look_up, packed, splat_halfwords, vector_table
from qcc.targets.portable.elements import variable_name
from qcc.targets.portable.parameters import Parameters, code_range, storage_dtype
from qcc.targets.tir import Body, Expr

INT32 = (-(2**31), 2**31 - 1)
BYTES = ("int8", "uint8")


class NoVectorForm(Exception):
    """A kernel has something that only the scalar nests compute; never seen by a user."""


@dataclass(frozen=True)
class Codes:
    """128 bytes."""

    vector: Expr
    dtype: str
    low: int
    high: int

    def stored(self, body: Body, name: str) -> Codes:
        """The same in a local variable, which `terms.stored` tells the reason of."""
        return replace(self, vector=_stored(body, name, self.vector))


@dataclass(frozen=True)
class Words:
    """128 int32 in four vectors, known to lie in an interval."""

    vectors: tuple[Expr, ...]
    low: int
    high: int

    def map(self, body: Body, name: str, change: Callable[[Expr], Expr], bounds: tuple[int, int]) -> Words:
        """Each vector changed; `bounds` is the interval of the results."""
        return Words(tuple(body.let(name, change(vector)) for vector in self.vectors), *bounds)

    def stored(self, body: Body, name: str) -> Words:
        """The same in local variables, which `terms.stored` tells the reason of."""
        return replace(self, vectors=tuple(_stored(body, name, vector) for vector in self.vectors))


def _stored(body: Body, name: str, vector: Expr) -> Expr:
    """A vector in a local variable."""
    variable = body.allocate(name, 1, VECTOR)
    body.store(variable, 0, vector)
    return tir.load(variable, 0)


Term: TypeAlias = Codes | Words


class VectorPlace(ABC):
    """128 neighbouring elements of a result: the scope in which operations are evaluated there, each once."""

    def __init__(self, parameters: Parameters, known: Mapping[str, Term] | None = None) -> None:
        self.parameters = parameters
        self.body = parameters.body
        self._terms: dict[str, Term] = dict(known or {})

    @abstractmethod
    def load(self, value: Value) -> Codes:
        """The elements of a tensor of bytes in memory."""

    @abstractmethod
    def lanes(self, name: str, array: Array) -> tuple[Expr, ...]:
        """The int32 elements of a constant that broadcasts against the result, in four vectors."""

    def operand(self, value: Value) -> Term:
        """The elements of a value of the kernel."""
        if value.name not in self._terms:
            self._terms[value.name] = self._compute(value)
        return self._terms[value.name]

    def _compute(self, value: Value) -> Term:
        kernel = self.parameters.kernel
        op = kernel.definitions.get(value.name)
        if op is not None:
            if type(op) not in _EXPRESSIONS:
                raise NoVectorForm(op.name)
            term = _EXPRESSIONS[type(op)](op, self)
            return term.stored(self.body, variable_name(op)) if value.name in kernel.read_inside else term
        if value.name in kernel.constants:
            data = kernel.constants[value.name]
            if not fits(*terms.array_bounds(data), *INT32):
                raise NoVectorForm("a constant of 64 bits")
            return Words(self.lanes(self.parameters.role(value), data), *terms.array_bounds(data))
        if storage_dtype(value.type) not in BYTES:
            raise NoVectorForm(f"a tensor of {storage_dtype(value.type)}")
        return self.load(value)

    def constant(self, value: Value) -> Array:
        """The data of an operand that must be a constant."""
        if value.name not in self.parameters.kernel.constants:
            raise NoVectorForm("an operand that is no constant")
        return self.parameters.kernel.constants[value.name]

    def words(self, value: Value, zero_point: int = 0) -> Words:
        """The elements of a value less a zero point, as integers."""
        term = self.operand(value)
        if isinstance(term, Codes):
            return widened(self.body, term, zero_point)
        bounds = (term.low - zero_point, term.high - zero_point)
        if not zero_point:
            return term
        if not fits(*bounds, *INT32):
            raise NoVectorForm("a difference of 33 bits")
        return term.map(self.body, "difference", lambda v: v - tir.splat(zero_point, LANES), bounds)


def fits(low: int, high: int, least: int, most: int) -> bool:
    """Whether an interval lies in another one."""
    return least <= low and high <= most


def widened(body: Body, codes: Codes, zero_point: int = 0) -> Words:
    """Bytes as int32, less a zero point."""
    unpack = hvx.UNPACK_SIGNED if codes.dtype == "int8" else hvx.UNPACK_UNSIGNED
    pair = body.let("halfwords", unpack(codes.vector))
    vectors = []
    for part in (hvx.LOWER, hvx.UPPER):
        half = part(pair)
        if zero_point:
            half = hvx.ADD_HALFWORDS(half, splat_halfwords(-zero_point))
        wide = body.let("words", hvx.UNPACK_HALFWORDS(half))
        vectors += [body.let("word", which(wide)) for which in (hvx.LOWER, hvx.UPPER)]
    return Words(tuple(vectors), codes.low - zero_point, codes.high - zero_point)


def narrowed(body: Body, words: Words, dtype: str, zero_point: int, low: int, high: int) -> Codes:
    """Integers plus a zero point, clamped, as bytes."""
    code = packed(body, words.vectors, dtype, zero_point)
    return Codes(clamped(body, code, dtype, low, high), dtype, low, high)


def code_vector(place: VectorPlace, value: Value) -> Expr:
    """The bytes of a result, to be stored."""
    term, dtype = place.operand(value), storage_dtype(value.type)
    if isinstance(term, Codes) and term.dtype == dtype:
        return term.vector
    info = np.iinfo(dtype) if dtype in BYTES else None
    if info is None or isinstance(term, Codes) or not fits(term.low, term.high, info.min, info.max):
        raise NoVectorForm(f"a result of {dtype}")
    return packed(place.body, term.vectors, dtype, 0)


def _rescale(op: Rescale, place: VectorPlace) -> Term:
    """`clamp(round((x − zi)·m / 2^s) + zo)`."""
    x = place.words(op.x, op.input_zero_point)
    multiplier, shift = (place.constant(v).astype(np.int64) for v in (op.multiplier, op.shift))
    dtype = str(op.to.dtype)
    if op.to.bits not in (8, 32):
        raise NoVectorForm(f"a rescale to {op.to}")
    if op.rounding in ("half_up", "half_away"):
        y = _rounded_once(place, x, (multiplier, shift), op.rounding, op.to.bits == 8)
    elif op.rounding in ("double", "double_up") and multiplier.min() >= 0:
        y = _multiplied(place, x, rescaling.double_constants(multiplier, shift), op.rounding, INT32)
    else:
        raise NoVectorForm(f"rounding {op.rounding}")
    if op.to.bits == 8:
        return narrowed(place.body, y, dtype, op.output_zero_point, op.minimum, op.maximum)
    bounds = (y.low + op.output_zero_point, y.high + op.output_zero_point)
    if not fits(*bounds, *INT32):
        raise NoVectorForm("a sum of 33 bits")
    if op.output_zero_point:
        y = y.map(place.body, "shifted", lambda v: v + tir.splat(op.output_zero_point, LANES), bounds)
    return _clamped_words(place, y, op.minimum, op.maximum)


def _clamped_words(place: VectorPlace, words: Words, low: int, high: int) -> Words:
    """Integers within bounds."""
    if words.high > high:
        limit = tir.splat(high, LANES)
        words = words.map(place.body, "limited", lambda v: tir.minimum(v, limit), (min(words.low, high), high))
    if words.low < low:
        least = tir.splat(low, LANES)
        words = words.map(place.body, "limited", lambda v: tir.maximum(v, least), (low, max(words.high, low)))
    return words


def _rounded_once(
    place: VectorPlace, x: Words, constants: tuple[Array, Array], rounding: str, saturates: bool
) -> Words:
    """Rounded once, ties toward +∞ or away from zero."""
    multiplier, shift = constants
    ends = [int(end) * int(m) for end in (x.low, x.high) for m in (multiplier.min(), multiplier.max())]
    half = np.where(shift > 0, np.int64(1) << np.maximum(shift - 1, 0), 0)
    total = (min(*ends, 0) - 1, max(*ends, 0) + int(half.max()))
    away = rounding == "half_away"
    if fits(*total, *INT32) and shift.max() <= 30 and not (away and shift.min() < 1 <= shift.max()):
        product = _narrow_product(place, x, multiplier, (min(ends), max(ends)))
        return _narrow_shift(place, product, shift, half, away) if shift.any() else product
    if away:
        raise NoVectorForm("a product of 64 bits, ties away from zero")
    left = max(0, 33 - int(shift.min()))
    room = left <= rescaling.MOST_LEFT and fits(x.low << left, x.high << left, *INT32)
    if shift.min() < 1 or multiplier.min() < 0 or not (room or saturates):
        raise NoVectorForm("a product of 64 bits")
    high = rescaling.high_constants(multiplier, shift, not room)
    reach = max(-x.low, x.high) * int(multiplier.max()) / 2.0 ** int(shift.min())
    bounds = (-int(reach) - 1, int(reach) + 1) if reach < 2**31 - 2 else INT32
    return _multiplied(place, x, high, rounding, bounds)


def _multiplied(
    place: VectorPlace, x: Words, constants: rescaling.RescaleConstants, rounding: str, bounds: tuple[int, int]
) -> Words:
    """By the high product."""
    body = place.body
    factor, left, right = (
        place.lanes(name, array.astype(np.int32))
        for name, array in (
            ("multiplier", constants.multiplier),
            ("left_shift", constants.left),
            ("right_shift", constants.right),
        )
    )
    half = place.lanes("half", (np.int64(1) << np.maximum(constants.right - 1, 0)).astype(np.int32))
    vectors = []
    for lane, value in enumerate(x.vectors):
        if constants.left.any():
            value = rescaling.cut(value, left[lane]) if constants.saturates else value
            value = body.let("scaled", value << left[lane])
        if rounding != "half_up":
            result = rescaling.rounded_twice(body, value, factor[lane], right[lane], rounding == "double")
        else:
            result = rescaling.rounded_up(body, value, factor[lane], right[lane], half[lane])
        vectors.append(body.let("rescaled", result))
    return Words(tuple(vectors), *bounds)


def _narrow_product(place: VectorPlace, x: Words, multiplier: Array, bounds: tuple[int, int]) -> Words:
    """The product in 32 bits."""
    if np.all(multiplier == 1):
        return x
    factor = place.lanes("multiplier", multiplier.astype(np.int32))
    vectors = (place.body.let("product", v * f) for v, f in zip(x.vectors, factor, strict=True))
    return Words(tuple(vectors), *bounds)


def _narrow_shift(place: VectorPlace, x: Words, shift: Array, half: Array, away: bool) -> Words:
    """`⌊(x + half) / 2^shift⌋`; with `away` of x − 1 where x is negative, and shifts from 1."""
    add, by = place.lanes("half", half.astype(np.int32)), place.lanes("shift", shift.astype(np.int32))
    vectors = []
    for lane, value in enumerate(x.vectors):
        known = value + (value >> tir.splat(31, LANES)) if away else value
        vectors.append(place.body.let("rounded", (known + add[lane]) >> by[lane]))
    halves = ((int(shift.min()), int(half.min())), (int(shift.max()), int(half.max())))
    ends = [(end + h) >> s for end in (x.low - away, x.high) for s, h in halves]
    return Words(tuple(vectors), min(*ends, x.low, 0), max(*ends, 0))


def _arithmetic(combine: Callable[[Any, Any], Any]) -> Callable[[Any, VectorPlace], Term]:
    """An operation of two integers that wraps at 32 bits."""

    def expression(op: Any, place: VectorPlace) -> Term:
        if storage_dtype(op.result.type) != "int32":
            raise NoVectorForm(f"{op.name} of {op.result.type}")
        a, b = place.words(op.a), place.words(op.b)
        ends = [combine(x, y) for x in (a.low, a.high) for y in (b.low, b.high)]
        bounds = (min(ends), max(ends)) if fits(min(ends), max(ends), *INT32) else INT32
        pairs = zip(a.vectors, b.vectors, strict=True)
        return Words(tuple(place.body.let(op.name, combine(x, y)) for x, y in pairs), *bounds)

    return expression


def _selected(
    pick: Callable[[Expr, Expr], Expr], choose: Callable[[int, int], int]
) -> Callable[[Any, VectorPlace], Term]:
    """The smaller or the larger of two."""

    def expression(op: Any, place: VectorPlace) -> Term:
        a, b = place.operand(op.a), place.operand(op.b)
        if isinstance(a, Codes) and isinstance(b, Codes) and a.dtype == b.dtype:
            kind = f"{a.dtype}x{VECTOR_BYTES}"
            vector = tir.reinterpret(pick(tir.reinterpret(a.vector, kind), tir.reinterpret(b.vector, kind)), VECTOR)
            return Codes(place.body.let(op.name, vector), a.dtype, choose(a.low, b.low), choose(a.high, b.high))
        x, y = place.words(op.a), place.words(op.b)
        vectors = tuple(place.body.let(op.name, pick(p, q)) for p, q in zip(x.vectors, y.vectors, strict=True))
        return Words(vectors, choose(x.low, y.low), choose(x.high, y.high))

    return expression


def _clamp(op: Clamp, place: VectorPlace) -> Term:
    """`min(max(x, minimum), maximum)`."""
    x = place.operand(op.x)
    low = x.low if op.minimum == -np.inf else max(int(op.minimum), x.low)
    high = x.high if op.maximum == np.inf else min(int(op.maximum), x.high)
    if low > high:
        raise NoVectorForm("bounds beyond the operand's")
    if isinstance(x, Words):
        return _clamped_words(place, x, low, high)
    return Codes(clamped(place.body, x.vector, x.dtype, low, high), x.dtype, low, high)


def _table(op: Table, place: VectorPlace) -> Term:
    """`table[x − smallest code]`."""
    x, data = place.operand(op.x), place.constant(op.table)
    if data.ndim != 1 or str(data.dtype) not in BYTES or not isinstance(x, Codes):
        raise NoVectorForm("a table a channel")
    by_bits = vector_table(data.view(x.dtype)).view(data.dtype)
    stored = place.parameters.table("table", by_bits, fold=False)
    halves = [place.body.let("table_half", load_vector(stored.buffer, at)) for at in (0, VECTOR_BYTES)]
    vector = place.body.let("entries", look_up(place.body, x.vector, halves))
    return Codes(vector, str(data.dtype), *terms.array_bounds(data))


def _cast(op: Cast, place: VectorPlace) -> Term:
    """To a type that holds all values."""
    x = place.operand(op.x)
    if op.to.bits == 1 or not fits(x.low, x.high, op.to.minimum, op.to.maximum):
        raise NoVectorForm(f"a cast to {op.to}")
    return replace(x, dtype=str(op.to.dtype)) if isinstance(x, Codes) and op.to.bits == 8 else x


_EXPRESSIONS: Mapping[type[Op], Callable[[Any, VectorPlace], Term]] = {
    Add: _arithmetic(lambda a, b: a + b),
    Sub: _arithmetic(lambda a, b: a - b),
    Mul: _arithmetic(lambda a, b: a * b),
    Minimum: _selected(tir.minimum, min),
    Maximum: _selected(tir.maximum, max),
    Clamp: _clamp,
    Cast: _cast,
    Table: _table,
    Rescale: _rescale,
}


def loaded_codes(value: Value, vector: Expr) -> Codes:
    """A vector of a tensor's elements."""
    return Codes(vector, storage_dtype(value.type), *code_range(value.type))

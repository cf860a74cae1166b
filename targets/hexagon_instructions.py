"""The Hexagon instruction table: HVX in its 128-byte mode, v66 and later, and the `vrmpy` dot product over it.

Every entry of `INSTRUCTIONS` says what it means in NumPy; a test holds the two together. Vectors are `int32x32` in
TIR whatever they hold, pairs of vectors `int32x64`, predicates `int1x128`.

What shapes the nests of this machine (`targets/hvx`):

* `vrmpy` of a vector with a scalar register takes unsigned bytes in the vector. The weights are the vector, stored as
  `w + 128`; the surplus `128 · Σ x` is the same for all lanes and is taken back once a row (`row_sum`).
* A scalar load traps where its address is no multiple of its size; vector loads and stores may be anywhere.
* There is no multiplication of 32 by 32 bits in a lane: `vmpye` and `vmpyo` multiply by the lower and upper half of
  the other factor, and together give all 64 bits of the product.
* Stores can be masked by the byte, loads can not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from qcc.targets import tir
from qcc.targets.hexagon_family import hexagon_llvm
from qcc.targets.instructions import STEP, Array, DotInstruction, VectorLevel
from qcc.targets.tir import Body, Buffer, Expr

VECTOR_BYTES = 128
"""Bytes of a vector register."""

LANES = 32
"""int32 lanes of a vector."""

Bytes: TypeAlias = npt.NDArray[np.uint8]

TYPES: Mapping[str, str] = {
    "vector": "int32x32",
    "pair": "int32x64",
    "predicate": "int1x128",
    "word": "int32",
    "quad": "int64",
}
"""TIR's types of operands and results, by kind."""


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    Attributes:
        name: as the programmer's reference manual writes it.
        intrinsic: LLVM's name.
        operands: kinds of the operands, in the intrinsic's order.
        result: kind of the result.
        meaning: what it computes, on the bytes of vectors, pairs and predicates (one byte each, 0 or 1) and on Python
            integers for words and quads.
    """

    name: str
    intrinsic: str
    operands: tuple[str, ...]
    result: str
    meaning: Callable[..., Any]

    def __call__(self, *operands: Expr) -> Expr:
        """The instruction as a TIR expression."""
        return tir.llvm(TYPES[self.result], f"llvm.hexagon.{self.intrinsic}", *operands)


def _words(data: Bytes) -> npt.NDArray[np.int64]:
    return data.view(np.int32).astype(np.int64)


def _bytes(data: npt.NDArray[Any], dtype: str) -> Bytes:
    return np.ascontiguousarray(data.astype(dtype)).view(np.uint8)


def _dot(accumulator: Bytes, left: npt.NDArray[Any], right: npt.NDArray[Any]) -> Bytes:
    """Four products a lane, added modulo 2³²."""
    products = left.astype(np.int64).reshape(-1, STEP) * right.astype(np.int64).reshape(-1, STEP)
    return _bytes(_words(accumulator) + products.sum(axis=1), "int32")


def _repeated(word: int) -> npt.NDArray[np.int8]:
    """A word's four bytes in all lanes."""
    return np.tile(np.array([word], np.int64).astype(np.int32).view(np.int8), LANES)


def _row_sum(accumulator: int, left: int, right: int) -> int:
    """Two sums of four products of signed and unsigned bytes, in the two words of a quad."""
    a = np.array([left], np.int64).view(np.int8).astype(np.int64).reshape(2, STEP)
    b = np.array([right], np.int64).view(np.uint8).astype(np.int64).reshape(2, STEP)
    words = np.array([accumulator], np.int64).view(np.int32) + (a * b).sum(axis=1)
    return int(words.astype(np.int32).view(np.int64)[0])


def _even_product(a: Bytes, b: Bytes) -> Bytes:
    """`a` times the unsigned lower halves of `b`, 48 bits: the upper 32 in the second vector, the rest in the first."""
    product = _words(a) * (_words(b) & 0xFFFF)
    return np.concatenate([_bytes(product << 16, "int32"), _bytes(product >> 16, "int32")])


def _odd_product(accumulator: Bytes, a: Bytes, b: Bytes) -> Bytes:
    """With the pair of `_even_product`: all 64 bits of `a · b`, the upper word in the second vector."""
    low, high = _words(accumulator[:VECTOR_BYTES]), _words(accumulator[VECTOR_BYTES:])
    product = _words(a) * (_words(b) >> 16) + high
    lower = ((low & 0xFFFFFFFF) >> 16) | (product & 0xFFFF) << 16
    return np.concatenate([_bytes(lower, "int32"), _bytes(product >> 16, "int32")])


def _even_upper(a: Bytes, b: Bytes) -> Bytes:
    return _bytes(_words(a) * (_words(b) & 0xFFFF) >> 16, "int32")


def _odd_rounded(accumulator: Bytes, a: Bytes, b: Bytes) -> Bytes:
    """After `_even_upper`: the doubling high product `⌊(a·b + 2³⁰) / 2³¹⌋`, saturated."""
    total = (((_words(accumulator) + _words(a) * (_words(b) >> 16)) >> 14) + 1) >> 1
    return _bytes(np.clip(total, -(2**31), 2**31 - 1), "int32")


def _pack(source: str, target: str) -> Callable[[Bytes, Bytes], Bytes]:
    info = np.iinfo(target)

    def meaning(upper: Bytes, lower: Bytes) -> Bytes:
        joined = np.concatenate([lower.view(source), upper.view(source)])
        return _bytes(np.clip(joined, info.min, info.max), target)

    return meaning


def _unpack(source: str, target: str) -> Callable[[Bytes], Bytes]:
    return lambda data: _bytes(data.view(source), target)


def _add_halfwords(a: Bytes, b: Bytes) -> Bytes:
    total = a.view(np.int16).astype(np.int32) + b.view(np.int16)
    return _bytes(np.clip(total, -(2**15), 2**15 - 1), "int16")


def _shuffle(upper: Bytes, lower: Bytes, sizes: int) -> Bytes:
    """Swap blocks of 1, 2, 4, … bytes between the vectors where `sizes` has the bit: −1 interleaves bytes."""
    low, high = lower.copy(), upper.copy()
    for bit in range(7):
        offset = 1 << bit
        if sizes & offset:
            at = np.array([k for k in range(VECTOR_BYTES) if not k & offset])
            high[at], low[at + offset] = low[at + offset].copy(), high[at].copy()
    return np.concatenate([low, high])


def _look_up(codes: Bytes, table: Bytes, match: int) -> Bytes:
    """Entries of 32 of the 256 codes, 0 for the others; a table vector holds entries `j` and `64 + j` side by side."""
    entries = table.reshape(64, 2)[codes % 64, match >> 1 & 1]
    return np.where(codes >> 5 == match & 7, entries, 0).astype(np.uint8)


def _below(count: int) -> Bytes:
    return (np.arange(VECTOR_BYTES) < count % VECTOR_BYTES).astype(np.uint8)


def _below_or_all(count: int) -> Bytes:
    return (np.arange(VECTOR_BYTES) <= (count - 1) % VECTOR_BYTES).astype(np.uint8)


def _v6(name: str, intrinsic: str, operands: str, result: str, meaning: Callable[..., Any]) -> Instruction:
    return Instruction(name, f"V6.{intrinsic}.128B", tuple(operands.split()), result, meaning)


DOT_SCALAR = _v6(
    "Vx.w += vrmpy(Vu.ub, Rt.b)",
    "vrmpybus.acc",
    "vector vector word",
    "vector",
    lambda x, u, t: _dot(x, u, _repeated(t)),
)
DOT_VECTORS = _v6(
    "Vx.w += vrmpy(Vu.b, Vv.b)",
    "vrmpybv.acc",
    "vector vector vector",
    "vector",
    lambda x, u, v: _dot(x, u.view(np.int8), v.view(np.int8)),
)
ROW_SUM = Instruction("Rxx += vrmpybsu(Rss, Rtt)", "M5.vrmacbsu", ("quad", "quad", "quad"), "quad", _row_sum)
EVEN_PRODUCT = _v6("Vdd = vmpye(Vu.w, Vv.uh)", "vmpyewuh.64", "vector vector", "pair", _even_product)
ODD_PRODUCT = _v6("Vxx += vmpyo(Vu.w, Vv.h)", "vmpyowh.64.acc", "pair vector vector", "pair", _odd_product)
EVEN_UPPER = _v6("Vd.w = vmpye(Vu.w, Vv.uh)", "vmpyewuh", "vector vector", "vector", _even_upper)
ODD_ROUNDED = _v6(
    "Vx.w += vmpyo(Vu.w, Vv.h):<<1:rnd:sat:shift",
    "vmpyowh.rnd.sacc",
    "vector vector vector",
    "vector",
    _odd_rounded,
)
PACK_WORDS = _v6("Vd.h = vpack(Vu.w, Vv.w):sat", "vpackwh.sat", "vector vector", "vector", _pack("int32", "int16"))
PACK_SIGNED = _v6("Vd.b = vpack(Vu.h, Vv.h):sat", "vpackhb.sat", "vector vector", "vector", _pack("int16", "int8"))
PACK_UNSIGNED = _v6("Vd.ub = vpack(Vu.h, Vv.h):sat", "vpackhub.sat", "vector vector", "vector", _pack("int16", "uint8"))
ADD_HALFWORDS = _v6("Vd.h = vadd(Vu.h, Vv.h):sat", "vaddhsat", "vector vector", "vector", _add_halfwords)
UNPACK_SIGNED = _v6("Vdd.h = vunpack(Vu.b)", "vunpackb", "vector", "pair", _unpack("int8", "int16"))
UNPACK_UNSIGNED = _v6("Vdd.uh = vunpack(Vu.ub)", "vunpackub", "vector", "pair", _unpack("uint8", "int16"))
UNPACK_HALFWORDS = _v6("Vdd.w = vunpack(Vu.h)", "vunpackh", "vector", "pair", _unpack("int16", "int32"))
ROTATE = _v6("Vd = vror(Vu, Rt)", "vror", "vector word", "vector", lambda u, t: np.roll(u, -(t % VECTOR_BYTES)))
SHUFFLE = _v6("Vdd = vshuff(Vu, Vv, Rt)", "vshuffvdd", "vector vector word", "pair", _shuffle)
LOOK_UP = _v6("Vd.b = vlut32(Vu.b, Vv.b, Rt)", "vlutvvb", "vector vector word", "vector", _look_up)
LOOK_UP_MORE = _v6(
    "Vx.b |= vlut32(Vu.b, Vv.b, Rt)",
    "vlutvvb.oracc",
    "vector vector vector word",
    "vector",
    lambda x, u, v, t: x | _look_up(u, v, t),
)
LOWER = _v6("the even vector of a pair", "lo", "pair", "vector", lambda pair: pair[:VECTOR_BYTES])
UPPER = _v6("the odd vector of a pair", "hi", "pair", "vector", lambda pair: pair[VECTOR_BYTES:])
BELOW = _v6("Qd = vsetq(Rt)", "pred.scalar2", "word", "predicate", _below)
BELOW_OR_ALL = _v6("Qd = vsetq2(Rt)", "pred.scalar2v2", "word", "predicate", _below_or_all)
AND_NOT = _v6("Qd = and(Qs, !Qt)", "pred.and.n", "predicate predicate", "predicate", lambda s, t: s & (1 - t))

INSTRUCTIONS: tuple[Instruction, ...] = (
    *(DOT_SCALAR, DOT_VECTORS, ROW_SUM),
    *(EVEN_PRODUCT, ODD_PRODUCT, EVEN_UPPER, ODD_ROUNDED),
    *(PACK_WORDS, PACK_SIGNED, PACK_UNSIGNED, ADD_HALFWORDS, UNPACK_SIGNED, UNPACK_UNSIGNED, UNPACK_HALFWORDS),
    *(ROTATE, SHUFFLE, LOOK_UP, LOOK_UP_MORE, LOWER, UPPER, BELOW, BELOW_OR_ALL, AND_NOT),
)
"""The whole table, for the test."""

MASKED_STORE = "llvm.hexagon.V6.vS32b.qpred.ai.128B"
"""`if (Qv) vmem(Rt) = Vs`: only bytes whose predicate is set are written; the address is rounded down to a vector."""


@dataclass(frozen=True)
class VectorReduce(DotInstruction):
    """`vrmpy` of a vector of weights, stored as `w + 128`, with four signed activation bytes in a scalar register."""

    def activation_offset(self, input_type: str) -> int:
        """Unsigned activations are staged as `x − 128`."""
        return -128 if input_type == "uint8" else 0

    def arrange(self, weights: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
        """Unsigned: `w + 128`."""
        return super().arrange(weights) ^ np.int8(-128)

    def broadcast(self, body: Body, word: Expr, input_type: str) -> tuple[Expr, ...]:
        """The scalar register itself."""
        if input_type == "uint8":
            word = word ^ tir.constant(-0x7F7F7F80)
        return (body.let("activation", word),)

    def load_weights(self, body: Body, weights: Buffer, offset: Expr) -> tuple[Expr, ...]:
        """One vector of `lanes` quads."""
        return (body.let("weight", tir.reinterpret(tir.load(weights, offset, VECTOR_BYTES), TYPES["vector"])),)

    def accumulate(self, accumulator: Expr, activation: tuple[Expr, ...], weights: tuple[Expr, ...]) -> Expr:
        """One `vrmpy`."""
        return DOT_SCALAR(accumulator, weights[0], activation[0])

    def meaning(self, accumulator: Array, activation: Array, weights: Array) -> npt.NDArray[np.int32]:
        """The step in NumPy: as the base says, plus 128 times the sum of the activations."""
        offset = self.activation_offset(str(activation.dtype))
        surplus = 128 * (activation.astype(np.int64) + offset).sum()
        total: npt.NDArray[np.int64] = super().meaning(accumulator, activation, weights).astype(np.int64) + surplus
        return total.astype(np.int32)


HVX_V66 = VectorLevel(
    "hvxv66",
    hexagon_llvm("hvxv66"),
    VectorReduce(
        name="vrmpy",
        lanes=LANES,
        registers=32,
        temporaries=2,
        staged=True,
        roundings=frozenset({"half_up", "double", "double_up"}),
    ),
    (),
)
"""HVX of v66."""

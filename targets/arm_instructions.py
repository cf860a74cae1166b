"""The ARM instruction tables: NEON of 64 and 32 bits, dot product, matrix multiply.

All multiply signed bytes. Unsigned activations are made signed by flipping the top bit, `x XOR 0x80 = x − 128`; the
bias takes `−128 · Σ weights` back, which is exact modulo 2³².

The rescale is two instructions: `sqdmulh` gives `⌊x·m / 2³¹⌋` (the product can't saturate, m is not −2³¹), and `srshl`
by a negative count shifts right and rounds half up. Rounding once at the end of two floors is exact:
`⌊(⌊x·m / 2³¹⌋ + 2^t) / 2^(t+1)⌋ = ⌊(x·m + 2^(31+t)) / 2^(32+t)⌋`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from qcc.ir import TargetError
from qcc.targets import tir
from qcc.targets.arm_linux_family import arm_llvm
from qcc.targets.instructions import STEP, DotInstruction, VectorLevel
from qcc.targets.tir import Body, Buffer, Expr

QUAD = 4
"""Int32 lanes of a register."""
_SIGN_BITS = -0x7F7F7F80
"""0x80808080 as an int32."""


@dataclass(frozen=True)
class NeonNames:
    """How LLVM names NEON's instructions on one architecture."""

    high_product: str
    rounding_shift: str
    narrow: str
    narrow_unsigned: str
    byte_product: str
    """Products of bytes as int16 lanes."""
    pair_sums: str
    """Sums of neighbouring int16 lanes as int32 lanes."""
    adds_pairs_to: bool
    """Whether `pair_sums` takes an accumulator first."""
    doubled_high_product: str


AARCH64_NAMES = NeonNames(
    "llvm.aarch64.neon.sqdmulh.v4i32",
    "llvm.aarch64.neon.srshl.v4i32",
    "llvm.aarch64.neon.sqxtn",
    "llvm.aarch64.neon.sqxtun",
    "llvm.aarch64.neon.smull.v8i16",
    "llvm.aarch64.neon.saddlp.v4i32.v8i16",
    adds_pairs_to=False,
    doubled_high_product="llvm.aarch64.neon.sqrdmulh.v4i32",
)
ARMV7_NAMES = NeonNames(
    "llvm.arm.neon.vqdmulh.v4i32",
    "llvm.arm.neon.vrshifts.v4i32",
    "llvm.arm.neon.vqmovns",
    "llvm.arm.neon.vqmovnsu",
    "llvm.arm.neon.vmulls.v8i16",
    "llvm.arm.neon.vpadals.v4i32.v8i16",
    adds_pairs_to=True,
    doubled_high_product="llvm.arm.neon.vqrdmulh.v4i32",
)


def _quads(body: Body, vector: Expr) -> list[Expr]:
    """A vector of int32 lanes as registers."""
    lanes = int(vector.ty.dtype.lanes)
    if lanes <= QUAD:
        return [vector]
    known = body.let("lanes", vector)
    return [tir.extract(known, range(first, first + QUAD)) for first in range(0, lanes, QUAD)]


def _repeated(vector: Expr, lane: int, bytes_: int) -> Expr:
    """One int16 lane, two bytes, of a vector in all lanes of a register of so many bytes."""
    return tir.reinterpret(tir.extract(vector, [lane] * (bytes_ // 2)), f"int8x{bytes_}")


@dataclass(frozen=True)
class Neon(DotInstruction):
    """What the tables share: the rescale, narrowing, depthwise products."""

    names: NeonNames
    channel_lanes: int = field(default=8, kw_only=True)
    roundings: frozenset[str] = field(default=frozenset({"half_up", "double", "double_up", "float"}), kw_only=True)

    def activation_offset(self, input_type: str) -> int:
        """Unsigned activations enter as `x − 128`."""
        return -128 if input_type == "uint8" else 0

    def signed(self, loaded: Expr, input_type: str) -> Expr:
        """Loaded activations as int8."""
        if input_type == "int8":
            return loaded
        lanes = int(loaded.ty.dtype.lanes)
        return tir.reinterpret(loaded ^ tir.splat(0x80, lanes, "uint8"), f"int8x{lanes}")

    def widened(self, loaded: Expr) -> Expr:
        """Int16 lanes; eight signed bytes stay as they are."""
        lanes, kind = int(loaded.ty.dtype.lanes), str(loaded.ty.dtype)
        if kind == "int8x8":
            return loaded
        return tir.cast(loaded, "int16" if lanes == 1 else f"int16x{lanes}")

    def multiply_add(self, accumulator: Expr, value: Expr, weight: Expr) -> Expr:
        """`smull` and `saddw` for bytes, `smlal` for int16 lanes."""
        lanes = int(value.ty.dtype.lanes)
        kind = "int32" if lanes == 1 else f"int32x{lanes}"
        if str(value.ty.dtype) == str(weight.ty.dtype) == "int8x8":
            return accumulator + tir.cast(tir.llvm("int16x8", self.names.byte_product, value, weight), kind)
        return accumulator + tir.cast(value, kind) * tir.cast(weight, kind)

    def doubled_high_product(self, body: Body, value: Expr, factor: Expr) -> Expr | None:
        """`sqrdmulh`."""
        if int(value.ty.dtype.lanes) % QUAD:
            return None
        operands = zip(_quads(body, value), _quads(body, factor), strict=True)
        name = self.names.doubled_high_product
        return tir.concatenate([body.let("doubled", tir.llvm("int32x4", name, x, m)) for x, m in operands])

    def rounded_product(self, body: Body, value: Expr, factor: Expr, shift: Expr) -> Expr | None:
        """`sqdmulh`, `srshl` by `−(shift + 1) = NOT shift`."""
        lanes = int(value.ty.dtype.lanes)
        if lanes % QUAD:
            return None
        results = []
        for x, m, t in zip(_quads(body, value), _quads(body, factor), _quads(body, shift), strict=True):
            upper = body.let("upper", tir.llvm("int32x4", self.names.high_product, x, m))
            count = body.let("count", t ^ tir.splat(-1, QUAD))
            results.append(body.let("rounded", tir.llvm("int32x4", self.names.rounding_shift, upper, count)))
        return tir.concatenate(results)

    def narrow(self, body: Body, vectors: list[Expr], output_type: str) -> Expr | None:
        """`sqxtn` to 16 bits, then `sqxtn` or `sqxtun` to 8."""
        quads = [quad for vector in vectors for quad in _quads(body, vector)]
        if len(quads) not in (2, 4) or any(int(q.ty.dtype.lanes) != QUAD for q in quads):
            return None
        words = [body.let("words", tir.llvm("int16x4", f"{self.names.narrow}.v4i16", quad)) for quad in quads]
        halves = [tir.concatenate(words[i : i + 2]) for i in range(0, len(words), 2)]
        name = self.names.narrow if output_type == "int8" else self.names.narrow_unsigned
        bytes_ = [body.let("bytes", tir.llvm(f"{output_type}x8", f"{name}.v8i8", half)) for half in halves]
        return tir.concatenate(bytes_)


@dataclass(frozen=True)
class ByteDot(Neon):
    """`sdot`: four byte products added to an int32 lane; sixteen activation bytes of a row serve four steps."""

    group: int = field(default=4, kw_only=True)

    def fits(self, rows: int, vectors: int) -> bool:
        """Accumulators, the weights of a step, the activations of each row."""
        return rows * vectors + vectors + rows < self.registers

    def step_cost(self, rows: int, vectors: int) -> float:
        """Instructions: dot products, weights loaded in pairs, activations, a share of the loop and of the tile."""
        return rows * vectors + vectors / 2 + rows / 4 + 0.75

    def load_activations(self, body: Body, source: Buffer, offset: Expr, input_type: str) -> list[tuple[Expr, ...]]:
        """One register; each step takes a quarter of it, which the instruction broadcasts itself."""
        loaded = self.signed(tir.load(source, offset, QUAD * STEP), input_type)
        words = body.let("activation", tir.reinterpret(loaded, "int32x4"))
        return [(tir.reinterpret(tir.splat(tir.extract(words, [i]), QUAD), "int8x16"),) for i in range(QUAD)]

    def broadcast(self, body: Body, word: Expr, input_type: str) -> tuple[Expr, ...]:
        """One register: the word in every lane."""
        if input_type == "uint8":
            word = word ^ tir.constant(_SIGN_BITS)
        return (body.let("activation", tir.reinterpret(tir.splat(word, QUAD), "int8x16")),)

    def load_weights(self, body: Body, weights: Buffer, offset: Expr) -> tuple[Expr, ...]:
        """One register."""
        return (body.let("weight", tir.load(weights, offset, QUAD * STEP)),)

    def accumulate(self, accumulator: Expr, activation: tuple[Expr, ...], weights: tuple[Expr, ...]) -> Expr:
        """One `sdot`."""
        name = "llvm.aarch64.neon.sdot.v4i32.v16i8"
        return tir.llvm("int32x4", name, accumulator, weights[0], activation[0])


@dataclass(frozen=True)
class MatrixMultiply(Neon):
    """`smmla`: two rows of eight bytes by two columns of eight, added to 2 × 2 int32 sums."""

    step: int = field(default=8, kw_only=True)
    group: int = field(default=2, kw_only=True)
    paired_rows: bool = field(default=True, kw_only=True)

    def fits(self, rows: int, vectors: int) -> bool:
        """Accumulators of an even number of rows, the weights of a step, the activations of each row."""
        even = rows + rows % 2
        return even * vectors + 2 + even <= self.registers - self.temporaries

    def step_cost(self, rows: int, vectors: int) -> float:
        """Instructions: products, weights in pairs, activations loaded and joined, a share of the loop."""
        even = rows + rows % 2
        return even * vectors + vectors + even + 1.5

    def pair(self, body: Body, rows: list[Expr], input_type: str) -> tuple[Expr, ...]:
        """One register: eight bytes of each row."""
        return (body.let("pair", self.signed(tir.concatenate(rows), input_type)),)

    def broadcast(self, body: Body, word: Expr, input_type: str) -> tuple[Expr, ...]:
        """Rows are loaded by eight bytes only."""
        raise TargetError("smmla takes no word of four bytes", help="report this: rows are paired")

    def load_weights(self, body: Body, weights: Buffer, offset: Expr) -> tuple[Expr, ...]:
        """Two registers, of two columns each."""
        places = (offset, offset + tir.constant(16))
        return tuple(body.let("weight", tir.load(weights, place, 16)) for place in places)

    def accumulate(self, accumulator: Expr, activation: tuple[Expr, ...], weights: tuple[Expr, ...]) -> Expr:
        """One `smmla`: `weights` is one of the registers."""
        name = "llvm.aarch64.neon.smmla.v4i32.v16i8"
        return tir.llvm("int32x4", name, accumulator, activation[0], weights[0])


@dataclass(frozen=True)
class PairSums(Neon):
    """`smull` multiplies bytes to 16 bits, `sadalp` adds pairs of products to int32 lanes: exact for every byte.

    Half a register holds two weights of each lane, or two activations in every lane.
    """

    accumulates: bool = field(default=False, kw_only=True)
    """Whether two products are added in 16 bits (`smlal`) first: exact where no weight is −128."""
    load_bytes: int = field(default=16, kw_only=True)
    """Activation bytes of a row that are loaded together: a register of 128 or of 64 bits."""

    def fits(self, rows: int, vectors: int) -> bool:
        """Accumulators, weights, the activations of each row, and what a product goes through."""
        activations = rows * self.load_bytes / 16
        return rows * vectors + vectors + activations + self.temporaries <= self.registers

    def step_cost(self, rows: int, vectors: int) -> float:
        """Instructions: products, weights, activations loaded and repeated, a share of the loop."""
        products = 3 if self.accumulates else 4
        return products * rows * vectors + vectors + rows * (2 + STEP / self.load_bytes) + 1

    def arrange(self, weights: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
        """`[2 pairs][lanes][2]`: the first two weights of every lane, then the last two."""
        pairs = weights.reshape(*weights.shape[:-2], self.lanes, 2, 2)
        return np.swapaxes(pairs, -3, -2).reshape(*weights.shape[:-2], self.lanes * STEP)

    def load_activations(self, body: Body, source: Buffer, offset: Expr, input_type: str) -> list[tuple[Expr, ...]]:
        """A register for several steps."""
        loaded = self.signed(tir.load(source, offset, self.load_bytes), input_type)
        pairs = body.let("activation", tir.reinterpret(loaded, f"int16x{self.load_bytes // 2}"))
        return [self._pair(pairs, 2 * step) for step in range(self.group)]

    def broadcast(self, body: Body, word: Expr, input_type: str) -> tuple[Expr, ...]:
        """Two registers: the first pair of activations in every lane, and the second."""
        if input_type == "uint8":
            word = word ^ tir.constant(_SIGN_BITS)
        pairs = body.let("activation", tir.reinterpret(tir.splat(word, 2), "int16x4"))
        return self._pair(pairs, 0)

    def _pair(self, pairs: Expr, lane: int) -> tuple[Expr, ...]:
        """Two neighbouring pairs of activations, each in every lane of a register."""
        return _repeated(pairs, lane, self.load_bytes), _repeated(pairs, lane + 1, self.load_bytes)

    def load_weights(self, body: Body, weights: Buffer, offset: Expr) -> tuple[Expr, ...]:
        """One register, its halves for the two products."""
        loaded = body.let("weight", tir.load(weights, offset, QUAD * STEP))
        return tir.extract(loaded, range(8)), tir.extract(loaded, range(8, 16))

    def accumulate(self, accumulator: Expr, activation: tuple[Expr, ...], weights: tuple[Expr, ...]) -> Expr:
        """Two `smull` and `sadalp`, or `smull`, `smlal`, `sadalp`."""
        names = self.names
        halves = (tir.extract(activation[0], range(8)), tir.extract(activation[1], range(self.load_bytes)[-8:]))
        operands = zip(weights, halves, strict=True)
        first, second = (tir.llvm("int16x8", names.byte_product, weight, value) for weight, value in operands)
        for products in [first + second] if self.accumulates else [first, second]:
            if names.adds_pairs_to:
                accumulator = tir.llvm("int32x4", names.pair_sums, accumulator, products)
            else:
                accumulator = accumulator + tir.llvm("int32x4", names.pair_sums, products)
        return accumulator


def _neon(name: str, names: NeonNames, registers: int, load_bytes: int, pointer: str, accumulates: bool) -> PairSums:
    return PairSums(
        name=name,
        lanes=QUAD,
        registers=registers,
        temporaries=registers // 4,
        names=names,
        group=load_bytes // STEP,
        load_bytes=load_bytes,
        pointer_type=pointer,
        accumulates=accumulates,
    )


NEON = VectorLevel(
    "neon",
    arm_llvm("neon"),
    _neon("smull", AARCH64_NAMES, 32, 16, "int64", accumulates=False),
    ("asimd",),
    narrow_dot=_neon("smlal", AARCH64_NAMES, 32, 16, "int64", accumulates=True),
)
DOTPROD = VectorLevel(
    "dotprod",
    arm_llvm("dotprod"),
    ByteDot(name="sdot", lanes=QUAD, registers=32, temporaries=0, names=AARCH64_NAMES),
    ("asimd", "asimddp"),
)
I8MM = VectorLevel(
    "i8mm",
    arm_llvm("i8mm"),
    MatrixMultiply(name="smmla", lanes=QUAD, registers=32, temporaries=4, names=AARCH64_NAMES),
    ("asimd", "asimddp", "i8mm"),
)
ARMV7_NEON = VectorLevel(
    "armv7",
    arm_llvm("armv7"),
    _neon("vmull", ARMV7_NAMES, 16, 8, "int32", accumulates=False),
    ("neon",),
    narrow_dot=_neon("vmlal", ARMV7_NAMES, 16, 8, "int32", accumulates=True),
)
ARM_LEVELS: dict[str, VectorLevel] = {level.name: level for level in (NEON, DOTPROD, I8MM, ARMV7_NEON)}
"""The levels by name."""

"""The x86 instruction tables: AVX2, AVX-VNNI and AVX512-VNNI.

`vpdpbusd` multiplies unsigned by signed bytes. Signed activations are made unsigned by flipping the top bit,
`x XOR 0x80 = x + 128`; the bias takes `128 · Σ weights` back, which is exact modulo 2³².

`vpmaddubsw` is never used: its 16-bit sums saturate. AVX2 widens bytes to 16 bits and uses `vpmaddwd`, which is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qcc.targets import tir
from qcc.targets.instructions import STEP, DotInstruction, VectorLevel
from qcc.targets.tir import Body, Buffer, Expr
from qcc.targets.x86_family import X86_FEATURE_LEVELS

_SIGN_BITS = -0x7F7F7F80
"""0x80808080 as an int32."""


_ROUNDINGS = frozenset({"half_up", "double", "double_up", "float"})


def _pairs(value: Expr, weight: Expr) -> tuple[Expr, Expr]:
    """Int32 lanes as pairs of int16 whose second product is zero: the upper half of each weight is cleared."""
    lanes = int(value.ty.dtype.lanes)
    kind = f"int16x{lanes * 2}"
    return tir.reinterpret(value, kind), tir.reinterpret(weight & tir.splat(0xFFFF, lanes), kind)


def _narrow(body: Body, vectors: list[Expr], output_type: str, lanes: int) -> Expr | None:
    """Two to four vectors through `vpackssdw` and `vpack[s|u]swb`, which work in 128-bit parts, and one `vpermd`."""
    if not 2 <= len(vectors) <= 4 or any(int(vector.ty.dtype.lanes) != lanes for vector in vectors):
        return None
    name, suffix = ("llvm.x86.avx512", ".512") if lanes == 16 else ("llvm.x86.avx2", "")
    four = [*vectors, *vectors][:4]
    words = [
        body.let("words", tir.llvm(f"int16x{lanes * 2}", f"{name}.packssdw{suffix}", four[i], four[i + 1]))
        for i in (0, 2)
    ]
    pack = "packsswb" if output_type == "int8" else "packuswb"
    joined = body.let("joined", tir.llvm(f"{output_type}x{lanes * 4}", f"{name}.{pack}{suffix}", *words))
    quads = body.let("quads", tir.reinterpret(joined, f"int32x{lanes}"))
    order = [part * 4 + vector for vector in range(len(vectors)) for part in range(lanes // 4)]
    return tir.reinterpret(tir.extract(quads, order), f"{output_type}x{lanes * len(vectors)}")


@dataclass(frozen=True)
class VectorNeuralNetwork(DotInstruction):
    """`vpdpbusd`: four unsigned × signed byte products added to an int32 lane."""

    intrinsic: str
    zero: str
    """An intrinsic that makes zeros of zeros, which LLVM does not know."""

    def activation_offset(self, input_type: str) -> int:
        """Signed activations enter as `x + 128`."""
        return 128 if input_type == "int8" else 0

    def broadcast(self, body: Body, word: Expr, input_type: str) -> tuple[Expr, ...]:
        """One register: the word in every lane, sign bits flipped for int8."""
        lanes = tir.splat(word, self.lanes)
        if input_type == "int8":
            lanes = lanes ^ self._sign_bits(body)
        return (body.let("activation", tir.reinterpret(lanes, f"uint8x{self.lanes * STEP}")),)

    def _sign_bits(self, body: Body) -> Expr:
        """The sign bit of every byte, as a value that LLVM takes for unknown.

        It would turn the exclusive or with a constant into a scalar one before the broadcast, and the broadcast from
        memory into one from a scalar register, of which a processor does one a cycle.
        """
        zeros = tir.splat(0, self.lanes * STEP, "int8")
        selector = tir.constant(0, "int32" if self.lanes == 16 else "int8")
        unknown = tir.llvm(f"int16x{self.lanes * 2}", self.zero, zeros, zeros, selector)
        return body.let("sign", tir.reinterpret(unknown, self.accumulator_type) | tir.splat(_SIGN_BITS, self.lanes))

    def load_weights(self, body: Body, weights: Buffer, offset: Expr) -> tuple[Expr, ...]:
        """One register of `lanes` quads."""
        return (body.let("weight", tir.load(weights, offset, self.lanes * STEP)),)

    def accumulate(self, accumulator: Expr, activation: tuple[Expr, ...], weights: tuple[Expr, ...]) -> Expr:
        """One `vpdpbusd`."""
        return tir.llvm(self.accumulator_type, self.intrinsic, accumulator, activation[0], weights[0])

    def multiply_add(self, accumulator: Expr, value: Expr, weight: Expr) -> Expr:
        """One `vpdpwssd`; `vpmulld` would be slow."""
        lanes = int(value.ty.dtype.lanes)
        name = f"llvm.x86.avx512.vpdpwssd.{lanes * 32}"
        return tir.llvm(f"int32x{lanes}", name, accumulator, *_pairs(value, weight))

    def narrow(self, body: Body, vectors: list[Expr], output_type: str) -> Expr | None:
        """With saturating packs."""
        return _narrow(body, vectors, output_type, self.lanes)


@dataclass(frozen=True)
class WideningPairs(DotInstruction):
    """Bytes widened to 16 bits, two `vpmaddwd` and two `vpaddd`: exact for int8 and for uint8 activations."""

    intrinsic: str

    def arrange(self, weights: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
        """`[2 pairs][lanes][2]`: the first two weights of every lane, then the last two."""
        pairs = weights.reshape(*weights.shape[:-2], self.lanes, 2, 2)
        return np.swapaxes(pairs, -3, -2).reshape(*weights.shape[:-2], self.lanes * STEP)

    def broadcast(self, body: Body, word: Expr, input_type: str) -> tuple[Expr, ...]:
        """Two registers: the first pair of activations in every lane, and the second."""
        repeated = tir.reinterpret(tir.splat(word, self.lanes // 2), f"{input_type}x{self.lanes * 2}")
        wide = tir.reinterpret(tir.cast(repeated, f"int16x{self.lanes * 2}"), self.accumulator_type)
        both = body.let("pairs", wide)
        registers = []
        for pair in range(2):
            chosen = tir.extract(both, [lane & ~1 | pair for lane in range(self.lanes)])
            registers.append(body.let("activation", tir.reinterpret(chosen, f"int16x{self.lanes * 2}")))
        return tuple(registers)

    def load_weights(self, body: Body, weights: Buffer, offset: Expr) -> tuple[Expr, ...]:
        """Two registers of `lanes` pairs, widened."""
        half = self.lanes * 2
        halves = (tir.load(weights, offset + tir.constant(half * pair), half) for pair in range(2))
        return tuple(body.let("weight", tir.cast(loaded, f"int16x{half}")) for loaded in halves)

    def accumulate(self, accumulator: Expr, activation: tuple[Expr, ...], weights: tuple[Expr, ...]) -> Expr:
        """Two `vpmaddwd`, two `vpaddd`."""
        for pair, weight in zip(activation, weights, strict=True):
            accumulator = accumulator + tir.llvm(self.accumulator_type, self.intrinsic, pair, weight)
        return accumulator

    def multiply_add(self, accumulator: Expr, value: Expr, weight: Expr) -> Expr:
        """One `vpmaddwd`, one `vpaddd`; `vpmulld` would be slow."""
        lanes = int(value.ty.dtype.lanes)
        name = self.intrinsic if lanes == self.lanes else "llvm.x86.sse2.pmadd.wd"
        return accumulator + tir.llvm(f"int32x{lanes}", name, *_pairs(value, weight))

    def narrow(self, body: Body, vectors: list[Expr], output_type: str) -> Expr | None:
        """With saturating packs."""
        return _narrow(body, vectors, output_type, self.lanes)


def _vector_level(name: str, dot: DotInstruction) -> VectorLevel:
    level = X86_FEATURE_LEVELS[name]
    return VectorLevel(level.name, level.llvm(), dot, level.cpu_flags)


AVX2 = _vector_level(
    "avx2",
    WideningPairs(
        name="vpmaddwd",
        lanes=8,
        registers=16,
        temporaries=3,
        roundings=_ROUNDINGS,
        weight_registers=2,
        intrinsic="llvm.x86.avx2.pmadd.wd",
    ),
)
AVX_VNNI = _vector_level(
    "avx-vnni",
    VectorNeuralNetwork(
        name="vpdpbusd",
        lanes=8,
        registers=16,
        temporaries=2,
        roundings=_ROUNDINGS,
        intrinsic="llvm.x86.avx512.vpdpbusd.256",
        zero="llvm.x86.avx2.mpsadbw",
    ),
)
AVX512_VNNI = _vector_level(
    "avx512-vnni",
    VectorNeuralNetwork(
        name="vpdpbusd",
        lanes=16,
        registers=32,
        temporaries=2,
        roundings=_ROUNDINGS,
        intrinsic="llvm.x86.avx512.vpdpbusd.512",
        zero="llvm.x86.avx512.dbpsadbw.512",
    ),
)

X86_LEVELS: dict[str, VectorLevel] = {level.name: level for level in (AVX2, AVX_VNNI, AVX512_VNNI)}
"""The feature levels by the name that a target string uses, weakest first."""

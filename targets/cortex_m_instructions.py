"""The Cortex-M instruction tables: the DSP extension of Armv7E-M (Cortex-M4, M7) and Helium (Cortex-M55).

*DSP*: a register holds two int16, `smlad` adds two products. `sxtb16` widens bytes 0 and 2 of a word, with a rotation
by 8 bytes 1 and 3, so activations and weights meet in natural order and four products take two `smlad`. Sums are plain
registers: a vector has one lane.

*Helium*: `vmladava` multiplies sixteen bytes by sixteen bytes and adds all products to a scalar register. A step takes
16 activation bytes; the four sums of a vector of columns become lanes behind the loop. Both operands have one
signedness: uint8 activations enter as `x XOR 0x80 = x − 128`, and the bias gives `128 · Σ weights` back.

The rescale is exact on both: `smmul` and `vmulh` give the upper half of a product, `vrshl` rounds while it shifts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from qcc.targets import tir
from qcc.targets.cortex_m_family import CORTEX_M
from qcc.targets.helium_source import gathered, saturated
from qcc.targets.instructions import DotInstruction, VectorLevel
from qcc.targets.step_loop import StepLoop
from qcc.targets.target import Target
from qcc.targets.tir import Body, Buffer, Expr


def _pairs(body: Body, name: str, word: Expr, kind: str) -> tuple[Expr, Expr]:
    """Bytes 0 and 2 of a word as int16, and bytes 1 and 3."""
    word = body.let("word", word)
    rotated = tir.rotate_right(word, 8)
    extend = f"llvm.arm.{'s' if kind == 'int8' else 'u'}xtb16"
    low, high = (body.let(name, tir.llvm("int32", extend, w)) for w in (word, rotated))
    return low, high


@dataclass(frozen=True)
class DualMultiplyAccumulate(DotInstruction):
    """`smlad`: two products of int16 added to a register; four bytes take two."""

    def broadcast(self, body: Body, word: Expr, input_type: str) -> tuple[Expr, ...]:
        """Two registers of pairs."""
        return _pairs(body, "activation", word, input_type)

    def load_weights(self, body: Body, weights: Buffer, offset: Expr) -> tuple[Expr, ...]:
        """Two registers of pairs."""
        return _pairs(body, "weight", tir.load_word(weights, offset), "int8")

    def accumulate(self, accumulator: Expr, activation: tuple[Expr, ...], weights: tuple[Expr, ...]) -> Expr:
        """Two `smlad`."""
        for pair, weight in zip(activation, weights, strict=True):
            accumulator = tir.llvm("int32", "llvm.arm.smlad", pair, weight, accumulator)
        return accumulator

    def saturate(self, body: Body, value: Expr, output_type: str) -> Expr | None:
        """One `ssat` or `usat`."""
        del body
        names = {"int8": "llvm.arm.ssat", "uint8": "llvm.arm.usat"}
        return tir.llvm("int32", names[output_type], value, tir.constant(8)) if output_type in names else None

    def step_cost(self, rows: int, vectors: int) -> float:
        """Instructions: two loads for a row, a load and two extensions for a column, two products for each sum."""
        return 2 * rows + 3 * vectors + 2 * rows * vectors


@dataclass(frozen=True)
class AcrossVector(DotInstruction):
    """`vmladava`: sixteen products of bytes added to a scalar register."""

    def activation_offset(self, input_type: str) -> int:
        """Unsigned activations enter as `x − 128`."""
        return -128 if input_type == "uint8" else 0

    def load_activation(self, body: Body, source: Buffer, offset: Expr, input_type: str) -> tuple[Expr, ...]:
        """One register of sixteen bytes."""
        loaded = tir.load(source, offset, self.step)
        if input_type == "uint8":
            loaded = tir.reinterpret(loaded ^ tir.splat(0x80, self.step, "uint8"), f"int8x{self.step}")
        return (body.let("activation", loaded),)

    def broadcast(self, body: Body, word: Expr, input_type: str) -> tuple[Expr, ...]:
        """A register with a word in all lanes."""
        del input_type
        return (body.let("activation", tir.splat(word, self.lanes)),)

    def load_weights(self, body: Body, weights: Buffer, offset: Expr) -> tuple[Expr, ...]:
        """A register for each lane."""
        places = (offset + tir.constant(lane * self.step) for lane in range(self.lanes))
        return tuple(body.let("weight", tir.load(weights, place, self.step)) for place in places)

    def accumulate(self, accumulator: Expr, activation: tuple[Expr, ...], weights: tuple[Expr, ...]) -> Expr:
        """One `vmladava.s8`."""
        flags = (tir.constant(0),) * 3
        return tir.llvm("int32", "llvm.arm.mve.vmldava.v16i8", *flags, accumulator, activation[0], weights[0])

    def step_cost(self, rows: int, vectors: int) -> float:
        """Instructions: a load for each operand, a multiplication for each sum."""
        return rows + self.lanes * vectors * (1 + rows)

    def load_repeated(self, body: Body, source: Buffer, offset: Expr, lanes: int, repeat: int) -> Expr:
        """In C one load that gathers the bytes."""
        if self.dialect == "mve":
            return gathered(source, offset, repeat)
        return super().load_repeated(body, source, offset, lanes, repeat)

    def saturate(self, body: Body, value: Expr, output_type: str) -> Expr | None:
        """In C two `vqmovnb`, which need no registers for the ends of the range."""
        return (
            saturated(body, value, output_type) if self.dialect == "mve" and output_type in ("int8", "uint8") else None
        )

    def high_product(self, body: Body, value: Expr, factor: Expr) -> Expr | None:
        """One `vmulh.s32`."""
        del body
        if int(value.ty.dtype.lanes) != self.lanes:
            return None
        return tir.llvm(self.accumulator_type, "llvm.arm.mve.vmulh.v4i32", value, factor, tir.constant(0))

    def doubled_high_product(self, body: Body, value: Expr, factor: Expr) -> Expr | None:
        """One `vqrdmulh.s32`."""
        del body
        if int(value.ty.dtype.lanes) != self.lanes:
            return None
        return tir.llvm(self.accumulator_type, "llvm.arm.mve.vqrdmulh.v4i32", value, factor)

    def rounding_shift(self, body: Body, value: Expr, shift: Expr) -> Expr | None:
        """One `vrshl.s32` by a negative amount."""
        if int(value.ty.dtype.lanes) != self.lanes:
            return None
        right = body.let("right", tir.splat(0, self.lanes) - shift)
        flags = (tir.constant(0), tir.constant(1), tir.constant(0))  # no saturation, rounding, signed
        return tir.llvm(self.accumulator_type, "llvm.arm.mve.vshl.vector.v4i32.v4i32", value, right, *flags)


_ROUNDINGS = frozenset({"half_up", "double", "double_up"})

_SMLAD = DualMultiplyAccumulate(
    name="smlad",
    lanes=1,
    registers=10,
    temporaries=2,
    weight_registers=2,
    channel_registers=12,
    widened_words=2,
    step_loop=StepLoop("pointers", unroll=4, least=2),
    pointer_type="int32",
    roundings=_ROUNDINGS,
)
_VMLADAVA = AcrossVector(
    name="vmladava",
    lanes=4,
    registers=3,
    temporaries=1,
    step=16,
    scalar_sums=True,
    step_loop=StepLoop("hidden", unroll=2, least=5),
    channel_registers=8,
    sum_limit=2**31 - 256,  # `vrshl` has room for its rounding term; the zero point is added behind it
    long_lanes=False,
    pointer_type="int32",
    roundings=_ROUNDINGS,
)


def _level(cpu: str, dot: DotInstruction) -> VectorLevel:
    """The table of a processor."""
    target = Target.parse(CORTEX_M[cpu].triple, cpu)
    return VectorLevel(cpu, target.llvm, dot, ())


CORTEX_M4 = _level("cortex-m4", _SMLAD)
CORTEX_M7 = _level("cortex-m7", _SMLAD)
CORTEX_M55 = _level("cortex-m55", _VMLADAVA)

CORTEX_M_C = VectorLevel(
    "acle",
    CORTEX_M4.llvm_target,
    replace(_SMLAD, step_loop=StepLoop(), dialect="acle", pointer_type=tir.POINTER, piece=1),
    (),
)
"""The DSP extension in C with the intrinsics of <arm_acle.h>."""

CORTEX_M55_C = VectorLevel(
    "mve",
    CORTEX_M55.llvm_target,
    replace(
        _VMLADAVA,
        channel_registers=7,
        step_loop=StepLoop("counted", unroll=1, least=5),
        dialect="mve",
        pointer_type=tir.POINTER,
    ),
    (),
)
"""Helium in C with the intrinsics of <arm_mve.h>."""

CORTEX_M_LEVELS: dict[str, VectorLevel] = {level.name: level for level in (CORTEX_M4, CORTEX_M7, CORTEX_M55)}
"""The tables by processor."""

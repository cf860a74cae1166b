"""The instruction table that the loop nests are written over.

A nest needs one thing from a machine: a dot product that adds, to each of `lanes` int32 sums, the products of `step`
activation bytes (the same ones for all lanes) and weight bytes (`step` for each lane). How the activations are
prepared, how the weights lie in memory and which instructions do it is the business of a `DotInstruction`. Each one
also says what it means in NumPy; a test holds the two together.

The sums of a column of lanes are one vector register on most machines; a machine whose dot product sums over a whole
register into a scalar one keeps them as `lanes` scalars until the epilogue (`scalar_sums`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from qcc.targets import tir
from qcc.targets.step_loop import StepLoop
from qcc.targets.tir import Body, Buffer, Dialect, Expr

Array: TypeAlias = npt.NDArray[np.generic]

STEP = 4
"""How many activation bytes most dot instructions consume."""


@dataclass(frozen=True)
class DotInstruction(ABC):
    """`accumulator[lane] += Σᵢ activation[i] · weights[lane, i]`, i < step, modulo 2³²."""

    name: str
    lanes: int
    """int32 accumulators in a vector."""
    registers: int
    """Vector registers of the machine."""
    temporaries: int
    """Registers that one step needs besides accumulators and weights."""
    weight_registers: int = field(default=1, kw_only=True)
    """Registers that the weights of one step and vector take."""
    channel_registers: int = field(default=0, kw_only=True)
    """Registers for vectors of channels, which depthwise convolutions multiply; 0: as many as `registers`."""
    dialect: Dialect = field(default="llvm", kw_only=True)
    """How the instructions are written."""
    piece: int = field(default=16, kw_only=True)
    """Most bytes that are copied at a time."""
    widened_words: int = field(default=0, kw_only=True)
    """Int32 words that the activations of one step take once they are widened; 0: they are used as bytes."""
    step_loop: StepLoop = field(default=StepLoop(), kw_only=True)
    """How the loop over steps is written."""
    step: int = field(default=STEP, kw_only=True)
    """Activation bytes that one step consumes."""
    scalar_sums: bool = field(default=False, kw_only=True)
    """Whether the sums are scalars in the loop over steps, and become a vector of lanes behind it."""
    pointer_type: str = field(default="int64", kw_only=True)
    """TIR's name of an integer as wide as an address; in C `POINTER`."""
    staged: bool = field(default=False, kw_only=True)
    """Whether the nests of long vectors (`targets/hvx`) are used: for machines whose vectors hold the
    bytes of many pixels, and that read activations through aligned scalar registers."""
    group: int = field(default=1, kw_only=True)
    """Steps whose activations are loaded together."""
    paired_rows: bool = field(default=False, kw_only=True)
    """Whether one product covers two rows; `pair` puts their activations into registers."""
    sum_limit: int = field(default=2**30, kw_only=True)
    """What |x·2^L| stays below in rescales that round twice; 2³⁰ where the rounding term is added in 32 bits."""
    long_lanes: bool = field(default=True, kw_only=True)
    """Whether there are vectors of int64 lanes; else the `wide` rescale computes lane by lane."""
    channel_lanes: int = field(default=0, kw_only=True)
    """Channels of a vector of a depthwise convolution; 0: as many as `lanes`."""

    roundings: frozenset[str] = field(default=frozenset({"half_up"}), kw_only=True)
    """Rescales that the epilogue is made for: names of `qcc.ir.ROUNDINGS`, and `float` for binary32; kernels with
    others take the scalar nests."""

    @property
    def accumulator_type(self) -> str:
        """TIR's name of the accumulator vector."""
        return f"int32x{self.lanes}"

    def activation_offset(self, input_type: str) -> int:
        """What `broadcast` adds to each activation; the bias takes `offset · Σ weights` back."""
        del input_type
        return 0

    def arrange(self, weights: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
        """Order the weights of one step, `[…, lanes, step]`, as `load_weights` wants them: `[…, lanes · step]`."""
        return weights.reshape(*weights.shape[:-2], self.lanes * self.step)

    def load_activation(self, body: Body, source: Buffer, offset: Expr, input_type: str) -> tuple[Expr, ...]:
        """Registers with the activations of one step, from byte `offset`; int32 words where `widened_words` says so."""
        return self.broadcast(body, tir.load_word(source, offset), input_type)

    def load_activations(self, body: Body, source: Buffer, offset: Expr, input_type: str) -> list[tuple[Expr, ...]]:
        """The activations of `group` steps, from byte `offset`, an entry for each step."""
        places = (offset + tir.constant(step * self.step) for step in range(self.group))
        return [self.load_activation(body, source, place, input_type) for place in places]

    def pair(self, body: Body, rows: list[Expr], input_type: str) -> tuple[Expr, ...]:
        """Registers with the loaded activations of one step of two rows, where rows are paired."""
        return (body.let("pair", tir.concatenate(rows)),)

    @abstractmethod
    def broadcast(self, body: Body, word: Expr, input_type: str) -> tuple[Expr, ...]:
        """Registers with four activation bytes, `word` as an int32, in all lanes."""

    @abstractmethod
    def load_weights(self, body: Body, weights: Buffer, offset: Expr) -> tuple[Expr, ...]:
        """Registers with the weights of one step, from byte `offset`."""

    @abstractmethod
    def accumulate(self, accumulator: Expr, activation: tuple[Expr, ...], weights: tuple[Expr, ...]) -> Expr:
        """The dot product of prepared operands, added to `accumulator`.

        With `scalar_sums` the accumulator is one lane, and `weights` the one register of that lane that `load_weights`
        gave.
        """

    def widened(self, loaded: Expr) -> Expr:
        """Bytes as lanes that `multiply_add` takes."""
        lanes = int(loaded.ty.dtype.lanes)
        return tir.cast(loaded, "int32" if lanes == 1 else f"int32x{lanes}")

    def load_repeated(self, body: Body, source: Buffer, offset: Expr, lanes: int, repeat: int) -> Expr:
        """The bytes from `offset` on, each in `repeat` lanes, as `multiply_add` takes them."""
        loaded = body.let("channels", tir.load(source, offset, max(lanes // repeat, 1)))
        return self.widened(tir.extract(loaded, [lane // repeat for lane in range(lanes)]))

    def multiply_add(self, accumulator: Expr, value: Expr, weight: Expr) -> Expr:
        """`accumulator + value · weight` in int32 lanes whose factors are `widened` bytes; any number of lanes."""
        return accumulator + value * weight

    def fits(self, rows: int, vectors: int) -> bool:
        """Whether a tile leaves nothing but registers to use."""
        return rows * vectors + vectors * self.weight_registers + self.temporaries <= self.registers

    def step_cost(self, rows: int, vectors: int) -> float:
        """Time of one step of a tile, in any unit.

        Two dot products and two loads a cycle, a latency of four cycles, weights from farther away than activations.
        """
        return max(rows * vectors / 2, (rows + vectors) / 2, 4.0) + 0.35 * vectors + 0.25 * rows

    def rounded_product(self, body: Body, value: Expr, factor: Expr, shift: Expr) -> Expr | None:
        """`⌊(value · factor + 2^(31+shift)) / 2^(32+shift)⌋` in int32 lanes, for shifts of 1 to 31.

        None: nothing is better than `high_product` and `rounding_shift`.
        """
        del body, value, factor, shift
        return None

    def high_product(self, body: Body, value: Expr, factor: Expr) -> Expr | None:
        """`⌊value · factor / 2³²⌋` in int32 lanes; None: nothing is better than 64-bit products of alternate lanes."""
        del body, value, factor
        return None

    def doubled_high_product(self, body: Body, value: Expr, factor: Expr) -> Expr | None:
        """`⌊(value · factor + 2^30) / 2^31⌋` in int32 lanes, for factors that are not negative.

        None: nothing is better than 64-bit products of alternate lanes.
        """
        del body, value, factor
        return None

    def rounding_shift(self, body: Body, value: Expr, shift: Expr) -> Expr | None:
        """`⌊(value + 2^(shift−1)) / 2^shift⌋` in int32 lanes, for sums that fit them and shifts of 0 to 31.

        None: nothing is better than an addition and a shift.
        """
        del body, value, shift
        return None

    def saturate(self, body: Body, value: Expr, output_type: str) -> Expr | None:
        """Int32 lanes within the range of `output_type`; None: nothing is better than a minimum and a maximum."""
        del body, value, output_type
        return None

    def narrow(self, body: Body, vectors: list[Expr], output_type: str) -> Expr | None:
        """Int32 vectors saturated to `output_type`, of 8 bits, and joined; None: converting each is as good."""
        del body, vectors, output_type
        return None

    def meaning(self, accumulator: Array, activation: Array, weights: Array) -> npt.NDArray[np.int32]:
        """The step in NumPy: `[lanes]` int32, `[step]` int8 or uint8, `[lanes, step]` int8, in natural order.

        The result includes the activation offset, as the instruction's does.
        """
        offset = self.activation_offset(str(activation.dtype))
        products = (activation.astype(np.int64) + offset) * weights.astype(np.int64)
        total: npt.NDArray[np.int64] = accumulator.astype(np.int64) + products.sum(axis=-1)
        return total.astype(np.int32)


@dataclass(frozen=True)
class VectorLevel:
    """A feature level of an architecture: what LLVM is told, and the instructions that the nests use."""

    name: str
    """As it is written in a target: `x86_64-linux-gnu+avx2`."""
    llvm_target: tuple[tuple[str, str | int | tuple[str, ...]], ...]
    dot: DotInstruction
    cpu_flags: tuple[str, ...]
    """What /proc/cpuinfo lists on a host that can run the code."""
    narrow_dot: DotInstruction | None = None
    """A faster dot product for weights of which none is −128."""

    def dot_for(self, weights: Array) -> DotInstruction:
        """The dot product for weights."""
        narrow = self.narrow_dot is not None and weights.size and int(weights.min()) > -128
        return self.narrow_dot if narrow and self.narrow_dot is not None else self.dot

    def target(self) -> dict[str, object]:
        """TVM's target dictionary."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in self.llvm_target}

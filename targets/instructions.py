"""The instruction table that the loop nests are written over.

A nest needs one thing from a machine: a dot product that adds, in each of `lanes` int32 lanes, four products of
activation bytes (the same four for all lanes) and weight bytes (four for each lane). How the activations are
broadcast, how the weights lie in memory and which instructions do it is the business of a `DotInstruction`. Each one
also says what it means in NumPy; a test holds the two together.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from qcc.targets.tir import Body, Buffer, Expr

Array: TypeAlias = npt.NDArray[np.generic]

STEP = 4
"""How many activation bytes one dot instruction consumes."""


@dataclass(frozen=True)
class DotInstruction(ABC):
    """`accumulator[lane] += Σᵢ activation[i] · weights[lane, i]`, i < 4, modulo 2³²."""

    name: str
    lanes: int
    """int32 accumulators in a vector."""
    registers: int
    """Vector registers of the machine."""
    temporaries: int
    """Registers that one step needs besides accumulators and weights."""
    weight_registers: int = field(default=1, kw_only=True)
    """Registers that the weights of one step and vector take."""

    @property
    def accumulator_type(self) -> str:
        """TIR's name of the accumulator vector."""
        return f"int32x{self.lanes}"

    def activation_offset(self, input_type: str) -> int:
        """What `broadcast` adds to each activation; the bias takes `offset · Σ weights` back."""
        del input_type
        return 0

    def arrange(self, weights: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
        """Order the weights of one step, `[…, lanes, 4]`, as `load_weights` wants them: `[…, lanes · 4]`."""
        return weights.reshape(*weights.shape[:-2], self.lanes * STEP)

    @abstractmethod
    def broadcast(self, body: Body, word: Expr, input_type: str) -> tuple[Expr, ...]:
        """Registers with four activation bytes, `word` as an int32, in all lanes."""

    @abstractmethod
    def load_weights(self, body: Body, weights: Buffer, offset: Expr) -> tuple[Expr, ...]:
        """Registers with the weights of one step, from byte `offset`."""

    @abstractmethod
    def accumulate(self, accumulator: Expr, activation: tuple[Expr, ...], weights: tuple[Expr, ...]) -> Expr:
        """The dot product of prepared operands, added to `accumulator`."""

    def multiply_add(self, accumulator: Expr, value: Expr, weight: Expr) -> Expr:
        """`accumulator + value · weight` in int32 lanes whose factors came from bytes; any number of lanes."""
        return accumulator + value * weight

    def narrow(self, body: Body, vectors: list[Expr], output_type: str) -> Expr | None:
        """Int32 vectors saturated to `output_type` and joined; None: nothing is better than converting each."""
        del body, vectors, output_type
        return None

    def meaning(self, accumulator: Array, activation: Array, weights: Array) -> npt.NDArray[np.int32]:
        """The step in NumPy: `[lanes]` int32, `[4]` int8 or uint8, `[lanes, 4]` int8, in natural order.

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
    llvm_target: tuple[tuple[str, str | tuple[str, ...]], ...]
    dot: DotInstruction
    cpu_flags: tuple[str, ...]
    """What /proc/cpuinfo lists on a host that can run the code."""

    def target(self) -> dict[str, object]:
        """TVM's target dictionary."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in self.llvm_target}

"""Sigmoid and tanh of 16-bit codes, which no table of codes is small enough for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import IrError
from ..fixed_point_functions import ARRAYS, FixedPoint, Number
from ..interpolated_functions import SIGMOID_ENTRIES, interpolated_sigmoid
from ..op import Op, Operand, Stage, register
from ..types import I16, U16, Array, TensorType

FUNCTIONS = ("sigmoid", "tanh")


def _check(op: SigmoidInterpolated | SigmoidFixedPoint) -> None:
    """Raise IrError unless x holds i16 codes and the function is one of the two."""
    if op.x.type.element != I16:
        raise IrError(f"{op.name} takes i16 codes, not {op.x.type}")
    if op.function not in FUNCTIONS:
        raise IrError(f"{op.name}: no function {op.function!r}", help="one of: " + ", ".join(FUNCTIONS))


@register
@dataclass(frozen=True, kw_only=True)
class SigmoidInterpolated(Op):
    """Sigmoid or tanh of 16-bit codes by straight lines between table entries; results have scale 1/32768.

    With `d = ⌊(x·multiplier + ⌊2^shift / 2⌋) / 2^shift⌋`, a = |d|, and b = 9 (sigmoid) or 8 (tanh):
    `r = t[a >> b]·2^b + (a mod 2^b)·(t[(a >> b) + 1] − t[a >> b])`, from a >> b = 255 on `32767·2^10` or `65535·2^8`.
    Sigmoid: `y = ⌊(d ≥ 0 ? r + 2^9 : 2^25 − r + 2^9 − 1) / 2^10⌋`;
    tanh: `y = ⌊(d ≥ 0 ? r − 2^23 + 2^7 : 2^23 − r + 2^7 − 1) / 2^8⌋`.

    Attributes:
        function: `sigmoid` or `tanh`.
        multiplier, shift: of the argument; 0 … 65535 and 0 … 31.
    """

    name = "sigmoid_interpolated"
    stages = frozenset({Stage.INTEGER})
    elementwise = True
    x = Operand(0, "i16 codes")
    table = Operand(1, "256 × u16: 65536·sigmoid(i/24)")
    function: str = "sigmoid"
    multiplier: int
    shift: int

    def infer(self) -> tuple[TensorType, ...]:
        """The type of x."""
        _check(self)
        if self.table.type != TensorType((SIGMOID_ENTRIES,), U16):
            raise IrError(f"sigmoid_interpolated takes a table of {SIGMOID_ENTRIES} × u16, not {self.table.type}")
        if not 0 <= self.multiplier < 1 << 16 or not 0 <= self.shift <= 31:
            raise IrError(f"sigmoid_interpolated: multiplier {self.multiplier} over 2^{self.shift} is out of range")
        return (self.x.type,)

    def evaluate(self, x: Array, table: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return the codes."""
        entries = table.astype(np.int64).__getitem__
        wide = x.astype(np.int64)
        y = interpolated_sigmoid(ARRAYS, entries, wide, self.multiplier, self.shift, self.function)
        return np.asarray(y).astype(np.int16)


@register
@dataclass(frozen=True, kw_only=True)
class SigmoidFixedPoint(Op):
    """Sigmoid or tanh of 16-bit codes in gemmlowp's fixed point: `y = f(sat16(x · 2^left_shift))`, Q3.12 to Q0.15.

    f is the logistic function or tanh of `FixedPoint(16)`: an exponential by a Taylor series and a product of
    constants, and three Newton-Raphson steps for the quotient.

    Attributes:
        function: `sigmoid` or `tanh`.
        left_shift: 0 … 15.
    """

    name = "sigmoid_fixed_point"
    stages = frozenset({Stage.INTEGER})
    elementwise = True
    x = Operand(0, "i16 codes")
    function: str = "sigmoid"
    left_shift: int = 0

    def infer(self) -> tuple[TensorType, ...]:
        """The type of x."""
        _check(self)
        if not 0 <= self.left_shift <= 15:
            raise IrError(f"sigmoid_fixed_point: a shift of {self.left_shift}, should be 0 … 15")
        return (self.x.type,)

    def evaluate(self, x: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return the codes."""
        return np.asarray(self.compute(FixedPoint(16), x.astype(np.int64))).astype(np.int16)

    def compute(self, numbers: FixedPoint, x: Number) -> Number:
        """Return the function of x by the arithmetic of `numbers`."""
        argument = numbers.saturated(x * (1 << self.left_shift)) if self.left_shift else x
        return (numbers.logistic if self.function == "sigmoid" else numbers.tanh)(argument, 3)

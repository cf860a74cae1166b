"""Softmax of codes as TFLite's kernels compute it: in fixed point, in binary32, and by interpolated tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import IrError
from ..fixed_point import rescale, rounding_divide_by_pot
from ..fixed_point_functions import ARRAYS, FixedPoint
from ..float_rounding import FLOAT_ROUNDINGS
from ..interpolated_functions import INTERPOLATED_ENTRIES, interpolated
from ..op import Op, Operand, Stage, register, require_axes
from ..types import F32, I16, I32, Array, ScalarType, TensorType


def _check_rows(op: SoftmaxFixedPoint | SoftmaxFloatTable, table: TensorType, to: ScalarType) -> None:
    """Raise IrError unless x holds 8-bit codes, the table is as given, and `to` has 8 or 16 bits."""
    if not op.x.type.element.expressed.is_integer or op.x.type.element.storage.bits != 8:
        raise IrError(f"{op.name} takes 8-bit codes, not {op.x.type}")
    if op.exponentials.type != table:
        raise IrError(f"{op.name} takes a table {table}, not {op.exponentials.type}")
    if not to.is_integer or to.bits not in (8, 16):
        raise IrError(f"{op.name} gives codes of 8 or 16 bits, not {to}")
    require_axes(op, op.x.type.rank, op.axis)


def _below_maximum(x: Array, axis: int) -> Array:
    """Return how far each code lies below the largest of its row, int64."""
    wide = x.astype(np.int64)
    return np.asarray(np.max(wide, axis=axis, keepdims=True, initial=np.iinfo(x.dtype).min) - wide)


@register
@dataclass(frozen=True, kw_only=True)
class SoftmaxFixedPoint(Op):
    """Integer softmax in gemmlowp's fixed point, along `axis`; results have scale 1/2^bits, the smallest code is 0.

    With `e[i] = exponentials[max x − x[i]]` in Q0.31, `S = min(Σ RDPOT(e, 12), 2^31 − 1)` in Q12.19, h the leading
    zeros of S in 32 bits, and `R = 1/(1 + f)` in Q0.31 where 1 + f = S·2^(h−31):
    `y[i] = clamp(RDPOT(SRDHM(R, e[i]), 43 − h − bits) + smallest code)`, bits those of the result type.
    8-bit results of a row whose S reaches the real number 512 are the smallest code everywhere.

    Attributes:
        axis: where the probabilities sum to one.
        to: type of the result, 8 or 16 bits.
    """

    name = "softmax_fixed_point"
    stages = frozenset({Stage.INTEGER})
    x = Operand(0, "i8 or u8 codes")
    exponentials = Operand(1, "256 × i32, exp(−distance) in Q0.31, not negative; the first is 2^31 − 1")
    axis: int = -1
    to: ScalarType

    def infer(self) -> tuple[TensorType, ...]:
        """The shape of x over `to`."""
        _check_rows(self, TensorType((256,), I32), self.to)
        return (self.x.type.with_element(self.to),)

    def evaluate(self, x: Array, exponentials: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return the codes of the probabilities."""
        if x.size == 0:
            return x.astype(self.to.dtype)
        if exponentials[0] != 2**31 - 1 or np.min(exponentials) < 0:
            raise IrError("softmax_fixed_point: exponentials start with 2^31 − 1 and are not negative")
        numbers = FixedPoint()
        e = exponentials.astype(np.int64)[_below_maximum(x, self.axis)]
        total = np.minimum(np.sum(numbers.divided(e, 12), axis=self.axis, keepdims=True), 2**31 - 1)
        zeros = numbers.leading_zeros(total)
        reciprocal = numbers.reciprocal((total << zeros) - 2**31)
        share = rounding_divide_by_pot(numbers.high(reciprocal, e), 43 - zeros - self.to.bits)
        return np.asarray(np.minimum(share + self.to.minimum, self.to.maximum).astype(self.to.dtype))


@register
@dataclass(frozen=True, kw_only=True)
class SoftmaxFloatTable(Op):
    """Softmax of codes by a table of binary32 exponentials, along `axis`.

    With `e[i] = exponentials[max x − x[i]]`, S the sum of e added in order of the elements, each sum rounded to
    binary32, and `inv = f32(1 / f32(S · output_scale))`: `y[i] = clamp(RHA(f32(e[i] · inv)) + output_zero_point)`.

    Attributes:
        axis: where the probabilities sum to one.
        to: type of the result, 8 or 16 bits.
        output_scale: binary32; a code's worth.
        output_zero_point: code of probability 0.
    """

    name = "softmax_float_table"
    stages = frozenset({Stage.INTEGER})
    exact_floats = True
    x = Operand(0, "i8 or u8 codes")
    exponentials = Operand(1, "256 × f32, exp(−distance), positive or 0; the first is 1")
    axis: int = -1
    to: ScalarType
    output_scale: float = 1 / 256
    output_zero_point: int = -128

    def infer(self) -> tuple[TensorType, ...]:
        """The shape of x over `to`."""
        _check_rows(self, TensorType((256,), F32), self.to)
        if not 2.0**-16 <= self.output_scale < np.inf or float(np.float32(self.output_scale)) != self.output_scale:
            raise IrError(f"{self.name}: the scale {self.output_scale} is no binary32 number of at least 2^-16")
        return (self.x.type.with_element(self.to),)

    def evaluate(self, x: Array, exponentials: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return the codes of the probabilities."""
        if x.size == 0:
            return x.astype(self.to.dtype)
        if exponentials[0] != 1 or not np.all((exponentials >= 0) & (exponentials <= 1)):
            raise IrError("softmax_float_table: exponentials start with 1 and lie within 0 … 1")
        e = exponentials[_below_maximum(x, self.axis)]
        total = np.take(np.cumsum(e, axis=self.axis, dtype=np.float32), [-1], axis=self.axis)
        inverse = np.float32(1) / (total * np.float32(self.output_scale))
        codes = FLOAT_ROUNDINGS["half_away"](e * inverse).astype(np.int64) + self.output_zero_point
        return np.asarray(np.clip(codes, self.to.minimum, self.to.maximum).astype(self.to.dtype))


@register
@dataclass(frozen=True, kw_only=True)
class SoftmaxInterpolated(Op):
    """Softmax of 16-bit codes by two tables with straight lines between their entries, along `axis`; scale 1/32768.

    With E the interpolated entry of `exponentials` at `sat16(rescale(x − max x) + 32767)` (multiplier and shift,
    rounded twice), S = Σ E, h the leading zeros of S in 32 bits, `v = sat16(⌊(S·2^(h−1) + 2^13) / 2^14⌋ − 98304)` and R
    the interpolated entry of `reciprocals` at v: `y = clamp(⌊(E·R + 2^(30−h)) / 2^(31−h)⌋, 0, 32767)`.

    Attributes:
        axis: where the probabilities sum to one; at most 65536 elements.
        multiplier, shift: of the argument, multiplier / 2^shift, in steps of 10/65535.
    """

    name = "softmax_interpolated"
    stages = frozenset({Stage.INTEGER})
    x = Operand(0, "i16 codes")
    exponentials = Operand(1, "513 × i16 with values 0 … 32767: exp on −10 … 0; the last is 32767")
    reciprocals = Operand(2, "513 × i16 with values 0 … 32767: 1/(1 + x) on 0 … 1")
    axis: int = -1
    multiplier: int
    shift: int

    def infer(self) -> tuple[TensorType, ...]:
        """The type of x."""
        table = TensorType((INTERPOLATED_ENTRIES,), I16)
        if self.x.type.element != I16 or self.exponentials.type != table or self.reciprocals.type != table:
            raise IrError(f"softmax_interpolated takes i16 codes and tables of 513 × i16, not {self.x.type}")
        require_axes(self, self.x.type.rank, self.axis)
        if self.x.type.shape[self.axis] > 1 << 16:
            raise IrError(f"softmax_interpolated: a row of {self.x.type.shape[self.axis]} elements, at most 65536")
        if not 0 <= self.multiplier < 1 << 31 or not 16 <= self.shift <= 62:
            raise IrError(f"softmax_interpolated: multiplier {self.multiplier} over 2^{self.shift} is out of range")
        return (self.x.type,)

    def evaluate(self, x: Array, exponentials: Array, reciprocals: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return the codes of the probabilities."""
        if x.size == 0:
            return x
        if min(np.min(exponentials), np.min(reciprocals)) < 0 or exponentials[-1] != 2**15 - 1:
            raise IrError("softmax_interpolated: tables hold 0 … 32767, exponentials end with 32767")
        distance = -_below_maximum(x, self.axis)
        argument = rescale(distance, np.int64(self.multiplier), np.int64(self.shift), "double")  # type: ignore[arg-type]  # scalar arrays
        place = np.clip(argument + 32767, -32768, 32767)
        e = interpolated(ARRAYS, exponentials.astype(np.int64).__getitem__, place)
        total = np.sum(e, axis=self.axis, keepdims=True)
        zeros = FixedPoint().leading_zeros(total)
        place = np.clip((((total << (zeros - 1)) + (1 << 13)) >> 14) - 98304, -32768, 32767)
        reciprocal = interpolated(ARRAYS, reciprocals.astype(np.int64).__getitem__, place)
        share = (e * reciprocal + (np.int64(1) << (30 - zeros))) >> (31 - zeros)
        return np.asarray(np.clip(share, 0, 32767).astype(np.int16))

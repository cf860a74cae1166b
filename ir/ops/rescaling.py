"""Changes of scale and tables: the integer stage's way from accumulators to codes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import IrError
from ..fixed_point import ROUNDINGS, rescale
from ..float_rounding import FLOAT_ROUNDINGS
from ..op import ANY_STAGE, Op, Operand, OptionalOperand, Stage, register
from ..types import F32, F64, I8, I32, Array, ScalarType, TensorType, UniformType

#: The largest shift of a rescale, so that 2^(shift − 1) and a 64-bit product have room together.
LARGEST_SHIFT = 62


def check_broadcast(op: Op, what: str, factors: TensorType, x: TensorType) -> None:
    """Raise IrError unless factors broadcast to the shape of x."""
    try:
        fits = np.broadcast_shapes(x.shape, factors.shape) == x.shape
    except ValueError:
        fits = False
    if not fits:
        raise IrError(f"{op.name}: {what} {list(factors.shape)} do not broadcast to {list(x.shape)}")


def check_finite(op: Op, *numbers: Array | None) -> None:
    """Raise IrError where a factor or an offset is infinite or NaN: `0·∞` has no code."""
    if not all(n is None or np.all(np.isfinite(n)) for n in numbers):
        raise IrError(f"{op.name}: a factor or offset is not finite")


def check_bounds(op: Op, to: ScalarType | UniformType, minimum: int, maximum: int) -> None:
    """Raise IrError where bounds of a result leave its type, or leave nothing."""
    if not to.minimum <= minimum <= maximum <= to.maximum:
        raise IrError(f"{op.name}: bounds {minimum} … {maximum} leave {to}")


@dataclass(frozen=True, kw_only=True)
class ScaleChange(Op):
    """Base of changes of scale: from the integers x to codes.

    Attributes:
        to: type of the result.
        minimum, maximum: bounds of the result, both within `to`.
        input_zero_point, output_zero_point: integers, taken from x and added to the result.
    """

    stages = frozenset({Stage.INTEGER})
    elementwise = True
    x = Operand(0)
    to: ScalarType
    minimum: int
    maximum: int
    input_zero_point: int = 0
    output_zero_point: int = 0


@register
@dataclass(frozen=True, kw_only=True)
class Rescale(ScaleChange):
    """Change of scale: `y = clamp(round((x − input_zero_point) · multiplier / 2^shift) + output_zero_point, …)`.

    Multiplier and shift are constants that broadcast against x (one, or one a channel). A shift of 0 is an exact
    product. The product is formed in 64 bits; the double roundings take x − input_zero_point modulo 2^32.

    Attributes:
        to: type of the result.
        input_zero_point, output_zero_point: as in the formula.
        minimum, maximum: bounds of the result, both within `to`.
        rounding: a name of `qcc.ir.ROUNDINGS`: `half_up` rounds once, ties toward +∞ (profile `single`); `half_away`
            once, ties away from zero; `double` twice, as TFLite's kernels do; `double_up` twice, as NEON's SQRDMULH and
            SRSHL do.
    """

    name = "rescale"
    multiplier = Operand(1, "i32, positive or negative")
    shift = Operand(2, "i8, 0 … 62, same shape as the multiplier")
    rounding: str = "half_up"

    def infer(self) -> tuple[TensorType, ...]:
        """The shape of x over `to`."""
        x, m, s = self.x.type, self.multiplier.type, self.shift.type
        if not x.element.expressed.is_integer or m.shape != s.shape or s.element != I8 or m.element != I32:
            raise IrError(f"rescale takes integers, multipliers (i32) and shifts (i8) of one shape, not {x}, {m}, {s}")
        check_broadcast(self, "multipliers", m, x)
        if not self.to.is_integer:
            raise IrError(f"rescale gives integers, not {self.to}")
        check_bounds(self, self.to, self.minimum, self.maximum)
        if self.rounding not in ROUNDINGS:
            raise IrError(f"rescale: no rounding {self.rounding!r}", help="one of: " + ", ".join(ROUNDINGS))
        return (x.with_element(self.to),)

    def evaluate(self, x: Array, multiplier: Array, shift: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return the rescaled integers."""
        if np.any((shift < 0) | (shift > LARGEST_SHIFT)):
            raise IrError(f"rescale: a shift lies outside 0 … {LARGEST_SHIFT}")
        wide = x.astype(np.int64)
        wide -= self.input_zero_point
        y = np.asarray(rescale(wide, multiplier, shift, self.rounding))
        y += self.output_zero_point
        np.maximum(y, self.minimum, out=y)
        np.minimum(y, self.maximum, out=y)
        return y.astype(self.to.dtype)


@register
@dataclass(frozen=True, kw_only=True)
class RescaleFloat(ScaleChange):
    """Change of scale in floats: `y = clamp(round(f(f(x − input_zero_point) · factor) + offset) + output_zero_point)`.

    f rounds once to the type of the factor, to nearest, ties to even, as IEEE 754 does; so does the sum. No product and
    sum are ever joined to a fused multiply-add. The integers x − input_zero_point are exact in 64 bits. Factors and
    offsets are finite; a product that overflows is infinite and ends at a bound.

    Attributes:
        to: type of the result; of at most 16 bits where factors are f32, whose bounds are then exact floats.
        minimum, maximum: bounds of the result, both within `to`.
        input_zero_point, output_zero_point: as in the formula, integers.
        rounding: `half_even` (C's rint) or `half_away` (C's round).
    """

    name = "rescale_float"
    exact_floats = True
    factor = Operand(1, "f32 or f64, broadcasts against x")
    offset = OptionalOperand(2, "of the factor's type and shape; what is added before rounding")
    rounding: str = "half_even"

    def infer(self) -> tuple[TensorType, ...]:
        """The shape of x over `to`."""
        x, factor = self.x.type, self.factor.type
        if not x.element.expressed.is_integer or factor.element not in (F32, F64):
            raise IrError(f"rescale_float takes integers and factors (f32 or f64), not {x} and {factor}")
        if self.offset is not None and self.offset.type != factor:
            raise IrError(f"rescale_float: an offset of {self.offset.type} does not fit factors of {factor}")
        check_broadcast(self, "factors", factor, x)
        most = 16 if factor.element == F32 else 32
        if not self.to.is_integer or self.to.bits > most:
            raise IrError(f"rescale_float with {factor.element} gives integers of at most {most} bits, not {self.to}")
        check_bounds(self, self.to, self.minimum, self.maximum)
        if not self.to.minimum <= self.output_zero_point <= self.to.maximum:
            raise IrError(f"rescale_float: the zero point {self.output_zero_point} leaves {self.to}")
        if self.rounding not in FLOAT_ROUNDINGS:
            known = ", ".join(FLOAT_ROUNDINGS)
            raise IrError(f"rescale_float: no rounding {self.rounding!r}", help=f"one of: {known}")
        return (x.with_element(self.to),)

    def evaluate(self, x: Array, factor: Array, offset: Array | None = None) -> Array:  # type: ignore[override]  # operands by name
        """Return the rescaled integers."""
        check_finite(self, factor, offset)
        value = (x.astype(np.int64) - self.input_zero_point).astype(factor.dtype) * factor
        value = value if offset is None else value + offset
        whole = FLOAT_ROUNDINGS[self.rounding](value).astype(np.float64)
        low, high = self.minimum - self.output_zero_point, self.maximum - self.output_zero_point
        codes = np.minimum(np.maximum(whole, low), high).astype(np.int64) + self.output_zero_point
        return np.asarray(codes.astype(self.to.dtype))


@register
@dataclass(frozen=True, kw_only=True)
class Table(Op):
    """Lookup: `y = table[x − smallest code]` for 8-bit x; a table C×256 has one row a channel (last axis)."""

    name = "table"
    stages = frozenset({Stage.INTEGER})
    elementwise = True
    x = Operand(0, "8-bit codes")
    table = Operand(1, "256, or C×256")

    def infer(self) -> tuple[TensorType, ...]:
        """The shape of x over the table's element type."""
        x, t = self.x.type, self.table.type
        if not x.element.expressed.is_integer or x.element.storage.bits != 8:
            raise IrError(f"table takes 8-bit codes, not {x}")
        if t.shape != (256,) and t.shape != (x.shape[-1] if x.rank else 0, 256):
            raise IrError(f"table: shape {list(t.shape)}, should be [256] or [channels, 256]")
        return (x.with_element(t.element),)

    def evaluate(self, x: Array, table: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return the entries."""
        index = x.astype(np.intp) - int(np.iinfo(x.dtype).min)
        return np.asarray(np.take(table, index) if table.ndim == 1 else table[np.arange(table.shape[0]), index])


@register
@dataclass(frozen=True, kw_only=True)
class Cast(Op):
    """Change of element type: `y = x` in type `to`.

    From float to integer toward zero, then wrapping; a NaN or infinity becomes 0. To `i1`: `y = x ≠ 0`.
    """

    name = "cast"
    stages = ANY_STAGE
    elementwise = True
    x = Operand(0)
    to: ScalarType

    def infer(self) -> tuple[TensorType, ...]:
        """The shape of x over `to`."""
        return (self.x.type.with_element(self.to),)

    def evaluate(self, x: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return x in the new type."""
        if self.to.is_float or self.to.bits == 1:
            with np.errstate(over="ignore"):
                return x.astype(self.to.dtype)
        if x.dtype.kind == "f":
            whole = np.fmod(np.trunc(np.where(np.isfinite(x), x, 0).astype(np.float64)), 2.0**64)
            x = np.where(whole < 0, -np.abs(whole).astype(np.uint64), np.abs(whole).astype(np.uint64))
        return _wrapped(x, self.to)


def _wrapped(x: Array, to: ScalarType) -> Array:
    """Return integers reduced to two's complement of the width of `to`."""
    if not to.is_narrow:
        return x.astype(to.dtype)
    low = x.astype(np.int64) & ((1 << to.bits) - 1)
    return np.where(low > to.maximum, low - (1 << to.bits), low).astype(to.dtype)

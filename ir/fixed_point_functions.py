"""Exponential, reciprocal, logistic, tanh and inverse square root in fixed point, as gemmlowp defines them to the bit.

A number of format Qi.f is an integer of `width` bits that stands for raw / 2^f, with f = width − 1 − i fraction bits.
The functions are written once, over Python's operators and what `Arithmetic` adds to them: on NumPy arrays they are
the meaning of operations and fill tables, on expressions they are generated code.

Source: gemmlowp's fixedpoint.h (the int32 and int16 raw types); the inverse square root is TFLite's
GetInvSqrtQuantizedMultiplierExp.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

Number: TypeAlias = Any
"""An integer, a NumPy array of int64 or an expression: wide enough for a product of two raws and a rounding term."""


class Arithmetic(Protocol):
    """What the functions need beside Python's operators."""

    def select(self, condition: Any, yes: Number | int, no: Number | int) -> Number:
        """`yes` where the condition holds, else `no`; both may be computed."""

    def minimum(self, a: Number, b: int) -> Number:
        """The smaller."""

    def maximum(self, a: Number, b: int) -> Number:
        """The larger."""

    def bind(self, name: str, value: Number) -> Number:
        """The value, computed once, under a name for readers."""


class ArrayArithmetic:
    """Arithmetic on NumPy arrays of int64."""

    def select(self, condition: Any, yes: Number | int, no: Number | int) -> Number:
        """`yes` where the condition holds, else `no`."""
        return np.where(condition, yes, no)

    def minimum(self, a: Number, b: int) -> Number:
        """The smaller."""
        return np.minimum(a, b)

    def maximum(self, a: Number, b: int) -> Number:
        """The larger."""
        return np.maximum(a, b)

    def bind(self, name: str, value: Number) -> Number:
        """The value."""
        return value


ARRAYS = ArrayArithmetic()
"""Arithmetic on NumPy arrays."""

# Constants in Q0.31, exp(−2^k) for k = −2 … 4, and in Q2.29.
_EXP_MINUS_EIGHTH = 1895147668
_ONE_THIRD = 715827883
_EXP_MINUS_POWERS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
_48_OVER_17 = 1515870810
_MINUS_32_OVER_17 = -1010580540
_HALF_SQRT_2 = 1518500250


@dataclass(frozen=True)
class FixedPoint:
    """Functions of fixed-point numbers of one width.

    Attributes:
        width: bits of a raw integer, 32 or 16.
        arithmetic: what the numbers are.
    """

    width: int = 32
    arithmetic: Arithmetic = ARRAYS

    @property
    def one(self) -> int:
        """The number nearest to 1 in Q0: all bits but the sign."""
        return int((1 << (self.width - 1)) - 1)

    def constant(self, raw: int) -> int:
        """A 32-bit constant in this width, rounded."""
        drop = 32 - self.width
        return raw if not drop else (raw + (1 << (drop - 1)) - (raw < 0)) >> drop

    def saturated(self, x: Number) -> Number:
        """The nearest raw."""
        return self.arithmetic.maximum(self.arithmetic.minimum(x, self.one), -self.one - 1)

    def high(self, a: Number, b: Number) -> Number:
        """Saturating rounding doubling high product `min(⌊(a·b + 2^(w−2)) / 2^(w−1)⌋, 2^(w−1) − 1)`."""
        rounded = (a * b + (1 << (self.width - 2))) >> (self.width - 1)
        return self.arithmetic.minimum(rounded, self.one)

    def divided(self, x: Number, exponent: int) -> Number:
        """`x / 2^exponent` to nearest, ties away from zero."""
        if exponent == 0:
            return x
        negative = self.arithmetic.select(x < 0, 1, 0)
        return (x + (1 << (exponent - 1)) - negative) >> exponent

    def exp(self, a: Number, integer_bits: int) -> Number:
        """`exp(a)` in Q0 for a ≤ 0 with so many integer bits (at most 5)."""
        fraction = self.width - 1 - integer_bits
        bind = self.arithmetic.bind
        quarter = 1 << (fraction - 2)
        # a = r − ρ with −¼ ≤ r < 0 and ρ a multiple of ¼: a Taylor series around −⅛, times a factor for each bit of ρ
        r = bind("remainder", (a & (quarter - 1)) - quarter)
        x = bind("offset", r * (1 << integer_bits) + (1 << (self.width - 4)))
        x2 = bind("square", self.high(x, x))
        x3, x4 = self.high(x2, x), self.high(x2, x2)
        third = self.high(bind("high_powers", self.divided(x4, 2) + x3), self.constant(_ONE_THIRD))
        tail = self.divided(bind("powers", third + x2), 1)
        eighth = self.constant(_EXP_MINUS_EIGHTH)
        y = bind("exponential", self.arithmetic.minimum(eighth + self.high(x + tail, eighth), self.one))
        quarters = bind("quarters", r - a)
        for k, factor in zip(range(-2, 5), _EXP_MINUS_POWERS, strict=True):
            if k < integer_bits:
                has = (quarters & (1 << (fraction + k))) != 0
                y = bind("exponential", self.arithmetic.select(has, self.high(y, self.constant(factor)), y))
        return bind("exponential", self.arithmetic.select(a == 0, self.one, y))

    def _reciprocal_steps(self, a: Number) -> Number:
        """`2 / (1 + a)` in Q2 by three Newton-Raphson steps, for a in Q0, 0 ≤ a < 1."""
        bind = self.arithmetic.bind
        half = bind("half_divisor", (a + self.one + 1) >> 1)
        x = bind("quotient", self.high(half, self.constant(_MINUS_32_OVER_17)) + self.constant(_48_OVER_17))
        for _ in range(3):
            missing = bind("missing", (1 << (self.width - 3)) - self.high(half, x))
            step = self.saturated(self.high(x, missing) * 4)
            x = bind("quotient", x + step)
        return x

    def reciprocal(self, a: Number) -> Number:
        """`1 / (1 + a)` in Q0, for a in Q0, 0 ≤ a < 1."""
        return self.arithmetic.bind("reciprocal", self.saturated(self._reciprocal_steps(a) * 2))

    def one_minus_over_one_plus(self, a: Number) -> Number:
        """`(1 − a) / (1 + a)` in Q0, for a in Q0, 0 ≤ a < 1."""
        excess = self._reciprocal_steps(a) - (1 << (self.width - 3))
        return self.arithmetic.bind("ratio", self.saturated(excess * 4))

    def logistic(self, a: Number, integer_bits: int) -> Number:
        """`1 / (1 + exp(−a))` in Q0."""
        select = self.arithmetic.select
        negative = self.arithmetic.bind("negative", select(a > 0, 0 - a, a))
        p = self.reciprocal(self.exp(negative, integer_bits))
        return select(a == 0, 1 << (self.width - 2), select(a > 0, p, self.one - p))

    def tanh(self, a: Number, integer_bits: int) -> Number:
        """`tanh(a)` in Q0: `(1 − e) / (1 + e)` with e = exp(−2·|a|)."""
        select = self.arithmetic.select
        negative = self.arithmetic.bind("negative", select(a > 0, 0 - a, a))
        t = self.one_minus_over_one_plus(self.exp(negative, integer_bits + 1))
        return select(a == 0, 0, select(a > 0, t, 0 - t))

    def leading_zeros(self, x: Number) -> Number:
        """How many of the 32 bits of x, 1 ≤ x < 2^32, lie above its highest one."""
        bind, count = self.arithmetic.bind, 0
        for step in (16, 8, 4, 2, 1):
            small = x < (1 << (32 - step)) if step > 1 else x <= 2**31 - 1
            count = bind("zeros", self.arithmetic.select(small, step, 0) + count)
            x = bind("shifted", self.arithmetic.select(small, x << step, x))
        return count

    def inverse_square_root(self, x: Number) -> tuple[Number, Number]:
        """`1 / √x` of an integer 0 ≤ x < 2^31 as (multiplier, right shift): multiplier / 2^(31 + shift)."""
        bind, select = self.arithmetic.bind, self.arithmetic.select
        a = bind("radicand", self.arithmetic.maximum(x, 2))
        large = a > 2**29 - 1
        shift = bind("shift", select(large, 12, 11))
        a = bind("radicand", select(large, a >> 2, a))
        pairs = bind("pairs", ((self.leading_zeros(a) - 1) >> 1) - 1)
        shift = bind("shift", shift - pairs)
        half = bind("half", self.divided(bind("radicand", a << (pairs * 2)) >> 1, 1))
        root = bind("root", half * 0 + (1 << 28))
        for _ in range(5):
            cube = self.saturated(self.high(self.high(root, root), root) * 64)
            step = self.high(root, (1 << 28) + (1 << 27)) - self.high(half, bind("cube", cube))
            root = bind("root", self.saturated(step * 8))
        root = self.high(root, _HALF_SQRT_2)
        root = bind("root", select(shift < 0, root << self.arithmetic.maximum(0 - shift, 0), root))
        return select(x > 1, root, self.one), select(x > 1, self.arithmetic.maximum(shift, 0), 0)

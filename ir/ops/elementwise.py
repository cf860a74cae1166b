"""Element-by-element arithmetic of two operands, with NumPy broadcasting."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..errors import IrError
from ..op import ANY_STAGE, REAL_STAGES, Op, Operand, common_expressed, register
from ..types import Array, ScalarType, Shape, TensorType
from .linear import check_clamp


def broadcast(op: Op, *types: TensorType) -> Shape:
    """Return the NumPy broadcast of the shapes; an IrError if they do not fit."""
    try:
        return np.broadcast_shapes(*(t.shape for t in types))
    except ValueError as error:
        shapes = " and ".join(str(list(t.shape)) for t in types)
        raise IrError(f"{op.name}: shapes {shapes} do not broadcast") from error


@dataclass(frozen=True, kw_only=True)
class Binary(Op):
    """Base of binary arithmetic.

    Attributes:
        clamp: bounds of a fused activation (real stages).
    """

    stages = ANY_STAGE
    elementwise = True
    fusable_clamp = True
    a = Operand(0)
    b = Operand(1)
    clamp: tuple[float, float] | None = None

    def infer(self) -> tuple[TensorType, ...]:
        """The broadcast shape; integers must be of at least 32 bits, so that arithmetic is exact."""
        shape = broadcast(self, self.a.type, self.b.type)
        element = common_expressed(self.a.type, self.b.type)
        if self.clamp is not None and element.is_integer:
            raise IrError(f"{self.name} of integers has no clamp", help="use the operation clamp")
        check_clamp(self, self.clamp)
        if element.is_integer and element.bits < 32 and not self.shares_parameters:
            raise IrError(f"{self.name} of {element} can overflow: rescale the operands to i32 first")
        return (TensorType(shape, element),)

    def limited(self, y: Array) -> Array:
        """Return y within the fused clamp."""
        return y if self.clamp is None else np.clip(y, *self.clamp).astype(y.dtype)


@dataclass(frozen=True, kw_only=True)
class SumOrProduct(Binary):
    """Base of sums and products, which compilers join to fused multiply-adds where no bits are promised.

    Attributes:
        clamp: bounds of a fused activation (real stages).
        exact: on floats, operands and result are rounded one by one, so that every bit is promised.
    """

    exact: bool = False

    @property
    def exact_floats(self) -> bool:  # type: ignore[override]  # not of the class: a fact of the attribute
        """Whether it keeps every rounding."""
        return self.exact


@register
@dataclass(frozen=True, kw_only=True)
class Add(SumOrProduct):
    """Sum: `y = a + b`.

    Attributes:
        clamp: bounds of a fused activation (real stages).
        exact: on floats, operands and result are rounded one by one, so that every bit is promised.
    """

    name = "add"

    def evaluate(self, a: Array, b: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return the sum."""
        return self.limited(a + b)


@register
@dataclass(frozen=True, kw_only=True)
class Sub(Binary):
    """Difference: `y = a − b`."""

    name = "sub"

    def evaluate(self, a: Array, b: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return the difference."""
        return self.limited(a - b)


@register
@dataclass(frozen=True, kw_only=True)
class Mul(SumOrProduct):
    """Product: `y = a · b`.

    Attributes:
        clamp: bounds of a fused activation (real stages).
        exact: on floats, operands and result are rounded one by one, so that every bit is promised.
    """

    name = "mul"

    def evaluate(self, a: Array, b: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return the product."""
        return self.limited(a * b)


@register
@dataclass(frozen=True, kw_only=True)
class Div(Binary):
    """Quotient: `y = a / b`, real arithmetic only (integers of the frontend divide toward zero)."""

    name = "div"
    stages = REAL_STAGES

    def evaluate(self, a: Array, b: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return the quotient."""
        if a.dtype.kind in "iu":
            if not np.all(b):
                raise IrError("div: an integer divisor is 0")
            quotient = np.floor_divide(a, b)
            toward_zero = (quotient < 0) & (quotient * b != a)
            return np.asarray(quotient + toward_zero)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return self.limited(a / b)


@register
@dataclass(frozen=True, kw_only=True)
class Pow(Binary):
    """Power: `y = a ^ b`, real arithmetic only."""

    name = "pow"
    stages = REAL_STAGES

    def evaluate(self, a: Array, b: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return the power."""
        with np.errstate(all="ignore"):
            return self.limited(np.power(a, b))


@register
@dataclass(frozen=True, kw_only=True)
class Minimum(Binary):
    """The smaller: `y = min(a, b)`; on codes, operands and result share scale and zero point."""

    name = "minimum"
    shares_parameters = True
    fusable_clamp = False
    rounds_once = True

    def evaluate(self, a: Array, b: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return the smaller of each pair."""
        return np.minimum(a, b)


@register
@dataclass(frozen=True, kw_only=True)
class Maximum(Binary):
    """The larger: `y = max(a, b)`; on codes, operands and result share scale and zero point."""

    name = "maximum"
    shares_parameters = True
    fusable_clamp = False
    rounds_once = True

    def evaluate(self, a: Array, b: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return the larger of each pair."""
        return np.maximum(a, b)


@register
@dataclass(frozen=True, kw_only=True)
class Clamp(Op):
    """Limit to a range: `y = min(max(x, minimum), maximum)`; relu is [0, inf]; bounds are codes on codes."""

    name = "clamp"
    stages = ANY_STAGE
    elementwise = True
    rounds_once = True
    x = Operand(0)
    minimum: float
    maximum: float

    def infer(self) -> tuple[TensorType, ...]:
        """The shape of x."""
        if not self.minimum <= self.maximum:
            raise IrError(f"clamp: minimum {self.minimum} is above maximum {self.maximum}")
        element = self.x.type.element.expressed
        if element.is_integer and not (math.ceil(self._low(element)) <= math.floor(self._high(element))):
            raise IrError(f"clamp: no {element} lies between {self.minimum} and {self.maximum}")
        return (self.x.type.with_element(self.x.type.element.expressed),)

    def evaluate(self, x: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return x within the bounds."""
        element = self.x.type.element.expressed
        if x.dtype.kind in "iu" and element.is_integer:
            low, high = x.dtype.type(math.ceil(self._low(element))), x.dtype.type(math.floor(self._high(element)))
            return np.asarray(np.clip(x, low, high))
        return np.clip(x, self.minimum, self.maximum).astype(x.dtype)

    def _low(self, element: ScalarType) -> float:
        return max(self.minimum, element.minimum)

    def _high(self, element: ScalarType) -> float:
        return min(self.maximum, element.maximum)

"""Functions of one real number. On 8-bit codes each of them becomes a table."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..errors import IrError
from ..op import Op, Operand, register
from ..types import Array, TensorType

_erf = np.vectorize(math.erf, otypes=[np.float64])


@dataclass(frozen=True, kw_only=True)
class Unary(Op):
    """Base of functions of one real number."""

    elementwise = True
    x = Operand(0)

    def function(self, x: Array) -> Array:
        """Return f(x) in the precision of x, which is binary64 where tables are built."""
        raise IrError(f"{self.name} has no function")

    def infer(self) -> tuple[TensorType, ...]:
        """The shape of x, real."""
        if not self.x.type.element.expressed.is_float:
            raise IrError(f"{self.name} takes real numbers, not {self.x.type}")
        return (self.x.type.with_element(self.x.type.element.expressed),)

    def evaluate(self, x: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return the function computed in binary64 and rounded once to the type of x."""
        with np.errstate(all="ignore"):
            return self.function(x.astype(np.float64)).astype(x.dtype)


@register
@dataclass(frozen=True, kw_only=True)
class Sigmoid(Unary):
    """Logistic function: `y = 1 / (1 + exp(−x))`."""

    name = "sigmoid"

    def function(self, x: Array) -> Array:
        """Return the logistic function, without overflow for any x."""
        e = np.exp(-np.abs(x))
        return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


@register
@dataclass(frozen=True, kw_only=True)
class Tanh(Unary):
    """Hyperbolic tangent: `y = tanh(x)`."""

    name = "tanh"

    def function(self, x: Array) -> Array:
        """Return tanh."""
        return np.tanh(x)


@register
@dataclass(frozen=True, kw_only=True)
class LeakyRelu(Unary):
    """Leaky ReLU: `y = x if x ≥ 0 else alpha · x`."""

    name = "leaky_relu"
    alpha: float = 0.01

    def function(self, x: Array) -> Array:
        """Return leaky ReLU."""
        return np.where(x >= 0, x, self.alpha * x)


@register
@dataclass(frozen=True, kw_only=True)
class HardSigmoid(Unary):
    """Piecewise linear sigmoid: `y = min(max(alpha · x + beta, 0), 1)`."""

    name = "hard_sigmoid"
    alpha: float = 0.2
    beta: float = 0.5

    def function(self, x: Array) -> Array:
        """Return the hard sigmoid."""
        return np.clip(self.alpha * x + self.beta, 0, 1)


@register
@dataclass(frozen=True, kw_only=True)
class HardSwish(Unary):
    """Hard swish: `y = x · min(max(x/6 + 1/2, 0), 1)`."""

    name = "hard_swish"

    def function(self, x: Array) -> Array:
        """Return the hard swish."""
        return x * np.clip(x / 6 + 0.5, 0, 1)


@register
@dataclass(frozen=True, kw_only=True)
class Erf(Unary):
    """Gauss error function: `y = erf(x)`."""

    name = "erf"

    def function(self, x: Array) -> Array:
        """Return erf."""
        return np.asarray(_erf(x)) if x.size else x


@register
@dataclass(frozen=True, kw_only=True)
class Gelu(Unary):
    """Gaussian error linear unit: `y = x · Φ(x)`; `tanh` approximates Φ as in Hendrycks and Gimpel 2016."""

    name = "gelu"
    approximate: str = "none"

    def infer(self) -> tuple[TensorType, ...]:
        """The shape of x, real."""
        if self.approximate not in ("none", "tanh"):
            raise IrError(f"gelu: no approximation {self.approximate!r}", help="one of: none, tanh")
        return super().infer()

    def function(self, x: Array) -> Array:
        """Return GELU."""
        if self.approximate == "tanh":
            return np.asarray(0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))
        return np.asarray(0.5 * x * (1 + (np.asarray(_erf(x / math.sqrt(2))) if x.size else x)))


@register
@dataclass(frozen=True, kw_only=True)
class Elu(Unary):
    """Exponential linear unit: `y = x if x ≥ 0 else alpha · (exp(x) − 1)`."""

    name = "elu"
    alpha: float = 1.0

    def function(self, x: Array) -> Array:
        """Return ELU."""
        return np.where(x >= 0, x, self.alpha * np.expm1(np.minimum(x, 0)))


@register
@dataclass(frozen=True, kw_only=True)
class Silu(Unary):
    """Sigmoid-weighted linear unit, swish: `y = x · sigmoid(x)`."""

    name = "silu"

    def function(self, x: Array) -> Array:
        """Return SiLU."""
        e = np.exp(-np.abs(x))
        return x * np.where(x >= 0, 1 / (1 + e), e / (1 + e))


@register
@dataclass(frozen=True, kw_only=True)
class Exp(Unary):
    """Exponential: `y = exp(x)`."""

    name = "exp"

    def function(self, x: Array) -> Array:
        """Return exp."""
        return np.exp(x)


@register
@dataclass(frozen=True, kw_only=True)
class Log(Unary):
    """Natural logarithm: `y = ln(x)`."""

    name = "log"

    def function(self, x: Array) -> Array:
        """Return the logarithm."""
        return np.log(x)


@register
@dataclass(frozen=True, kw_only=True)
class Sqrt(Unary):
    """Square root: `y = √x`."""

    name = "sqrt"

    def function(self, x: Array) -> Array:
        """Return the square root."""
        return np.sqrt(x)


@register
@dataclass(frozen=True, kw_only=True)
class Reciprocal(Unary):
    """Reciprocal: `y = 1 / x`."""

    name = "reciprocal"

    def function(self, x: Array) -> Array:
        """Return the reciprocal."""
        return 1 / x


@register
@dataclass(frozen=True, kw_only=True)
class Abs(Unary):
    """Magnitude: `y = |x|`."""

    name = "abs"
    rounds_once = True

    def function(self, x: Array) -> Array:
        """Return the magnitude."""
        return np.abs(x)


@register
@dataclass(frozen=True, kw_only=True)
class Neg(Unary):
    """Negative: `y = −x`."""

    name = "neg"
    rounds_once = True

    def function(self, x: Array) -> Array:
        """Return the negative."""
        return -x


@register
@dataclass(frozen=True, kw_only=True)
class Round(Unary):
    """Nearest integer, ties to even: `y = RHE(x)`."""

    name = "round"

    def function(self, x: Array) -> Array:
        """Return the nearest integer."""
        return np.rint(x)

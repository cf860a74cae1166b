"""Functions of one number, and what can be limits of one: Relu, Clip, PRelu."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from qcc.ir import Op, ops

from ..emission import Tensor
from ..node import Node
from ..problem import Unsupported
from .arithmetic import binary


def _plain(op_class: type[Op]) -> Callable[[Node], Tensor]:
    """Return an importer of an operation that is one of the IR's, without attributes."""
    return lambda node: node.emit(op_class, node.input(0))


def relu(node: Node) -> Tensor:
    """Relu: a clamp at zero."""
    x = node.input(0)
    if x.element.is_integer:
        return node.emit(ops.Maximum, x, node.known(np.zeros((), x.element.dtype)))
    return node.emit(ops.Clamp, x, minimum=0.0, maximum=math.inf)


def clip(node: Node) -> Tensor:
    """Clip: a clamp where the bounds of real numbers are known; with min above max, everything becomes max."""
    x = node.input(0)
    low, high = _bounds(node)
    if x.element.is_integer or any(t is not None and t.array is None for t in (low, high)):
        x = x if low is None else node.emit(ops.Maximum, x, low)
        return x if high is None else node.emit(ops.Minimum, x, high)
    minimum = -math.inf if low is None else _scalar(low)
    maximum = math.inf if high is None else _scalar(high)
    if math.isnan(minimum) or math.isnan(maximum):
        raise Unsupported("a bound is NaN")
    if (minimum, maximum) == (-math.inf, math.inf):
        return x
    return node.emit(ops.Clamp, x, minimum=min(minimum, maximum), maximum=maximum)


def _bounds(node: Node) -> tuple[Tensor | None, Tensor | None]:
    """Return both bounds, None where there is none: attributes before opset 11, inputs since."""
    if node.opset >= 11:
        return node.optional(1), node.optional(2)
    largest = float(np.finfo(np.float32).max)
    limits = (node.get_float("min", -largest), -largest), (node.get_float("max", largest), largest)
    given = [None if bound == none else node.known(np.asarray(bound, np.float32)) for bound, none in limits]
    return given[0], given[1]


def _scalar(tensor: Tensor) -> float:
    if tensor.array is None or tensor.array.size != 1:
        raise Unsupported(f"a bound has the shape {list(tensor.shape)}, it must be one number")
    return float(tensor.array.reshape(-1)[0])


def leaky_relu(node: Node) -> Tensor:
    """LeakyRelu."""
    return node.emit(ops.LeakyRelu, node.input(0), alpha=node.get_float("alpha", 0.01))


def prelu(node: Node) -> Tensor:
    """PRelu: the slope broadcasts to the input."""
    return node.emit(ops.Prelu, node.input(0), node.input(1))


def elu(node: Node) -> Tensor:
    """Elu."""
    return node.emit(ops.Elu, node.input(0), alpha=node.get_float("alpha", 1.0))


def hard_sigmoid(node: Node) -> Tensor:
    """HardSigmoid."""
    alpha, beta = node.get_float("alpha", 0.2), node.get_float("beta", 0.5)
    return node.emit(ops.HardSigmoid, node.input(0), alpha=alpha, beta=beta)


def gelu(node: Node) -> Tensor:
    """Gelu, exact or by tanh."""
    approximate = node.get_string("approximate", "none")
    if approximate not in ("none", "tanh"):
        raise Unsupported(f"attribute 'approximate' is {approximate!r}")
    return node.emit(ops.Gelu, node.input(0), approximate=approximate)


def swish(node: Node) -> Tensor:
    """Swish: `x · sigmoid(alpha · x)`."""
    x, alpha = node.input(0), node.get_float("alpha", 1.0)
    if alpha == 1:
        return node.emit(ops.Silu, x)
    scaled = node.emit(ops.Mul, x, node.known(np.asarray(alpha, x.element.dtype)))
    return node.emit(ops.Mul, x, node.emit(ops.Sigmoid, scaled))


def absolute(node: Node) -> Tensor:
    """Abs; of integers the larger of x and −x."""
    x = node.input(0)
    return node.emit(ops.Maximum, x, negative(node)) if x.element.is_integer else node.emit(ops.Abs, x)


def negative(node: Node) -> Tensor:
    """Neg; of integers 0 − x."""
    x = node.input(0)
    if x.element.is_integer:
        return binary(node, ops.Sub, node.known(np.zeros((), x.element.dtype)), x)
    return node.emit(ops.Neg, x)


IMPORTERS: dict[str, Callable[[Node], Tensor]] = {
    "Abs": absolute,
    "Clip": clip,
    "Elu": elu,
    "Erf": _plain(ops.Erf),
    "Exp": _plain(ops.Exp),
    "Gelu": gelu,
    "HardSigmoid": hard_sigmoid,
    "HardSwish": _plain(ops.HardSwish),
    "LeakyRelu": leaky_relu,
    "Log": _plain(ops.Log),
    "Neg": negative,
    "PRelu": prelu,
    "Reciprocal": _plain(ops.Reciprocal),
    "Relu": relu,
    "Round": _plain(ops.Round),
    "Sigmoid": _plain(ops.Sigmoid),
    "Sqrt": _plain(ops.Sqrt),
    "Swish": swish,
    "Tanh": _plain(ops.Tanh),
}

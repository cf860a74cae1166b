"""Functions of one number, and PRELU."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from qcc.ir import Op, ops

from ...problem import Unsupported
from ..emission import Tensor
from ..node import CLAMPS, Node


def _plain(op_class: type[Op]) -> Callable[[Node], Tensor]:
    """Return an importer of an operation that is one of the IR's, without attributes."""
    return lambda node: node.result(op_class, node.input(0))


def _clamp(minimum: float, maximum: float) -> Callable[[Node], Tensor]:
    """Return an importer of a limit."""
    return lambda node: node.result(ops.Clamp, node.input(0), minimum=minimum, maximum=maximum, notes=node.notes)


def leaky_relu(node: Node) -> Tensor:
    """LEAKY_RELU."""
    return node.result(ops.LeakyRelu, node.input(0), alpha=float(node.option("alpha")))


def elu(node: Node) -> Tensor:
    """ELU, whose alpha is 1."""
    return node.result(ops.Elu, node.input(0), alpha=1.0)


def gelu(node: Node) -> Tensor:
    """GELU, exact or by tanh."""
    return node.result(ops.Gelu, node.input(0), approximate="tanh" if node.option("approximate") else "none")


def prelu(node: Node) -> Tensor:
    """PRELU: the slopes broadcast to the input."""
    return node.result(ops.Prelu, node.input(0), node.input(1, "slopes"))


def absolute(node: Node) -> Tensor:
    """ABS; of integers the larger of x and −x."""
    x = node.input(0)
    return node.result(ops.Maximum, x, _negated(node, x)) if x.is_integer else node.result(ops.Abs, x)


def negative(node: Node) -> Tensor:
    """NEG; of integers 0 − x."""
    x = node.input(0)
    return _negated(node, x) if x.is_integer else node.result(ops.Neg, x)


def _negated(node: Node, x: Tensor) -> Tensor:
    """Return 0 − x of plain integers."""
    return node.emit(ops.Sub, node.known(np.zeros((), x.element.storage.dtype)), x)


def reciprocal_root(node: Node) -> Tensor:
    """RSQRT, `1 / √x`; of real numbers."""
    return node.result(ops.Reciprocal, node.emit(ops.Sqrt, _real(node)))


def square(node: Node) -> Tensor:
    """SQUARE, `x · x`."""
    x = node.input(0)
    return node.result(ops.Mul, x, x)


def _real(node: Node) -> Tensor:
    """Return the input, which must be real."""
    x = node.input(0)
    if node.is_quantized or x.is_integer:
        raise Unsupported(f"of {x.element} is not supported, only of real numbers")
    return x


IMPORTERS: dict[str, Callable[[Node], Tensor]] = {
    "ABS": absolute,
    "ELU": elu,
    "EXP": _plain(ops.Exp),
    "GELU": gelu,
    "HARD_SWISH": _plain(ops.HardSwish),
    "LEAKY_RELU": leaky_relu,
    "LOG": _plain(ops.Log),
    "LOGISTIC": _plain(ops.Sigmoid),
    "NEG": negative,
    "PRELU": prelu,
    "RELU": _clamp(*CLAMPS["RELU"]),
    "RELU6": _clamp(*CLAMPS["RELU6"]),
    "RELU_0_TO_1": _clamp(0.0, 1.0),
    "RELU_N1_TO_1": _clamp(*CLAMPS["RELU_N1_TO_1"]),
    "RSQRT": reciprocal_root,
    "SQRT": _plain(ops.Sqrt),
    "SQUARE": square,
    "TANH": _plain(ops.Tanh),
}

"""Operations that ONNX defines by others: written in the IR's, so that nothing below has to know them."""

from __future__ import annotations

import math

import numpy as np

from qcc.ir import Op
from qcc.ir.ops import Abs, Add, Clamp, Div, Elu, Exp, Log, Mul, Neg, Reciprocal, ReduceMean, Reshape, Sqrt, Sub, Tanh

from ..emission import Tensor
from ..node import Node, normalized_axis
from ..problem import Unsupported


def _with(node: Node, op_class: type[Op], x: Tensor, number: float) -> Tensor:
    """Return `op_class(x, number)`."""
    return node.emit(op_class, x, node.known(np.asarray(number, x.element.dtype)))


def softplus(node: Node) -> Tensor:
    """Softplus, `ln(1 + exp(x)) = max(x, 0) + ln(1 + exp(−|x|))`, whose exponential never overflows."""
    x = node.input(0)
    small = node.emit(Exp, node.emit(Neg, node.emit(Abs, x)))
    tail = node.emit(Log, _with(node, Add, small, 1.0))
    return node.emit(Add, node.emit(Clamp, x, minimum=0.0, maximum=math.inf), tail)


def mish(node: Node) -> Tensor:
    """Mish: `x · tanh(softplus(x))`."""
    return node.emit(Mul, node.input(0), node.emit(Tanh, softplus(node)))


def softsign(node: Node) -> Tensor:
    """Softsign: `x / (1 + |x|)`."""
    x = node.input(0)
    return node.emit(Div, x, _with(node, Add, node.emit(Abs, x), 1.0))


def selu(node: Node) -> Tensor:
    """Selu: `gamma · elu(x, alpha)`."""
    alpha = node.get_float("alpha", 1.6732632423543772)
    gamma = node.get_float("gamma", 1.0507009873554805)
    return _with(node, Mul, node.emit(Elu, node.input(0), alpha=alpha), gamma)


def celu(node: Node) -> Tensor:
    """Celu: `alpha · elu(x / alpha, 1)`, which is max(x, 0) + min(alpha·(exp(x/alpha) − 1), 0) for alpha > 0."""
    alpha = node.get_float("alpha", 1.0)
    if alpha <= 0:
        raise Unsupported(f"attribute 'alpha' is {alpha}, it must be positive")
    return _with(node, Mul, node.emit(Elu, _with(node, Div, node.input(0), alpha), alpha=1.0), alpha)


def _normalized(node: Node, x: Tensor, axes: tuple[int, ...], epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return `(x − mean) / √(variance + epsilon)` over `axes`, the mean, and the root."""
    mean = node.emit(ReduceMean, x, axes=axes)
    distance = node.emit(Sub, x, mean)
    variance = node.emit(ReduceMean, node.emit(Mul, distance, distance), axes=axes)
    root = node.emit(Sqrt, _with(node, Add, variance, epsilon))
    return node.emit(Div, distance, root), mean, root


def layer_normalization(node: Node) -> list[Tensor]:
    """LayerNormalization over all axes from `axis` on, with mean and inverse deviation where something reads them."""
    node.ignore("stash_type")  # of the precision inside, which is f32
    x, scale, bias = node.input(0), node.input(1), node.optional(2)
    axis = normalized_axis(node.get_int("axis", -1), x.rank)
    y, mean, root = _normalized(node, x, tuple(range(axis, x.rank)), node.get_float("epsilon", 1e-5))
    y = node.emit(Mul, y, scale)
    y = y if bias is None else node.emit(Add, y, bias)
    return [y, mean, node.emit(Reciprocal, root)] if node.wants(1) or node.wants(2) else [y]


def instance_normalization(node: Node) -> Tensor:
    """InstanceNormalization: over the spatial axes, with a scale and an offset for each channel."""
    x = node.input(0)
    if x.rank < 3:
        raise Unsupported(f"takes images, not {list(x.shape)}")
    view = (x.shape[1], *(1,) * (x.rank - 2))
    scale, bias = (node.emit(Reshape, node.input(i), shape=view) for i in (1, 2))
    y, _, _ = _normalized(node, x, tuple(range(2, x.rank)), node.get_float("epsilon", 1e-5))
    return node.emit(Add, node.emit(Mul, y, scale), bias)


IMPORTERS = {
    "Celu": celu,
    "InstanceNormalization": instance_normalization,
    "LayerNormalization": layer_normalization,
    "Mish": mish,
    "Selu": selu,
    "Softplus": softplus,
    "Softsign": softsign,
}

"""Batch normalization, softmax, dropout."""

from __future__ import annotations

import math

import numpy as np

from qcc.ir.ops import BatchNorm, Exp, Log, ReduceMax, ReduceSum, Reshape, Softmax, Sub

from ..emission import Tensor
from ..node import Node, normalized_axis
from ..problem import Unsupported
from .layout import from_image, to_image


def batch_normalization(node: Node) -> Tensor:
    """BatchNormalization with the statistics that it was trained to."""
    if node.get_int("training_mode", 0):
        raise Unsupported("training_mode is 1: export the model for inference")
    if any(node.wants(i) for i in range(1, 5)):
        raise Unsupported("its statistics are not supported as outputs: export the model for inference")
    node.ignore("momentum")  # of training
    if not node.get_int("spatial", 1):  # before opset 9
        raise Unsupported("attribute 'spatial' is 0: statistics of each pixel are not supported")
    x, parameters = node.input(0), [node.input(i) for i in range(1, 5)]
    epsilon = node.get_float("epsilon", 1e-5)
    if x.rank not in (3, 4):
        return node.emit(BatchNorm, x, *parameters, epsilon=epsilon, axis=1 if x.rank > 1 else 0)
    y = node.emit(BatchNorm, to_image(node, x), *parameters, epsilon=epsilon, axis=-1)
    return from_image(node, y, x.rank - 2)


def _flattened(node: Node, x: Tensor, axis: int) -> Tensor:
    """Return x as a matrix whose rows are the dimensions before `axis`."""
    return node.emit(Reshape, x, shape=(math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))


def softmax(node: Node) -> Tensor:
    """Softmax; before opset 13 over all dimensions from `axis` on."""
    x = node.input(0)
    axis = normalized_axis(node.get_int("axis", -1 if node.opset >= 13 else 1), x.rank)
    if node.opset >= 13 or axis == x.rank - 1:
        return node.emit(Softmax, x, axis=axis)
    y = node.emit(Softmax, _flattened(node, x, axis), axis=-1)
    return node.emit(Reshape, y, shape=x.shape)


def log_softmax(node: Node) -> Tensor:
    """LogSoftmax as `d − ln Σ exp(d)` with d = x − max x, which never takes the logarithm of zero."""
    x = node.input(0)
    axis = normalized_axis(node.get_int("axis", -1 if node.opset >= 13 else 1), x.rank)
    flat = _flattened(node, x, axis) if node.opset < 13 else x
    axis = 1 if node.opset < 13 else axis
    distance = node.emit(Sub, flat, node.emit(ReduceMax, flat, axes=(axis,)))
    total = node.emit(ReduceSum, node.emit(Exp, distance), axes=(axis,))
    y = node.emit(Sub, distance, node.emit(Log, total))
    return node.emit(Reshape, y, shape=x.shape) if node.opset < 13 else y


def dropout(node: Node) -> list[Tensor]:
    """Dropout in inference: the input, and a mask of ones."""
    node.ignore("seed", "ratio")
    training = node.optional_constant(2, "training_mode")
    ratio = node.optional_constant(1, "ratio")
    if training is not None and training.any() and (ratio is None or ratio.any()):
        raise Unsupported("training_mode is true: export the model for inference")
    x = node.input(0)
    mask = np.bool_ if node.opset >= 10 else x.element.dtype
    return [x, node.known(np.ones(x.shape, mask))] if node.wants(1) else [x]


IMPORTERS = {
    "BatchNormalization": batch_normalization,
    "Dropout": dropout,
    "LogSoftmax": log_softmax,
    "Softmax": softmax,
}

"""Weights and biases: in the IR's order of axes, with types that say what the kernels compute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from qcc.ir import UniformType
from qcc.ir.ops import Dequantize, Transpose

from ...problem import Unsupported
from ..emission import Tensor
from ..node import Node

#: Relative difference of a bias scale from that of the sums that is due to rounding.
SCALE_TOLERANCE = 1e-5


def weight_operand(node: Node, w: Tensor, channel_axis: int, permutation: Sequence[int] | None = None) -> Tensor:
    """Return weights with their axes permuted; real ones where the node's activations are real.

    Args:
        channel_axis: the axis of output channels, along which scales may run.
        permutation: axis i of the result is axis `permutation[i]` of `w`.
    """
    if isinstance(w.element, UniformType):
        if not isinstance(node.input(2 if node.name == "TRANSPOSE_CONV" else 0).element, UniformType):
            if w.array is None:
                raise Unsupported("quantized weights of a real operation must be constant")
            node.defects.add(node.label, "has quantized weights and real activations; computed with real numbers")
            w = node.emit(Dequantize, w)
        else:
            w = _checked(node, w, channel_axis)
    if permutation is None:
        return w
    if w.array is None:
        return node.emit(Transpose, w, permutation=tuple(permutation))
    element = w.element
    if isinstance(element, UniformType) and element.axis is not None:
        element = replace(element, axis=list(permutation).index(element.axis))
    return node.derived(w, np.transpose(w.array, permutation), element)


def _checked(node: Node, w: Tensor, channel_axis: int) -> Tensor:
    """Return quantized weights without the zero points that the kernels ignore."""
    element = w.type.uniform()
    if element.per_axis and element.axis != channel_axis:
        raise Unsupported(f"the scales of {w.name!r} run along axis {element.axis}, not {channel_axis}")
    symmetric = element.per_axis or node.name != "FULLY_CONNECTED"
    if symmetric and any(element.zero_points) and element.storage.kind == "i":
        node.defects.add(f"tensor {w.name!r}", "zero points of weights are ignored, as the kernels do")
        element = replace(element, zero_points=(0,) * len(element.scales))
        return Tensor(w.name, w.type.with_element(element), w.array, w.value)
    return w


def bias_operand(node: Node, index: int, x: Tensor, weight: Tensor, axis: int) -> Tensor | None:
    """Return the bias, None where there is none; of quantized activations its codes, in units of the sums.

    Args:
        axis: of `weight` along which output channels run.
    """
    bias = node.optional(index)
    if bias is None:
        return None
    channels = weight.shape[axis]
    if bias.type.size != channels:
        raise Unsupported(f"a bias of the shape {list(bias.shape)} for {channels} channels")
    if not isinstance(x.element, UniformType) or not isinstance(weight.element, UniformType):
        if bias.is_integer or isinstance(bias.element, UniformType):
            raise Unsupported(f"a bias of {bias.element} for real activations")
        return bias if bias.rank == 1 else _flat(node, bias)
    if bias.array is None:
        raise Unsupported("its bias is computed at run time, it must be constant")
    if bias.array.dtype.kind != "i" or bias.array.dtype.itemsize < 4:
        raise Unsupported(f"a bias of {bias.element}, it must be i32 or i64")
    return _quantized_bias(node, bias, x.element, weight.element)


def _flat(node: Node, bias: Tensor) -> Tensor:
    if bias.array is None:
        raise Unsupported(f"a bias of the shape {list(bias.shape)}")
    return node.derived(bias, bias.array.reshape(-1), bias.element)


def _quantized_bias(node: Node, bias: Tensor, x: UniformType, weight: UniformType) -> Tensor:
    """Return the codes with the scales of the sums, s_x·s_w, which is what they mean whatever the file says."""
    scales = tuple(float(np.float32(np.float32(x.scale) * np.float32(s))) for s in weight.scales)
    if min(scales) <= 0:
        raise Unsupported("the scales of its sums are too small for binary32")
    if not isinstance(bias.element, UniformType):
        node.defects.add(f"tensor {bias.name!r}", "the bias has no scale; read in units of input scale · weight scale")
    else:
        own = np.broadcast_to(np.asarray(bias.element.scales), (max(len(scales), len(bias.element.scales)),))
        if np.any(np.abs(own - np.asarray(scales)) > SCALE_TOLERANCE * own) or any(bias.element.zero_points):
            node.defects.add(
                f"tensor {bias.name!r}", "the scales of the bias are not input scale · weight scale; its codes are kept"
            )
    if bias.array is None:
        raise Unsupported("its bias must be constant")
    storage = bias.element.storage
    element = UniformType(storage, scales, (0,) * len(scales), None if len(scales) == 1 else 0)
    return node.derived(bias, bias.array.reshape(-1), element)

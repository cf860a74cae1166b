"""Resize, and Upsample, which it was before opset 10."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from qcc.ir import Array
from qcc.ir.ops import Resize

from ..emission import Tensor
from ..node import Node, normalized_axes
from ..problem import Unsupported
from .layout import from_image, to_image

Number = TypeVar("Number", int, float)


def resize(node: Node) -> Tensor:
    """Resize: `scales` or `sizes`, nearest or linear; of images in N×H×W×C."""
    if node.opset < 11:
        return _resize_by_scales(node, node.constant(1, "scales"))
    x = node.input(0)
    mode = node.get_string("mode", "nearest")
    coordinates = node.get_string("coordinate_transformation_mode", "half_pixel")
    _refuse_unsupported(node, mode, coordinates)
    given = node.get_ints("axes") if node.has("axes") else tuple(range(x.rank))
    shape, scales = _sizes_and_scales(node, x, normalized_axes(given, x.rank))
    if node.get_int("antialias", 0) and mode != "nearest" and min(scales, default=1.0) < 1:
        raise Unsupported("attribute 'antialias' is not supported where the result is smaller")
    rounding = node.get_string("nearest_mode", "round_prefer_floor")
    return _resized(node, x, shape, scales, mode=mode, coordinates=coordinates, rounding=rounding)


def _resized(node: Node, x: Tensor, shape: tuple[int, ...], scales: tuple[float, ...], **attributes: str) -> Tensor:
    """Return x in another shape; images as N×H×W×C where batch and channels stay."""
    image = x.rank == 4 and (shape[:2], scales[:2]) == (x.shape[:2], (1.0, 1.0))
    if not image:
        return node.emit(Resize, x, shape=shape, scales=scales, **attributes)
    shape, scales = _channels_last(shape), _channels_last(scales)
    return from_image(node, node.emit(Resize, to_image(node, x), shape=shape, scales=scales, **attributes), 2)


def upsample(node: Node) -> Tensor:
    """Upsample: Resize by scales of at least 1, an attribute before opset 9."""
    if node.opset >= 10:
        raise Unsupported(f"is not part of opset {node.opset}: it is Resize since opset 10")
    scales = np.asarray(node.get_floats("scales"), np.float32) if node.opset < 9 else node.constant(1, "scales")
    if np.any(scales < 1):
        raise Unsupported(f"scales {scales.tolist()} make it smaller")
    return _resize_by_scales(node, scales)


def _resize_by_scales(node: Node, given: Array) -> Tensor:
    """Return a Resize as it was before opset 11: positions are `i / scale`.

    The nearest element is the one before the position, or behind it where the axis gets shorter, as in ONNX's example
    and in ONNX Runtime. Axes that get shorter are resized apart: each axis has its own positions.
    """
    x, mode = node.input(0), node.get_string("mode", "nearest")
    _refuse_unsupported(node, mode, "asymmetric")
    shape, scales = _by_scales(x, tuple(range(x.rank)), given)
    shorter = tuple(min(s, 1.0) if mode == "nearest" else 1.0 for s in scales)
    longer = tuple(1.0 if s < 1 and mode == "nearest" else s for s in scales)
    between = tuple(after if s < 1 else before for before, after, s in zip(x.shape, shape, shorter, strict=True))
    for sizes, factors, rounding in ((between, shorter, "ceil"), (shape, longer, "floor")):
        if any(f != 1 for f in factors):
            x = _resized(node, x, sizes, factors, mode=mode, coordinates="asymmetric", rounding=rounding)
    return x


def _channels_last(numbers: tuple[Number, ...]) -> tuple[Number, ...]:
    return tuple(numbers[axis] for axis in (0, 2, 3, 1))


def _refuse_unsupported(node: Node, mode: str, coordinates: str) -> None:
    node.ignore("cubic_coeff_a", "exclude_outside")  # of mode cubic
    node.ignore("extrapolation_value")  # of tf_crop_and_resize
    if mode not in ("nearest", "linear"):
        raise Unsupported(f"attribute 'mode' is {mode!r}: supported are nearest and linear")
    if coordinates == "tf_crop_and_resize":
        raise Unsupported("attribute 'coordinate_transformation_mode' is 'tf_crop_and_resize'")


def _sizes_and_scales(node: Node, x: Tensor, axes: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Return the result's shape and the scales, for all axes."""
    policy = node.get_string("keep_aspect_ratio_policy", "stretch")
    sizes = node.constant_ints(3, "sizes")
    array = node.optional_constant(2, "scales")
    if sizes:
        _refuse_empty(x)
        if len(sizes) != len(axes) or min(sizes) < 1:
            raise Unsupported(f"sizes {list(sizes)} for {len(axes)} axes")
        return _by_sizes(x, axes, sizes, policy)
    return _by_scales(x, axes, array)


def _refuse_empty(x: Tensor) -> None:
    if 0 in x.shape:
        raise Unsupported("an empty tensor can't be resized")


def _by_scales(x: Tensor, axes: tuple[int, ...], array: Array | None) -> tuple[tuple[int, ...], tuple[float, ...]]:
    _refuse_empty(x)
    numbers = [] if array is None else [float(s) for s in array.reshape(-1)]
    if len(numbers) != len(axes) or not all(math.isfinite(s) and s > 0 for s in numbers):
        raise Unsupported(f"scales {numbers} for {len(axes)} axes")
    shape, scales = list(x.shape), [1.0] * x.rank
    for axis, scale in zip(axes, numbers, strict=True):
        shape[axis], scales[axis] = math.floor(x.shape[axis] * scale), scale
    return tuple(shape), tuple(scales)


def _by_sizes(
    x: Tensor, axes: tuple[int, ...], sizes: Sequence[int], policy: str
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    shape, scales = list(x.shape), [1.0] * x.rank
    ratios = [size / x.shape[axis] for axis, size in zip(axes, sizes, strict=True)]
    if policy not in ("stretch", "not_larger", "not_smaller"):
        raise Unsupported(f"attribute 'keep_aspect_ratio_policy' is {policy!r}")
    for axis, size, ratio in zip(axes, sizes, ratios, strict=True):
        if policy == "stretch":
            shape[axis], scales[axis] = size, ratio
        else:
            scales[axis] = min(ratios) if policy == "not_larger" else max(ratios)
            shape[axis] = math.floor(scales[axis] * x.shape[axis] + 0.5)
    return tuple(shape), tuple(scales)


IMPORTERS = {"Resize": resize, "Upsample": upsample}

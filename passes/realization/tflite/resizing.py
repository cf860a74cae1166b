"""RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR of the profiles `tflm` and `litert-ref`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from qcc.ir import I16, U8, Array, PassError, ops

from ..movement import in_own_parameters, one_operand
from ..realizer import Realizer, realizes

FRACTION_BITS = 10


@dataclass(frozen=True)
class Neighbours:
    """Where the results along one axis come from.

    Attributes:
        first, second: indices of the operand.
        weights: of the second.
    """

    first: Array
    second: Array
    weights: Array


@dataclass(frozen=True)
class Weights:
    """How a kernel weighs neighbours.

    Attributes:
        neighbours: those along an axis, of its sizes before and after, align corners, and half pixel centers.
        fraction_bits: of the weights, where these are integers.
        rounding: of the weighted mean, a rounding of `interpolate`.
    """

    neighbours: Callable[[int, int, bool, bool], Neighbours]
    fraction_bits: int = 1
    rounding: str = "half_up"


def image_axes(op: ops.Resize) -> tuple[int, int]:
    """Return sizes before and after are those of rows and columns; PassError where another axis is resized."""
    if op.x.type.rank != 4 or not set(op.resized_axes) <= {1, 2}:
        raise PassError("TFLite resizes rows and columns of images only", help="keep it in float: --keep-float resize")
    return 1, 2


def convention(op: ops.Resize) -> tuple[bool, bool]:
    """Return (align corners, half pixel centers); PassError for another convention."""
    if op.coordinates not in ("asymmetric", "align_corners", "half_pixel"):
        raise PassError(f"TFLite has no coordinates {op.coordinates!r}", help="keep it in float: --keep-float resize")
    for axis in (1, 2):
        if op.scales[axis] != op.shape[axis] / op.x.type.shape[axis]:
            raise PassError("TFLite resizes by the ratio of sizes only", help="keep it in float: --keep-float resize")
    return op.coordinates == "align_corners", op.coordinates == "half_pixel"


@realizes(ops.Resize, profiles=("tflm",))
def resize(r: Realizer, op: ops.Resize) -> None:
    """Realize RESIZE_BILINEAR with 10-bit weights; RESIZE_NEAREST_NEIGHBOR copies codes."""
    if op.mode == "nearest":
        one_operand(r, op)
        return
    bilinear(r, op, resize, Weights(fixed_point_neighbours, FRACTION_BITS, "half_away"))


@realizes(ops.Resize, profiles=("litert-ref",))
def resize_of_litert(r: Realizer, op: ops.Resize) -> None:
    """Realize RESIZE_BILINEAR of unsigned codes in binary32, all else as TFLM."""
    if op.mode == "nearest" or op.x.type.uniform().storage_type != U8:
        resize(r, op)
        return
    bilinear(r, op, resize_of_litert, Weights(real_neighbours))


def fixed_point_neighbours(before: int, after: int, align: bool, half: bool) -> Neighbours:
    """Return positions in units of 1/1024 as TFLite's integer kernel forms them; weights before 0 are negative."""
    if align and after > 1:
        scale = (1024 * (before - 1) + (after - 1) // 2) // (after - 1)
    else:
        scale = (1024 * before + after // 2) // after
    place = np.arange(after, dtype=np.int64) * scale
    if half:
        place += scale // 2 - 512
    toward_zero = np.where(place < 0, -(-place // 1024), place // 1024)
    first = np.minimum(np.maximum(toward_zero, 0), before - 1)
    above = place + 1023
    second = np.minimum(np.where(above < 0, -(-above // 1024), above // 1024), before - 1)
    return Neighbours(first, second, (place - 1024 * first).astype(np.int16))


def real_neighbours(before: int, after: int, align: bool, half: bool) -> Neighbours:
    """Return positions in binary32 as TFLite's float kernel forms them."""
    f32 = np.float32
    scale = f32(before - 1) / f32(after - 1) if align and after > 1 else f32(before) / f32(after)
    index = np.arange(after).astype(f32)
    place = (index + f32(0.5)) * scale - f32(0.5) if half else index * scale
    floor = np.floor(place)
    first = np.maximum(floor, 0).astype(np.int64)
    second = np.minimum(np.ceil(place).astype(np.int64), before - 1)
    return Neighbours(first, second, (place - first.astype(f32)).astype(f32))


def bilinear(r: Realizer, op: ops.Resize, rule: Callable[[Realizer, ops.Resize], None], weights: Weights) -> None:
    """Define the result of `op`, which `rule` realizes, as the weighted mean of neighbours along rows and columns."""
    if op.x.type.element != op.result.type.element:
        in_own_parameters(r, op, rule)
        return
    align, half = convention(op)
    axes = [weights.neighbours(op.x.type.shape[a], op.shape[a], align, half) for a in image_axes(op)]
    if op.x.type.uniform().storage_type.bits > I16.bits:
        raise PassError("codes of more than 16 bits are not interpolated", help="keep it in float: --keep-float resize")
    operands = []
    for neighbours, name in zip(axes, ("row", "column"), strict=True):
        places = np.stack([neighbours.first, neighbours.second]).astype(np.int32)
        operands.append(r.integers(places, f"{op.result.name}_{name}s"))
        operands.append(r.integers(neighbours.weights, f"{op.result.name}_{name}_weights"))
    attributes = {"fraction_bits": weights.fraction_bits, "rounding": weights.rounding}
    r.define(op.result, ops.Interpolate, r.codes(op.x), *operands, **attributes)

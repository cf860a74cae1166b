"""Resizing images (§3.15, §3.16)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.conformance.tflm.fixed_point import Array, Ints, half_away_f32, ints
from tests.conformance.tflm.kernel import Call, kernel


def _sizes(call: Call) -> list[tuple[int, int]]:
    """Return input and output size of height and width."""
    return [(call.info(0).shape[i], call.output.shape[i]) for i in (1, 2)]


@kernel("RESIZE_NEAREST_NEIGHBOR")
def resize_nearest_neighbor(call: Call) -> Sequence[Array]:
    align, half = call.options.alignCorners, call.options.halfPixelCenters
    rows, columns = (_nearest(n, out, align, half) for n, out in _sizes(call))
    return [call.value(0)[:, rows][:, :, columns]]


def _nearest(size: int, out: int, align: bool, half: bool) -> Ints:
    f32 = np.float32
    corners = align and out > 1
    scale = f32(size - 1) / f32(out - 1) if corners else f32(size) / f32(out)
    position = ((np.arange(out, dtype=np.float32) + f32(0.5 if half else 0)) * scale).astype(np.float32)
    index = half_away_f32(position) if align else ints(np.floor(position))
    return ints(np.maximum(np.minimum(index, size - 1), 0))


@kernel("RESIZE_BILINEAR")
def resize_bilinear(call: Call) -> Sequence[Array]:
    """10 bits of weight along each axis; ties away from code 0."""
    align, half = call.options.alignCorners, call.options.halfPixelCenters
    (top, bottom, wy), (left, right, wx) = (_neighbours(n, out, align, half) for n, out in _sizes(call))
    q, wy, wx = call.codes(0), wy.reshape(-1, 1, 1), wx.reshape(1, -1, 1)
    upper = q[:, top][:, :, left] * (1024 - wx) + q[:, top][:, :, right] * wx
    lower = q[:, bottom][:, :, left] * (1024 - wx) + q[:, bottom][:, :, right] * wx
    total = upper * (1024 - wy) + lower * wy
    rounded = (np.abs(total) + 2**19) >> 20
    return [np.where(total > 0, rounded, -rounded)]


def _neighbours(size: int, out: int, align: bool, half: bool) -> tuple[Ints, Ints, Ints]:
    if align and out > 1:
        scale = (1024 * (size - 1) + (out - 1) // 2) // (out - 1)
    else:
        scale = (1024 * size + out // 2) // out
    o = np.arange(out, dtype=np.int64)
    position = o * scale + scale // 2 - 512 if half else o * scale
    low = np.maximum(np.trunc(position / 1024), 0)
    high = np.minimum(np.trunc((position + 1023) / 1024), size - 1)
    return ints(low), ints(high), ints(position - 1024 * low)

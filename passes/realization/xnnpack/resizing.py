"""RESIZE_BILINEAR in the profile `litert-xnn`."""

from __future__ import annotations

import numpy as np

from qcc.ir import ops

from ..realizer import Realizer, realizes
from ..tflite.resizing import Neighbours, Weights, bilinear, resize_of_litert

FRACTION_BITS = 11


@realizes(ops.Resize, profiles=("litert-xnn",))
def resize(r: Realizer, op: ops.Resize) -> None:
    """Realize RESIZE_BILINEAR of 8-bit codes with 11-bit weights, rounded half up; all else as LiteRT."""
    if op.mode == "nearest" or op.x.type.uniform().storage_type.bits != 8:
        resize_of_litert(r, op)
        return
    bilinear(r, op, resize, Weights(neighbours, FRACTION_BITS, "half_up"))


def neighbours(before: int, after: int, align: bool, half: bool) -> Neighbours:
    """Return positions in binary32 as XNNPACK forms them; weights in units of 2^−11."""
    f32 = np.float32
    scale = f32(before - 1) / f32(after - 1) if align and after > 1 else f32(before) / f32(after)
    place = np.arange(after).astype(f32) * scale
    if half:
        place = place + (f32(0.5) * scale - f32(0.5))
    place = np.clip(place, f32(0), f32(before - 1))
    first = place.astype(np.int64)
    weights = np.rint((place - first.astype(f32)) * f32(1 << FRACTION_BITS)).astype(np.int16)
    return Neighbours(first, np.minimum(first + 1, before - 1), weights)

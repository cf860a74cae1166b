"""Fused activations as bounds of codes, as TFLite's kernels form them."""

from __future__ import annotations

import math

import numpy as np

from qcc.ir import FLOAT_ROUNDINGS, UniformType


def activation_bounds(to: UniformType, clamp: tuple[float, float] | None) -> tuple[int, int]:
    """Return the codes of a fused activation's bounds: `z + RHA(f32(bound / s))`, within the codes of the type."""
    low, high = to.minimum, to.maximum
    if clamp is None:
        return low, high
    if math.isfinite(clamp[0]):
        low = max(low, _code(to, clamp[0]))
    if math.isfinite(clamp[1]):
        high = min(high, _code(to, clamp[1]))
    return min(low, to.maximum), max(high, to.minimum)


def _code(to: UniformType, bound: float) -> int:
    with np.errstate(over="ignore"):
        steps = np.asarray(np.float32(bound) / np.float32(to.scale))
    return to.zero_point + int(np.clip(FLOAT_ROUNDINGS["half_away"](steps).astype(np.float64), -(2.0**31), 2.0**31))

"""Fused activations as bounds of codes, as XNNPACK forms them."""

from __future__ import annotations

import math

import numpy as np

from qcc.ir import UniformType

from ..rescales import Into


def activation_bounds(to: UniformType, clamp: tuple[float, float] | None) -> tuple[int, int]:
    """Return the codes of a fused activation's bounds: `RHE(clamp(f32(f32(bound / s) + z)))`."""
    if clamp is None:
        return to.minimum, to.maximum
    return _code(to, clamp[0]), _code(to, clamp[1])


def _code(to: UniformType, bound: float) -> int:
    if not math.isfinite(bound):
        return to.minimum if bound < 0 else to.maximum
    with np.errstate(over="ignore"):
        code = np.float32(bound) / np.float32(to.scale) + np.float32(to.zero_point)
    return int(np.rint(np.clip(code, to.minimum, to.maximum)))


def output_into(to: UniformType, clamp: tuple[float, float] | None) -> Into:
    """Return the codes of a result, within the fused activation."""
    return Into.of(to, activation_bounds(to, clamp))

"""From a range of real numbers to scale and zero point: TensorFlow's FakeQuant rule, all in binary32.

s = (max − min)/(qmax − qmin), z = round half away(qmin − min/s) within [qmin, qmax], after the range is widened to
contain 0, so that the real number 0 has an exact code.
"""

from __future__ import annotations

import math

import numpy as np

from qcc.ir import PassError, ScalarType, UniformType

#: The scale of a value that is always 0: any scale is right; this one keeps multipliers far from their limits.
ZERO_RANGE_SCALE = 2.0**-16
#: Smaller scales would be subnormal somewhere in the products that rescales are made of.
SMALLEST_SCALE = 2.0**-60


def nudge(minimum: float, maximum: float, lowest: int, highest: int, power_of_two: bool = False) -> tuple[float, int]:
    """Return scale and zero point for real numbers in [minimum, maximum] as codes lowest … highest.

    Args:
        power_of_two: the scale becomes the next power of two that covers the range.

    Raises:
        PassError: where the range is wider than binary32 holds.
    """
    f32 = np.float32
    low, high = f32(min(minimum, 0.0)), f32(max(maximum, 0.0))
    with np.errstate(over="ignore"):
        width = (high - low) / f32(highest - lowest)
    scale = _usable(float(width), minimum, maximum, power_of_two)
    zero = f32(lowest) - low / f32(scale)
    rounded = math.floor(abs(zero) + 0.5) * (1 if zero >= 0 else -1)  # half away from zero; exact in binary64
    return scale, min(max(rounded, lowest), highest)


def symmetric_scale(magnitude: float, highest: int, power_of_two: bool = False) -> float:
    """Return the scale for real numbers in [−magnitude, magnitude] as codes −highest … highest, zero point 0."""
    return _usable(float(np.float32(magnitude) / np.float32(highest)), -magnitude, magnitude, power_of_two)


def _usable(scale: float, minimum: float, maximum: float, power_of_two: bool) -> float:
    if not math.isfinite(scale):
        help = "values beyond 1e38 can't be quantized: correct the model or the calibration data"
        raise PassError(f"the range [{minimum:g}, {maximum:g}] is too wide to quantize", help=help)
    if scale == 0.0 and minimum == maximum == 0.0:
        return ZERO_RANGE_SCALE
    scale = max(scale, SMALLEST_SCALE)
    return 2.0 ** math.ceil(math.log2(scale)) if power_of_two else scale


def activation_type(
    minimum: float, maximum: float, storage: ScalarType, symmetric: bool = False, power_of_two: bool = False
) -> UniformType:
    """Return the per-tensor type of an activation of that range."""
    if symmetric:
        magnitude = max(abs(minimum), abs(maximum))
        return UniformType(storage, (symmetric_scale(magnitude, storage.maximum, power_of_two),), (0,))
    scale, zero_point = nudge(minimum, maximum, storage.minimum, storage.maximum, power_of_two)
    return UniformType(storage, (scale,), (zero_point,))

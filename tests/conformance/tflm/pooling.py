"""Pools over windows (§3.8, §3.9)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.conformance.tflm.fixed_point import Array, Ints, ints
from tests.conformance.tflm.kernel import Call, finish, kernel
from tests.conformance.tflm.products import taps


def _windows(call: Call, x: Ints) -> list[Ints]:
    options, shape = call.options, call.output.shape
    strides = (options.strideH, options.strideW)
    return taps(x, (options.filterHeight, options.filterWidth), (shape[1], shape[2]), strides, (1, 1))


def _clamped(call: Call, codes: Ints) -> Ints:
    """Return raw codes clamped to the fused activation."""
    return finish(codes - call.output.zero_point, call.output, call.options.fusedActivationFunction)


@kernel("AVERAGE_POOL_2D")
def average_pool_2d(call: Call) -> Sequence[Array]:
    """The mean of raw codes, ties away from code 0."""
    total = ints(sum(_windows(call, call.codes(0))))
    count = ints(sum(_windows(call, np.ones_like(call.codes(0)))))
    rounded = (np.abs(total) + count // 2) // count
    return [_clamped(call, ints(np.where(total > 0, rounded, -rounded)))]


@kernel("MAX_POOL_2D")
def max_pool_2d(call: Call) -> Sequence[Array]:
    lowest = call.output.limits[0]
    above = _windows(call, call.codes(0) - lowest)  # what is outside counts as 0, the lowest
    return [_clamped(call, ints(np.max(np.stack(above), axis=0)) + lowest)]

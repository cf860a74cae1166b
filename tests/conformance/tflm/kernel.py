"""What a kernel of the scalar interpreter gets and gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.conformance.tflm.fixed_point import Array, Ints, half_away_f32, ints
from tests.conformance.tflm.graph import TensorInfo


@dataclass(frozen=True)
class Call:
    """One execution of an operation.

    Attributes:
        options: the schema's options object (fields in camel case).
        infos: the input tensors, None where an optional one is missing.
        values: their values.
        outputs: the output tensors.
    """

    name: str
    options: Any
    infos: tuple[TensorInfo | None, ...]
    values: tuple[Array | None, ...]
    outputs: tuple[TensorInfo, ...]

    def info(self, number: int) -> TensorInfo:
        found = self.infos[number]
        assert found is not None
        return found

    def value(self, number: int) -> Array:
        found = self.values[number]
        assert found is not None
        return found

    def codes(self, number: int) -> Ints:
        return ints(self.value(number))

    def centred(self, number: int) -> Ints:
        """Return codes minus zero point."""
        return self.codes(number) - self.info(number).zero_point

    def has(self, number: int) -> bool:
        return number < len(self.values) and self.values[number] is not None

    @property
    def output(self) -> TensorInfo:
        return self.outputs[0]


Kernel = Callable[[Call], Sequence[Array]]

KERNELS: dict[str, Kernel] = {}


def kernel(*names: str) -> Callable[[Kernel], Kernel]:
    """Register a function as the kernel of operations."""

    def register(function: Kernel) -> Kernel:
        KERNELS.update(dict.fromkeys(names, function))
        return function

    return register


NONE, RELU, RELU_N1_TO_1, RELU6 = range(4)
"""The schema's fused activations."""

BOUNDS = {RELU: (0, None), RELU_N1_TO_1: (-1, 1), RELU6: (0, 6)}


def finish(x: Ints, output: TensorInfo, activation: int = NONE) -> Ints:
    """Return codes of an output: zero point added, clamped to its range and its fused activation."""
    lowest, highest = output.limits
    low, high = BOUNDS.get(activation, (None, None))
    if low is not None:
        lowest = max(lowest, bound_code(low, output))
    if high is not None:
        highest = min(highest, bound_code(high, output))
    return ints(np.minimum(np.maximum(x + output.zero_point, lowest), highest))


def bound_code(bound: float, output: TensorInfo) -> int:
    """Return z + round(bound / s), division in binary32, ties away from zero."""
    return output.zero_point + int(half_away_f32(np.asarray(np.float32(bound) / output.scale)))

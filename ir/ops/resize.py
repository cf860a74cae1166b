"""Resampling of any axes, nearest or linear, with the coordinate conventions of ONNX Resize."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import IrError
from ..op import ANY_STAGE, Op, Operand, register
from ..types import Array, TensorType

#: Fraction bits of an interpolation weight in the integer stage.
WEIGHT_BITS = 11

COORDINATES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_half_pixel_for_nn",
)
NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


@register
@dataclass(frozen=True, kw_only=True)
class Resize(Op):
    """x resampled to `shape`, axis by axis: `y[i] = (1 − w)·x[⌊p⌋] + w·x[⌊p⌋ + 1]` at position p of i, or the nearest.

    On codes `nearest` copies, and `linear` weighs with 11-bit fixed-point weights, rounding half up after each axis.

    Attributes:
        shape: of the result.
        scales: result size over input size by axis, as the model states it (positions follow from it).
        mode: `nearest` or `linear`.
        coordinates: how an output index becomes a position; ONNX's coordinate_transformation_mode.
        rounding: nearest only; ONNX's nearest_mode.
    """

    name = "resize"
    stages = ANY_STAGE
    shares_parameters = True
    x = Operand(0)
    shape: tuple[int, ...]
    scales: tuple[float, ...]
    mode: str = "nearest"
    coordinates: str = "half_pixel"
    rounding: str = "round_prefer_floor"

    def infer(self) -> tuple[TensorType, ...]:
        """The shape given."""
        if (
            len(self.shape) != self.x.type.rank
            or len(self.scales) != self.x.type.rank
            or min(self.shape, default=1) < 1
        ):
            raise IrError(f"resize: needs {self.x.type.rank} sizes and scales, at least 1")
        if not all(0 < scale < float("inf") for scale in self.scales) or not self.x.type.size:
            raise IrError(f"resize: scales {list(self.scales)} of {self.x.type} must be positive, x not empty")
        if self.mode not in ("nearest", "linear") or self.coordinates not in COORDINATES:
            raise IrError(f"resize: no mode {self.mode!r} with coordinates {self.coordinates!r}")
        if self.rounding not in NEAREST:
            raise IrError(f"resize: no rounding {self.rounding!r}", help="one of: " + ", ".join(NEAREST))
        return (TensorType(self.shape, self.x.type.element.expressed),)

    @property
    def resized_axes(self) -> tuple[int, ...]:
        """Axes whose elements move."""
        sizes = zip(self.x.type.shape, self.shape, self.scales, strict=True)
        return tuple(a for a, (before, after, scale) in enumerate(sizes) if before != after or scale != 1.0)

    def positions(self, axis: int) -> Array:
        """Return the real-valued position in x of each output index along `axis`, binary64."""
        before, after, scale = self.x.type.shape[axis], self.shape[axis], self.scales[axis]
        i = np.arange(after, dtype=np.float64)
        match self.coordinates:
            case "asymmetric":
                return i / scale
            case "align_corners":
                return i * (before - 1) / (after - 1) if after > 1 else i * 0
            case "tf_half_pixel_for_nn":
                return (i + 0.5) / scale
            case "pytorch_half_pixel":
                return (i + 0.5) / scale - 0.5 if after > 1 else i * 0
            case "half_pixel_symmetric":
                centre = before / 2 * (1 - after / (scale * before))
                return centre + (i + 0.5) / scale - 0.5
            case _:
                return (i + 0.5) / scale - 0.5

    def nearest_indices(self, axis: int) -> Array:
        """Return the index in x of each output index along `axis`, int64."""
        p = self.positions(axis)
        rounded = {
            "round_prefer_floor": np.ceil(p - 0.5),
            "round_prefer_ceil": np.floor(p + 0.5),
            "floor": np.floor(p),
            "ceil": np.ceil(p),
        }[self.rounding]
        return np.clip(rounded, 0, self.x.type.shape[axis] - 1).astype(np.int64)

    def linear_indices(self, axis: int) -> tuple[Array, Array, Array]:
        """Return lower index, upper index (int64) and the upper one's weight (binary64, 0 … 1) along `axis`."""
        last = self.x.type.shape[axis] - 1
        p = np.clip(self.positions(axis), 0, last)
        low = np.floor(p).astype(np.int64)
        return low, np.minimum(low + 1, last), p - low

    def fixed_weights(self, axis: int) -> Array:
        """Return the upper index's weights along `axis` in units of 2^−11, int64."""
        return np.asarray(np.rint(self.linear_indices(axis)[2] * (1 << WEIGHT_BITS))).astype(np.int64)

    def evaluate(self, x: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return the resampled tensor."""
        for axis in self.resized_axes:
            if self.mode == "nearest":
                x = np.take(x, self.nearest_indices(axis), axis=axis)
            else:
                x = self._interpolate(x, axis)
        return x

    def _interpolate(self, x: Array, axis: int) -> Array:
        low, high, weight = self.linear_indices(axis)
        view = [1] * x.ndim
        view[axis] = -1
        a, b = np.take(x, low, axis=axis), np.take(x, high, axis=axis)
        if x.dtype.kind == "f":
            w = weight.reshape(view)
            return np.asarray(a * (1 - w) + b * w).astype(x.dtype)
        w = self.fixed_weights(axis).reshape(view)
        one = 1 << WEIGHT_BITS
        total = np.asarray(a.astype(np.int64) * (one - w) + b.astype(np.int64) * w + one // 2)
        return (total >> WEIGHT_BITS).astype(x.dtype)

"""Types: static shapes over scalar, calibrated, quantized and codebook element types, in MLIR's quant syntax.

Reference for the syntax: the quant dialect of MLIR (`!quant.uniform`, `!quant.calibrated`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .attributes import normalize_fields
from .errors import IrError
from .float_rounding import FLOAT_ROUNDINGS

Array: TypeAlias = NDArray[Any]
Shape: TypeAlias = tuple[int, ...]


#: Limits of a tensor; NumPy's own rank limit is 64.
MAXIMUM_RANK = 32
MAXIMUM_SIZE = 1 << 40


def binary32(value: float) -> float:
    """Return the value rounded to binary32 (infinite beyond its range)."""
    with np.errstate(over="ignore"):
        return float(np.float32(value))


def format_float(value: float) -> str:
    """Return the shortest text that reads back as the same binary32 value (`inf` and `nan` included)."""
    with np.errstate(over="ignore"):
        return str(np.float32(value))


class ElementType:
    """What one element of a tensor is."""

    @property
    def expressed(self) -> ScalarType:
        """The type of the real value that an element stands for."""
        raise IrError(f"{type(self).__name__} has no expressed type")

    @property
    def storage(self) -> ScalarType:
        """The type of the bits that an element is stored as."""
        raise IrError(f"{type(self).__name__} has no storage type")


@dataclass(frozen=True)
class ScalarType(ElementType):
    """A plain machine number: `f32`, `i8`, `u4`, … (`i` is signed, `u` unsigned, `i1` a truth value)."""

    kind: str
    bits: int

    def __str__(self) -> str:
        return f"{self.kind}{self.bits}"

    @property
    def expressed(self) -> ScalarType:
        """The scalar type itself."""
        return self

    @property
    def storage(self) -> ScalarType:
        """The scalar type itself."""
        return self

    @property
    def is_float(self) -> bool:
        """True for floating point."""
        return self.kind == "f"

    @property
    def is_integer(self) -> bool:
        """True for signed and unsigned integers and truth values."""
        return self.kind in "iu"

    @property
    def is_narrow(self) -> bool:
        """True for integers of 2 and 4 bits, which NumPy and C hold in 8."""
        return self.is_integer and 1 < self.bits < 8

    @property
    def minimum(self) -> int:
        """The smallest integer of the type."""
        return -(1 << (self.bits - 1)) if self.kind == "i" and self.bits > 1 else 0

    @property
    def maximum(self) -> int:
        """The largest integer of the type."""
        return (1 << (self.bits - 1)) - 1 if self.kind == "i" and self.bits > 1 else (1 << self.bits) - 1

    @property
    def codes(self) -> Array:
        """Every integer of the type in order, for types small enough to list: the entries of a table."""
        return np.arange(self.minimum, self.maximum + 1).astype(self.dtype)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy type that holds an element (types of 2 and 4 bits are held in 8 bits, `i1` in bool)."""
        if self.bits == 1:
            return np.dtype(np.bool_)
        letter = {"f": "f", "i": "i", "u": "u"}[self.kind]
        return np.dtype(f"{letter}{max(self.bits, 8) // 8}")


F16, F32, F64 = ScalarType("f", 16), ScalarType("f", 32), ScalarType("f", 64)
I1, I2, I4, I8, I16, I32, I64 = (ScalarType("i", bits) for bits in (1, 2, 4, 8, 16, 32, 64))
U2, U4, U8, U16, U32 = (ScalarType("u", bits) for bits in (2, 4, 8, 16, 32))
SCALAR_TYPES: dict[str, ScalarType] = {
    str(t): t for t in (F16, F32, F64, I1, I2, I4, I8, I16, I32, I64, U2, U4, U8, U16, U32)
}


class Coded(ElementType):
    """Base of element types that stand for floats and are stored as integers.

    Attributes:
        storage_type: the type of the integers.
        base: the type of the floats.
    """

    storage_type: ScalarType
    base: ScalarType

    @property
    def expressed(self) -> ScalarType:
        """The float type."""
        return self.base

    @property
    def storage(self) -> ScalarType:
        """The integer type."""
        return self.storage_type


@dataclass(frozen=True)
class CalibratedType(ElementType):
    """A float observed or proved to lie in `[minimum, maximum]`: `!quant.calibrated<f32<-1.0:2.5>>`."""

    minimum: float
    maximum: float
    base: ScalarType = F32

    def __post_init__(self) -> None:
        normalize_fields(self, "quant.calibrated")
        object.__setattr__(self, "minimum", binary32(self.minimum))
        object.__setattr__(self, "maximum", binary32(self.maximum))
        if not (math.isfinite(self.minimum) and math.isfinite(self.maximum) and self.minimum <= self.maximum):
            raise IrError(f"calibrated range [{self.minimum}, {self.maximum}] is not finite and ordered")
        if not self.base.is_float:
            raise IrError(f"a calibrated type is of floats, not of {self.base}")

    def __str__(self) -> str:
        return f"!quant.calibrated<{self.base}<{format_float(self.minimum)}:{format_float(self.maximum)}>>"

    @property
    def expressed(self) -> ScalarType:
        """The float type."""
        return self.base

    @property
    def storage(self) -> ScalarType:
        """The float type."""
        return self.base


@dataclass(frozen=True)
class UniformType(Coded):
    """An affine quantized number, real = scale · (stored − zero_point).

    Attributes:
        storage_type: the integer type stored.
        scales: binary32 values > 0: one (per tensor), one a channel (per axis), or one a block, row-major.
        zero_points: as many integers as scales, within the storage range.
        axis: the quantized dimension, or None per tensor.
        storage_minimum, storage_maximum: the legal codes; narrower than the storage type for narrow range.
        block_size: elements along `axis` that share one scale (sub-channel quantization); None: one scale an index.
        base: the expressed float type.
    """

    storage_type: ScalarType
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int | None = None
    storage_minimum: int | None = None
    storage_maximum: int | None = None
    block_size: int | None = None
    base: ScalarType = F32

    def __post_init__(self) -> None:
        normalize_fields(self, "quant.uniform")
        if not self.storage_type.is_integer or not self.base.is_float:
            raise IrError(f"a quantized type stores integers for floats, not {self.storage_type} for {self.base}")
        low = self.storage_type.minimum if self.storage_minimum is None else self.storage_minimum
        high = self.storage_type.maximum if self.storage_maximum is None else self.storage_maximum
        object.__setattr__(self, "storage_minimum", low)
        object.__setattr__(self, "storage_maximum", high)
        object.__setattr__(self, "scales", tuple(binary32(s) for s in self.scales))
        if not self.storage_type.minimum <= low < high <= self.storage_type.maximum:
            raise IrError(f"codes {low}:{high} do not fit {self.storage_type}")
        if len(self.scales) != len(self.zero_points) or not self.scales:
            raise IrError("a quantized type needs as many zero points as scales, at least one")
        if self.axis is None and (len(self.scales) != 1 or self.block_size is not None):
            raise IrError("a per-tensor quantized type has one scale")
        if (self.axis is not None and self.axis < 0) or (self.block_size is not None and self.block_size < 1):
            raise IrError("the axis of a quantized type must be at least 0, its block size at least 1")
        if not all(math.isfinite(s) and s > 0 for s in self.scales):
            raise IrError("scales must be finite and positive")
        if not all(low <= z <= high for z in self.zero_points):
            raise IrError(f"zero points must lie in {low}:{high}")

    def __str__(self) -> str:
        storage = str(self.storage_type)
        if (self.minimum, self.maximum) != (self.storage_type.minimum, self.storage_type.maximum):
            storage += f"<{self.minimum}:{self.maximum}>"
        where = ""
        if self.axis is not None:
            where = f":{self.axis}" if self.block_size is None else f":{{{self.axis}:{self.block_size}}}"
        pairs = [format_float(s) + (f":{z}" if z else "") for s, z in zip(self.scales, self.zero_points, strict=True)]
        parameters = pairs[0] if self.axis is None else "{" + ", ".join(pairs) + "}"
        return f"!quant.uniform<{storage}:{self.base}{where}, {parameters}>"

    @property
    def minimum(self) -> int:
        """The smallest legal code."""
        return -1 if self.storage_minimum is None else self.storage_minimum

    @property
    def maximum(self) -> int:
        """The largest legal code."""
        return -1 if self.storage_maximum is None else self.storage_maximum

    @property
    def scale(self) -> float:
        """The one scale of a per-tensor type."""
        self._require_per_tensor()
        return self.scales[0]

    @property
    def zero_point(self) -> int:
        """The one zero point of a per-tensor type."""
        self._require_per_tensor()
        return self.zero_points[0]

    @property
    def per_axis(self) -> bool:
        """True where scales differ along an axis."""
        return self.axis is not None

    def _require_per_tensor(self) -> None:
        if self.axis is not None:
            raise IrError(f"{self} has one scale a channel, a per-tensor type is needed here")

    def parameters(self, shape: Shape) -> tuple[Array, Array]:
        """Return scales (float32) and zero points (int64) that broadcast against a tensor of `shape`."""
        scales = np.asarray(self.scales, np.float32)
        zero_points = np.asarray(self.zero_points, np.int64)
        if self.axis is None:
            return scales.reshape(()), zero_points.reshape(())
        if self.block_size is None:
            view = [1] * len(shape)
            view[self.axis] = len(self.scales)
            return scales.reshape(view), zero_points.reshape(view)
        blocks = list(shape)
        blocks[self.axis] = -(-shape[self.axis] // self.block_size)
        index = np.arange(shape[self.axis]) // self.block_size
        return (
            np.take(scales.reshape(blocks), index, axis=self.axis),
            np.take(zero_points.reshape(blocks), index, axis=self.axis),
        )

    def quantize(self, real: Array, rounding: str = "half_even", by_reciprocal: bool = False) -> Array:
        """Return the codes of `real`: `clamp(round(real / scale) + zero_point)` in binary32.

        A NaN becomes the smallest code, infinities the smallest and the largest.

        Args:
            real: numbers.
            rounding: a name of `FLOAT_ROUNDINGS`; `half_even` is what ONNX's QuantizeLinear does.
            by_reciprocal: multiply by f32(1 / scale) instead of dividing.
        """
        scales, zero_points = self.parameters(real.shape)
        with np.errstate(over="ignore", invalid="ignore"):
            numbers = np.asarray(real, np.float32)
            steps = numbers * (np.float32(1) / scales) if by_reciprocal else numbers / scales
            codes = FLOAT_ROUNDINGS[rounding](steps).astype(np.float64) + zero_points
        codes = np.where(codes > self.minimum, np.minimum(codes, self.maximum), self.minimum)
        return codes.astype(self.storage_type.dtype)

    def dequantize(self, codes: Array) -> Array:
        """Return the real values (float32) of `codes`: `f32(f32(code − zero_point) · scale)`."""
        scales, zero_points = self.parameters(codes.shape)
        if self.storage_type.bits <= 16:  # differences below 2^17 are exact in binary32
            return np.asarray((codes.astype(np.float32) - zero_points.astype(np.float32)) * scales)
        return np.asarray((codes.astype(np.int64) - zero_points).astype(np.float32) * scales)


@dataclass(frozen=True)
class CodebookType(Coded):
    """A palette: stored indices look up float entries: `!quant.codebook<u4:f32, {−0.5, 0.0, 0.7}>`."""

    storage_type: ScalarType
    entries: tuple[float, ...]
    base: ScalarType = F32

    def __post_init__(self) -> None:
        normalize_fields(self, "quant.codebook")
        object.__setattr__(self, "entries", tuple(binary32(e) for e in self.entries))
        if not all(map(math.isfinite, self.entries)) or not self.base.is_float:
            raise IrError("palette entries must be finite floats")
        if not 0 < len(self.entries) <= self.storage_type.maximum + 1 or self.storage_type.kind != "u":
            raise IrError(f"{len(self.entries)} palette entries do not fit indices of {self.storage_type}")

    def __str__(self) -> str:
        return f"!quant.codebook<{self.storage_type}:{self.base}, {{{', '.join(map(format_float, self.entries))}}}>"

    def quantize(self, real: Array) -> Array:
        """Return the index of the nearest entry (the first of equals)."""
        real = np.asarray(real, np.float32)
        index = np.zeros(real.shape, self.storage_type.dtype)
        nearest = np.abs(real - np.float32(self.entries[0]))
        for number, entry in enumerate(self.entries):
            distance = np.abs(real - np.float32(entry))
            index[distance < nearest] = number
            nearest = np.minimum(distance, nearest)
        return index

    def dequantize(self, codes: Array) -> Array:
        """Return the entries that `codes` index, float32."""
        return np.asarray(self.entries, np.float32)[codes]


QuantizedType: TypeAlias = UniformType | CodebookType


@dataclass(frozen=True)
class TensorType:
    """A dense tensor of static shape (row-major): `tensor<1x32x32x3xf32>`; rank 0 is `tensor<f32>`."""

    shape: Shape
    element: ElementType

    def __post_init__(self) -> None:
        normalize_fields(self, "tensor")
        if any(d < 0 for d in self.shape):
            raise IrError(f"negative dimension in shape {list(self.shape)}")
        if len(self.shape) > MAXIMUM_RANK or self.size > MAXIMUM_SIZE:
            raise IrError(f"a tensor of rank {self.rank} with {self.size} elements is too large")
        if isinstance(self.element, UniformType):
            self._check_scales(self.element)

    def _check_scales(self, element: UniformType) -> None:
        """Raise IrError where a per-axis or block-wise element type does not fit the shape."""
        axis = element.axis
        if axis is None:
            return
        if axis >= self.rank:
            raise IrError(f"quantized along axis {axis}, but the tensor has rank {self.rank}")
        scales = self.shape[axis]
        if element.block_size is not None:
            scales = self.size // max(self.shape[axis], 1) * -(-self.shape[axis] // element.block_size)
        if scales != len(element.scales):
            shape = list(self.shape)
            raise IrError(f"shape {shape} needs {scales} scales along axis {axis}, not {len(element.scales)}")

    def __str__(self) -> str:
        return f"tensor<{''.join(f'{d}x' for d in self.shape)}{self.element}>"

    @property
    def rank(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Bytes of the tensor in memory: narrow integers and truth values take a byte each."""
        return self.size * max(self.element.storage.bits, 8) // 8

    @property
    def is_float(self) -> bool:
        """True where elements are plain or calibrated floats."""
        return self.element.storage.is_float

    @property
    def is_quantized(self) -> bool:
        """True where elements are codes of a uniform or codebook type."""
        return isinstance(self.element, Coded)

    def with_element(self, element: ElementType) -> TensorType:
        """Return the same shape over another element type."""
        return TensorType(self.shape, element)

    def with_shape(self, shape: Shape) -> TensorType:
        """Return the same element type in another shape."""
        return TensorType(shape, self.element)

    def uniform(self) -> UniformType:
        """Return the uniform quantized element type; an IrError if the type is another one."""
        if not isinstance(self.element, UniformType):
            raise IrError(f"{self} is not uniformly quantized")
        return self.element

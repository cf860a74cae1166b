"""Constants, and the conversions between real, quantized and stored values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import IrError
from ..float_rounding import FLOAT_ROUNDINGS
from ..op import ANY_STAGE, Cost, Op, Operand, Stage, register
from ..types import SCALAR_TYPES, Array, CodebookType, ElementType, TensorType, UniformType
from ..value import Dense


def check_codes(element: ElementType, data: Dense) -> None:
    """Raise IrError where data holds codes that the element type does not have."""
    if element.storage.is_float or element.storage.bits == 1 or not data.array.size:
        return
    low, high = element.storage.minimum, element.storage.maximum
    if isinstance(element, UniformType):
        low, high = element.minimum, element.maximum
    elif isinstance(element, CodebookType):
        high = len(element.entries) - 1
    smallest, largest = data.bounds
    if smallest < low or largest > high:
        raise IrError(f"the data spans {smallest} … {largest}, {element} holds {low} … {high}")


@register
@dataclass(frozen=True, kw_only=True)
class Constant(Op):
    """Data known at compile time: `y = value` (codes, where the result type is quantized).

    Attributes:
        value: the data, in the storage type of the result.
        packing: the order in which a dot-product nest stores the data, by `pack-weights`; empty for row-major.
    """

    name = "constant"
    stages = ANY_STAGE
    boundary = True
    rounds_once = True
    value: Dense
    packing: str = ""

    def infer(self) -> tuple[TensorType, ...]:
        """The result's declared type if the data fits it, else the type of the data."""
        array = self.value.array
        if self.results:
            declared = self.results[0].type
            if declared.shape != array.shape or declared.element.storage.dtype != array.dtype:
                raise IrError(f"data {array.dtype}{list(array.shape)} does not fit {declared}")
            check_codes(declared.element, self.value)
            return (declared,)
        for scalar in SCALAR_TYPES.values():
            if scalar.dtype == array.dtype and not scalar.is_narrow:
                return (TensorType(array.shape, scalar),)
        raise IrError(f"constants of {array.dtype} are not supported")

    def evaluate(self) -> Array:  # type: ignore[override]  # a constant has no operands
        """Return the data."""
        return self.value.array

    def cost(self) -> Cost:
        """A constant costs nothing by itself."""
        return Cost()


@register
@dataclass(frozen=True, kw_only=True)
class Quantize(Op):
    """Real to code: `y = clamp(round(x / scale) + zero_point)` in binary32; the result type says how.

    A NaN becomes the smallest code.

    Attributes:
        to: type of the result.
        rounding: `half_even` (ONNX QuantizeLinear) or `half_away` (TFLite's reference kernels).
        by_reciprocal: x · f32(1 / scale) takes the place of the division (XNNPACK).
    """

    name = "quantize"
    stages = ANY_STAGE
    boundary = True
    rounds_once = True
    x = Operand(0, "real values")
    to: UniformType
    rounding: str = "half_even"
    by_reciprocal: bool = False

    def infer(self) -> tuple[TensorType, ...]:
        """The shape of x over the quantized type."""
        if not self.x.type.is_float:
            raise IrError(f"quantize takes real values, not {self.x.type}")
        if self.to.base != self.x.type.element.expressed:
            raise IrError(f"{self.to} does not stand for {self.x.type.element.expressed}")
        if self.rounding not in FLOAT_ROUNDINGS:
            raise IrError(f"quantize: no rounding {self.rounding!r}", help="one of: " + ", ".join(FLOAT_ROUNDINGS))
        return (self.x.type.with_element(self.to),)

    def evaluate(self, x: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return the codes."""
        return self.to.quantize(x, self.rounding, self.by_reciprocal)


@register
@dataclass(frozen=True, kw_only=True)
class Requantize(Op):
    """The same real number in other parameters: `y = x`; the result's declared type says which.

    One rounding, by the rule of the arithmetic profile: TFLite's QUANTIZE on integers. `quantize` of a `dequantize`d
    value is real arithmetic between, which other profiles round otherwise.
    """

    name = "requantize"
    stages = frozenset({Stage.QUANTIZED})
    elementwise = True
    x = Operand(0, "quantized values")

    def infer(self) -> tuple[TensorType, ...]:
        """The shape of x over its expressed type."""
        if not self.x.type.is_quantized:
            raise IrError(f"requantize takes quantized values, not {self.x.type}")
        return (self.x.type.with_element(self.x.type.element.expressed),)

    def evaluate(self, x: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return the real values as they are."""
        return x


@register
@dataclass(frozen=True, kw_only=True)
class Dequantize(Op):
    """Code to real: `y = f32(f32(x − zero_point) · scale)` (ONNX DequantizeLinear)."""

    name = "dequantize"
    stages = ANY_STAGE
    boundary = True
    rounds_once = True
    x = Operand(0, "codes")

    def infer(self) -> tuple[TensorType, ...]:
        """The shape of x over its expressed type."""
        if not self.x.type.is_quantized:
            raise IrError(f"dequantize takes quantized values, not {self.x.type}")
        return (self.x.type.with_element(self.x.type.element.expressed),)

    def evaluate(self, x: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return the real values, float32."""
        element = self.x.type.element
        if not isinstance(element, UniformType | CodebookType):
            raise IrError("dequantize takes quantized values")
        return element.dequantize(x)


@register
@dataclass(frozen=True, kw_only=True)
class StorageCast(Op):
    """The same bits under another type: quantized to its storage type or back (MLIR's `quant.scast`): `y = x`."""

    name = "storage_cast"
    stages = ANY_STAGE
    boundary = True
    moves_data = True
    x = Operand(0, "codes")
    to: UniformType | None = None

    def infer(self) -> tuple[TensorType, ...]:
        """The quantized type given, or the storage type of x."""
        if self.x.type.is_float:
            raise IrError(f"storage_cast takes codes or integers, not {self.x.type}")
        if self.to is None:
            return (self.x.type.with_element(self.x.type.element.storage),)
        if self.x.type.element.storage != self.to.storage:
            raise IrError(f"{self.x.type} is not stored as {self.to.storage}")
        return (self.x.type.with_element(self.to),)

    def evaluate(self, x: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return the bits as they are."""
        return np.asarray(x)

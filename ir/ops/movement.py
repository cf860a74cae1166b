"""Operations that move elements and leave their values alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import IrError
from ..op import ANY_STAGE, Op, Operand, Operands, register
from ..types import Array, Shape, TensorType, UniformType

#: What a pad adds, in the names of `numpy.pad`.
PAD_MODES = ("constant", "reflect", "symmetric", "edge", "wrap")


@dataclass(frozen=True, kw_only=True)
class Movement(Op):
    """Base: the same on codes as on real numbers; operands and results share scale and zero point."""

    stages = ANY_STAGE
    moves_data = True
    shares_parameters = True

    def moved(self, x: TensorType, shape: Shape) -> TensorType:
        """Return the type of elements of x moved into `shape`: of x, but real where x has scales by channel."""
        by_channel = isinstance(x.element, UniformType) and x.element.per_axis
        return TensorType(shape, x.element.expressed if by_channel else x.element)


@register
@dataclass(frozen=True, kw_only=True)
class Reshape(Movement):
    """The same elements, row-major, in another `shape`."""

    name = "reshape"
    x = Operand(0)
    shape: tuple[int, ...]

    def infer(self) -> tuple[TensorType, ...]:
        """The shape given; it must hold as many elements."""
        if math.prod(self.shape) != self.x.type.size or min(self.shape, default=0) < 0:
            raise IrError(f"reshape: {self.x.type} has {self.x.type.size} elements, {list(self.shape)} does not")
        return (self.moved(self.x.type, self.shape),)

    def evaluate(self, x: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return the elements in the new shape."""
        return x.reshape(self.shape)


@register
@dataclass(frozen=True, kw_only=True)
class Transpose(Movement):
    """Axes reordered: axis i of the result is axis `permutation[i]` of x."""

    name = "transpose"
    x = Operand(0)
    permutation: tuple[int, ...]

    def infer(self) -> tuple[TensorType, ...]:
        """The shape permuted."""
        if sorted(self.permutation) != list(range(self.x.type.rank)):
            raise IrError(f"transpose: {list(self.permutation)} does not permute {self.x.type.rank} axes")
        return (self.moved(self.x.type, tuple(self.x.type.shape[a] for a in self.permutation)),)

    def evaluate(self, x: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return the transposed array."""
        return np.ascontiguousarray(np.transpose(x, self.permutation))


@register
@dataclass(frozen=True, kw_only=True)
class Concat(Movement):
    """Operands joined along `axis`."""

    name = "concat"
    inputs = Operands(0)
    axis: int

    def infer(self) -> tuple[TensorType, ...]:
        """The sizes along the axis added."""
        types = [v.type for v in self.inputs]
        if not types or not -types[0].rank <= self.axis < types[0].rank:
            raise IrError("concat: needs operands and an axis that they have")
        axis = self.axis % types[0].rank
        rests = {(*t.shape[:axis], *t.shape[axis + 1 :]) for t in types}
        if len(rests) != 1 or len({t.element.expressed for t in types}) != 1:
            raise IrError(f"concat: operands differ beside axis {axis}: {', '.join(map(str, types))}")
        shape = list(types[0].shape)
        shape[axis] = sum(t.shape[axis] for t in types)
        return (TensorType(tuple(shape), types[0].element.expressed),)

    def evaluate(self, *inputs: Array) -> Array:
        """Return the operands joined."""
        return np.concatenate(inputs, axis=self.axis)


@register
@dataclass(frozen=True, kw_only=True)
class Split(Movement):
    """Parts of x along `axis`, of the `sizes` given, one result each."""

    name = "split"
    x = Operand(0)
    axis: int
    sizes: tuple[int, ...]

    def infer(self) -> tuple[TensorType, ...]:
        """One part for each size."""
        x = self.x.type
        if (
            not -x.rank <= self.axis < x.rank
            or not self.sizes
            or min(self.sizes) < 0
            or (sum(self.sizes) != x.shape[self.axis])
        ):
            raise IrError(f"split: sizes {list(self.sizes)} do not cover axis {self.axis} of {x}")
        shapes = []
        for size in self.sizes:
            shape = list(x.shape)
            shape[self.axis] = size
            shapes.append(self.moved(x, tuple(shape)))
        return tuple(shapes)

    def evaluate(self, x: Array) -> tuple[Array, ...]:  # type: ignore[override]  # operands by name
        """Return the parts."""
        parts = np.split(x, np.cumsum(self.sizes)[:-1], axis=self.axis)
        return tuple(np.ascontiguousarray(p) for p in parts)


@register
@dataclass(frozen=True, kw_only=True)
class Slice(Movement):
    """A strided box: element i along an axis is `x[start + i·stride]`.

    Attributes:
        starts: index of the first element, by axis.
        sizes: number of elements, by axis.
        strides: step, by axis, which may be negative but not 0.
    """

    name = "slice"
    x = Operand(0)
    starts: tuple[int, ...]
    sizes: tuple[int, ...]
    strides: tuple[int, ...]

    def infer(self) -> tuple[TensorType, ...]:
        """The sizes; every element must lie inside x."""
        rank = self.x.type.rank
        if not len(self.starts) == len(self.sizes) == len(self.strides) == rank:
            raise IrError(f"slice: needs {rank} starts, sizes and strides")
        for dimension, start, size, stride in zip(
            self.x.type.shape, self.starts, self.sizes, self.strides, strict=True
        ):
            last = start + (size - 1) * stride
            if size < 0 or stride == 0 or (size and not (0 <= start < dimension and 0 <= last < dimension)):
                raise IrError(f"slice: {start}:{last}:{stride} leaves 0:{dimension}")
        return (self.moved(self.x.type, self.sizes),)

    def evaluate(self, x: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return the box."""
        for axis, (start, size, stride) in enumerate(zip(self.starts, self.sizes, self.strides, strict=True)):
            if (start, size, stride) != (0, x.shape[axis], 1):
                x = np.take(x, start + stride * np.arange(size), axis=axis)
        return x


@register
@dataclass(frozen=True, kw_only=True)
class Pad(Op):
    """x with `low` and `high` elements added along each axis.

    Attributes:
        low, high: how many, by axis, at least 0.
        value: what is added in mode `constant`: a real number, or the code in the integer stage.
        mode: `constant`, `reflect` (without the edge), `symmetric` (with it), `edge` or `wrap`, as `numpy.pad`.
    """

    name = "pad"
    stages = ANY_STAGE
    shares_parameters = True
    rounds_once = True
    x = Operand(0)
    low: tuple[int, ...]
    high: tuple[int, ...]
    value: float = 0.0
    mode: str = "constant"

    def infer(self) -> tuple[TensorType, ...]:
        """The sizes grown."""
        x = self.x.type
        if not len(self.low) == len(self.high) == x.rank or min((*self.low, *self.high), default=0) < 0:
            raise IrError(f"pad: needs {x.rank} counts of at least 0 on each side")
        if self.mode not in PAD_MODES:
            raise IrError(f"pad: no mode {self.mode!r}", help="one of: " + ", ".join(PAD_MODES))
        element = x.element.expressed
        if element.is_integer and not (self.value.is_integer() and element.minimum <= self.value <= element.maximum):
            raise IrError(f"pad: {self.value} is no {element}")
        shape = tuple(d + a + b for d, a, b in zip(x.shape, self.low, self.high, strict=True))
        return (TensorType(shape, x.element.expressed),)

    def evaluate(self, x: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return x padded."""
        if x.ndim == 0:
            return x
        widths = list(zip(self.low, self.high, strict=True))
        if self.mode == "constant":
            return np.pad(x, widths, constant_values=np.asarray(self.value).astype(x.dtype))
        mode: Any = self.mode  # one of numpy's modes, checked by infer
        return np.asarray(np.pad(x, widths, mode=mode))


@register
@dataclass(frozen=True, kw_only=True)
class Gather(Movement):
    """Elements of x along `axis` at constant `indices` (each in 0 … size−1): `y[…, i, …] = x[…, indices[i], …]`.

    Attributes:
        indices: flat indices, row-major.
        indices_shape: the shape that replaces the axis in the result.
    """

    name = "gather"
    x = Operand(0)
    axis: int
    indices: tuple[int, ...]
    indices_shape: tuple[int, ...]

    def infer(self) -> tuple[TensorType, ...]:
        """The axis replaced by the shape of the indices."""
        x = self.x.type
        if not -x.rank <= self.axis < x.rank or len(self.indices) != math.prod(self.indices_shape):
            raise IrError(f"gather: axis {self.axis} of {x}, {len(self.indices)} indices as {self.indices_shape}")
        axis = self.axis % x.rank
        if any(not 0 <= i < x.shape[axis] for i in self.indices):
            raise IrError(f"gather: an index leaves 0 … {x.shape[axis] - 1}")
        shape: Shape = (*x.shape[:axis], *self.indices_shape, *x.shape[axis + 1 :])
        return (self.moved(x, shape),)

    def evaluate(self, x: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return the elements."""
        return np.take(x, np.array(self.indices, np.int64).reshape(self.indices_shape), axis=self.axis)


@register
@dataclass(frozen=True, kw_only=True)
class Broadcast(Movement):
    """x repeated to `shape` by NumPy's broadcasting rules."""

    name = "broadcast"
    x = Operand(0)
    shape: tuple[int, ...]

    def infer(self) -> tuple[TensorType, ...]:
        """The shape given."""
        try:
            fits = np.broadcast_shapes(self.x.type.shape, self.shape) == self.shape
        except ValueError:
            fits = False
        if not fits:
            raise IrError(f"broadcast: {self.x.type} does not broadcast to {list(self.shape)}")
        return (self.moved(self.x.type, self.shape),)

    def evaluate(self, x: Array) -> Array:  # type: ignore[override]  # operands by name
        """Return x repeated."""
        return np.ascontiguousarray(np.broadcast_to(x, self.shape))

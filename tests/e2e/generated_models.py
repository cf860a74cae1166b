"""Random float models of what convolutional networks are made of, with the corners that real models seldom have.

A model grows one operation at a time: a step takes a value and returns new ones, or none where the value does not fit.
Every choice is a number from `integer`, so that Hypothesis can shrink it and a seeded generator can drive it too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from qcc.ir import F32, Array, Builder, Module, Op, TensorType, Value, ops

Integer = Callable[[int, int], int]
"""Chooses a number between two, both included."""

MAXIMUM_ELEMENTS = 3000
INFINITY = float("inf")
SIZES = (1, 2, 3, 4, 5, 7, 8)
CHANNELS = (1, 2, 3, 4, 5, 8, 16, 17, 33)
UNARY: tuple[type[Op], ...] = (
    *(ops.Sigmoid, ops.Tanh, ops.HardSwish, ops.HardSigmoid, ops.Gelu, ops.LeakyRelu, ops.Elu, ops.Silu, ops.Erf),
    *(ops.Abs, ops.Neg),
)


@dataclass
class Growth:
    """A model that grows."""

    integer: Integer
    builder: Builder

    def choose(self, *options: Any) -> Any:
        return options[self.integer(0, len(options) - 1)]

    def numbers(self, shape: tuple[int, ...], low: float = -1.0, high: float = 1.0) -> Array:
        rng = np.random.default_rng(self.integer(0, 2**16))
        return rng.uniform(low, high, shape).astype(np.float32)

    def constant(self, shape: tuple[int, ...], low: float = -1.0, high: float = 1.0) -> Value:
        return self.builder.constant(self.numbers(shape, low, high), "c")

    def weight(self, shape: tuple[int, ...], fan_in: int) -> Value:
        """Weights that keep the size of what they are multiplied with; by chance zero, tiny or large, as a whole or in
        their first channel."""
        bound = 1.5 / float(np.sqrt(fan_in))
        array = self.numbers(shape, -bound, bound)
        factor = self.choose(1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1e-5, 50.0)
        if self.choose(True, False):
            array *= np.float32(factor)
        else:
            array[0] *= np.float32(factor)
        return self.builder.constant(array, "w")

    def bias(self, count: int) -> list[Value]:
        return [self.constant((count,))] if self.choose(True, False) else []

    def emit(self, op_class: type[Op], *operands: Value, **attributes: Any) -> tuple[Value, ...]:
        return self.builder.emit_many(op_class, *operands, **attributes)

    def padding(self, largest: int) -> tuple[int, int, int, int]:
        if self.choose(True, False):
            return (0, 0, 0, 0)
        top, bottom, left, right = (self.integer(0, largest) for _ in range(4))
        return top, bottom, left, right


def convolution(g: Growth, x: Value) -> tuple[Value, ...]:
    """Any kernel, padding, stride, dilation and groups; depthwise, with a multiplier too."""
    if x.type.rank != 4:
        return ()
    channels = x.type.shape[3]
    groups = g.choose(1, 1, channels, *(d for d in (2, 3, 4) if channels % d == 0))
    outputs = groups * g.choose(1, 1, 2) if groups > 1 else g.choose(*CHANNELS)
    kernel = g.choose(1, 3, 2, 5), g.choose(1, 3, 2)
    attributes = {
        "strides": (g.integer(1, 3), g.integer(1, 2)),
        "dilation": (g.choose(1, 1, 2), g.choose(1, 1, 3)),
        "padding": g.padding(3),
        "groups": groups,
    }
    for axis in (0, 1):
        padded = x.type.shape[1 + axis] + sum(attributes["padding"][2 * axis : 2 * axis + 2])
        if padded < (kernel[axis] - 1) * attributes["dilation"][axis] + 1:
            return ()
    depth = channels // groups
    weight = g.weight((outputs, *kernel, depth), kernel[0] * kernel[1] * depth)
    return g.emit(ops.Conv2d, x, weight, *g.bias(outputs), **attributes)


def transposed_convolution(g: Growth, x: Value) -> tuple[Value, ...]:
    if x.type.rank != 4:
        return ()
    channels = x.type.shape[3]
    groups = g.choose(1, 1, channels)
    outputs = groups * g.integer(1, 3)
    kernel = g.integer(1, 3), g.integer(1, 4)
    weight = g.weight((outputs, *kernel, channels // groups), kernel[0] * kernel[1] * channels // groups)
    strides = g.integer(1, 3), g.integer(1, 2)
    padding = g.choose((0, 0, 0, 0), (0, 0, 0, 0), (1, 0, 0, 1), (0, 1, 1, 1))
    output_padding = g.integer(0, strides[0] - 1), g.integer(0, strides[1] - 1)
    size = [(x.type.shape[1 + a] - 1) * strides[a] + kernel[a] + output_padding[a] for a in (0, 1)]
    if min(size[0] - padding[0] - padding[1], size[1] - padding[2] - padding[3]) < 1:
        return ()
    attributes = {"strides": strides, "padding": padding, "output_padding": output_padding, "groups": groups}
    return g.emit(ops.ConvTranspose2d, x, weight, *g.bias(outputs), **attributes)


def matmul(g: Growth, x: Value) -> tuple[Value, ...]:
    """By constant weights, or by another tensor."""
    if x.type.rank < 2:
        return ()
    depth, outputs = x.type.shape[-1], g.choose(*CHANNELS)
    if g.integer(0, 4) == 4:
        order = (*range(x.type.rank - 2), x.type.rank - 1, x.type.rank - 2)
        (other,) = g.emit(ops.Transpose, x, permutation=order)
        return g.emit(ops.Matmul, x, other)
    return g.emit(ops.Matmul, x, g.weight((depth, outputs), depth), *g.bias(outputs))


def batch_norm(g: Growth, x: Value) -> tuple[Value, ...]:
    if not x.type.rank:
        return ()
    count = (x.type.shape[-1],)
    scale = g.constant(count, *g.choose((0.5, 1.5), (-1.5, 1.5)))
    return g.emit(ops.BatchNorm, x, scale, g.constant(count), g.constant(count), g.constant(count, 0.25, 2.0))


def activation(g: Growth, x: Value) -> tuple[Value, ...]:
    kind = g.integer(0, 3)
    if kind == 0:
        low = g.choose(0.0, -1.0, 0.5)
        return g.emit(ops.Clamp, x, minimum=low, maximum=g.choose(INFINITY, 6.0, 1.0))
    if kind == 1 and x.type.rank:
        shape = g.choose(x.type.shape[-1:], (1,), (*(1 for _ in x.type.shape[:-1]), x.type.shape[-1]))
        return g.emit(ops.Prelu, x, g.constant(shape))
    return g.emit(g.choose(*UNARY), x)


def positive(g: Growth, x: Value) -> tuple[Value, ...]:
    """Functions that want positive numbers, of such."""
    (near,) = g.emit(ops.Clamp, x, minimum=0.25, maximum=4.0)
    return g.emit(g.choose(ops.Sqrt, ops.Log, ops.Reciprocal, ops.Exp), near)


def arithmetic(g: Growth, x: Value) -> tuple[Value, ...]:
    """With a constant of any broadcasting shape, on either side."""
    keep = [g.choose(True, False) for _ in x.type.shape]
    shape = tuple(d if k else 1 for d, k in zip(x.type.shape, keep, strict=True))[g.integer(0, x.type.rank) :]
    op_class = g.choose(ops.Add, ops.Sub, ops.Mul, ops.Div, ops.Maximum, ops.Minimum)
    if op_class is ops.Div:
        return g.emit(ops.Div, x, g.constant(shape, 0.5, 2.0))
    constant = g.constant(shape, -2.0, 2.0)
    return g.emit(op_class, *((x, constant) if g.choose(True, False) else (constant, x)))


def combination(g: Growth, x: Value, y: Value) -> tuple[Value, ...]:
    """Of two tensors that broadcast, or may be joined."""
    try:
        shape = np.broadcast_shapes(x.type.shape, y.type.shape)
    except ValueError:
        shape = ()
    fits = len(shape) > 0 and int(np.prod(shape)) <= MAXIMUM_ELEMENTS
    kind = g.choose(ops.Add, ops.Concat, ops.Mul, ops.Sub, ops.Maximum, ops.Minimum, ops.Div)
    if kind is ops.Concat:
        axes = [a for a in range(x.type.rank) if _joins(x.type.shape, y.type.shape, a)]
        return g.emit(ops.Concat, *g.choose((x, y), (y, x), (x, y, x)), axis=g.choose(*axes)) if axes else ()
    if not fits:
        return ()
    if kind is ops.Div:
        (y,) = g.emit(ops.Clamp, y, minimum=0.5, maximum=3.0)
    return g.emit(kind, x, y)


def _joins(a: tuple[int, ...], b: tuple[int, ...], axis: int) -> bool:
    return len(a) == len(b) and a[:axis] + a[axis + 1 :] == b[:axis] + b[axis + 1 :]


def movement(g: Growth, x: Value) -> tuple[Value, ...]:
    rank, shape = x.type.rank, x.type.shape
    if rank == 0:
        return g.emit(ops.Reshape, x, shape=(1, 1))
    axis = g.integer(0, rank - 1)
    match g.integer(0, 6):
        case 0:
            new = (shape[0], x.type.size // max(shape[0], 1))
            return g.emit(ops.Reshape, x, shape=g.choose(new, (1, *shape)[-4:] if rank < 4 else shape[::-1]))
        case 1:
            order = np.random.default_rng(g.integer(0, 99)).permutation(rank)
            return g.emit(ops.Transpose, x, permutation=tuple(int(a) for a in order))
        case 2:
            first = g.integer(1, shape[axis])
            sizes = tuple(s for s in (first, shape[axis] - first) if s)
            return g.emit(ops.Split, x, axis=axis, sizes=sizes)
        case 3:
            starts = tuple(g.integer(0, d - 1) for d in shape)
            strides = tuple(g.choose(1, 1, 2, -1) for _ in shape)
            counts = [1 + (s if t < 0 else d - 1 - s) // abs(t) for d, s, t in zip(shape, starts, strides, strict=True)]
            return g.emit(ops.Slice, x, starts=starts, sizes=tuple(counts), strides=strides)
        case 4:
            indices = tuple(g.integer(0, shape[axis] - 1) for _ in range(g.integer(1, 3)))
            return g.emit(ops.Gather, x, axis=axis, indices=indices, indices_shape=(len(indices),))
        case 5:
            if x.type.size * 3 > MAXIMUM_ELEMENTS:
                return ()
            wide = tuple(3 if d == 1 and a == axis else d for a, d in enumerate(shape))
            return g.emit(ops.Broadcast, x, shape=wide)
        case _:
            return g.emit(ops.Concat, x, g.constant(shape), axis=axis)


def pad(g: Growth, x: Value) -> tuple[Value, ...]:
    low, high = (tuple(g.integer(0, 2) for _ in x.type.shape) for _ in range(2))
    mode = g.choose("constant", "constant", "edge", "reflect")
    if mode == "reflect" and any(max(a, b) >= d for a, b, d in zip(low, high, x.type.shape, strict=True)):
        mode = "edge"
    return g.emit(ops.Pad, x, low=low, high=high, value=g.choose(0.0, 0.0, -0.5, 3.0), mode=mode)


def pool(g: Growth, x: Value) -> tuple[Value, ...]:
    if x.type.rank != 4:
        return ()
    height, width = x.type.shape[1:3]
    if g.integer(0, 3) == 0:
        kind = g.choose(ops.AvgPool2d, ops.MaxPool2d)
        return g.emit(kind, x, kernel=(height, width))
    kernel = g.integer(1, min(3, height)), g.integer(1, min(4, width))
    padding = (0, 0, 0, 0)
    if g.choose(True, False):
        top, bottom = g.integer(0, kernel[0] - 1), g.integer(0, kernel[0] - 1)
        padding = (top, bottom, g.integer(0, kernel[1] - 1), g.integer(0, kernel[1] - 1))
    attributes: dict[str, Any] = {"kernel": kernel, "strides": (g.integer(1, 2), g.integer(1, 3)), "padding": padding}
    if g.choose(True, False):
        return g.emit(ops.MaxPool2d, x, **attributes)
    return g.emit(ops.AvgPool2d, x, count_include_pad=g.choose(True, False), **attributes)


def reduction(g: Growth, x: Value) -> tuple[Value, ...]:
    if not x.type.rank:
        return ()
    axes = tuple(a for a in range(x.type.rank) if g.choose(True, False)) or (x.type.rank - 1,)
    kind = g.choose(ops.ReduceMean, ops.ReduceMean, ops.ReduceSum, ops.ReduceMax, ops.ReduceMin)
    return g.emit(kind, x, axes=axes, keep_dims=g.choose(True, False))


def selection(g: Growth, x: Value) -> tuple[Value, ...]:
    """Softmax; or argmax, whose indices are an output."""
    if not x.type.rank:
        return ()
    axis = g.integer(0, x.type.rank - 1)
    if g.integer(0, 2):
        return g.emit(ops.Softmax, x, axis=axis)
    return g.emit(ops.ArgMax, x, axis=axis, keep_dims=g.choose(True, False), select_last=g.choose(False, True))


def resize(g: Growth, x: Value) -> tuple[Value, ...]:
    if x.type.rank != 4:
        return ()
    n, height, width, channels = x.type.shape
    shape = (n, height * g.integer(1, 3), g.choose(width * 2, width, max(1, width // 2), width + 1), channels)
    scales = tuple(after / before for before, after in zip(x.type.shape, shape, strict=True))
    coordinates = g.choose("half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel")
    return g.emit(
        ops.Resize, x, shape=shape, scales=scales, mode=g.choose("nearest", "linear"), coordinates=coordinates
    )


STEPS: tuple[Callable[[Growth, Value], tuple[Value, ...]], ...] = (
    *(convolution, convolution, convolution, transposed_convolution, matmul, batch_norm, activation, activation),
    *(positive, arithmetic, arithmetic, movement, movement, pad, pool, reduction, selection, resize),
)


def grow(integer: Integer, steps: int = 8) -> Module:
    """Return a model of up to `steps` operations."""
    g = Growth(integer, Builder("net"))
    values: list[Value] = []
    batch = g.choose(1, 1, 2, 3)
    for number in range(g.choose(1, 1, 2)):
        image = (batch, g.choose(*SIZES), g.choose(*SIZES), g.choose(*CHANNELS))
        shape = g.choose(image, image, (batch, g.choose(*CHANNELS)), (batch, g.integer(1, 6), g.choose(*CHANNELS)))
        values.append(g.builder.input(f"x{number}", TensorType(shape, F32)))
    inputs = len(values)
    for _ in range(g.integer(1, steps)):
        real = [v for v in values if v.type.is_float]
        x = real[-1 - min(g.choose(0, 0, 0, 1, 2, 3), len(real) - 1)]
        if g.integer(0, 4) == 4:
            found = combination(g, x, g.choose(*real))
        else:
            found = g.choose(*STEPS)(g, x)
        values += [v for v in found if 0 < v.type.size <= MAXIMUM_ELEMENTS and v.type.rank <= 5]
    _return(g, values, inputs)
    return g.builder.build()


def _return(g: Growth, values: list[Value], inputs: int) -> None:
    """Return the last value, what nothing reads, and by chance an input, a constant, or a value that is read on."""
    read = {v.name for op in g.builder.ops for v in op.operands}
    chosen = [v for n, v in enumerate(values) if n >= inputs and (v.name not in read or g.integer(0, 7) == 7)]
    chosen += values[-1:] if not chosen else []
    if g.integer(0, 7) == 7:
        chosen.append(values[0])
    if g.integer(0, 7) == 7:
        chosen.append(g.constant((2, 3)))
    for number, value in enumerate(chosen):
        g.builder.output(f"y{number}", value)


def samples(module: Module, seed: int, count: int = 3) -> list[dict[str, Array]]:
    """Return random inputs of a model: around 0, or for some seeds shifted, small, or all equal."""
    rng = np.random.default_rng(seed)
    shapes = {v.name: v.type.shape for v in module.inputs}
    shift, scale = ((0, 1), (0, 1), (2, 1), (-5, 0.1), (0, 1e-3), (1, 0), (0, 0), (0, 30))[seed % 8]
    return [{n: rng.normal(shift, scale, s).astype(np.float32) for n, s in shapes.items()} for _ in range(count)]

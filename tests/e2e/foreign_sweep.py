"""Modules of many small layers of awkward shapes, so that a foreign chip's compiler, linker and emulator start once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from qcc.ir import I8, I32, U8, Array, Builder, Module, ScalarType, Stage, TensorType, UniformType, Value, ops

CHANNELS = (*range(1, 20), 23, 24, 27, 31, 32, 33, 40, 48, 63, 64, 65, 70)
WIDE = (96, 100, 127, 128, 129, 160, 161, 192, 193, 200, 224, 255, 256, 257, 300)
"""Channels of which some take several vectors, registers or blocks of columns on every target."""
SIZES = (1, 2, 3, 4, 5, 6, 7, 9, 11)


class Sweep:
    """Builds one integer module out of layers that have nothing to do with each other."""

    def __init__(self, name: str, seed: int) -> None:
        self.b = Builder(name, Stage.INTEGER)
        self.random = np.random.default_rng(seed)
        self.count = 0

    def choose(self, *options: int) -> int:
        return int(self.random.choice(options))

    def channels(self) -> int:
        """A number of channels: most are few, some many."""
        return self.choose(*CHANNELS) if self.choose(0, 1, 1, 1) else self.choose(*WIDE)

    def input(self, *shape: int, element: ScalarType = I8) -> Value:
        zero_point = int(self.random.integers(element.minimum, element.maximum + 1))
        value = self.b.input(f"x{self.count}", TensorType(shape, UniformType(element, (0.05,), (zero_point,))))
        return self.b.emit(ops.StorageCast, value)

    def output(self, value: Value) -> None:
        element = value.type.element.storage
        quantized = UniformType(element, (0.1,), (5,)) if element.bits == 8 else None
        cast = self.b.emit(ops.StorageCast, value, to=quantized) if quantized else value
        self.b.output(f"y{self.count}", cast)
        self.count += 1

    def rescaled(self, sums: Value, depth: int) -> Value:
        """A rescale by one factor or one a channel: as layers have them, or up to the ends of what is legal."""
        channels = sums.type.shape[-1] if self.choose(0, 1) else 1
        return self.rescaled_by(sums, (channels,) if channels > 1 else (1,), depth)

    def rescaled_by(self, sums: Value, shape: tuple[int, ...], depth: int) -> Value:
        """A rescale by factors of some shape."""
        multiplier = self.random.integers(2**30, 2**31, shape).astype(np.int32)
        usual = 37 + int(np.log2(depth)) // 2
        low, high = ((usual, usual + 3), (usual, usual + 3), (31, 34), (0, 63))[self.choose(0, 1, 2, 3)]
        shift = self.random.integers(low, high, shape).astype(np.int8)
        to = (I8, I8, I8, I8, U8, U8, I32)[self.choose(*range(7))]
        span = to.maximum - to.minimum
        minimum = to.minimum + (self.choose(0, 0, 17, 100) if span > 100 else 0)
        if self.choose(0, 0, 0, 0, 1):
            return self.in_float(sums, multiplier, shift)
        values = (self.b.constant(multiplier, "m"), self.b.constant(shift, "s"))
        zero_point = int(self.random.integers(to.minimum, to.maximum + 1)) if to.bits == 8 else self.choose(0, 0, -3)
        maximum = to.maximum - self.choose(0, 0, 31)
        limits: dict[str, Any] = {"minimum": minimum, "maximum": maximum, "output_zero_point": zero_point}
        limits["rounding"] = ("half_up", "half_up", "half_away", "double", "double_up")[self.choose(*range(5))]
        result = self.b.emit(ops.Rescale, sums, *values, to=to, **limits)
        if to is I8 and self.choose(0, 0, 0, 1):
            table = self.b.constant(self.random.integers(-128, 128, 256).astype(np.int8), "t")
            result = self.b.emit(ops.Table, result, table)
        return result

    def in_float(self, sums: Value, multiplier: Array, shift: Array) -> Value:
        """A rescale in binary32, as some profiles have it."""
        factor = self.b.constant((multiplier / 2.0**shift).astype(np.float32), "f")
        limits: dict[str, Any] = {"minimum": -128, "maximum": 127, "output_zero_point": self.choose(-128, 0, 9)}
        return self.b.emit(ops.RescaleFloat, sums, factor, to=I8, **limits)

    def weights(self, *shape: int) -> Value:
        low = self.choose(-127, -127, -128)
        kind = self.choose(0, 0, 1)
        data = self.random.integers(low, 128, shape)
        return self.b.constant(np.where(data < 0, low, 127).astype(np.int8) if kind else data.astype(np.int8), "w")

    def convolution(self, channels: int, outputs: int, groups: int = 1) -> None:
        """A convolution of any window."""
        kernel = (self.choose(1, 1, 2, 3, 3, 5), self.choose(1, 1, 2, 3, 3, 5))
        if channels // groups * outputs > 10_000:
            kernel = (1, self.choose(1, 2))
        dilation = (self.choose(1, 1, 2), self.choose(1, 1, 2))
        strides = (self.choose(1, 1, 2, 3), self.choose(1, 1, 2, 3))
        size = [self.choose(*SIZES) + (kernel[axis] - 1) * dilation[axis] for axis in range(2)]
        padding = tuple(self.choose(0, 1, (k - 1) * d) for k, d in zip(kernel, dilation, strict=True) for _ in range(2))
        x = self.input(self.choose(1, 1, 2), *size, channels, element=U8 if self.choose(0, 0, 1) else I8)
        w = self.weights(outputs, *kernel, channels // groups)
        bias = [self.b.constant(self.random.integers(-5000, 5000, outputs).astype(np.int32), "b")]
        options: dict[str, Any] = {"strides": strides, "dilation": dilation, "groups": groups, "padding": padding}
        zero_point = int(self.random.integers(-128, 128)) if x.type.element.storage is I8 else self.choose(0, 128, 255)
        operands = [x, w, *bias[: self.choose(0, 1, 1)]]
        sums = self.b.emit(ops.Conv2d, *operands, input_zero_point=zero_point, **options)
        if self.choose(0, 1, 1, 1):
            sums = self.rescaled(sums, kernel[0] * kernel[1] * channels // groups)
        self.output(sums)

    def pointwise(self) -> None:
        self.convolution(self.channels(), self.channels())

    def depthwise(self) -> None:
        channels = self.channels()
        self.convolution(channels, channels * self.choose(1, 1, 1, 2, 3, 4), channels)

    def grouped(self) -> None:
        groups = self.choose(2, 3, 4)
        columns = self.choose(*range(1, 18)) if self.choose(0, 1, 1, 1) else self.choose(33, 64, 65, 200)
        self.convolution(groups * self.choose(*range(1, 18)), groups * columns, groups)

    def dense(self) -> None:
        depth, columns = self.channels(), self.channels()
        x = self.input(self.choose(1, 1, 2, 5), depth)
        sums = self.b.emit(ops.Matmul, x, self.weights(depth, columns), input_zero_point=self.choose(-128, 0, 3))
        self.output(self.rescaled(sums, depth) if self.choose(0, 1, 1) else sums)

    def residual(self) -> None:
        """The sum of two tensors, each with a factor of its own."""
        shape = (self.choose(1, 2), self.choose(*SIZES), self.choose(*SIZES), self.channels())
        terms: list[Value] = []
        for _ in range(2):
            x = self.b.emit(
                ops.StorageCast,
                self.b.input(f"x{self.count}_{len(terms)}", TensorType(shape, UniformType(I8, (0.05,), (3,)))),
            )
            multiplier = self.b.constant(np.array([self.choose(700_001, 12_345)], np.int32), "m")
            factors = (multiplier, self.b.constant(np.array([0], np.int8), "s"))
            limits: dict[str, Any] = {"minimum": I32.minimum, "maximum": I32.maximum, "input_zero_point": 3}
            terms.append(self.b.emit(ops.Rescale, x, *factors, to=I32, **limits))
        total = self.b.emit(ops.Add, *terms)
        factors = (self.b.constant(np.array([1], np.int32), "m"), self.b.constant(np.array([20], np.int8), "s"))
        limits = {"minimum": -128 + self.choose(0, 40), "maximum": 127, "output_zero_point": self.choose(-128, 0, 9)}
        self.output(self.b.emit(ops.Rescale, total, *factors, to=I8, **limits))

    def pool(self) -> None:
        """A maximum, a mean over the whole image, or one of windows that the border of the image cuts."""
        shape = (self.choose(1, 2), self.choose(*SIZES), self.choose(*SIZES), self.channels())
        x = self.input(*shape, element=U8 if self.choose(0, 0, 1) else I8)
        kernel = (min(shape[1], self.choose(2, 3)), min(shape[2], self.choose(1, 2, 3)))
        windows: dict[str, Any] = {"kernel": kernel, "strides": (self.choose(1, 2), self.choose(1, 2))}
        windows["padding"] = tuple(self.choose(*range(k)) for k in kernel for _ in range(2))
        kind = self.choose(0, 1, 2)
        if kind == 0:
            self.output(self.b.emit(ops.MaxPool2d, x, **windows))
            return
        if kind == 1:
            windows = {"kernel": shape[1:3], "strides": (1, 1)}
        sums = self.b.emit(ops.SumPool2d, x, **windows, input_zero_point=self.choose(-128, 0, 5))
        depth = int(np.prod(windows["kernel"]))
        if self.choose(0, 1, 1):  # each place divides by as many taps as are inside the image
            self.output(self.rescaled_by(sums, (1, *sums.type.shape[1:3], 1), depth))
        else:
            self.output(self.rescaled(sums, depth))

    def table(self) -> None:
        x = self.input(self.choose(1, 3), self.channels())
        table = self.b.constant(self.random.integers(-128, 128, 256).astype(np.int8), "t")
        self.output(self.b.emit(ops.Table, x, table))


def sweep(seed: int, layers: int) -> Module:
    """Return a module of `layers` layers, all kinds by turns."""
    made = Sweep(f"sweep{seed}", seed)
    kinds: tuple[Callable[[], None], ...] = (
        *(made.pointwise, made.depthwise, made.pointwise, made.grouped, made.dense, made.depthwise),
        *(made.residual, made.pool, made.table),
    )
    for number in range(layers):
        kinds[number % len(kinds)]()
    return made.b.build()

"""Small integer modules, built by hand, for the tests of what comes behind quantization."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qcc.ir import I8, I32, Array, Builder, Module, ScalarType, Stage, TensorType, UniformType, Value, ops


class NetBuilder:
    """Builds an integer-stage module of quantized interface from layers with seeded random weights."""

    def __init__(self, name: str = "net", seed: int = 0) -> None:
        self.b = Builder(name, Stage.INTEGER)
        self.random = np.random.default_rng(seed)

    def input(self, name: str, *shape: int, scale: float = 0.05, zero_point: int = -3) -> Value:
        """Add a quantized input and return its codes."""
        value = self.b.input(name, TensorType(shape, UniformType(I8, (scale,), (zero_point,))))
        return self.b.emit(ops.StorageCast, value, name=f"{name}_codes")

    def output(self, name: str, value: Value, scale: float = 0.1, zero_point: int = 5) -> None:
        """Return codes as a quantized output."""
        quantized = UniformType(value.type.element.storage, (scale,), (zero_point,))
        self.b.output(name, self.b.emit(ops.StorageCast, value, name=f"{name}_out", to=quantized))

    def rescale(
        self,
        x: Value,
        name: str,
        real: float | Sequence[float],
        to: ScalarType = I8,
        zero_points: tuple[int, int] = (0, 0),
    ) -> Value:
        """Add a rescale by the real factor (one, or one a channel)."""
        factors = np.asarray(real, np.float64).reshape(-1)
        shift = np.clip(30 - np.ceil(np.log2(factors)), 0, 62).astype(np.int8)
        multiplier = np.rint(factors * 2.0**shift).astype(np.int32)
        return self.raw_rescale(x, name, multiplier, shift, to, zero_points)

    def raw_rescale(
        self, x: Value, name: str, multiplier: Array, shift: Array, to: ScalarType, zero_points: tuple[int, int]
    ) -> Value:
        """Add a rescale with multipliers and shifts given."""
        m = self.b.constant(np.asarray(multiplier, np.int32), f"{name}_multiplier")
        s = self.b.constant(np.asarray(shift, np.int8), f"{name}_shift")
        return self.b.emit(
            ops.Rescale,
            x,
            m,
            s,
            name=name,
            to=to,
            minimum=to.minimum,
            maximum=to.maximum,
            input_zero_point=zero_points[0],
            output_zero_point=zero_points[1],
        )

    def conv(
        self,
        x: Value,
        name: str,
        channels: int,
        kernel: int = 3,
        stride: int = 1,
        groups: int = 1,
        zero_point: int = -3,
    ) -> Value:
        """Add a convolution with bias and its rescale to int8."""
        depth = x.type.shape[3] // groups
        w = self.random.integers(-127, 128, (channels, kernel, kernel, depth)).astype(np.int8)
        bias = self.random.integers(-2000, 2000, channels).astype(np.int32)
        before = kernel // 2
        acc = self.b.emit(
            ops.Conv2d,
            x,
            self.b.constant(w, f"{name}_w"),
            self.b.constant(bias, f"{name}_b"),
            name=f"{name}_acc",
            strides=(stride, stride),
            padding=(before, before, before, before),
            groups=groups,
            input_zero_point=zero_point,
        )
        factors = self.random.uniform(0.5, 2.0, channels) / (100 * np.sqrt(depth * kernel * kernel))
        return self.rescale(acc, name, factors, zero_points=(0, 2))

    def residual_add(self, a: Value, b: Value, name: str) -> Value:
        """Add two int8 tensors the way `insert-rescale` does."""
        one = self.raw_rescale(a, f"{name}_a", np.array([700_001]), np.array([0]), I32, (3, 0))
        two = self.raw_rescale(b, f"{name}_b", np.array([900_007]), np.array([0]), I32, (-7, 0))
        total = self.b.emit(ops.Add, one, two, name=f"{name}_sum")
        return self.raw_rescale(total, name, np.array([1]), np.array([21]), I8, (0, 1))

    def table(self, x: Value, name: str) -> Value:
        """Add a table of a random function."""
        data = self.random.integers(-128, 128, 256).astype(np.int8)
        return self.b.emit(ops.Table, x, self.b.constant(data, f"{name}_table"), name=name)

    def dense(self, x: Value, name: str, columns: int) -> Value:
        """Add a fully connected layer and its rescale to int8."""
        w = self.random.integers(-127, 128, (x.type.shape[-1], columns)).astype(np.int8)
        bias = self.random.integers(-2000, 2000, columns).astype(np.int32)
        acc = self.b.emit(
            ops.Matmul,
            x,
            self.b.constant(w, f"{name}_w"),
            self.b.constant(bias, f"{name}_b"),
            name=f"{name}_acc",
            input_zero_point=2,
        )
        return self.rescale(acc, name, 0.004, zero_points=(0, -9))

    def build(self) -> Module:
        """Return the verified module."""
        return self.b.build()


def residual_net(size: int = 8) -> Module:
    """A stem, a residual block with a projection, pooling and a classifier: what small CNNs are made of."""
    net = NetBuilder("residual_net")
    x = net.input("image", 1, size, size, 3)
    stem = net.conv(x, "stem", 8)
    left = net.conv(net.table(net.conv(stem, "left1", 16, stride=2, zero_point=2), "left1_act"), "left2", 16)
    right = net.conv(stem, "right", 16, kernel=1, stride=2, zero_point=2)
    block = net.residual_add(left, right, "block")
    deep = net.conv(block, "depthwise", 16, groups=16, zero_point=1)
    skip = net.residual_add(deep, block, "skip")
    summed = net.b.emit(ops.ReduceSum, skip, name="sum", axes=(1, 2), keep_dims=False, input_zero_point=1)
    pooled = net.rescale(summed, "pooled", 1 / (size // 2) ** 2, zero_points=(0, 2))
    net.output("logits", net.dense(pooled, "classifier", 10))
    return net.build()


def wide_net() -> Module:
    """A net with constants of more than four thousand elements."""
    net = NetBuilder("wide_net")
    x = net.conv(net.input("x", 1, 3, 3, 24), "conv", 64)
    flat = net.b.emit(ops.Reshape, x, name="flat", shape=(1, 9 * 64))
    net.output("y", net.dense(flat, "dense", 50))
    return net.build()


def chain(*layers: str) -> Module:
    """A small net of `conv`, `table`, `pool` layers in a row."""
    net = NetBuilder("chain")
    value = net.input("x", 1, 6, 6, 4)
    for index, layer in enumerate(layers):
        name = f"{layer}{index}"
        if layer == "conv":
            value = net.conv(value, name, 4)
        elif layer == "table":
            value = net.table(value, name)
        else:
            value = net.b.emit(ops.MaxPool2d, value, name=name, kernel=(3, 3), padding=(1, 1, 1, 1))
    net.output("y", value)
    return net.build()


def random_inputs(module: Module, seed: int = 0) -> dict[str, Array]:
    """Return seeded random codes for the inputs of a module."""
    random = np.random.default_rng(seed)
    found = {}
    for value in module.inputs:
        storage = value.type.element.storage
        if storage.is_float:
            found[value.name] = random.normal(0, 1, value.type.shape).astype(storage.dtype)
        else:
            codes = random.integers(storage.minimum, storage.maximum + 1, value.type.shape)
            found[value.name] = codes.astype(storage.dtype)
    return found

"""Generated models of several operations: residual blocks, gates with states, 16-bit speech-like nets, decoders.

A chain starts from a seed and a number of steps; each step appends one operation, or a small group of them, to a value
that is there already. A failing chain shrinks by its number of steps: fewer steps are a prefix of the same model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.conformance.cases.case import Case, Maker
from tests.conformance.cases.products import output_scale, windowed
from tests.conformance.tflite_builder import Tensor

STYLES = ("vision", "recurrent", "speech", "decoder", "bytes", "edges")
"""Which steps a chain takes: int8 images, gates with states, 16-bit activations, upsampling, uint8, floats outside."""


@dataclass
class Chain:
    """A model under construction.

    Attributes:
        values: what later steps may use, all of the activations' type.
        used: indices of values that something reads.
    """

    m: Maker
    values: list[Tensor]
    used: set[int]
    count: int = 0

    def name(self, stem: str) -> str:
        self.count += 1
        return f"{stem}_{self.count}"

    def take(self) -> Tensor:
        """Return the newest value mostly, an older one at times."""
        tensor = self.values[-1] if self.m.rng.random() < 0.75 else self.m.pick(*self.values)
        self.used.add(tensor.index)
        return tensor

    def new(self, shape: tuple[int, ...], scale: float, zero_point: int | None = None) -> Tensor:
        """Add a value."""
        zero = self.m.zero_point() if zero_point is None else zero_point
        tensor = self.m.builder.tensor(self.name("t"), shape, self.m.kind, scale, zero)
        self.values.append(tensor)
        return tensor

    def like(self, x: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Add a value with the parameters of another."""
        return self.new(shape, x.scale[0], x.zero_point[0])

    def op(self, name: str, inputs: list[Tensor | None], output: Tensor, **attributes: Any) -> Tensor:
        self.m.builder.op(name, inputs, [output], **attributes)
        return output

    def numbers(self, values: Any) -> Tensor:
        return self.m.numbers(self.name("n"), values)


Step = Callable[[Chain], None]


def weights(c: Chain, shape: tuple[int, ...], axis: int, x: Tensor, about: float = 0.02) -> tuple[Tensor, Tensor]:
    """Add weights of a scale near `about`, per channel where the type allows, and a bias."""
    m = c.m
    if m.kind == "uint8":
        w = m.builder.constant(c.name("w"), m.codes(shape), m.scale(about), m.zero_point())
    else:
        scale = m.scales(about, shape[axis]) if m.pick(True, False) else m.scale(about)
        w = m.builder.constant(c.name("w"), m.weights(shape), scale, axis=axis)
    wide = m.kind == "int16"
    codes = m.rng.integers(-20000, 20000, shape[axis]).astype(np.int64 if wide else np.int32)
    scales = (np.float32(x.scale[0]) * np.asarray(w.scale, np.float32)).tolist()
    return w, m.builder.constant(c.name("b"), codes, scales)


def convolution(c: Chain) -> None:
    m, x = c.m, c.take()
    if len(x.shape) != 4:
        dense(c)
        return
    kernel, stride, channels = m.pick(1, 1, 3), m.pick(1, 1, 2), m.pick(4, 8, 12)
    w, b = weights(c, (channels, kernel, kernel, x.shape[3]), 0, x)
    size = [windowed(n, kernel, stride, 1, "SAME") for n in x.shape[1:3]]
    y = c.new((1, *size, channels), output_scale(m, x.scale[0] * w.scale[0], kernel * kernel * x.shape[3]))
    attributes = {"padding": "SAME", "stride_h": stride, "stride_w": stride}
    c.op("CONV_2D", [x, w, b], y, fused_activation_function=m.activation(), **attributes)


def depthwise(c: Chain) -> None:
    m, x = c.m, c.take()
    if len(x.shape) != 4:
        dense(c)
        return
    w, b = weights(c, (1, 3, 3, x.shape[3]), 3, x)
    y = c.new(x.shape, output_scale(m, x.scale[0] * w.scale[0], 9))
    attributes = {"padding": "SAME", "stride_h": 1, "stride_w": 1, "depth_multiplier": 1}
    c.op("DEPTHWISE_CONV_2D", [x, w, b], y, fused_activation_function=m.activation(), **attributes)


def dense(c: Chain) -> None:
    m, x = c.m, c.take()
    depth, channels = int(np.prod(x.shape[1:])), m.pick(8, 16)
    if len(x.shape) != 2:
        x = c.op("RESHAPE", [x, c.numbers([1, depth])], c.like(x, (1, depth)), new_shape=[1, depth])
    w, b = weights(c, (channels, depth), 0, x)
    y = c.new((1, channels), output_scale(m, x.scale[0] * w.scale[0], depth))
    c.op("FULLY_CONNECTED", [x, w, b], y, fused_activation_function=m.activation())


def residual(c: Chain) -> None:
    m, x = c.m, c.take()
    others = [v for v in c.values if v.shape == x.shape]
    other = m.pick(*others)
    c.used.add(other.index)
    y = c.new(x.shape, max(x.scale[0], other.scale[0]) * m.pick(1.0, 1.5, 2.0))
    name = m.pick("ADD", "ADD", "SUB")
    c.op(name, [x, other], y, fused_activation_function=m.activation(), pot_scale_int16=False)


def gate(c: Chain) -> None:
    """Multiply a value by the logistic or hard swish of itself."""
    m, x = c.m, c.take()
    low = m.limits()[0]
    parameters = (1 / 32768, 0) if m.kind == "int16" else (1 / 256, low)
    gated = c.op("LOGISTIC", [x], c.new(x.shape, *parameters))
    y = c.new(x.shape, x.scale[0] * m.pick(0.5, 0.7, 1.0))
    c.op("MUL", [x, gated], y, fused_activation_function="NONE")


def activation(c: Chain) -> None:
    m, x = c.m, c.take()
    name = m.pick("RELU", "LEAKY_RELU", "HARD_SWISH" if m.kind != "int16" else "RELU", "TANH")
    if name == "TANH":
        parameters = (1 / 32768, 0) if m.kind == "int16" else (1 / 128, 128 if m.kind == "uint8" else 0)
        c.op(name, [x], c.new(x.shape, *parameters))
    else:
        attributes = {"alpha": m.pick(0.1, 0.25)} if name == "LEAKY_RELU" else {}
        c.op(name, [x], c.new(x.shape, x.scale[0] * m.pick(0.7, 1.0, 1.3)), **attributes)


def requantize(c: Chain) -> None:
    m, x = c.m, c.take()
    c.op("QUANTIZE", [x], c.new(x.shape, x.scale[0] * m.pick(0.6, 1.0, 1.7)))


def pool(c: Chain) -> None:
    m, x = c.m, c.take()
    if len(x.shape) != 4 or min(x.shape[1:3]) < 2:
        requantize(c)
        return
    size = [windowed(n, 2, 2, 1, "VALID") for n in x.shape[1:3]]
    window = {"filter_height": 2, "filter_width": 2, "stride_h": 2, "stride_w": 2, "padding": "VALID"}
    y = c.like(x, (1, *size, x.shape[3]))
    c.op(m.pick("AVERAGE_POOL_2D", "MAX_POOL_2D"), [x], y, fused_activation_function="NONE", **window)


def join(c: Chain) -> None:
    """Concatenate a value with another one, brought to the same parameters."""
    m, x = c.m, c.take()
    other = m.pick(*[v for v in c.values if v.shape[:-1] == x.shape[:-1]])
    c.used.add(other.index)
    moved = c.op("QUANTIZE", [other], c.like(x, other.shape))
    y = c.like(x, (*x.shape[:-1], x.shape[-1] + other.shape[-1]))
    c.op("CONCATENATION", [x, moved], y, axis=-1)


def pad(c: Chain) -> None:
    x = c.take()
    if len(x.shape) != 4 or x.shape[1] > 12:
        requantize(c)
        return
    y = c.like(x, (1, x.shape[1] + 1, x.shape[2] + 1, x.shape[3]))
    c.op("PAD", [x, c.numbers([[0, 0], [0, 1], [1, 0], [0, 0]])], y)


def upsample(c: Chain) -> None:
    m, x = c.m, c.take()
    if len(x.shape) != 4 or x.shape[1] > 8:
        pool(c)
        return
    full = (x.shape[1] * 2, x.shape[2] * 2)
    if m.pick(True, False):
        y = c.like(x, (1, *full, x.shape[3]))
        name = m.pick("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")
        c.op(name, [x, c.numbers(full)], y, version=3, half_pixel_centers=m.pick(True, False))
        return
    channels, kernel = m.pick(4, 8), m.pick(2, 3)
    w, b = weights(c, (channels, kernel, kernel, x.shape[3]), 0, x)
    y = c.new((1, *full, channels), output_scale(m, x.scale[0] * w.scale[0], kernel * x.shape[3]))
    c.op("TRANSPOSE_CONV", [c.numbers(y.shape), w, x, b], y, version=3, padding="SAME", stride_h=2, stride_w=2)


def mean(c: Chain) -> None:
    m, x = c.m, c.take()
    if len(x.shape) != 4:
        requantize(c)
        return
    y = c.new((1, x.shape[3]), x.scale[0] * m.pick(0.5, 1.0))
    c.op("MEAN", [x, c.numbers([1, 2])], y, keep_dims=False)


def cell(c: Chain) -> None:
    """An LSTM-like cell: four gates of a dense layer over input and state, both states written back."""
    m, x = c.m, c.take()
    b = m.builder
    units, depth = 8, int(np.prod(x.shape[1:]))
    one = (1 / 32768, 0) if m.kind == "int16" else (1 / 256, m.limits()[0])
    tanh = (1 / 32768, 0) if m.kind == "int16" else (1 / 128, 128 if m.kind == "uint8" else 0)
    if len(x.shape) != 2:
        x = c.op("RESHAPE", [x, c.numbers([1, depth])], c.like(x, (1, depth)), new_shape=[1, depth])
    hidden = b.variable(c.name("hidden"), m.codes((1, units)), x.scale[0], x.zero_point[0])
    memory_scale, memory_zero = m.scale(0.02 if m.kind != "int16" else 0.0001), m.zero_point()
    memory = b.variable(c.name("memory"), m.codes((1, units)), memory_scale, memory_zero)
    h = c.op("READ_VARIABLE", [hidden], c.like(x, (1, units)))
    old = c.op("READ_VARIABLE", [memory], c.new((1, units), memory_scale, memory_zero))
    both = c.op("CONCATENATION", [x, h], c.like(x, (1, depth + units)), axis=-1)
    w, bias = weights(c, (4 * units, depth + units), 0, both)
    narrow = 256 if m.kind == "int16" else 1
    gates = c.new((1, 4 * units), m.scale(0.05 / narrow))
    c.op("FULLY_CONNECTED", [both, w, bias], gates, fused_activation_function="NONE")
    parts = [c.like(gates, (1, units)) for _ in range(4)]
    b.op("SPLIT", [c.numbers(1), gates], parts, num_splits=4)
    forget, enter, leave = (c.op("LOGISTIC", [p], c.new((1, units), *one)) for p in parts[:3])
    candidate = c.op("TANH", [parts[3]], c.new((1, units), *tanh))
    kept = c.op("MUL", [forget, old], c.new((1, units), memory_scale, memory_zero), fused_activation_function="NONE")
    added = c.op("MUL", [enter, candidate], c.new((1, units), *tanh), fused_activation_function="NONE")
    now = c.new((1, units), memory_scale, memory_zero)
    c.op("ADD", [kept, added], now, fused_activation_function="NONE", pot_scale_int16=False)
    shown = c.op("TANH", [now], c.new((1, units), *tanh))
    out = c.like(h, (1, units))
    c.op("MUL", [leave, shown], out, fused_activation_function="NONE")
    b.op("ASSIGN_VARIABLE", [memory, now], [])
    b.op("ASSIGN_VARIABLE", [hidden, out], [])
    c.used |= {
        v.index for v in (x, h, old, gates, both, *parts, forget, enter, leave, candidate, kept, added, now, shown)
    }


STEPS: dict[str, tuple[Step, ...]] = {
    "vision": (convolution, convolution, depthwise, residual, residual, pool, join, pad, activation, requantize, mean),
    "recurrent": (dense, cell, cell, residual, gate, activation, requantize),
    "speech": (convolution, depthwise, dense, residual, gate, activation, cell, pool, mean),
    "decoder": (convolution, upsample, upsample, residual, depthwise, gate, join, pad),
    "bytes": (convolution, depthwise, residual, pool, activation, gate, join, upsample, mean),
}

STEPS["edges"] = STEPS["vision"]

KINDS = {"speech": "int16", "bytes": "uint8"}


def chain(style: str, seed: int, steps: int) -> Case:
    """Return a model of so many steps with three runs of inputs."""
    m = Maker(f"chain {style}", KINDS.get(style, "int8"), seed)
    shape = (1, 16) if style == "recurrent" else (1, m.size(5, 8), m.size(4, 8), m.pick(3, 4, 8))
    c = Chain(m, [], set())
    runs = None
    about = 0.05 if m.kind != "int16" else 0.0003
    if style == "edges":
        x = m.builder.input("x", shape, "float32")
        c.op("QUANTIZE", [x], c.new(shape, m.scale(about)))
        # Halves of a step, so that rounding meets ties.
        runs = [{"x": (m.rng.integers(-300, 300, shape) / 2 * c.values[0].scale[0]).astype(np.float32)} for _ in "12"]
    else:
        c.values.append(m.input("x", shape, about))
    for _ in range(steps):
        m.pick(*STEPS[style])(c)
    ends = [v for v in c.values if v.index not in c.used] or c.values[-1:]
    if style == "edges":
        reals = [m.builder.tensor(c.name("real"), end.shape, "float32") for end in ends]
        for end, real in zip(ends, reals, strict=True):
            m.builder.op("DEQUANTIZE", [end], [real])
        ends = reals
    case = m.case(*ends, runs=runs)
    return Case(f"chain {style}", m.kind, f"chain({style!r}, {seed}, {steps})", case.model, (*case.runs, case.runs[0]))

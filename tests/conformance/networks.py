"""Generated networks of the architectures that are in the field, 15 to 40 operations each, with random weights.

Each architecture is a function that continues a `Chain`; `network` makes its model from a seed. Scales are realistic:
sums of products fill the output's range, gates have the scales that the kernels ask for, half of the seeds have powers
of two throughout, which makes ties frequent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tests.conformance.cases.case import Case, Maker
from tests.conformance.cases.products import output_scale, windowed
from tests.conformance.chains import Chain, cell, dense
from tests.conformance.chains import weights as chain_weights
from tests.conformance.tflite_builder import Tensor

NONE = "NONE"


def probability(m: Maker) -> tuple[float, int]:
    """Return scale and zero point that LOGISTIC and SOFTMAX must have."""
    return (1 / 32768, 0) if m.kind == "int16" else (1 / 256, m.limits()[0])


def weights(c: Chain, shape: tuple[int, ...], axis: int, x: Tensor) -> tuple[Tensor, Tensor]:
    """Add weights and a bias for which results are about as large as inputs."""
    terms = int(np.prod(shape)) // shape[axis]
    return chain_weights(c, shape, axis, x, 1 / (70 * np.sqrt(terms)))


def convolve(
    c: Chain,
    x: Tensor,
    channels: int,
    kernel: tuple[int, int] = (1, 1),
    stride: int = 1,
    activation: str = NONE,
    padding: str = "SAME",
    dilation: int = 1,
) -> Tensor:
    """Append a convolution."""
    m = c.m
    w, b = weights(c, (channels, *kernel, x.shape[3]), 0, x)
    size = [windowed(n, k, stride, dilation, padding) for n, k in zip(x.shape[1:3], kernel, strict=True)]
    y = c.new(
        (x.shape[0], *size, channels), output_scale(m, x.scale[0] * w.scale[0], x.shape[3] * kernel[0] * kernel[1])
    )
    steps = {"stride_h": stride, "stride_w": stride, "dilation_h_factor": dilation, "dilation_w_factor": dilation}
    return c.op("CONV_2D", [x, w, b], y, fused_activation_function=activation, padding=padding, **steps)


def depthwise(
    c: Chain,
    x: Tensor,
    kernel: tuple[int, int] = (3, 3),
    stride: int = 1,
    activation: str = NONE,
    multiplier: int = 1,
    padding: str = "SAME",
) -> Tensor:
    """Append a depthwise convolution."""
    m, channels = c.m, x.shape[3] * multiplier
    w, b = weights(c, (1, *kernel, channels), 3, x)
    size = [windowed(n, k, stride, 1, padding) for n, k in zip(x.shape[1:3], kernel, strict=True)]
    y = c.new((x.shape[0], *size, channels), output_scale(m, x.scale[0] * w.scale[0], kernel[0] * kernel[1]))
    attributes = {"stride_h": stride, "stride_w": stride, "padding": padding, "depth_multiplier": multiplier}
    return c.op("DEPTHWISE_CONV_2D", [x, w, b], y, fused_activation_function=activation, **attributes)


def connected(c: Chain, x: Tensor, channels: int, activation: str = NONE) -> Tensor:
    """Append a fully connected layer."""
    w, b = weights(c, (channels, x.shape[-1]), 0, x)
    y = c.new((*x.shape[:-1], channels), output_scale(c.m, x.scale[0] * w.scale[0], x.shape[-1]))
    keep = len(x.shape) != 2
    return c.op("FULLY_CONNECTED", [x, w, b], y, version=5, keep_num_dims=keep, fused_activation_function=activation)


def shaped(c: Chain, x: Tensor, *shape: int) -> Tensor:
    """Append a RESHAPE."""
    return c.op("RESHAPE", [x, c.numbers(shape)], c.like(x, shape), new_shape=list(shape))


def logistic(c: Chain, x: Tensor) -> Tensor:
    return c.op("LOGISTIC", [x], c.new(x.shape, *probability(c.m)))


def softmax(c: Chain, x: Tensor) -> Tensor:
    return c.op("SOFTMAX", [x], c.new(x.shape, *probability(c.m)), beta=1.0)


def combined(c: Chain, name: str, a: Tensor, b: Tensor, activation: str = NONE) -> Tensor:
    """Append ADD, SUB or MUL of two tensors that broadcast."""
    m, shape = c.m, np.broadcast_shapes(a.shape, b.shape)
    if name == "MUL":
        scale = a.scale[0] * b.scale[0] * m.pick(0.4, 1.0) * (100 if m.kind != "int16" else 20000)
    else:
        scale = max(a.scale[0], b.scale[0]) * m.pick(1.0, 1.4, 2.0)
    attributes: dict[str, Any] = {} if name == "MUL" else {"pot_scale_int16": False}
    y = c.new(tuple(shape), m.scale(scale))
    return c.op(name, [a, b], y, fused_activation_function=activation, **attributes)


def swish(c: Chain, x: Tensor) -> Tensor:
    """Append a swish: HARD_SWISH or x · LOGISTIC(x)."""
    if c.m.kind != "int16" and c.m.pick(True, False):
        return c.op("HARD_SWISH", [x], c.new(x.shape, c.m.scale(x.scale[0] * 0.7)))
    return combined(c, "MUL", x, logistic(c, x))


def averaged(c: Chain, x: Tensor) -> Tensor:
    """Append a MEAN over rows and columns that keeps them."""
    y = c.new((x.shape[0], 1, 1, x.shape[3]), c.m.scale(x.scale[0] * c.m.pick(0.5, 1.0)))
    return c.op("MEAN", [x, c.numbers([1, 2])], y, keep_dims=True)


def requantized(c: Chain, x: Tensor, like: Tensor) -> Tensor:
    return c.op("QUANTIZE", [x], c.like(like, x.shape))


def joined(c: Chain, parts: Sequence[Tensor], axis: int) -> Tensor:
    """Append a CONCATENATION, with parts of other parameters brought to those of the first."""
    first = parts[0]
    same: list[Tensor | None] = [
        p if p.scale == first.scale and p.zero_point == first.zero_point else requantized(c, p, first) for p in parts
    ]
    shape = list(first.shape)
    shape[axis] = sum(p.shape[axis] for p in parts)
    return c.op("CONCATENATION", same, c.like(first, tuple(shape)), axis=axis)


def micro_speech(c: Chain) -> list[Tensor]:
    """A keyword spotter on a flat spectrogram: reshape, depthwise with a multiplier, dense, softmax."""
    m, rows, columns = c.m, c.m.size(9, 25), c.m.pick(10, 20)
    x = m.input("x", (1, rows * columns), about(m))
    x = shaped(c, x, 1, rows, columns, 1)
    x = depthwise(c, x, (m.pick(5, 8), m.pick(4, 10)), 2, "RELU", m.pick(4, 8))
    for _ in range(m.size(0, 3)):
        x = convolve(c, depthwise(c, x, activation="RELU"), m.pick(8, 16, 24), activation="RELU")
    x = shaped(c, x, 1, int(np.prod(x.shape)))
    return [softmax(c, connected(c, x, m.pick(4, 12)))]


def efficientnet(c: Chain) -> list[Tensor]:
    """Inverted residuals with squeeze and excitation, its gate broadcast over rows and columns."""
    m = c.m
    x = m.input("x", (1, m.size(9, 14), m.size(9, 14), 3), about(m))
    x = swish(c, convolve(c, x, 8, (3, 3), 2, padding=m.pick("SAME", "VALID")))
    for _ in range(m.size(1, 3)):
        wide = swish(c, convolve(c, x, m.pick(16, 24)))
        wide = swish(c, depthwise(c, wide, m.pick((3, 3), (5, 5)), 1))
        squeezed = convolve(c, averaged(c, wide), 4, activation=m.pick("RELU", NONE))
        gate = logistic(c, convolve(c, squeezed, wide.shape[3]))
        narrow = convolve(c, combined(c, "MUL", *m.pick((wide, gate), (gate, wide))), 8)
        x = combined(c, "ADD", *m.pick((x, narrow), (narrow, x)), m.pick(NONE, NONE, "RELU6"))
    x = convolve(c, x, 32, activation="RELU6")
    x = shaped(c, averaged(c, x), 1, 32)
    return [softmax(c, connected(c, x, 10))]


def transposed(c: Chain, x: Tensor, channels: int, kernel: int, size: tuple[int, int]) -> Tensor:
    """Append a transposed convolution of stride 2 to a given size."""
    w, b = weights(c, (channels, kernel, kernel, x.shape[3]), 0, x)
    y = c.new((1, *size, channels), output_scale(c.m, x.scale[0] * w.scale[0], kernel * x.shape[3]))
    attributes = {"padding": "SAME", "stride_h": 2, "stride_w": 2}
    return c.op("TRANSPOSE_CONV", [c.numbers(y.shape), w, x, b], y, version=3, **attributes)


def unet(c: Chain) -> list[Tensor]:
    """An encoder and a decoder with skips: pools, transposed convolutions or resizes, concatenations."""
    m = c.m
    x = m.input("x", (1, 4 * m.size(2, 3), 4 * m.size(2, 3), m.pick(1, 3)), about(m))
    skips = []
    for depth in range(2):
        x = convolve(c, x, 6 * (depth + 1), (3, 3), activation="RELU")
        x = convolve(c, x, 6 * (depth + 1), (3, 3), activation=m.pick("RELU", "RELU6"))
        skips.append(x)
        window = {"filter_height": 2, "filter_width": 2, "stride_h": 2, "stride_w": 2, "padding": "VALID"}
        y = c.like(x, (1, x.shape[1] // 2, x.shape[2] // 2, x.shape[3]))
        x = c.op(m.pick("MAX_POOL_2D", "AVERAGE_POOL_2D"), [x], y, fused_activation_function=NONE, **window)
    x = convolve(c, x, 18, (3, 3), activation="RELU", dilation=m.pick(1, 2))
    for skip in reversed(skips):
        size = (skip.shape[1], skip.shape[2])
        if m.pick(True, False):
            x = transposed(c, x, skip.shape[3], m.pick(2, 3, 4), size)
        else:
            align, half = m.pick((False, False), (True, False), (False, True))
            name = m.pick("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")
            y = c.like(x, (1, *size, x.shape[3]))
            x = c.op(name, [x, c.numbers(size)], y, version=3, align_corners=align, half_pixel_centers=half)
        x = joined(c, m.pick([x, skip], [skip, x]), -1)
        x = convolve(c, x, skip.shape[3], (3, 3), activation="RELU")
    return [logistic(c, convolve(c, x, 2))]


def detector(c: Chain) -> list[Tensor]:
    """Boxes and scores from two scales, each reshaped and joined: several outputs."""
    m, classes, anchors = c.m, 5, 3
    x = m.input("x", (m.pick(1, 2), m.size(12, 16), m.size(12, 16), 3), about(m))
    x = convolve(c, x, 8, (3, 3), 2, "RELU6")
    boxes, scores = [], []
    for _ in range(2):
        pads = c.numbers([[0, 0], [0, 1], [0, 1], [0, 0]])
        padded = c.op("PAD", [x, pads], c.like(x, (x.shape[0], x.shape[1] + 1, x.shape[2] + 1, x.shape[3])))
        x = depthwise(c, padded, stride=2, activation="RELU6", padding="VALID")
        x = convolve(c, x, 16, activation="RELU6")
        places = x.shape[1] * x.shape[2] * anchors
        boxes.append(shaped(c, convolve(c, x, anchors * 4), x.shape[0], places, 4))
        scores.append(shaped(c, convolve(c, depthwise(c, x), anchors * classes), x.shape[0], places, classes))
    box, score = joined(c, boxes, 1), joined(c, scores, 1)
    best = c.m.builder.tensor("best", score.shape[:-1], "int32")
    sure = logistic(c, score)
    c.m.builder.op("ARG_MAX", [sure, c.numbers(-1)], [best], output_type="INT32")
    return [box, sure, best]


def attention(c: Chain) -> list[Tensor]:
    """A small transformer: dense layers of rank 3, transposes, batched products, softmax, residual additions."""
    m, steps, heads, depth = c.m, c.m.size(3, 7), 2, 8
    x = m.input("x", (1, steps, heads * depth), about(m))
    for _ in range(m.size(1, 2)):
        q, k, v = (connected(c, x, heads * depth) for _ in "qkv")
        parts = [_heads(c, t, heads) for t in (q, k, v)]
        y = c.new((1, heads, steps, steps), _product_scale(c, parts[0], parts[1], depth))
        scores = c.op("BATCH_MATMUL", [parts[0], parts[1]], y, version=2, adj_y=True)
        sure = softmax(c, combined(c, "MUL", scores, _number(c, 0.35)))
        y = c.new((1, heads, steps, depth), m.scale(parts[2].scale[0] * 0.8))
        mixed = c.op("BATCH_MATMUL", [sure, parts[2]], y, version=2)
        back = c.op("TRANSPOSE", [mixed, c.numbers([0, 2, 1, 3])], c.like(mixed, (1, steps, heads, depth)))
        x = combined(c, "ADD", x, connected(c, shaped(c, back, 1, steps, heads * depth), heads * depth))
        wide = connected(c, x, 24, m.pick("RELU", NONE))
        x = combined(c, "ADD", connected(c, wide, heads * depth), x)
    y = c.new((1, heads * depth), m.scale(x.scale[0]))
    return [c.op("MEAN", [x, c.numbers([1])], y, keep_dims=False), x]


def _heads(c: Chain, x: Tensor, heads: int) -> Tensor:
    steps, depth = x.shape[1], x.shape[2] // heads
    split = shaped(c, x, 1, steps, heads, depth)
    return c.op("TRANSPOSE", [split, c.numbers([0, 2, 1, 3])], c.like(x, (1, heads, steps, depth)))


def _product_scale(c: Chain, a: Tensor, b: Tensor, depth: int) -> float:
    return output_scale(c.m, a.scale[0] * b.scale[0], depth) * (256 if c.m.kind == "int16" else 1)


def _number(c: Chain, value: float) -> Tensor:
    """Add a real number as a constant of the activations' type."""
    high = c.m.limits()[1]
    return c.m.builder.constant(c.name("number"), np.array([high], c.m.kind), value / high, 0)


def seanet(c: Chain) -> list[Tensor]:
    """A streaming audio codec's block: strided and transposed convolutions along time, LEAKY_RELU, slices, skips."""
    m = c.m
    x = m.input("x", (1, 1, m.size(12, 20), m.pick(1, 4)), about(m))
    x = convolve(c, x, 8, (1, 3), padding="SAME")
    for channels in (8, 12):
        kept = c.like(x, (1, 1, x.shape[2] - 2, x.shape[3]))
        attributes = {"begin_mask": 11, "end_mask": 15}
        late = [c.numbers([0, 0, 2, 0]), c.numbers([0] * 4), c.numbers([1] * 4)]
        skip = c.op("STRIDED_SLICE", [x, *late], kept, **attributes)
        y = convolve(
            c, c.op("LEAKY_RELU", [x], c.new(x.shape, x.scale[0]), alpha=0.3), x.shape[3], (1, 3), padding="VALID"
        )
        x = combined(c, m.pick("ADD", "ADD", "SUB"), skip, convolve(c, y, x.shape[3]))
        x = convolve(c, x, channels, (1, 2), 1, m.pick(NONE, "RELU"))
    x = transposed(c, x, 8, 2, (2, x.shape[2] * 2))
    x = c.op("TANH", [x], c.new(x.shape, *((1 / 32768, 0) if m.kind == "int16" else (1 / 128, 0))))
    total = c.op(
        "MEAN" if m.kind == "int16" else "SUM", [x, c.numbers([2])], c.new((1, 2, 8), x.scale[0] * 4), keep_dims=False
    )
    return [shaped(c, x, 1, x.shape[2] * 2, 8), total]


def recurrent(c: Chain) -> list[Tensor]:
    """Gated cells over two states behind a dense layer, and a classifier."""
    m = c.m
    c.values.append(m.input("x", (1, 12), about(m)))
    for step in (dense, cell, cell, dense):
        step(c)
    x = c.values[-1]
    return [softmax(c, connected(c, x, 6))]


def about(m: Maker) -> float:
    """Return a typical scale of an input."""
    return 0.05 if m.kind != "int16" else 0.0003


Architecture = Callable[[Chain], list[Tensor]]

ARCHITECTURES: dict[str, tuple[Architecture, tuple[str, ...]]] = {
    "micro_speech": (micro_speech, ("int8", "int16", "uint8")),
    "efficientnet": (efficientnet, ("int8", "int16", "uint8")),
    "unet": (unet, ("int8", "int16", "uint8")),
    "detector": (detector, ("int8",)),
    "attention": (attention, ("int8", "int16")),
    "seanet": (seanet, ("int8", "int16")),
    "recurrent": (recurrent, ("int8", "int16")),
}
"""By name: what it is made of, and the types of activations that it is tried with."""


def network(architecture: str, kind: str, seed: int) -> Case:
    """Return a network with three runs of inputs."""
    make, _ = ARCHITECTURES[architecture]
    m = Maker(f"network {architecture}", kind, seed)
    case = m.case(*make(Chain(m, [], set())))
    label = f"network({architecture!r}, {kind!r}, {seed})"
    return Case(case.op, kind, label, case.model, (*case.runs, case.runs[0]))

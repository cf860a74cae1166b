"""Cases of convolutions, fully connected layers and matrix products."""

from __future__ import annotations

import math

import numpy as np

from tests.conformance.cases.case import Case, Maker, family
from tests.conformance.tflite_builder import Tensor


def windowed(size: int, kernel: int, stride: int, dilation: int, padding: str) -> int:
    """Return how many windows fit (SAME: how many strides)."""
    reach = (kernel - 1) * dilation + 1
    return -(-size // stride) if padding == "SAME" else (size - reach) // stride + 1


def output_scale(m: Maker, product: float, depth: int) -> float:
    """Return an output scale for which sums of `depth` products of codes fill the range, at most."""
    spread = math.sqrt(depth) * 70 * (70 if m.kind != "int16" else 18000)
    wanted = product * spread / (100 if m.kind != "int16" else 25000)
    return m.scale(wanted * 2.0 ** m.rng.integers(-3, 2))


def result_scale(m: Maker, x: Tensor, w: Tensor, depth: int, unit: int = 1) -> float:
    """Return `output_scale` times `unit` for sums of products of two tensors, or a scale with near-ties."""
    found = output_scale(m, x.scale[0] * w.scale[0], depth) * unit
    if not m.near_ties:
        return found
    return m.output_scale(found, x.scale[0], w.scale[0], wide_sums=m.kind == "int16")


def small(m: Maker) -> int | None:
    """Return the radius of codes whose sums are small enough for near-ties; sums of 64 bits show them in large ones."""
    return None if m.kind == "int16" else 4


def weights_of(m: Maker, shape: tuple[int, ...], axis: int) -> Tensor:
    """Add weights: uint8 with a zero point; else int8, symmetric, per tensor or per channel."""
    if m.kind == "uint8":
        zero = m.zero_point()
        return m.builder.constant("w", m.codes(shape, zero=zero), m.scale(0.02), zero)
    per_channel = m.number % 16 == 5 if m.near_ties else m.pick(True, True, False)
    m.traits.append("per-channel" if per_channel else "per-tensor")
    scale = m.scales(0.02, shape[axis]) if per_channel else m.scale(0.02)
    return m.builder.constant("w", m.weights(shape), scale, axis=axis)


def bias_of(m: Maker, x: Tensor, w: Tensor, channels: int, optional: bool = True) -> Tensor | None:
    """Add a bias, or none at times if it is optional."""
    if optional and m.pick(True, True, False) is False:
        m.traits.append("no-bias")
        return None
    scales = np.float32(x.scale[0]) * np.asarray(w.scale, np.float32)
    wide = 4000000 if m.kind == "int16" else 8 if m.near_ties else 20000
    codes = m.rng.integers(-wide, wide, channels) // m.grain * m.grain
    return m.builder.constant("b", codes.astype(np.int64 if m.kind == "int16" else np.int32), scales.tolist())


@family("CONV_2D", "int8", "int16", "uint8", count=24)
def conv_2d(m: Maker) -> Case:
    m.radius = small(m)
    kernel = (m.size(1, 3), m.size(1, 3))
    strides, padding = (m.size(1, 2), m.size(1, 3)), m.pick("SAME", "VALID")
    dilations = (m.size(1, 2), m.size(1, 2)) if m.kind != "uint8" and strides == (1, 1) else (1, 1)
    size = (m.size(5, 8), m.size(5, 8))
    groups = m.pick(1, 1, 1, 2) if m.kind == "int8" else 1
    depth, channels = groups * m.size(1, 9), groups * m.size(1, 9)
    m.traits += [f"k{kernel} s{strides} d{dilations} g{groups} {padding}"]
    x = m.input("x", (m.size(1, 2), *size, depth))
    if m.kind == "int8" and m.number % 6 == 5 and not m.near_ties:
        m.traits += ["computed weights"]
        w = m.builder.input("w", (channels, *kernel, depth // groups), m.kind, m.scale(0.1), 0)
    else:
        w = weights_of(m, (channels, *kernel, depth // groups), 0)
    terms = kernel[0] * kernel[1] * depth // groups
    b = bias_of(m, x, w, channels, optional=False)
    shape = [windowed(size[i], kernel[i], strides[i], dilations[i], padding) for i in range(2)]
    y = m.builder.tensor("y", (x.shape[0], *shape, channels), m.kind, result_scale(m, x, w, terms), m.zero_point())
    m.builder.op(
        "CONV_2D",
        [x, w, b],
        [y],
        padding=padding,
        stride_h=strides[0],
        stride_w=strides[1],
        dilation_h_factor=dilations[0],
        dilation_w_factor=dilations[1],
        fused_activation_function=m.activation(),
    )
    return m.case(y)


@family("DEPTHWISE_CONV_2D", "int8", "int16", "uint8", count=24)
def depthwise_conv_2d(m: Maker) -> Case:
    m.radius = small(m)
    kernel = (m.size(1, 4), m.size(1, 4))
    stride, padding = m.size(1, 2), m.pick("SAME", "VALID")
    dilation = m.pick(1, 2) if stride == 1 and m.kind != "uint8" else 1
    size = (m.size(7, 9), m.size(7, 9))
    depth, multiplier = m.size(1, 9), m.pick(1, 1, 2, 3)
    m.traits += [f"k{kernel} s{stride} d{dilation} x{multiplier} {padding}"]
    x = m.input("x", (m.size(1, 2), *size, depth))
    w = weights_of(m, (1, *kernel, depth * multiplier), 3)
    b = bias_of(m, x, w, depth * multiplier, optional=False)
    shape = [windowed(size[i], kernel[i], stride, dilation, padding) for i in range(2)]
    scale = result_scale(m, x, w, kernel[0] * kernel[1])
    y = m.builder.tensor("y", (x.shape[0], *shape, depth * multiplier), m.kind, scale, m.zero_point())
    m.builder.op(
        "DEPTHWISE_CONV_2D",
        [x, w, b],
        [y],
        padding=padding,
        stride_h=stride,
        stride_w=stride,
        dilation_h_factor=dilation,
        dilation_w_factor=dilation,
        depth_multiplier=multiplier,
        fused_activation_function=m.activation(),
    )
    return m.case(y)


@family("TRANSPOSE_CONV", "int8", "int16", "uint8", count=24)
def transpose_conv(m: Maker) -> Case:
    m.radius = small(m)
    kernel, strides = (m.size(1, 4), m.size(1, 4)), (m.size(1, 3), m.size(1, 3))
    padding, size = m.pick("SAME", "VALID"), (m.size(1, 5), m.size(1, 5))
    depth, channels = m.size(1, 6), m.size(1, 6)
    full = [size[i] * strides[i] if padding == "SAME" else (size[i] - 1) * strides[i] + kernel[i] for i in range(2)]
    m.traits += [f"k{kernel} s{strides} {padding}"]
    x = m.input("x", (1, *size, depth))
    w = weights_of(m, (channels, *kernel, depth), 0)
    terms = max(1, kernel[0] * kernel[1] * depth // (strides[0] * strides[1]))
    b = bias_of(m, x, w, channels)
    y = m.builder.tensor("y", (1, *full, channels), m.kind, result_scale(m, x, w, terms), m.zero_point())
    shape = m.numbers("shape", y.shape)
    inputs = [shape, w, x, b] if b else [shape, w, x]
    m.builder.op(
        "TRANSPOSE_CONV", inputs, [y], version=3 if b else 1, padding=padding, stride_h=strides[0], stride_w=strides[1]
    )
    return m.case(y)


def _layer(m: Maker, x: Tensor, channels: int, depth: int) -> tuple[Tensor, Tensor | None]:
    """Return weights and bias: of signed 8 bits also weights of 4 bits, with a zero point, or that are computed."""
    special = m.number % 6 if m.kind == "int8" and not m.near_ties else 0
    if special < 3:
        w = weights_of(m, (channels, depth), 0)
        return w, bias_of(m, x, w, channels)
    m.traits += [("4-bit weights", "weights with a zero point", "computed weights")[special - 3]]
    if special == 3:
        codes = m.rng.integers(-8, 8, (channels, depth)).astype(np.int8)
        return m.builder.constant("w", codes, m.scale(0.1), type="int4"), None
    if special == 4:
        return m.builder.constant("w", m.codes((channels, depth)), m.scale(0.1), m.zero_point()), None
    return m.input("w", (channels, depth), 0.1), None


@family("FULLY_CONNECTED", "int8", "int16", "uint8", count=24)
def fully_connected(m: Maker) -> Case:
    m.radius = small(m)
    batch, depth, channels = m.pick(1, 1, 3, 5), m.pick(1, 7, 16, 63, 300), m.size(1, 17)
    if m.near_ties:
        batch, depth, channels = 16, 16, 17
    shape: tuple[int, ...] = m.pick((batch, depth), (batch, depth), (batch, 1, depth))
    keep = len(shape) == 3 and m.pick(True, False)
    m.traits += [f"{batch}x{depth}x{channels} rank {len(shape)}"]
    x = m.input("x", shape)
    w, b = _layer(m, x, channels, depth)
    out = (*shape[:-1], channels) if keep else (batch, channels)
    y = m.builder.tensor("y", out, m.kind, result_scale(m, x, w, depth), m.zero_point())
    m.builder.op(
        "FULLY_CONNECTED",
        [x, w, b],
        [y],
        version=5,
        keep_num_dims=keep,
        fused_activation_function=m.activation(),
    )
    return m.case(y)


@family("BATCH_MATMUL", "int8", "int16", count=24)
def batch_matmul(m: Maker) -> Case:
    m.radius = small(m)
    rows, depth, columns = m.size(1, 6), m.pick(1, 5, 16, 40), m.size(1, 6)
    adjoint = (m.pick(True, False), m.pick(True, False))
    batch_a, batch_b = m.pick(((), ()), ((2,), (2,)), ((2, 3), (2, 3)), ((2,), (1,)))
    m.traits += [f"adj{adjoint} {batch_a} {batch_b}"]
    known = m.number % 4 >= 2 or m.number % 16 == 13
    if known:  # a matrix of weights, whose products are many enough to hold near-ties
        rows, columns, batch_b = 16, 64, ()
        m.traits += ["constant b"]
    a = m.input("a", (*batch_a, *((depth, rows) if adjoint[0] else (rows, depth))), 0.1)
    shape = (*batch_b, *((columns, depth) if adjoint[1] else (depth, columns)))
    if known:
        zero = m.pick(0, m.zero_point())
        b = m.builder.constant("b", m.codes(shape, zero=zero), m.scale(0.1), zero)
    else:
        symmetric = m.pick(True, False)  # XNNPACK asks for it
        m.traits += ["symmetric b"] if symmetric else []
        b = m.builder.input("b", shape, m.kind, m.scale(0.1), 0 if symmetric else m.zero_point())
    scale = result_scale(m, a, b, depth, 256 if m.kind == "int16" else 1)
    y = m.builder.tensor("y", (*batch_a, rows, columns), m.kind, scale, m.zero_point())
    m.builder.op("BATCH_MATMUL", [a, b], [y], version=2, adj_x=adjoint[0], adj_y=adjoint[1])
    return m.case(y)

"""Convolutions, fully connected layers and matrix products: sums, then one rescale (§3.3 to §3.5, §3.27, §3.29)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.conformance.tflm.fixed_point import Array, Ints, ints, multipliers, rescale, rescale_64, wrap32
from tests.conformance.tflm.kernel import NONE, Call, finish, kernel


def exact_product(a: Ints, b: Ints) -> Ints:
    """Return a·b of matrices of at most 17 and 9 bits.

    Every product and every partial sum is an integer far below 2^53, so binary64, which is fast, is exact.
    """
    return ints(np.matmul(a.astype(np.float64), b.astype(np.float64)))


def padding_before(size: int, output: int, stride: int, kernel_size: int, dilation: int) -> int:
    """Return the elements before the image: SAME puts the odd one after, and with VALID nothing is missing."""
    return max(0, (output - 1) * stride + (kernel_size - 1) * dilation + 1 - size) // 2


def taps(
    x: Ints,
    kernel_shape: tuple[int, int],
    output_shape: tuple[int, int],
    strides: tuple[int, int],
    dilations: tuple[int, int],
) -> list[Ints]:
    """Return for each tap of the window the N×H×W×C elements that it meets; what is outside is 0."""
    pads = [
        padding_before(x.shape[i + 1], output_shape[i], strides[i], kernel_shape[i], dilations[i]) for i in range(2)
    ]
    needed = [
        max(x.shape[i + 1] + pads[i], (output_shape[i] - 1) * strides[i] + (kernel_shape[i] - 1) * dilations[i] + 1)
        for i in range(2)
    ]
    padded = np.zeros((x.shape[0], *needed, x.shape[3]), np.int64)
    padded[:, pads[0] : pads[0] + x.shape[1], pads[1] : pads[1] + x.shape[2]] = x
    found = []
    for ky in range(kernel_shape[0]):
        for kx in range(kernel_shape[1]):
            y0, x0 = ky * dilations[0], kx * dilations[1]
            y1, x1 = y0 + (output_shape[0] - 1) * strides[0] + 1, x0 + (output_shape[1] - 1) * strides[1] + 1
            found.append(padded[:, y0 : y1 : strides[0], x0 : x1 : strides[1]])
    return found


def finish_sums(call: Call, sums: Ints, x: int, w: int, bias: int, channels: int, product_in_f32: bool = False) -> Ints:
    """Return the output codes of sums whose last axis are channels: bias, rescale, zero point, clamp.

    Unsigned kernels multiply the scales in binary32 always (§2.7).
    """
    x_info, w_info = call.info(x), call.info(w)
    wide = np.dtype(np.float32 if product_in_f32 or x_info.type == "uint8" else np.float64)
    products = np.multiply(x_info.scale, w_info.scales, dtype=wide).astype(np.float64)
    m, e = multipliers(np.broadcast_to(products / np.float64(call.output.scale), (channels,)))
    if call.has(bias):
        sums = sums + call.codes(bias)
    activation = getattr(call.options, "fusedActivationFunction", NONE)
    if x_info.type == "int16" and not (call.has(bias) and call.info(bias).type == "int32"):
        return finish(rescale_64(sums, m, e), call.output, activation)
    return finish(rescale(wrap32(sums), m, e), call.output, activation)


def weights(call: Call, number: int) -> Ints:
    """Return weights minus zero point; per-channel ones have none."""
    info = call.info(number)
    return call.centred(number) if info.scales.size == 1 else call.codes(number)


def windows(call: Call, w: Ints) -> list[Ints]:
    """Return what each tap of a convolution's weights sees."""
    options = call.options
    strides, dilations = (options.strideH, options.strideW), (options.dilationHFactor, options.dilationWFactor)
    (_, height, width, _), (_, rows, columns, _) = w.shape, call.output.shape
    return taps(call.centred(0), (height, width), (rows, columns), strides, dilations)


@kernel("CONV_2D")
def conv_2d(call: Call) -> Sequence[Array]:
    w = weights(call, 1)
    channels, height, width, depth = w.shape
    seen, sums = windows(call, w), np.zeros(call.output.shape, np.int64)
    groups = call.info(0).shape[3] // depth
    for group in range(groups):
        out = slice(group * channels // groups, (group + 1) * channels // groups)
        matrices = w[out].reshape(-1, height * width, depth).transpose(1, 2, 0)
        for window, tap in zip(seen, matrices, strict=True):
            sums[..., out] += exact_product(window[..., group * depth : (group + 1) * depth], tap)
    return [finish_sums(call, sums, 0, 1, 2, channels)]


@kernel("DEPTHWISE_CONV_2D")
def depthwise_conv_2d(call: Call) -> Sequence[Array]:
    w = weights(call, 1)
    channels = w.shape[3]
    repeat = channels // call.info(0).shape[3]
    sums = np.zeros(call.output.shape, np.int64)
    for window, tap in zip(windows(call, w), w.reshape(-1, channels), strict=True):
        sums += np.repeat(window, repeat, axis=3) * tap
    return [finish_sums(call, sums, 0, 1, 2, channels)]


@kernel("TRANSPOSE_CONV")
def transpose_conv(call: Call) -> Sequence[Array]:
    w, x = weights(call, 1), call.centred(2)
    channels, height, width, _ = w.shape
    batch, rows, columns, depth = call.output.shape
    strides = (call.options.strideH, call.options.strideW)
    tall, wide = x.shape[1], x.shape[2]
    top = padding_before(rows, tall, strides[0], height, 1)
    left = padding_before(columns, wide, strides[1], width, 1)
    sums = np.zeros((batch, rows, columns, depth), np.int64)
    for ky in range(height):
        for kx in range(width):
            product = exact_product(x, w[:, ky, kx].T)
            for y in range(tall):
                for column in range(wide):
                    oy, ox = y * strides[0] - top + ky, column * strides[1] - left + kx
                    if 0 <= oy < rows and 0 <= ox < columns:
                        sums[:, oy, ox] += product[:, y, column]
    return [finish_sums(call, sums, 2, 1, 3, channels)]


@kernel("FULLY_CONNECTED")
def fully_connected(call: Call) -> Sequence[Array]:
    w = weights(call, 1)
    x = call.centred(0).reshape(-1, w.shape[1])
    single = call.info(1).scales.size == 1
    return [finish_sums(call, exact_product(x, w.T), 0, 1, 2, w.shape[0], product_in_f32=single)]


@kernel("BATCH_MATMUL")
def batch_matmul(call: Call) -> Sequence[Array]:
    a, b = call.centred(0), call.centred(1)
    a = a.swapaxes(-1, -2) if call.options.adjX else a
    b = b.swapaxes(-1, -2) if call.options.adjY else b
    sums = np.zeros((*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1]), np.int64)
    for k in range(a.shape[-1]):  # int16 by int16 leaves what binary64 holds exactly
        sums += a[..., :, k : k + 1] * b[..., k : k + 1, :]
    return [finish_sums(call, sums, 0, 1, 2, b.shape[-1], product_in_f32=True)]

"""conv2d, conv_transpose2d and matmul against loops over every index, in all three stages."""

import itertools
from typing import Any

import numpy as np
import pytest

from qcc.ir import F32, I8, I16, I32, I64, Array, Stage, TensorType, UniformType, Value, ops
from tests.ir.building import infer, random_codes, random_floats, refused, run, values


def convolve(x: Array, w: Array, strides: Any, padding: Any, dilation: Any, groups: int, zeros: Any) -> Array:
    """The formula of conv2d, one product at a time, in Python's exact numbers."""
    top, bottom, left, right = padding
    outputs, kh, kw, depth = w.shape
    height = (x.shape[1] + top + bottom - (kh - 1) * dilation[0] - 1) // strides[0] + 1
    width = (x.shape[2] + left + right - (kw - 1) * dilation[1] - 1) // strides[1] + 1
    y = np.zeros((x.shape[0], height, width, outputs), object)
    for n, i, j, o, ky, kx, c in itertools.product(*map(range, (*y.shape, kh, kw, depth))):
        row, column = i * strides[0] + ky * dilation[0] - top, j * strides[1] + kx * dilation[1] - left
        if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
            channel = o // (outputs // groups) * depth + c
            y[n, i, j, o] += (x[n, row, column, channel].item() - zeros[0]) * (w[o, ky, kx, c].item() - zeros[1])
    return y


def scatter(x: Array, w: Array, strides: Any, padding: Any, dilation: Any, groups: int, size: tuple[int, int]) -> Array:
    """The formula of conv_transpose2d, one product at a time."""
    outputs, kh, kw, depth = w.shape
    y = np.zeros((x.shape[0], *size, outputs), object)
    for n, i, j, o, ky, kx, c in itertools.product(*map(range, (*x.shape[:3], outputs, kh, kw, depth))):
        row, column = i * strides[0] + ky * dilation[0] - padding[0], j * strides[1] + kx * dilation[1] - padding[2]
        if 0 <= row < size[0] and 0 <= column < size[1]:
            y[n, row, column, o] += x[n, i, j, o // (outputs // groups) * depth + c].item() * w[o, ky, kx, c].item()
    return y


GEOMETRIES = [
    ((1, 1), (0, 0, 0, 0), (1, 1), 1, (4, 1, 1, 6)),
    ((2, 1), (1, 1, 1, 1), (1, 1), 1, (5, 3, 3, 6)),
    ((1, 2), (0, 2, 1, 0), (2, 1), 1, (3, 2, 3, 6)),
    ((2, 2), (1, 0, 0, 1), (1, 1), 6, (6, 3, 3, 1)),
    ((1, 1), (1, 1, 1, 1), (1, 2), 6, (12, 3, 2, 1)),
    ((1, 1), (0, 0, 0, 0), (1, 1), 3, (6, 2, 2, 2)),
]


@pytest.mark.parametrize(("strides", "padding", "dilation", "groups", "shape"), GEOMETRIES)
@pytest.mark.parametrize("zeros", [(0, 0), (-128, 0), (127, -5)])
def test_integer_convolution(strides: Any, padding: Any, dilation: Any, groups: int, shape: Any, zeros: Any) -> None:
    x, w = random_codes(2, 5, 6, 6), random_codes(*shape, seed=1)
    bias = random_codes(shape[0], low=-(2**30), high=2**30, dtype="int32")
    expected = convolve(x, w, strides, padding, dilation, groups, zeros) + bias.astype(object)
    attributes = {"strides": strides, "padding": padding, "dilation": dilation, "groups": groups}
    y = run(
        *(ops.Conv2d, x, w, bias),
        stage=Stage.INTEGER,
        constants=(1, 2),
        input_zero_point=zeros[0],
        weight_zero_point=zeros[1],
        **attributes,
        inputs=(I8,),
    )
    assert y.dtype == np.int32
    assert y.tolist() == expected.tolist()


@pytest.mark.parametrize(("strides", "padding", "dilation", "groups", "shape"), GEOMETRIES)
def test_real_convolution(strides: Any, padding: Any, dilation: Any, groups: int, shape: Any) -> None:
    x, w, bias = random_floats(2, 5, 6, 6), random_floats(*shape, seed=1), random_floats(shape[0], seed=2)
    exact = convolve(x, w, strides, padding, dilation, groups, (0, 0)).astype(float) + bias
    attributes = {"strides": strides, "padding": padding, "dilation": dilation, "groups": groups}
    np.testing.assert_allclose(run(ops.Conv2d, x, w, bias, **attributes), exact, rtol=1e-4, atol=1e-4)
    clamped = run(ops.Conv2d, x, w, bias, clamp=(0, 1), **attributes)
    np.testing.assert_allclose(clamped, np.clip(exact, 0, 1), rtol=1e-4, atol=1e-4)


def test_quantized_convolution_means_real_arithmetic() -> None:
    x, w, bias = random_codes(1, 5, 5, 3), random_codes(4, 3, 3, 3, low=-127), random_floats(4)
    xt = UniformType(I8, (0.05,), (-3,))
    wt = UniformType(I8, (0.01, 0.02, 0.03, 0.04), (0,) * 4, 0, -127)
    yt = UniformType(I8, (0.2,), (10,))
    exact = convolve(xt.dequantize(x), wt.dequantize(w), (1, 1), (1, 1, 1, 1), (1, 1), 1, (0, 0)).astype(float) + bias
    y = run(
        *(ops.Conv2d, x, w, bias),
        stage=Stage.QUANTIZED,
        constants=(1, 2),
        inputs=(xt, wt),
        result=yt,
        padding=(1, 1, 1, 1),
    )
    near = np.abs(y - (exact / yt.scale + yt.zero_point).clip(-128, 127))
    assert np.max(near) <= 0.5 + 1e-3


TRANSPOSED = [
    ((1, 1), (0, 0, 0, 0), (1, 1), (0, 0), 1, (4, 3, 3, 6)),
    ((2, 3), (1, 0, 0, 2), (1, 1), (1, 2), 1, (4, 3, 2, 6)),
    ((2, 2), (1, 1, 1, 1), (2, 1), (0, 0), 3, (6, 2, 3, 2)),
    ((2, 2), (0, 0, 0, 0), (1, 1), (0, 0), 6, (12, 2, 2, 1)),
]


@pytest.mark.parametrize(("strides", "padding", "dilation", "more", "groups", "shape"), TRANSPOSED)
def test_transposed_convolution(strides: Any, padding: Any, dilation: Any, more: Any, groups: int, shape: Any) -> None:
    attributes = {"strides": strides, "padding": padding, "dilation": dilation, "groups": groups}
    attributes["output_padding"] = more
    x, w, bias = random_codes(1, 3, 4, 6), random_codes(*shape, seed=1), random_codes(shape[0], dtype="int32")
    size = infer(ops.ConvTranspose2d, x, w, **attributes).shape[1:3]
    zeros = (-7, 2)
    wide = x.astype(int) - zeros[0], w.astype(int) - zeros[1]
    expected = scatter(*wide, strides, padding, dilation, groups, (size[0], size[1])) + bias.astype(object)
    y = run(
        *(ops.ConvTranspose2d, x, w, bias),
        stage=Stage.INTEGER,
        constants=(1, 2),
        inputs=(I8,),
        input_zero_point=zeros[0],
        weight_zero_point=zeros[1],
        **attributes,
    )
    assert y.tolist() == expected.tolist()
    real = run(ops.ConvTranspose2d, x.astype(np.float32), w.astype(np.float32), **attributes)
    exact = scatter(x, w, strides, padding, dilation, groups, (size[0], size[1]))
    assert real.tolist() == exact.tolist()


@pytest.mark.parametrize(("left", "right"), [((3, 7), (7, 5)), ((2, 1, 3, 7), (4, 7, 2)), ((2, 3, 4), (2, 4, 1))])
@pytest.mark.parametrize("zeros", [(0, 0), (-128, 3)])
def test_integer_matmul(left: Any, right: Any, zeros: Any) -> None:
    a, b = random_codes(*left), random_codes(*right, seed=1)
    bias = random_codes(right[-1], dtype="int32", low=-(2**31), high=2**31 - 1)
    total = (a.astype(np.int64) - zeros[0]) @ (b.astype(np.int64) - zeros[1]) + bias
    y = run(
        *(ops.Matmul, a, b, bias),
        stage=Stage.INTEGER,
        constants=(2,),
        inputs=(I8, I8),
        input_zero_point=zeros[0],
        weight_zero_point=zeros[1],
    )
    assert y.tolist() == total.astype(np.int32).tolist()  # wraps


@pytest.mark.parametrize(("dtype", "limit", "accumulator"), [("int16", 2**15, I64), ("int32", 2**31, I64)])
def test_sums_beyond_binary32_and_binary64_are_exact(dtype: str, limit: int, accumulator: Any) -> None:
    low, high = -limit, limit - 1
    a, b = (random_codes(4, 300, low=low, high=high, dtype=dtype, seed=s) for s in (0, 1))
    exact = a.astype(object) @ b.T.astype(object)
    y = run(ops.Matmul, a, np.ascontiguousarray(b.T), stage=Stage.INTEGER, constants=(1,), accumulator=accumulator)
    wrapped = [[(v + 2**63) % 2**64 - 2**63 for v in row] for row in exact]
    assert y.tolist() == wrapped


def test_extreme_codes_and_deep_sums_are_exact() -> None:
    x = np.full((1, 1, 1, 70000), -128, np.int8)
    w = np.full((1, 1, 1, 70000), 127, np.int8)
    y = run(ops.Conv2d, x, w, stage=Stage.INTEGER, constants=(1,), inputs=(I8,), input_zero_point=127)
    assert y.item() == ((70000 * -255 * 127) + 2**31) % 2**32 - 2**31


def test_narrow_accumulators_wrap() -> None:
    x, w = np.full((1, 1, 1, 4), 127, np.int8), np.full((1, 1, 1, 4), 127, np.int8)
    y = run(ops.Conv2d, x, w, stage=Stage.INTEGER, constants=(1,), inputs=(I8,), accumulator=I16)
    assert y.item() == (4 * 127 * 127 + 2**15) % 2**16 - 2**15


IMAGE, KERNEL = TensorType((1, 5, 5, 4), F32), TensorType((2, 3, 3, 4), F32)
CODES, WEIGHTS = TensorType((1, 5, 5, 4), I8), TensorType((2, 3, 3, 4), I8)


def test_inferred_types() -> None:
    assert infer(ops.Conv2d, IMAGE, KERNEL, strides=(2, 2)) == TensorType((1, 2, 2, 2), F32)
    assert infer(ops.Conv2d, CODES, WEIGHTS) == TensorType((1, 3, 3, 2), I32)
    assert infer(ops.ConvTranspose2d, IMAGE, KERNEL) == TensorType((1, 7, 7, 2), F32)
    assert infer(ops.Matmul, TensorType((7, 1, 2, 3), I8), TensorType((5, 3, 4), I8)) == TensorType((7, 5, 2, 4), I32)


@pytest.mark.parametrize("op_class", [ops.Conv2d, ops.ConvTranspose2d])
def test_refused_convolutions(op_class: Any) -> None:
    refused("strides is", op_class, IMAGE, KERNEL, strides=(1,))
    refused("strides is", op_class, IMAGE, KERNEL, strides="same")
    refused("groups is", op_class, IMAGE, KERNEL, groups=1.0)
    refused("at least 1", op_class, IMAGE, KERNEL, strides=(0, 1))
    refused("at least 1", op_class, IMAGE, KERNEL, dilation=(1, 0))
    refused("at least 0", op_class, IMAGE, KERNEL, padding=(0, -1, 0, 0))
    refused("do not fit", op_class, IMAGE, TensorType((2, 3, 3, 3), F32))
    refused("do not fit", op_class, IMAGE, KERNEL, groups=0)
    refused("do not fit", op_class, IMAGE, TensorType((0, 3, 3, 4), F32))
    refused("do not fit", op_class, IMAGE, TensorType((3, 3, 3, 2), F32), groups=2)
    refused("N×H×W×C", op_class, TensorType((5, 4), F32), KERNEL)
    refused("should be", op_class, IMAGE, KERNEL, TensorType((3,), F32))
    refused("bias of i32", op_class, IMAGE, KERNEL, TensorType((2,), I32))
    refused("bias of f32", op_class, CODES, WEIGHTS, TensorType((2,), F32))
    refused("different element types", op_class, IMAGE, WEIGHTS)
    refused("no zero points", op_class, IMAGE, KERNEL, input_zero_point=1)
    refused("no clamp", op_class, CODES, WEIGHTS, clamp=(0, 6))
    refused("16 bits or more", op_class, CODES, WEIGHTS, accumulator=I8)
    refused("above its maximum", op_class, IMAGE, KERNEL, clamp=(6, 0))
    refused("no operand 'weight'", op_class, IMAGE)


def test_refused_windows() -> None:
    refused("does not fit", ops.Conv2d, TensorType((1, 2, 5, 4), F32), KERNEL)
    refused("would have size", ops.ConvTranspose2d, IMAGE, KERNEL, padding=(4, 3, 0, 0))
    refused("output padding", ops.ConvTranspose2d, IMAGE, KERNEL, output_padding=(-1, 0))


def test_refused_products() -> None:
    refused("do not fit", ops.Matmul, TensorType((2, 3), F32), TensorType((2, 3), F32))
    refused("do not fit", ops.Matmul, TensorType((3,), F32), TensorType((3, 2), F32))
    refused("do not broadcast", ops.Matmul, TensorType((2, 1, 3), F32), TensorType((3, 3, 1), F32))
    refused("bias of shape", ops.Matmul, TensorType((2, 3), F32), TensorType((3, 4), F32), TensorType((1,), F32))


@pytest.mark.parametrize(
    ("op_class", "given", "attributes", "macs"),
    [
        (ops.Conv2d, (IMAGE, KERNEL), {"padding": (1, 1, 1, 1)}, 25 * 2 * 36),
        (ops.Conv2d, (IMAGE, TensorType((4, 3, 3, 1), F32)), {"groups": 4}, 9 * 4 * 9),
        (ops.ConvTranspose2d, (IMAGE, KERNEL), {}, 25 * 4 * 2 * 9),
        (ops.Matmul, (TensorType((2, 5, 3), F32), TensorType((3, 4), F32)), {}, 2 * 5 * 3 * 4),
    ],
)
def test_costs(op_class: Any, given: Any, attributes: Any, macs: int) -> None:
    operands = tuple(values(*given))
    (type,) = op_class(operands=operands, **attributes).infer()
    op = op_class(operands=operands, results=(Value("y", type),), **attributes)
    assert op.cost().macs == macs
    assert op.cost().bytes == sum(4 * t.size for t in (*given, type))

"""Movement, pools, reductions, normalization and resampling against plain loops."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from qcc.ir import F32, I8, I32, Array, EvaluationError, Op, Stage, TensorType, UniformType, ops
from tests.ir.building import infer, random_codes, random_floats, refused, run, run_many

TYPE = UniformType(I8, (0.1,), (-3,))


def sliced(x: Any) -> Any:
    return [[[x[1, j, k] for k in (0, 3)] for j in (2, 1)]]


def gathered(x: Any) -> Any:
    return [[[[x[i, j, k] for k in row] for row in ((3, 0), (3, 1))] for j in range(3)] for i in range(2)]


CASES: list[tuple[type[Op], dict[str, Any], Any]] = [
    (ops.Reshape, {"shape": (3, 8)}, lambda x: [[x.flat[8 * i + j] for j in range(8)] for i in range(3)]),
    (
        ops.Transpose,
        {"permutation": (2, 0, 1)},
        lambda x: [[[x[j, k, i] for k in range(3)] for j in range(2)] for i in range(4)],
    ),
    (ops.Slice, {"starts": (1, 2, 0), "sizes": (1, 2, 2), "strides": (1, -1, 3)}, sliced),
    (ops.Gather, {"axis": -1, "indices": (3, 0, 3, 1), "indices_shape": (2, 2)}, gathered),
    (ops.Broadcast, {"shape": (2, 2, 3, 4)}, lambda x: [x.tolist(), x.tolist()]),
]


@pytest.mark.parametrize(("op_class", "attributes", "expected"), CASES)
def test_movement_is_the_same_in_every_stage(op_class: type[Op], attributes: dict[str, Any], expected: Any) -> None:
    codes = random_codes(2, 3, 4)
    wanted = np.array(expected(codes)).tolist()
    assert run(op_class, codes.astype(np.float32), **attributes).tolist() == wanted
    assert run(op_class, codes, stage=Stage.QUANTIZED, inputs=(TYPE,), **attributes).tolist() == wanted
    assert run(op_class, codes, stage=Stage.INTEGER, inputs=(I8,), **attributes).tolist() == wanted
    assert infer(op_class, TensorType((2, 3, 4), TYPE), **attributes).element == TYPE


def test_moving_channels_keeps_their_scales_real() -> None:
    channels = UniformType(I8, (0.5, 1.0, 2.0), (0, 0, 0), 1)
    codes = random_codes(3, 3)
    after = UniformType(I8, (1.0,), (0,))
    y = run(ops.Transpose, codes, stage=Stage.QUANTIZED, inputs=(channels,), result=after, permutation=(1, 0))
    assert y.tolist() == after.quantize(channels.dequantize(codes).T).tolist()
    moved = run(ops.Transpose, codes, stage=Stage.QUANTIZED, inputs=(channels,), result=channels, permutation=(1, 0))
    assert moved.tolist() == channels.quantize(channels.dequantize(codes).T).tolist()


def test_concat_and_split_are_inverse() -> None:
    x = random_floats(2, 5, 3)
    parts = run_many(ops.Split, x, axis=-2, sizes=(1, 4))
    assert [p.shape for p in parts] == [(2, 1, 3), (2, 4, 3)]
    assert run(ops.Concat, *parts, axis=1).tolist() == x.tolist()
    a, b = random_codes(2, 2), random_codes(2, 2, seed=1)
    other = UniformType(I8, (0.2,), (0,))
    y = run(ops.Concat, a, b, stage=Stage.QUANTIZED, inputs=(TYPE, other), result=TYPE, axis=0)
    assert y[:2].tolist() == a.tolist()
    assert y[2:].tolist() == TYPE.quantize(other.dequantize(b)).tolist()


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "wrap"])
def test_pad(mode: str) -> None:
    x = random_codes(3, 4)
    rules: dict[str, Callable[[int, int], int | None]] = {
        "edge": lambda i, n: min(max(i, 0), n - 1),
        "reflect": lambda i, n: abs(i) if i < n else 2 * (n - 1) - i,
        "wrap": lambda i, n: i % n,
        "constant": lambda i, n: i if 0 <= i < n else None,
    }
    find = rules[mode]
    places = [[(find(i - 1, 3), find(j - 2, 4)) for j in range(7)] for i in range(6)]
    expected = [[7 if None in (p, q) else x[p, q] for p, q in row] for row in places]
    y = run(ops.Pad, x, stage=Stage.INTEGER, inputs=(I8,), low=(1, 2), high=(2, 1), value=7, mode=mode)
    assert y.tolist() == expected


def test_padding_codes_with_a_real_value() -> None:
    y = run(ops.Pad, random_codes(1), stage=Stage.QUANTIZED, inputs=(TYPE,), result=TYPE, low=(1,), high=(0,))
    assert y[0] == TYPE.zero_point


def test_refused_movements() -> None:
    x = TensorType((2, 3, 4), F32)
    refused("does not", ops.Reshape, x, shape=(5, 5))
    refused("does not", ops.Reshape, x, shape=(-2, -12))
    refused("does not permute", ops.Transpose, x, permutation=(0, 1, 1))
    refused("an axis", ops.Concat, x, x, axis=3)
    refused("an axis", ops.Concat, axis=0)
    refused("differ beside", ops.Concat, x, TensorType((2, 4, 4), F32), axis=0)
    refused("differ beside", ops.Concat, x, TensorType((2, 3, 4), I8), axis=0)
    refused("do not cover", ops.Split, x, axis=1, sizes=(1, 1))
    refused("do not cover", ops.Split, x, axis=1, sizes=())
    refused("do not cover", ops.Split, x, axis=1, sizes=(-1, 4))
    refused("leaves", ops.Slice, x, starts=(0, 0, 0), sizes=(2, 3, 5), strides=(1, 1, 1))
    refused("leaves", ops.Slice, x, starts=(0, 0, 0), sizes=(2, 3, 4), strides=(1, 0, 1))
    refused("needs 3", ops.Slice, x, starts=(0,), sizes=(1,), strides=(1,))
    refused("an index leaves", ops.Gather, x, axis=0, indices=(2,), indices_shape=(1,))
    refused("indices as", ops.Gather, x, axis=0, indices=(1,), indices_shape=(2,))
    refused("does not broadcast", ops.Broadcast, x, shape=(2, 3, 5))
    refused("does not broadcast", ops.Broadcast, x, shape=(3, 4))
    refused("needs 3 counts", ops.Pad, x, low=(0, 0), high=(0, 0))
    refused("no mode", ops.Pad, x, low=(0,) * 3, high=(0,) * 3, mode="mirror")
    refused("300.0 is no i8", ops.Pad, TensorType((1,), I8), low=(1,), high=(1,), value=300)
    refused("0.5 is no i8", ops.Pad, TensorType((1,), I8), low=(1,), high=(1,), value=0.5)
    with pytest.raises(EvaluationError, match="pad failed"):
        run(ops.Pad, np.zeros((0, 2), np.float32), low=(1, 0), high=(0, 0), mode="edge")


def windows(x: Array, kernel: Any, strides: Any, padding: Any, dilation: Any) -> dict[tuple[int, ...], list[Any]]:
    """The elements inside the image that each output of a pool reads."""
    top, bottom, left, right = padding
    height = (x.shape[1] + top + bottom - (kernel[0] - 1) * dilation[0] - 1) // strides[0] + 1
    width = (x.shape[2] + left + right - (kernel[1] - 1) * dilation[1] - 1) // strides[1] + 1
    found: dict[tuple[int, ...], list[Any]] = {}
    for n, i, j, c, ky, kx in itertools.product(*map(range, (x.shape[0], height, width, x.shape[3], *kernel))):
        row, column = i * strides[0] + ky * dilation[0] - top, j * strides[1] + kx * dilation[1] - left
        if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
            found.setdefault((n, i, j, c), []).append(x[n, row, column, c].item())
    return found


@pytest.mark.parametrize(
    ("kernel", "strides", "padding", "dilation"),
    [
        ((2, 2), (2, 2), (0, 0, 0, 0), (1, 1)),
        ((3, 2), (1, 2), (2, 1, 1, 0), (1, 1)),
        ((2, 3), (2, 1), (1, 1, 1, 1), (2, 1)),
        ((5, 6), (1, 1), (0, 0, 0, 0), (1, 1)),
    ],
)
def test_pools(kernel: Any, strides: Any, padding: Any, dilation: Any) -> None:
    attributes = {"kernel": kernel, "strides": strides, "padding": padding, "dilation": dilation}
    codes = random_codes(2, 5, 6, 3)
    found = windows(codes, kernel, strides, padding, dilation)
    real = codes.astype(np.float32)
    largest = run(ops.MaxPool2d, real, **attributes)
    assert largest.tolist() == run(ops.MaxPool2d, codes, stage=Stage.INTEGER, inputs=(I8,), **attributes).tolist()
    assert {k: [largest[k]] for k in found} == {k: [max(v)] for k, v in found.items()}
    sums = run(ops.SumPool2d, codes, stage=Stage.INTEGER, inputs=(I8,), input_zero_point=-9, **attributes)
    assert {k: sums[k] for k in found} == {k: sum(v) + 9 * len(v) for k, v in found.items()}
    mean = run(ops.AvgPool2d, real, **attributes)
    np.testing.assert_allclose([mean[k] for k in found], [sum(v) / len(v) for v in found.values()], rtol=1e-6)
    with_pad = run(ops.AvgPool2d, real, count_include_pad=True, **attributes)
    taps = kernel[0] * kernel[1]
    np.testing.assert_allclose([with_pad[k] for k in found], [sum(v) / taps for v in found.values()], rtol=1e-6)
    assert len(found) == mean.size


def test_refused_pools() -> None:
    x = TensorType((1, 4, 4, 2), F32)
    refused("padding only", ops.MaxPool2d, x, kernel=(2, 2), padding=(2, 0, 0, 0))
    refused("padding only", ops.AvgPool2d, x, kernel=(2, 1), padding=(0, 0, 0, 1))
    refused("does not fit", ops.MaxPool2d, x, kernel=(5, 1))
    refused("at least 1", ops.MaxPool2d, x, kernel=(0, 1))
    refused("above its maximum", ops.AvgPool2d, x, kernel=(1, 1), clamp=(1, 0))
    refused("real numbers", ops.AvgPool2d, TensorType((1, 4, 4, 2), I8), kernel=(1, 1))
    refused("takes integers", ops.SumPool2d, x, kernel=(1, 1))
    assert infer(ops.SumPool2d, TensorType((1, 4, 4, 2), I8), kernel=(2, 2)) == TensorType((1, 3, 3, 2), I32)


@pytest.mark.parametrize("axes", [(0,), (-1,), (0, 2), (1, 0, -1), ()])
@pytest.mark.parametrize("keep_dims", [True, False])
def test_reductions(axes: tuple[int, ...], keep_dims: bool) -> None:
    codes = random_codes(2, 3, 4)
    chosen = {a % 3 for a in axes}
    groups: dict[tuple[int, ...], list[int]] = {}
    for index in np.ndindex(codes.shape):
        key = tuple(0 if a in chosen else i for a, i in enumerate(index) if keep_dims or a not in chosen)
        groups.setdefault(key, []).append(codes[index].item())
    attributes = {"axes": axes, "keep_dims": keep_dims}
    real = codes.astype(np.float32)
    functions: list[tuple[type[Op], Callable[[list[int]], float]]] = [
        (ops.ReduceSum, sum),
        (ops.ReduceMax, max),
        (ops.ReduceMin, min),
        (ops.ReduceMean, lambda v: float(np.float32(sum(v) / len(v)))),
    ]
    for op_class, function in functions:
        y = run(op_class, real, **attributes)
        assert {k: y[k].item() for k in groups} == {k: float(function(v)) for k, v in groups.items()}
    y = run(ops.ReduceSum, codes, stage=Stage.INTEGER, inputs=(I8,), input_zero_point=5, **attributes)
    assert y.dtype == np.int32
    assert {k: y[k].item() for k in groups} == {k: sum(v) - 5 * len(v) for k, v in groups.items()}


def test_argmax_takes_the_first_or_last_of_equals() -> None:
    x = np.array([[1, 3, 3, 0], [5, 5, 5, 5]], np.int8)
    assert run(ops.ArgMax, x, axis=1, keep_dims=False).tolist() == [1, 0]
    assert run(ops.ArgMax, x, axis=-1, select_last=True).tolist() == [[2], [3]]
    assert run(ops.ArgMax, x, stage=Stage.QUANTIZED, inputs=(TYPE,), axis=1, keep_dims=False).tolist() == [1, 0]
    by_channel = UniformType(I8, (1.0, 2.0, 1.0, 1.0), (0,) * 4, 1)
    refused("can't compare", ops.ArgMax, TensorType((2, 4), by_channel), axis=0)


def test_refused_axes() -> None:
    x = TensorType((2, 3), F32)
    cases: list[tuple[type[Op], dict[str, Any]]] = [
        (ops.ReduceMean, {"axes": (2,)}),
        (ops.ReduceMean, {"axes": (1, -1)}),
        (ops.ArgMax, {"axis": -3}),
        (ops.Softmax, {"axis": 2}),
    ]
    for op_class, attributes in cases:
        refused("of a tensor of rank 2", op_class, x, **attributes)
    refused("no zero point", ops.ReduceSum, x, axes=(0,), input_zero_point=1)


@pytest.mark.parametrize("axis", [0, -1])
def test_softmax(axis: int) -> None:
    x = random_floats(4, 5) * 5
    y = run(ops.Softmax, x, axis=axis)
    for index in np.ndindex(4, 5):
        row = x[:, index[1]] if axis == 0 else x[index[0]]
        assert y[index] == pytest.approx(math.exp(x[index]) / sum(map(math.exp, row)), rel=1e-5)


def test_softmax_with_a_factor_is_softmax_of_the_product() -> None:
    x = random_floats(4, 5)
    np.testing.assert_allclose(run(ops.Softmax, x, beta=0.5), run(ops.Softmax, x * np.float32(0.5)), rtol=1e-6)
    refused("positive", ops.Softmax, TensorType((2,), F32), beta=0.0)


def test_l2_normalize() -> None:
    x = random_floats(4, 5)
    y = run(ops.L2Normalize, x, axis=0)
    for i, j in np.ndindex(4, 5):
        assert y[i, j] == pytest.approx(x[i, j] / math.sqrt(sum(float(v) ** 2 for v in x[:, j])), rel=1e-6)
    assert not run(ops.L2Normalize, x * 0).any()
    refused("epsilon", ops.L2Normalize, TensorType((2,), F32), epsilon=0.0)


def test_integer_softmax_follows_its_formula() -> None:
    codes = random_codes(3, 7, low=-20, high=20)
    table = np.array([round(2**23 * math.exp(-0.1 * k)) for k in range(256)], np.int32)
    y = run(ops.SoftmaxTable, codes, table, stage=Stage.INTEGER, inputs=(I8,), constants=(1,), levels=256)
    for row, found in zip(codes.tolist(), y.tolist(), strict=True):
        e = [int(table[max(row) - c]) for c in row]
        assert found == [min(max((2 * 256 * v + sum(e)) // (2 * sum(e)) - 128, -128), 127) for v in e]
    refused("levels", ops.SoftmaxTable, TensorType((2,), I8), TensorType((256,), I32), levels=0)
    refused("256 × i32", ops.SoftmaxTable, TensorType((2,), I8), TensorType((256,), I8))
    with pytest.raises(EvaluationError, match="first entry"):
        run(ops.SoftmaxTable, codes, np.zeros(256, np.int32), stage=Stage.INTEGER, inputs=(I8,))


def test_batch_norm_and_prelu() -> None:
    x = random_floats(2, 3, 4)
    scale, offset, mean = (random_floats(3, seed=s) for s in (1, 2, 3))
    variance = np.abs(random_floats(3, seed=4))
    y = run(ops.BatchNorm, x, scale, offset, mean, variance, axis=1, epsilon=0.01)
    for i, j, k in np.ndindex(2, 3, 4):
        exact = (x[i, j, k] - mean[j]) / math.sqrt(variance[j] + 0.01) * scale[j] + offset[j]
        assert y[i, j, k] == pytest.approx(exact, rel=1e-5, abs=1e-6)
    slope = random_floats(3, 1, seed=5)
    expected = [v if v >= 0 else v * slope[index[1], 0] for index, v in np.ndenumerate(x)]
    assert run(ops.Prelu, x, slope).ravel().tolist() == expected
    refused("shape", ops.BatchNorm, TensorType((2, 3), F32), *[TensorType((2,), F32)] * 4)
    refused("real numbers", ops.BatchNorm, TensorType((2, 3), I8), *[TensorType((3,), F32)] * 4)
    refused("does not broadcast", ops.Prelu, TensorType((3,), F32), TensorType((2, 3), F32))


@pytest.mark.parametrize("coordinates", ["half_pixel", "align_corners", "asymmetric"])
@pytest.mark.parametrize("sizes", [(3, 7), (7, 3), (5, 1), (4, 8)])
def test_resize_along_one_axis(coordinates: str, sizes: tuple[int, int]) -> None:
    before, after = sizes
    x = random_floats(2, before)
    attributes = {"shape": (2, after), "scales": (1.0, after / before), "coordinates": coordinates}
    linear, nearest = (
        run(ops.Resize, x, mode="linear", **attributes),
        run(ops.Resize, x, rounding="floor", **attributes),
    )
    for i in range(after):
        p = {
            "half_pixel": (i + 0.5) * before / after - 0.5,
            "asymmetric": i * before / after,
            "align_corners": i * (before - 1) / max(after - 1, 1),
        }[coordinates]
        p = min(max(p, 0.0), before - 1.0)
        np.testing.assert_allclose(linear[:, i], [np.interp(p, range(before), row) for row in x], rtol=1e-5, atol=1e-6)
        assert nearest[:, i].tolist() == x[:, math.floor(p)].tolist()


def test_resizing_codes_stays_near_resizing_reals() -> None:
    codes = random_codes(1, 4, 5, 2)
    attributes = {"shape": (1, 8, 7, 2), "scales": (1.0, 2.0, 1.4, 1.0), "mode": "linear"}
    integer = run(ops.Resize, codes, stage=Stage.INTEGER, inputs=(I8,), **attributes)
    real = run(ops.Resize, codes.astype(np.float32), **attributes)
    assert np.max(np.abs(integer - real)) <= 1.25  # half a step for each of two axes, and the weights' 11 bits
    refused("sizes and scales", ops.Resize, TensorType((2, 2), F32), shape=(2,), scales=(1.0,))
    refused("must be positive", ops.Resize, TensorType((2,), F32), shape=(2,), scales=(0.0,))
    refused("no mode", ops.Resize, TensorType((2,), F32), shape=(2,), scales=(1.0,), mode="cubic")
    refused("no rounding", ops.Resize, TensorType((2,), F32), shape=(2,), scales=(1.0,), rounding="up")

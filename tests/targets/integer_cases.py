"""Cases of integer-stage kernels: every operation over shapes and attributes, random data and extremes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from qcc.ir import I8, I16, I32, I64, U8, Array, Builder, ScalarType, Shape, TensorType, Value, ops
from tests.targets.kernel_programs import Case, case

Build = Callable[..., Value | tuple[Value, ...]]
RANDOM = np.random.default_rng(7)


def codes(shape: Shape, element: ScalarType = I8, extreme: bool = False) -> tuple[TensorType, Array]:
    """A tensor of random codes; extreme: only the smallest and the largest."""
    type = TensorType(shape, element)
    if extreme:
        return type, RANDOM.choice([element.minimum, element.maximum], shape).astype(element.dtype)
    return type, RANDOM.integers(element.minimum, element.maximum, shape, element.dtype, endpoint=True)


def rescaled(b: Builder, x: Value, multiplier: Any, shift: Any, **attributes: Any) -> Value:
    """A rescale with constants."""
    attributes = dict[str, Any]({"to": I8, "minimum": -128, "maximum": 127}) | attributes
    m = b.constant(np.asarray(multiplier, np.int32))
    s = b.constant(np.asarray(shift, np.int8))
    return b.emit(ops.Rescale, x, m, s, **attributes)


def requantized(b: Builder, x: Value, depth: int, **attributes: Any) -> Value:
    """A per-channel rescale of accumulators over `depth` products to codes."""
    channels = x.type.shape[-1]
    shift = 30 + int(np.ceil(np.log2(depth))) + RANDOM.integers(4, 8, channels)
    return rescaled(b, x, RANDOM.integers(2**30, 2**31, channels), shift, output_zero_point=4, **attributes)


def conv_cases() -> Iterator[Case]:
    """Convolutions: kernels, strides, padding, dilation, groups, multipliers, zero points, extremes."""
    settings: list[dict[str, Any]] = [
        {},
        {"kernel": (3, 3), "padding": (1, 1, 1, 1)},
        {"kernel": (3, 3), "padding": (0, 1, 0, 1), "strides": (2, 2)},
        {"kernel": (3, 2), "padding": (2, 0, 1, 3), "strides": (1, 2), "dilation": (2, 3)},
        {"kernel": (5, 5), "padding": (4, 4, 4, 4), "zero": (0, 3)},
        {"kernel": (3, 3), "padding": (1, 1, 1, 1), "groups": 2, "inputs": 6, "outputs": 8},
        {"kernel": (3, 3), "padding": (1, 1, 1, 1), "groups": 6, "inputs": 6, "outputs": 6},
        {"kernel": (3, 3), "padding": (1, 1, 1, 1), "groups": 70, "inputs": 70, "outputs": 70, "strides": (2, 1)},
        {"kernel": (2, 3), "groups": 5, "inputs": 5, "outputs": 15, "padding": (0, 2, 1, 0), "dilation": (2, 1)},
        {"kernel": (3, 3), "groups": 6, "inputs": 6, "outputs": 12, "strides": (2, 2)},
        {"kernel": (2, 2), "groups": 2, "inputs": 6, "outputs": 10},
        {"inputs": 33, "outputs": 70},
        {"inputs": 3, "outputs": 64, "kernel": (7, 7), "padding": (3, 3, 3, 3), "strides": (2, 2), "batch": 2},
        {"bias": False, "kernel": (3, 3), "element": U8, "zero": (200, 0)},
        {"kernel": (3, 3), "padding": (8, 8, 8, 8), "dilation": (4, 4)},
    ]
    for setting in settings:
        yield _conv(ops.Conv2d, **setting)
        yield _conv(ops.Conv2d, extreme=True, rescale=False, **setting)


def residual_cases() -> Iterator[Case]:
    """Convolutions and matrix products with an addition behind them, a table, or only part of that."""

    def conv(b: Builder, x: Value, channels: int, k: int) -> Value:
        weights = b.constant(codes((channels, k, k, x.type.shape[3]))[1])
        bias = b.constant(RANDOM.integers(-500, 500, channels).astype(np.int32))
        pad = (k // 2,) * 4
        y = b.emit(ops.Conv2d, x, weights, bias, padding=pad, input_zero_point=7)
        return requantized(b, y, k * k * x.type.shape[3])

    def added(b: Builder, x: Value, y: Value) -> Value:
        whole: dict[str, Any] = {"to": I32, "minimum": I32.minimum, "maximum": I32.maximum}
        left = rescaled(b, x, 3000, 0, input_zero_point=4, **whole)
        right = rescaled(b, y, 1234, 0, input_zero_point=-9, **whole)
        return rescaled(b, b.emit(ops.Add, left, right), 1, 12, output_zero_point=-20)

    def tabled(b: Builder, x: Value) -> Value:
        return b.emit(ops.Table, x, b.constant(codes((256,))[1]))

    for channels, k in ((5, 3), (32, 1), (33, 3)):
        yield case(
            lambda b, x, y, c=channels, k=k: added(b, conv(b, x, c, k), y),
            codes((1, 5, 6, 9)),
            codes((1, 5, 6, channels)),
        )
        yield case(lambda b, x, c=channels, k=k: added(b, conv(b, x, c, k), x), codes((1, 5, 6, channels)))
        yield case(lambda b, x, c=channels, k=k: tabled(b, conv(b, x, c, k)), codes((1, 5, 6, 9)))
        yield case(
            lambda b, x, y, c=channels: added(b, tabled(b, conv(b, x, c, 3)), y),
            codes((1, 5, 6, 9)),
            codes((1, 5, 6, channels)),
        )

    def narrow(b: Builder, x: Value) -> Value:
        y = b.emit(ops.Matmul, x, b.constant(codes((20, 30))[1]))
        return rescaled(b, y, RANDOM.integers(-(2**30), 2**30, 30), [37] * 30, rounding="double")

    def doubled(b: Builder, x: Value) -> Value:
        y = b.emit(ops.Matmul, x, b.constant(codes((20, 30))[1]))
        return rescaled(b, y, RANDOM.integers(2**30, 2**31, (3, 1)), RANDOM.integers(36, 39, (3, 1)))

    yield case(narrow, codes((3, 20)))
    yield case(doubled, codes((3, 20)))


def transposed_cases() -> Iterator[Case]:
    """Transposed convolutions."""
    for setting in (
        {"kernel": (3, 3)},
        {"kernel": (2, 2), "strides": (2, 2)},
        {"kernel": (4, 3), "strides": (2, 3), "padding": (1, 1, 0, 2), "output_padding": (1, 2)},
        {"kernel": (3, 3), "strides": (2, 2), "dilation": (2, 2), "groups": 3, "inputs": 6, "outputs": 9},
        {"kernel": (3, 3), "groups": 4, "inputs": 4, "outputs": 4, "padding": (1, 1, 1, 1)},
    ):
        yield _conv(ops.ConvTranspose2d, **setting)
        yield _conv(ops.ConvTranspose2d, extreme=True, rescale=False, **setting)


def _conv(
    op: type[ops.Conv2d] | type[ops.ConvTranspose2d],
    inputs: int = 5,
    outputs: int = 7,
    kernel: tuple[int, int] = (1, 1),
    zero: tuple[int, int] = (-3, 0),
    element: ScalarType = I8,
    extreme: bool = False,
    rescale: bool = True,
    bias: bool = True,
    batch: int = 1,
    **attributes: Any,
) -> Case:
    depth = kernel[0] * kernel[1] * inputs // attributes.get("groups", 1)

    def build(b: Builder, x: Value) -> Value:
        _, weights = codes((outputs, *kernel, inputs // attributes.get("groups", 1)), extreme=extreme)
        operands = [x, b.constant(weights)]
        if bias:
            operands.append(b.constant(RANDOM.integers(-(2**15), 2**15, outputs).astype(np.int32)))
        y = b.emit(op, *operands, input_zero_point=zero[0], weight_zero_point=zero[1], **attributes)
        return requantized(b, y, depth) if rescale else y

    return case(build, codes((batch, 9, 8, inputs), element, extreme))


def matmul_cases() -> Iterator[Case]:
    """Matrix products: with weights, of activations, batched, broadcast, wrapping, 64-bit sums."""

    def weights(k: int, n: int, **attributes: Any) -> Build:
        def build(b: Builder, x: Value) -> Value:
            bias = b.constant(RANDOM.integers(-(2**20), 2**20, n).astype(np.int32))
            y = b.emit(ops.Matmul, x, b.constant(codes((k, n))[1]), bias, **attributes)
            return requantized(b, y, k) if not attributes.get("accumulator") else y

        return build

    def activations(b: Builder, x: Value, y: Value) -> Value:
        return requantized(b, b.emit(ops.Matmul, x, y, input_zero_point=5, weight_zero_point=-7), x.type.shape[-1])

    yield case(weights(12, 10), codes((1, 12)))
    yield case(weights(300, 130, input_zero_point=-128), codes((3, 300)))
    yield case(weights(20, 64, input_zero_point=127, weight_zero_point=-1), codes((2, 3, 20), extreme=True))
    yield case(weights(20, 3, accumulator=I64), codes((2, 20)))
    yield case(activations, codes((4, 5)), codes((5, 6)))
    yield case(activations, codes((2, 3, 4, 5)), codes((2, 3, 5, 70)))
    yield case(activations, codes((2, 1, 4, 5)), codes((3, 5, 6)))
    yield case(activations, codes((1, 4, 5), extreme=True), codes((2, 5, 6), extreme=True))

    def batched(b: Builder, x: Value) -> Value:
        return b.emit(ops.Matmul, x, b.constant(codes((3, 5, 6))[1]))

    yield case(batched, codes((3, 4, 5)))
    yield case(lambda b, x, y: b.emit(ops.Matmul, x, y), codes((2, 70000), I16, True), codes((70000, 2), I16, True))
    wide: dict[str, Any] = {"accumulator": I64}
    yield case(lambda b, x, y: b.emit(ops.Matmul, x, y, **wide), codes((2, 700), I16, True), codes((700, 2), I16, True))


def pool_cases() -> Iterator[Case]:
    """Pools."""
    for element in (I8, U8):
        for kernel, attributes in (
            ((2, 2), {"strides": (2, 2)}),
            ((3, 3), {"padding": (1, 1, 1, 1)}),
            ((3, 2), {"padding": (2, 1, 0, 1), "strides": (2, 1), "dilation": (2, 2)}),
            ((9, 8), {}),
        ):
            for channels in (5, 70):

                def largest(b: Builder, x: Value, k: Any = kernel, a: Any = attributes) -> Value:
                    return b.emit(ops.MaxPool2d, x, kernel=k, **a)

                def total(b: Builder, x: Value, k: Any = kernel, a: Any = attributes) -> Value:
                    y = b.emit(ops.SumPool2d, x, kernel=k, input_zero_point=-5, **a)
                    return rescaled(b, y, 2**30 + 12345, 30 + 5, input_zero_point=0)

                yield case(largest, codes((2, 9, 8, channels), element))
                yield case(total, codes((1, 9, 8, channels), element, extreme=channels == 5))


def reduction_cases() -> Iterator[Case]:
    """Reductions, argmax, softmax."""
    for axes in ((1, 2), (-1,), (0,), (1, 3), (0, 1, 2, 3), (2,)):
        for keep in (True, False):
            for op, element in ((ops.ReduceSum, I8), (ops.ReduceMax, U8), (ops.ReduceMin, I16), (ops.ReduceSum, I32)):

                def build(b: Builder, x: Value, op: Any = op, axes: Any = axes, keep: bool = keep) -> Value:
                    more: dict[str, Any] = {"input_zero_point": 3} if op is ops.ReduceSum else {}
                    y = b.emit(op, x, axes=axes, keep_dims=keep, **more)
                    return rescaled(b, y, 1234567, 24) if op is ops.ReduceSum and keep else y

                yield case(build, codes((2, 4, 3, 70), element))
    for axis in (0, 1, 2, -1):
        for last in (False, True):

            def position(b: Builder, x: Value, axis: int = axis, last: bool = last) -> Value:
                return b.emit(ops.ArgMax, x, axis=axis, select_last=last, keep_dims=last)

            type, array = codes((3, 4, 20))
            yield case(position, (type, array // 40))
    for axis, size, scale in ((-1, 10, 20.0), (1, 1000, 20.0), (2, 7, 24.0), (1, 4, 30.9)):

        def softmax(b: Builder, x: Value, axis: int = axis, scale: float = scale) -> Value:
            table = np.floor(np.exp(-np.arange(256) * 0.05) * 2.0**scale).astype(np.int32)
            return b.emit(ops.SoftmaxTable, x, b.constant(table), axis=axis)

        yield case(softmax, codes((2, size, 7) if axis != -1 else (3, size)))


def movement_cases() -> Iterator[Case]:
    """Operations that move elements."""

    def one(op: Any, **attributes: Any) -> Build:
        return lambda b, x: b.emit(op, x, **attributes)

    x = (2, 5, 6, 3)
    yield case(one(ops.Transpose, permutation=(0, 3, 1, 2)), codes(x))
    yield case(one(ops.Transpose, permutation=(3, 2, 1, 0)), codes(x, I32))
    yield case(one(ops.Transpose, permutation=(0, 1, 2, 3)), codes(x, I64))
    yield case(one(ops.Transpose, permutation=tuple(reversed(range(10)))), codes((2,) * 10))
    yield case(one(ops.Slice, starts=(0, 4, 1, 0), sizes=(2, 3, 2, 2), strides=(1, -2, 3, 1)), codes(x))
    yield case(one(ops.Gather, axis=1, indices=(4, 0, 0, 2, 1, 3), indices_shape=(2, 3)), codes(x))
    yield case(one(ops.Gather, axis=-1, indices=(2,), indices_shape=()), codes(x, U8))
    yield case(one(ops.Broadcast, shape=(4, 2, 5, 3)), codes((2, 1, 3)))
    for mode in ("constant", "reflect", "edge", "wrap"):
        pad = one(ops.Pad, low=(0, 1, 2, 0), high=(0, 2, 0, 1), mode=mode, value=-7.0)
        yield case(pad, codes(x))
    yield case(one(ops.Pad, low=(0,), high=(0,)), codes((9,)))
    for axis in (0, 1, -1):
        yield case(lambda b, *v, axis=axis: b.emit(ops.Concat, *v, axis=axis), codes((2, 3, 4)), codes((2, 3, 4)))
        yield case(lambda b, x, axis=axis: b.emit_many(ops.Split, x, axis=axis, sizes=(1, 0, 3)), codes((4, 4, 4)))

    def branch(b: Builder, x: Value, y: Value) -> Value:
        return rescaled(b, b.emit(ops.Concat, x, y, axis=3), RANDOM.integers(2**29, 2**30, 5), [29, 30, 31, 30, 29])

    yield case(branch, codes((1, 4, 4, 2)), codes((1, 4, 4, 3)))
    for coordinates in ("half_pixel", "align_corners", "asymmetric"):
        for mode in ("nearest", "linear"):
            for shape in ((2, 10, 12, 3), (2, 7, 4, 3), (2, 5, 6, 3)):
                scales = tuple(a / b for a, b in zip(shape, x, strict=True))
                resize = one(ops.Resize, shape=shape, scales=scales, mode=mode, coordinates=coordinates)
                yield case(resize, codes(x, extreme=mode == "linear"))


def integer_cases() -> list[Case]:
    """All of them."""
    families = (conv_cases, residual_cases, transposed_cases, matmul_cases, pool_cases, reduction_cases, movement_cases)
    return [one for family in families for one in family()]

"""Cases of operations that compute functions of codes: softmax, sigmoid, norms, interpolation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from qcc.ir import (
    I8,
    I16,
    U8,
    Array,
    Builder,
    FixedPoint,
    ScalarType,
    TensorType,
    Value,
    interpolated_table,
    ops,
    sigmoid_table,
)
from tests.targets.kernel_programs import Case, case

RANDOM = np.random.default_rng(23)


def rows(shape: tuple[int, ...], element: ScalarType = I8, spread: int = 255) -> tuple[TensorType, Array]:
    """Random codes of at most `spread` values, the largest among them; the last row is all equal."""
    low = max(element.minimum, element.maximum - spread)
    array = RANDOM.integers(low, element.maximum, shape, element.dtype, endpoint=True)
    array[-1] = element.maximum
    return TensorType(shape, element), array


def exponentials(step: float) -> Array:
    """exp(−step·distance) in Q0.31 for all distances."""
    argument = np.maximum(np.rint(-np.arange(256) * step * 2**26), -(2.0**31)).astype(np.int64)
    return np.asarray(FixedPoint().exp(argument, 5)).astype(np.int32)


def softmax_cases() -> Iterator[Case]:
    """Softmax: axes, long rows that saturate, 8 and 16 bits, steps large and small."""
    settings: list[tuple[tuple[int, ...], int, ScalarType, ScalarType, float, int]] = [
        ((7, 10), -1, I8, I8, 0.05, 255),
        ((7, 10), -1, U8, U8, 0.5, 30),
        ((3, 5, 6), 1, I8, I16, 0.1, 60),
        ((2, 4, 3), 0, I8, I8, 4.0, 255),
        ((2, 600), -1, I8, I8, 0.01, 3),  # all equal: the sum passes 512
        ((2, 5000), -1, U8, I16, 0.02, 255),
        ((4, 1), -1, I8, U8, 0.1, 255),
    ]
    for shape, axis, element, to, step, spread in settings:

        def fixed(b: Builder, x: Value, axis: int = axis, to: ScalarType = to, step: float = step) -> Value:
            return b.emit(ops.SoftmaxFixedPoint, x, b.constant(exponentials(step)), axis=axis, to=to)

        def real(b: Builder, x: Value, axis: int = axis, to: ScalarType = to, step: float = step) -> Value:
            table = np.exp(-np.arange(256) * step).astype(np.float32)
            scale = 2.0**-to.bits
            attributes: dict[str, Any] = {"output_scale": scale, "output_zero_point": to.minimum}
            return b.emit(ops.SoftmaxFloatTable, x, b.constant(table), axis=axis, to=to, **attributes)

        yield case(fixed, rows(shape, element, spread))
        yield case(real, rows(shape, element, spread))
    exp = interpolated_table(np.exp, 10 / 65535, 32767, (-1, 1))
    inverse = interpolated_table(lambda x: 1 / (1 + x), 1 / 65535, -32768, (-1, 1))
    for shape, axis, multiplier, shift, spread in (
        ((7, 10), -1, 1518500250, 31, 65535),
        ((3, 40, 5), 1, 1288490189, 30, 3000),
        ((2, 9), -1, 2**30, 16, 40),
        ((2, 2000), -1, 2**31 - 1, 40, 65535),
    ):

        def interpolated(b: Builder, x: Value, a: int = axis, m: int = multiplier, s: int = shift) -> Value:
            tables = b.constant(exp), b.constant(inverse)
            return b.emit(ops.SoftmaxInterpolated, x, *tables, axis=a, multiplier=m, shift=s)

        yield case(interpolated, rows(shape, I16, spread))


def sigmoid_cases() -> Iterator[Case]:
    """Sigmoid and tanh of all 16-bit codes."""
    every = TensorType((65536,), I16), np.arange(-32768, 32768).astype(np.int16)
    for function in ("sigmoid", "tanh"):
        for multiplier, shift in ((3, 0), (6, 0), (24576, 13), (31000, 20), (65535, 0), (20000, 31)):

            def interpolated(b: Builder, x: Value, f: str = function, m: int = multiplier, s: int = shift) -> Value:
                return b.emit(
                    ops.SigmoidInterpolated, x, b.constant(sigmoid_table()), function=f, multiplier=m, shift=s
                )

            yield case(interpolated, every)
        for left in (0, 1, 4):
            yield case(
                lambda b, x, f=function, n=left: b.emit(ops.SigmoidFixedPoint, x, function=f, left_shift=n), every
            )


def norm_cases() -> Iterator[Case]:
    """L2 normalization: axes, zero rows, rows of one code, long rows of extremes."""
    for shape, axis, element, zero, spread in (
        ((7, 10), -1, I8, 3, 255),
        ((3, 5, 6), 1, U8, 128, 255),
        ((4, 3), -1, I8, 127, 2),
        ((2, 33025), -1, I8, -128, 0),
        ((9, 1), -1, U8, 255, 2),
    ):

        def normalized(b: Builder, x: Value, axis: int = axis, zero: int = zero) -> Value:
            unsigned = x.type.element == U8
            points: dict[str, Any] = {"input_zero_point": zero, "output_zero_point": 128 if unsigned else 0}
            return b.emit(ops.L2NormalizeFixedPoint, x, axis=axis, shifts_apart=unsigned, **points)

        yield case(normalized, rows(shape, element, spread))


def interpolation_cases() -> Iterator[Case]:
    """Bilinear interpolation: roundings, fractions, weights out of 0 … 1, binary32 weights, 8 and 16 bits."""

    def places(size: int, results: int) -> Array:
        first = RANDOM.integers(0, size, results)
        return np.stack([first, np.minimum(first + 1, size - 1)]).astype(np.int32)

    for element in (I8, U8, I16):
        for bits, rounding, low in ((10, "half_away", -512), (11, "half_up", 0), (2, "half_away", 0)):

            def whole(b: Builder, x: Value, bits: int = bits, rounding: str = rounding, low: int = low) -> Value:
                weights = [RANDOM.integers(low, (1 << bits) + 1, n).astype(np.int16) for n in (9, 7)]
                operands = places(5, 9), weights[0], places(4, 7), weights[1]
                constants = [b.constant(array) for array in operands]
                return b.emit(ops.Interpolate, x, *constants, fraction_bits=bits, rounding=rounding)

            yield case(whole, rows((2, 5, 4, 3), element, 65535))

        def real(b: Builder, x: Value) -> Value:
            weights = [RANDOM.uniform(0, 1, n).astype(np.float32) for n in (9, 7)]
            operands = places(5, 9), weights[0], places(4, 7), weights[1]
            return b.emit(ops.Interpolate, x, *(b.constant(array) for array in operands))

        yield case(real, rows((2, 5, 4, 3), element, 65535))


def function_kernel_cases() -> list[Case]:
    """All of them."""
    families = (softmax_cases, sigmoid_cases, norm_cases, interpolation_cases)
    return [one for family in families for one in family()]

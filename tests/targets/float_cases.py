"""Cases of kernels on real numbers.

Tolerances, with u = 2^−24, the unit roundoff of binary32:

* conversions between codes and reals, movement, maxima: none, the bits are equal;
* sums of n products of numbers of magnitude at most 1, in any order: each of the two computations is within
  (n + 1)·u·n of the exact sum (Higham 2002, §3.1), so they differ by at most 2·(n + 1)·u·n;
* functions: those of <math.h> err by a few units in the last place (4, generously), and the evaluator rounds once;
  what is computed from them adds a rounding or two: 16·u relative, and 16·u absolute where a difference of numbers
  near 1 is taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from qcc.ir import F32, F64, I1, I8, I16, I32, U8, Array, Builder, Stage, TensorType, UniformType, Value, ops
from tests.targets.kernel_programs import Case, case

U = 2.0**-24
RANDOM = np.random.default_rng(11)


def reals(*shape: int, scale: float = 1.0) -> tuple[TensorType, Array]:
    """Random numbers of magnitude at most `scale`."""
    return TensorType(shape, F32), (RANDOM.uniform(-1, 1, shape) * scale).astype(np.float32)


def sum_tolerance(n: int) -> float:
    """How far two sums of n products can differ."""
    return 2 * (n + 1) * U * n


def spread() -> tuple[TensorType, Array]:
    """Numbers of all magnitudes that functions see, and 0."""
    ladder = np.concatenate([np.geomspace(1e-6, 80, 150), -np.geomspace(1e-6, 80, 150), [0.0]]).astype(np.float32)
    return TensorType(ladder.shape, F32), ladder


def function_cases() -> Iterator[Case]:
    """Functions of one number."""
    functions: list[tuple[Any, dict[str, Any]]] = [
        (op, {}) for op in (ops.Sigmoid, ops.Tanh, ops.LeakyRelu, ops.HardSigmoid)
    ]
    functions += [(op, {}) for op in (ops.HardSwish, ops.Erf, ops.Gelu, ops.Elu, ops.Silu, ops.Exp, ops.Abs, ops.Neg)]
    functions += [(ops.Gelu, {"approximate": "tanh"}), (ops.LeakyRelu, {"alpha": 0.3}), (ops.Elu, {"alpha": 2.0})]
    for op, attributes in functions:
        # The argument of exp is rounded; its error grows with the argument: 80·u more.
        yield real_case(lambda b, x, o=op, a=attributes: b.emit(o, x, **a), spread(), rtol=100 * U, atol=16 * U)
    type, array = spread()
    for op in (ops.Log, ops.Sqrt, ops.Reciprocal):
        positive = type, np.abs(array) + np.float32(1e-6)
        yield real_case(lambda b, x, o=op: b.emit(o, x), positive, rtol=16 * U, atol=16 * U)


def arithmetic_cases() -> Iterator[Case]:
    """Operations of two numbers, clamps, casts, PReLU, batch norm."""
    binary: tuple[Any, ...] = (ops.Add, ops.Sub, ops.Mul, ops.Div)
    for op in (*binary, ops.Minimum, ops.Maximum):
        yield real_case(lambda b, x, y, o=op: b.emit(o, x, y), reals(3, 1, 5), reals(4, 1))
    for op in binary:
        yield real_case(lambda b, x, y, o=op: b.emit(o, x, y, clamp=(0.0, 0.5)), reals(3, 5), reals(3, 5))
    positive = TensorType((3, 5), F32), np.abs(reals(3, 5)[1])
    yield real_case(lambda b, x, y: b.emit(ops.Pow, x, y), positive, reals(3, 5), rtol=16 * U)
    yield real_case(lambda b, x: b.emit(ops.Clamp, x, minimum=0.0, maximum=float("inf")), spread())
    yield real_case(lambda b, x: b.emit(ops.Clamp, x, minimum=-0.1234567, maximum=6.0), spread())
    yield real_case(lambda b, x, s: b.emit(ops.Prelu, x, s), reals(3, 5), reals(5))
    for to in (I8, U8, I16, I32, I1, F64):
        type, array = reals(7, 9, scale=100 if to.minimum or to.is_float or to is I1 else 0.9)
        yield real_case(lambda b, x, t=to: b.emit(ops.Cast, x, to=t), (type, array))
    integers = TensorType((256,), I8), np.arange(-128, 128).astype(np.int8)
    yield real_case(lambda b, x: b.emit(ops.Cast, x, to=F32), integers)
    for axis in (-1, 1):
        parameters = [reals(4)[1], reals(4)[1], reals(4)[1], np.abs(reals(4)[1]) + np.float32(0.1)]

        def constant(b: Builder, x: Value, axis: int = axis, p: Any = parameters) -> Value:
            return b.emit(ops.BatchNorm, x, *(b.constant(a) for a in p), axis=axis)

        shape = (2, 3, 5, 4) if axis == -1 else (2, 4, 3)
        # The result is below 8, its parts below 16: four roundings.
        yield real_case(constant, reals(*shape), atol=64 * U)
        values = [(TensorType((4,), F32), a) for a in parameters]
        yield real_case(
            lambda b, x, *p, a=axis: b.emit(ops.BatchNorm, x, *p, axis=a), reals(*shape), *values, atol=128 * U
        )


def conversion_cases() -> Iterator[Case]:
    """Quantize and dequantize: exact, ties, saturation, per axis and in blocks."""
    types = [
        UniformType(I8, (0.1,), (-3,)),
        UniformType(U8, (0.0625,), (128,)),
        UniformType(I8, (0.0173, 0.5, 2.0), (1, 0, -128), axis=1),
        UniformType(I8, (0.1,), (0,), storage_minimum=-127),
        UniformType(I16, (0.001,), (0,)),
        UniformType(I32, (1e-7,), (0,)),
        UniformType(I8, tuple(0.1 + 0.01 * i for i in range(8)), (0,) * 8, axis=1, block_size=2),
    ]
    for type in types:
        shape = (50, 3) if type.block_size is None else (2, 7)
        ties = (RANDOM.integers(-600, 600, shape) * np.float32(0.5 * type.scales[0])).astype(np.float32)
        huge = (RANDOM.standard_normal(shape) * 1e4).astype(np.float32)
        for data in (ties, huge, huge * 1e30):
            yield real_case(lambda b, x, t=type: b.emit(ops.Quantize, x, to=t), (TensorType(shape, F32), data))
        codes = RANDOM.integers(type.minimum, type.maximum, shape, endpoint=True).astype(type.storage.dtype)
        yield real_case(lambda b, x: b.emit(ops.Dequantize, x), (TensorType(shape, type), codes))

    def chain(b: Builder, x: Value) -> Value:
        real = b.emit(ops.Mul, b.emit(ops.Dequantize, x), b.constant(np.array(2.0, np.float32)))
        return b.emit(ops.Quantize, real, to=UniformType(I8, (0.25,), (5,)))

    type = UniformType(I8, (0.125,), (-3,))
    yield real_case(chain, (TensorType((256,), type), np.arange(-128, 128).astype(np.int8)))


def sum_cases() -> Iterator[Case]:
    """Convolutions and matrix products, weights constant or not, clamps; pools, reductions, resize."""
    settings: list[tuple[tuple[int, ...], dict[str, Any]]] = [
        ((7, 1, 1, 5), {}),
        ((70, 3, 3, 5), {"padding": (1, 1, 1, 1), "clamp": (0.0, 0.7)}),
        ((6, 3, 2, 1), {"groups": 6, "strides": (2, 1), "dilation": (1, 2), "padding": (1, 0, 2, 1)}),
        ((6, 3, 3, 2), {"groups": 3, "padding": (0, 1, 1, 0)}),
    ]
    convolutions: tuple[Any, ...] = (ops.Conv2d, ops.ConvTranspose2d)
    for op in convolutions:
        for shape, attributes in settings:
            weight, bias = reals(*shape), reals(shape[0])
            operands = reals(2, 6, 7, shape[3] * attributes.get("groups", 1)), weight, bias
            tolerance = sum_tolerance(int(np.prod(shape[1:])) + 1)

            def constant(
                b: Builder, x: Value, o: Any = op, a: Any = attributes, w: Any = weight, c: Any = bias
            ) -> Value:
                return b.emit(o, x, b.constant(w[1]), b.constant(c[1]), **a)

            yield real_case(constant, operands[0], atol=tolerance)
            yield real_case(lambda b, *v, o=op, a=attributes: b.emit(o, *v, **a), *operands, atol=tolerance)
    for left, right in (((3, 4), (4, 70)), ((2, 3, 4), (4, 5)), ((2, 1, 3, 4), (5, 4, 6))):
        operands2 = reals(*left), reals(*right), reals(right[-1])
        yield real_case(lambda b, *v: b.emit(ops.Matmul, *v, clamp=(-0.5, 1.0)), *operands2, atol=sum_tolerance(5))
        yield real_case(
            lambda b, x, w=operands2[1]: b.emit(ops.Matmul, x, b.constant(w[1])), operands2[0], atol=sum_tolerance(5)
        )
    for count in (False, True):
        pool: dict[str, Any] = {
            "kernel": (3, 2),
            "padding": (1, 1, 0, 1),
            "count_include_pad": count,
            "clamp": (-0.3, 0.4),
        }
        yield real_case(lambda b, x, a=pool: b.emit(ops.AvgPool2d, x, **a), reals(2, 6, 7, 5), atol=sum_tolerance(6))
    yield real_case(lambda b, x: b.emit(ops.MaxPool2d, x, kernel=(3, 3), padding=(1, 1, 1, 1)), reals(1, 5, 5, 70))
    reductions: tuple[Any, ...] = (ops.ReduceSum, ops.ReduceMean, ops.ReduceMax, ops.ReduceMin)
    for op in reductions:
        for axes in ((1, 2), (-1,), (0, 2)):
            yield real_case(lambda b, x, o=op, a=axes: b.emit(o, x, axes=a), reals(2, 3, 4, 5), atol=sum_tolerance(12))
    yield real_case(lambda b, x: b.emit(ops.ArgMax, x, axis=2), reals(2, 3, 40))
    for mode in ("nearest", "linear"):
        scales = (1.0, 2.0, 1.5, 1.0)
        yield real_case(
            lambda b, x, m=mode, s=scales: b.emit(ops.Resize, x, shape=(1, 8, 9, 3), scales=s, mode=m),
            reals(1, 4, 6, 3),
            atol=16 * U,
        )


def ordered_cases() -> Iterator[Case]:
    """Sums in an order, and sums and products that keep every rounding: equal bits."""
    settings: list[tuple[tuple[int, ...], dict[str, Any]]] = [
        ((7, 1, 1, 5), {"sum_block": 128}),
        ((70, 3, 3, 5), {"sum_block": 16, "padding": (1, 1, 1, 1), "clamp": (0.0, 0.7)}),
        ((3, 3, 2, 4), {"sum_block": 8, "strides": (2, 1), "dilation": (1, 2), "padding": (1, 0, 2, 1)}),
        ((6, 3, 3, 2), {"sum_block": 7, "groups": 3, "padding": (0, 1, 1, 0)}),
    ]
    for shape, attributes in settings:
        weight, bias = reals(*shape)[1], reals(shape[0])[1]

        def convolution(b: Builder, x: Value, a: Any = attributes, w: Any = weight, c: Any = bias) -> Value:
            y = b.emit(ops.Conv2d, x, b.constant(w), b.constant(c), **a)
            return b.emit(ops.Quantize, y, to=UniformType(I8, (0.01,), (3,))) if w.shape[0] == 3 else y

        yield real_case(convolution, reals(2, 6, 7, shape[3] * attributes.get("groups", 1)))
    codes = [UniformType(I8, (0.1,), (-3,)), UniformType(I8, (0.0173,), (20,))]
    given = [(TensorType((256, 256), t), np.arange(-128, 128).astype(np.int8)) for t in codes]
    pair = [(given[0][0], np.repeat(given[0][1], 256).reshape(256, 256)), (given[1][0], np.tile(given[1][1], (256, 1)))]
    for op in (ops.Add, ops.Mul):

        def both(b: Builder, x: Value, y: Value, o: Any = op) -> Value:
            return b.emit(o, b.emit(ops.Dequantize, x), b.emit(ops.Dequantize, y), exact=True)

        yield real_case(both, *pair)


def row_cases() -> Iterator[Case]:
    """Operations that look at each row as a whole: softmax and L2 normalization."""
    for axis in (-1, 1):
        # exp(x) errs by |x|·u and 4·u, the sum of n parts by n·u, all relative.
        yield real_case(
            lambda b, x, a=axis: b.emit(ops.Softmax, x, axis=a),
            reals(2, 30, 3, scale=20),
            rtol=(40 + 4 + 30 + 8) * U,
            atol=U,
        )
        yield real_case(
            lambda b, x, a=axis: b.emit(ops.Softmax, x, axis=a, beta=0.3),
            reals(2, 30, 3, scale=20),
            rtol=(2 * 40 + 4 + 30 + 8) * U,  # the product with beta is rounded too
            atol=U,
        )
        # A sum of n squares errs by n·u, its root by half of that, both relative.
        yield real_case(lambda b, x, a=axis: b.emit(ops.L2Normalize, x, axis=a), reals(2, 30, 3), rtol=(30 + 8) * U)
    type, array = reals(2, 30)
    yield real_case(lambda b, x: b.emit(ops.L2Normalize, x, epsilon=0.5), (type, array * 0), atol=0)
    yield real_case(lambda b, x: b.emit(ops.L2Normalize, x, epsilon=1e3), (type, array), rtol=4 * U)


def movement_cases() -> Iterator[Case]:
    """Movement of reals."""
    yield real_case(lambda b, x: b.emit(ops.Transpose, x, permutation=(0, 2, 3, 1)), reals(2, 3, 4, 5))
    yield real_case(lambda b, x: b.emit(ops.Pad, x, low=(1, 2), high=(0, 3), value=0.1), reals(3, 4))
    yield real_case(lambda b, x: b.emit(ops.Pad, x, low=(1, 2), high=(0, 3), value=float("-inf")), reals(3, 4))
    yield real_case(lambda b, x, y: b.emit(ops.Concat, x, y, axis=-1), reals(3, 4), reals(3, 2))


def real_case(build: Any, *inputs: tuple[TensorType, Array], **tolerance: float) -> Case:
    """A case of the float stage."""
    return case(build, *inputs, stage=Stage.FLOAT, **tolerance)


def float_cases() -> list[Case]:
    """All of them."""
    conversions = (conversion_cases, row_cases, movement_cases)
    families = (function_cases, arithmetic_cases, *conversions, sum_cases, ordered_cases)
    return [one for family in families for one in family()]

"""Sums of floats whose order is part of their meaning, against the C library's fmaf, one product at a time."""

import ctypes
import ctypes.util
import itertools
from typing import Any

import numpy as np
import pytest

from qcc.ir import F32, F64, Array, TensorType, ops
from qcc.ir.float_rounding import fused_multiply_add
from tests.ir.building import refused, run

LIBM = ctypes.CDLL(ctypes.util.find_library("m"))
LIBM.fmaf.restype = ctypes.c_float
LIBM.fmaf.argtypes = [ctypes.c_float] * 3
RNG = np.random.default_rng(7)


def fmaf(a: Any, b: Any, c: Any) -> np.float32:
    return np.float32(LIBM.fmaf(float(a), float(b), float(c)))


def reals(*shape: int) -> Array:
    return (RNG.integers(-128, 128, shape) * np.float32(0.0271)).astype(np.float32)


def test_a_product_and_a_sum_are_rounded_once() -> None:
    tie = np.float32(4097)  # 4097² has 25 bits, the last of them set: half-way between two numbers of binary32
    tiny = [np.float32(s * 2.0**e) for e in (-149, -100, -40, -28, -1, 0) for s in (-1, 0, 1)]
    triples = [(s * tie, tie, c) for s in (-1, 1) for c in tiny]
    triples += [(np.float32(a * 2.0**-75), np.float32(b * 2.0**-74), c) for a in (1, 3) for b in (1, 5) for c in tiny]
    # Below the normal numbers: ties in the last place that is left, which a further term decides.
    triples += [(np.float32(2.0**-100), np.float32(m * 2.0**-50), np.float32(3 * 2.0**-149)) for m in (0.75, 1, 1.25)]
    triples += list(zip(*(np.ldexp(reals(2000), RNG.integers(-9, 9, 2000)) for _ in range(3)), strict=True))
    a, b, c = (np.array(column, np.float32) for column in zip(*triples, strict=True))
    expected = np.array([fmaf(*triple) for triple in zip(a, b, c, strict=True)])
    found = fused_multiply_add(a, b, c)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)


def ordered(x: Array, w: Array, bias: Array, block: int, groups: int, a: dict[str, Any]) -> Array:
    """The formula, one product at a time; w is O×KH×KW×C."""
    (sy, sx), (dy, dx), (top, bottom, left, right) = a["strides"], a["dilation"], a["padding"]
    outputs, kh, kw, depth = w.shape
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    height, width = (
        (padded.shape[1 + i] - (k - 1) * d - 1) // s + 1 for i, k, d, s in ((0, kh, dy, sy), (1, kw, dx, sx))
    )
    y = np.zeros((len(x), height, width, outputs), np.float32)
    for n, i, j, o in itertools.product(*map(range, y.shape)):
        products = [
            (padded[n, i * sy + ky * dy, j * sx + kx * dx, o // (outputs // groups) * depth + c], w[o, ky, kx, c])
            for c, ky, kx in itertools.product(range(depth), range(kh), range(kw))
        ]
        sums = []
        for start in range(0, len(products), block):
            part = np.float32(0)
            for value, weight in products[start : start + block]:
                part = fmaf(value, weight, part)
            sums.append(part)
        total = sums[0]
        for part in sums[1:]:
            total = np.float32(total + part)
        y[n, i, j, o] = np.float32(total + bias[o])
    return y


@pytest.mark.parametrize(
    ("shape", "block", "groups", "geometry"),
    [
        ((5, 1, 1, 40), 16, 1, {}),
        ((5, 3, 3, 6), 54, 1, {"padding": (1, 1, 1, 1)}),
        ((4, 3, 2, 6), 7, 1, {"strides": (2, 1), "dilation": (1, 2), "padding": (0, 1, 2, 0)}),
        ((6, 2, 2, 3), 8, 2, {}),
    ],
)
def test_the_order_is_channel_row_column(shape: Any, block: int, groups: int, geometry: dict[str, Any]) -> None:
    x, w, bias = reals(2, 4, 5, shape[3] * groups), reals(*shape), reals(shape[0])
    attributes = {"strides": (1, 1), "dilation": (1, 1), "padding": (0, 0, 0, 0), **geometry}
    expected = ordered(x, w, bias, block, groups, attributes)
    found = run(ops.Conv2d, x, w, bias, sum_block=block, groups=groups, **attributes)
    np.testing.assert_array_equal(found, expected)
    assert (run(ops.Conv2d, x, w, bias, sum_block=1, groups=groups, **attributes) != expected).any(), "blocks matter"


def test_only_binary32_has_blocks() -> None:
    image, kernel = TensorType((1, 4, 4, 3), F32), TensorType((2, 3, 3, 3), F32)
    refused("blocks of -1", ops.Conv2d, image, kernel, sum_block=-1)
    refused("blocks of 8", ops.Conv2d, image.with_element(F64), kernel.with_element(F64), sum_block=8)


def test_such_operations_promise_their_bits() -> None:
    assert ops.Conv2d(sum_block=8).exact_floats
    assert ops.Add(exact=True).exact_floats
    assert not ops.Conv2d().exact_floats
    assert not ops.Mul().exact_floats

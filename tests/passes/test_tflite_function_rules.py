"""The rules of TFLite's profiles for softmax, sigmoid, pools, means, resizing and norms: vectors, exactness, refusals.

Every operation against LiteRT itself: tests/conformance.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from qcc.ir import I8, I16, U8, Array, PassError, ScalarType, TensorType, sigmoid_table
from qcc.ir import ops as o
from qcc.passes.realization.tflite.softmax import fixed_point_exponentials
from qcc.passes.realization.tflite.sums import exact_quotients
from tests.passes.test_tflite_rules import TFLITE, codes, integer, module, result

EVERY = np.arange(-128, 128).astype(np.int8)


def names(source: Any, profile: str) -> list[str]:
    return [op.name for op in integer(source, profile).ops if op.name not in ("constant", "storage_cast")]


@pytest.mark.parametrize("profile", TFLITE)
def test_softmax_vectors(profile: str) -> None:
    """The fixed-point and the binary32 form agree but near ties."""
    rows = {
        0.05: ([-128, -10, 0, 20, 60, 60, 127], [-128, -128, -128, -127, -120, -120, 110]),
        0.5: ([1, 2, 3, 4], [-102, -85, -57, -12]),
    }
    for scale, (row, expected) in rows.items():
        n = len(row)
        source = module(o.Softmax, codes(1, n, scale=1 / 256, zero=-128), codes(1, n, scale=scale))
        assert result(source, profile, np.array([row], np.int8)).tolist() == expected


def test_softmax_forms() -> None:
    forms = {"tflm": "softmax_fixed_point", "litert-ref": "softmax_fixed_point", "litert-xnn": "softmax_float_table"}
    for profile, form in forms.items():
        source = module(o.Softmax, codes(1, 5, scale=1 / 256, zero=-128), codes(1, 5, scale=0.1))
        assert names(source, profile) == [form]
        wide = module(o.Softmax, codes(1, 5, scale=2.0**-15, storage=I16), codes(1, 5, scale=0.01, storage=I16))
        assert names(wide, profile) == ["softmax_interpolated"]


def test_exponentials_end_where_the_argument_leaves_its_format() -> None:
    """A step of 2^25·2^−26: distances up to ⌊31·2^26 / 2^26⌋ count."""
    table = fixed_point_exponentials(0.5)
    assert table[0] == 2**31 - 1
    assert table[31] > 0
    assert not table[32:].any()
    exact = np.exp(-0.5 * np.arange(32)) * 2**31
    assert np.max(np.abs(table[:32] - exact)) < 2**13


@pytest.mark.parametrize("profile", TFLITE)
def test_softmaxes_that_no_kernel_has_are_refused(profile: str) -> None:
    other = module(o.Softmax, codes(1, 5, scale=0.5, zero=-128), codes(1, 5, scale=0.1))
    with pytest.raises(PassError, match=r"scale 0\.00390625 and zero point -128"):
        integer(other, profile)
    mixed = module(o.Softmax, codes(1, 5, scale=1 / 256, zero=-128), codes(1, 5, scale=0.1, storage=I16))
    with pytest.raises(PassError, match="no softmax from i16 to i8"):
        integer(mixed, profile)


def test_the_published_entries_of_the_sigmoid_table() -> None:
    table = sigmoid_table()
    places = [0, 1, 2, 3, 10, 50, 100, 200, 254, 255]
    assert table[places].tolist() == [32768, 33451, 34133, 34813, 39498, 58280, 64536, 65520, 65534, 65535]
    assert table.astype(int).sum() == 15670629


@pytest.mark.parametrize("function", [o.Sigmoid, o.Tanh])
def test_sigmoids_of_16_bits_take_the_form_of_their_scale(function: Any) -> None:
    def form(profile: str, exponent: float) -> list[str]:
        to = codes(1, scale=2.0**-15, storage=I16)
        return names(module(function, to, codes(1, scale=2.0**exponent, storage=I16)), profile)

    assert form("litert-ref", -12) == form("tflm", -12) == ["sigmoid_interpolated"]
    assert form("litert-xnn", -12) == ["sigmoid_fixed_point"]
    other = "sigmoid_fixed_point" if function is o.Tanh else "sigmoid_interpolated"
    assert form("litert-xnn", -11) == [other]
    assert form("litert-xnn", -11.5) == ["sigmoid_interpolated"]
    with pytest.raises(PassError, match="too large"):
        form("tflm", 4)


def test_tables_of_functions_are_near_the_functions() -> None:
    """Every code; the kernels differ in precision, never by more than a code."""
    for profile in TFLITE:
        for function, scale, zero in ((o.Sigmoid, 1 / 256, -128), (o.Tanh, 1 / 128, 0), (o.HardSwish, 0.04, -118)):
            source = module(function, codes(256, scale=scale, zero=zero), codes(256, scale=0.06, zero=5))
            (op,) = source.ops
            assert isinstance(op, o.Unary)
            real = op.function(0.06 * (EVERY.astype(np.float64) - 5))
            exact = np.clip(real / scale + zero, -128, 127)
            assert np.max(np.abs(result(source, profile, EVERY) - exact)) < 1.1
            assert names(source, profile) == ["table"]


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 7, 9, 12, 25, 49, 64, 196, 1000])
def test_quotients_of_all_sums_are_rounded_once_ties_away_from_zero(n: int) -> None:
    """RHA(A·m / 2^s) = RHA(A / n) for every sum A of n 8-bit codes."""
    (m,), (s,) = exact_quotients(np.array([n]), 128)
    total = np.arange(-128 * n, 127 * n + 1)
    exact = np.sign(total) * ((2 * np.abs(total) + n) // (2 * n))
    product = total * int(m)
    found = np.sign(product) * ((2 * np.abs(product) + (1 << int(s))) >> (int(s) + 1))
    np.testing.assert_array_equal(found, exact)
    assert n > 100 or int(m) * 128 * n < 2**31, "32 bits are enough for usual windows"


@pytest.mark.parametrize("storage", [I8, U8, I16])
def test_an_average_pool_rounds_codes_away_from_code_0(storage: ScalarType) -> None:
    """Windows of 1, 2 and 4 elements at the border; the zero point plays no role."""
    rng = np.random.default_rng(1)
    x = rng.integers(storage.minimum, storage.maximum, (1, 4, 5, 3), endpoint=True).astype(storage.dtype)
    zero = 0 if storage == I16 else 7
    type = codes(1, 4, 5, 3, scale=0.5, zero=zero, storage=storage)
    to = codes(1, 5, 6, 3, scale=0.5, zero=zero, storage=storage)
    source = module(o.AvgPool2d, to, type, kernel=(2, 2), padding=(1, 1, 1, 1))
    for profile in TFLITE:
        y = result(source, profile, x).reshape(1, 5, 6, 3)
        for i, j, c in np.ndindex(5, 6, 3):
            window = x[0, max(i - 1, 0) : i + 1, max(j - 1, 0) : j + 1, c].astype(int)
            mean = Fraction(int(window.sum()), window.size)
            nearest = (2 * abs(mean) + 1) // 2
            assert y[0, i, j, c] == (nearest if mean >= 0 else -nearest)
    counted = module(o.AvgPool2d, to, type, kernel=(2, 2), padding=(1, 1, 1, 1), count_include_pad=True)
    with pytest.raises(PassError, match="does not count the padding"):
        integer(counted, "tflm")


def test_the_sum_of_litert_reads_signed_codes_as_bytes() -> None:
    x = np.array([[-1, 2, -3]], np.int8)
    source = module(o.ReduceSum, codes(1, 1, scale=1.0, zero=1), codes(1, 3, scale=1.0, zero=-1), axes=(1,))
    assert result(source, "tflm", x).tolist() == [-2 + 3 + 1]
    # bytes 255, 2, 253 less the zero point: 513, and 1; the end of the bytes, read as a signed code
    assert result(source, "litert-ref", x).tolist() == [-1]
    assert result(source, "litert-xnn", x).tolist() == [-2 + 3 + 1]
    wide = module(o.ReduceSum, codes(1, 1, scale=1.0, storage=I16), codes(1, 3, scale=1.0, storage=I16), axes=(1,))
    with pytest.raises(PassError, match="reads i16 codes as bytes"):
        integer(wide, "litert-ref")
    assert result(wide, "litert-xnn", x.astype(np.int16)).tolist() == [-2]


def test_means_of_a_half() -> None:
    """A half, by the multiplier ⌊2^30·4/6⌋ / 2^33 less than that: two roundings make it 1, one ties to even 0."""
    source = module(o.ReduceMean, codes(1, 1, scale=1.0), codes(1, 6, scale=1.0), axes=(1,))
    x = np.array([[3, 0, 0, 0, 0, 0]], np.int8)
    assert [result(source, p, x).item() for p in TFLITE] == [1, 1, 0]
    assert result(source, "tflm", -x).item() == -1


@pytest.mark.parametrize("storage", [I8, U8])
def test_resizing_takes_the_form_of_its_profile(storage: ScalarType) -> None:
    type, to = (codes(1, n, n, 2, scale=0.5, storage=storage) for n in (3, 5))
    scales = (1.0, 5 / 3, 5 / 3, 1.0)
    linear = module(o.Resize, to, type, shape=to.shape, scales=scales, mode="linear")
    for profile in TFLITE:
        (op,) = (op for op in integer(linear, profile).ops if isinstance(op, o.Interpolate))
        assert op.is_real == (profile == "litert-ref" and storage == U8)
        assert (op.fraction_bits == 11) == (profile == "litert-xnn")
        constant = np.full(type.shape, 77, storage.dtype)
        assert np.all(result(linear, profile, constant) == 77)
    nearest = module(o.Resize, to, type, shape=to.shape, scales=scales, coordinates="asymmetric", rounding="floor")
    assert names(nearest, "litert-xnn") == ["resize"]
    odd = module(o.Resize, to, type, shape=to.shape, scales=scales, mode="linear", coordinates="pytorch_half_pixel")
    with pytest.raises(PassError, match="no coordinates 'pytorch_half_pixel'"):
        integer(odd, "tflm")
    channels = codes(1, 3, 3, 4, scale=0.5, storage=storage)
    wrong = module(o.Resize, channels, type, shape=channels.shape, scales=(1.0, 1.0, 1.0, 2.0), mode="linear")
    with pytest.raises(PassError, match="rows and columns"):
        integer(wrong, "tflm")


def test_l2_normalization_in_every_profile() -> None:
    x = np.array([[3, 4, 0, 0], [100, -100, 100, -100]], np.int8)
    expected = [77, 102, 0, 0, 64, -64, 64, -64]
    source = module(o.L2Normalize, codes(2, 4, scale=1 / 128), codes(2, 4, scale=0.3))
    for profile in (*TFLITE, "single"):
        assert result(source, profile, x).tolist() == expected
    other = module(o.L2Normalize, codes(2, 4, scale=1 / 64, zero=-3), codes(2, 4, scale=0.3))
    with pytest.raises(PassError, match="L2 normalization gives"):
        integer(other, "tflm")
    found = result(other, "single", x)
    assert np.max(np.abs(found - (np.array(expected) / 2 - 3))) <= 0.5
    long = module(o.L2Normalize, codes(1, 40000, scale=1 / 128), codes(1, 40000, scale=0.3))
    with pytest.raises(PassError, match="31 bits"):
        integer(long, "tflm")


def test_functions_without_a_kernel_are_refused() -> None:
    wide: TensorType = codes(4, scale=0.01, storage=I16)
    with pytest.raises(PassError, match="no elu of 16-bit codes"):
        integer(module(o.Elu, wide, wide), "tflm")


def test_magnitudes() -> None:
    x: Array = np.array([-128, -5, 0, 3, 127], np.int8)
    source = module(o.Abs, codes(5, scale=0.5, zero=-3), codes(5, scale=0.25, zero=3))
    for profile in TFLITE:
        # RHA-like double rounding of |q − 3| / 2, less 3
        assert result(source, profile, x).tolist() == [63, 1, -1, -3, 59]

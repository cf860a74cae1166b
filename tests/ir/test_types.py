"""Types: syntax, limits, and what quantizing and dequantizing mean."""

import numpy as np
import pytest

from qcc.ir import (
    F16,
    F32,
    I1,
    I2,
    I4,
    I8,
    I16,
    I32,
    U4,
    U8,
    CalibratedType,
    CodebookType,
    Dense,
    IrError,
    ScalarType,
    TensorType,
    UniformType,
)

PER_CHANNEL = UniformType(I8, (0.5, 0.25), (0, 1), axis=0, storage_minimum=-127)
BLOCKS = UniformType(I4, (1.0, 2.0, 3.0, 4.0), (0,) * 4, axis=1, block_size=2)


@pytest.mark.parametrize(
    ("type", "text"),
    [
        (TensorType((), F32), "tensor<f32>"),
        (TensorType((1, 0, 3), I8), "tensor<1x0x3xi8>"),
        (UniformType(I8, (0.0186,), (-14,)), "!quant.uniform<i8:f32, 0.0186:-14>"),
        (UniformType(U8, (1e-9,), (0,)), "!quant.uniform<u8:f32, 1e-09>"),
        (PER_CHANNEL, "!quant.uniform<i8<-127:127>:f32:0, {0.5, 0.25:1}>"),
        (BLOCKS, "!quant.uniform<i4:f32:{1:2}, {1.0, 2.0, 3.0, 4.0}>"),
        (CalibratedType(-1, 2.5), "!quant.calibrated<f32<-1.0:2.5>>"),
        (CodebookType(U4, (-0.5, 0.0)), "!quant.codebook<u4:f32, {-0.5, 0.0}>"),
    ],
)
def test_syntax(type: object, text: str) -> None:
    assert str(type) == text


@pytest.mark.parametrize(
    ("type", "low", "high", "dtype"),
    [(I1, 0, 1, "bool"), (I4, -8, 7, "int8"), (U4, 0, 15, "uint8"), (I8, -128, 127, "int8"), (U8, 0, 255, "uint8")],
)
def test_limits_of_integers(type: ScalarType, low: int, high: int, dtype: str) -> None:
    assert (type.minimum, type.maximum, type.dtype) == (low, high, np.dtype(dtype))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: UniformType(I8, (0.0,), (0,)), "positive"),
        (lambda: UniformType(I8, (1e-60,), (0,)), "positive"),
        (lambda: UniformType(I8, (1e60,), (0,)), "finite"),
        (lambda: UniformType(I8, (-1.0,), (0,)), "positive"),
        (lambda: UniformType(I8, (1.0,), (128,)), "zero points must lie in -128:127"),
        (lambda: UniformType(I8, (1.0,), (-128,), storage_minimum=-127), "zero points"),
        (lambda: UniformType(I8, (1.0, 2.0), (0, 0)), "one scale"),
        (lambda: UniformType(I8, (1.0, 2.0), (0,), axis=0), "as many zero points"),
        (lambda: UniformType(I8, (), (), axis=0), "at least one"),
        (lambda: UniformType(I8, (1.0,), (0,), storage_maximum=200), "do not fit i8"),
        (lambda: UniformType(I8, (1.0,), (0,), axis=-1), "at least 0"),
        (lambda: UniformType(I8, (1.0,), (0,), axis=0, block_size=0), "at least 1"),
        (lambda: UniformType(F32, (1.0,), (0,)), "stores integers"),
        (lambda: UniformType(I8, (1.0,), (0,), base=I32), "stores integers"),
        (lambda: UniformType(I8, (1.0,), (0.5,)), "zero_points is"),  # type: ignore[arg-type]  # what is tested
        (lambda: UniformType("i8", (1.0,), (0,)), "storage_type is"),  # type: ignore[arg-type]  # what is tested
        (lambda: CalibratedType(2.0, 1.0), "ordered"),
        (lambda: CalibratedType(float("nan"), 1.0), "minimum is nan"),
        (lambda: CalibratedType(0.0, 1e60), "finite"),
        (lambda: CalibratedType(0.0, 1.0, I8), "of floats"),
        (lambda: CodebookType(U4, (0.0,) * 17), "do not fit"),
        (lambda: CodebookType(U4, ()), "do not fit"),
        (lambda: CodebookType(I8, (1.0,)), "do not fit"),
        (lambda: CodebookType(U4, (float("inf"),)), "finite"),
        (lambda: TensorType((-1,), F32), "negative"),
        (lambda: TensorType((1.5,), F32), "shape is"),  # type: ignore[arg-type]  # what is tested
        (lambda: TensorType((1 << 30, 1 << 30), F32), "too large"),
        (lambda: TensorType((1,) * 33, F32), "too large"),
        (lambda: TensorType((3, 2), PER_CHANNEL), "needs 3 scales"),
        (lambda: TensorType((), PER_CHANNEL), "rank 0"),
        (lambda: TensorType((2, 2), BLOCKS), "needs 2 scales"),
    ],
)
def test_impossible_types(make: object, reason: str) -> None:
    with pytest.raises(IrError, match=reason):
        make()  # type: ignore[operator]  # a function


def test_numpy_numbers_and_lists_become_plain() -> None:
    type = UniformType(I8, [np.float32(0.5)], [np.int64(3)])  # type: ignore[arg-type]  # what is tested
    assert type == UniformType(I8, (0.5,), (3,))
    assert repr(type) == repr(UniformType(I8, (0.5,), (3,)))
    assert TensorType([np.int64(2)], F32).shape == (2,)  # type: ignore[arg-type]  # what is tested


def test_bytes() -> None:
    assert [TensorType((3,), t).bytes for t in (F32, F16, I8, I4, I2, I1, I32)] == [12, 6, 3, 3, 3, 3, 12]
    assert TensorType((2, 4), BLOCKS).bytes == 8


def test_quantizing_rounds_half_to_even_and_clamps() -> None:
    type = UniformType(U8, (1.0,), (3,))
    reals = np.array([0.5, 1.5, 2.5, -0.5, -3.5, 1e9], np.float32)
    assert type.quantize(reals).tolist() == [3, 5, 5, 3, 0, 255]


def test_quantizing_what_is_no_number() -> None:
    type = UniformType(I8, (0.5,), (0,), storage_minimum=-127)
    reals = np.array([np.nan, np.inf, -np.inf, 3e38, -3e38], np.float32)
    assert type.quantize(reals).tolist() == [-127, 127, -127, 127, -127]


@pytest.mark.parametrize("type", [UniformType(I16, (0.1,), (-7,)), UniformType(U8, (0.1,), (7,), storage_minimum=1)])
def test_codes_survive_dequantizing_and_quantizing(type: UniformType) -> None:
    codes = np.arange(type.minimum, type.maximum + 1).astype(type.storage.dtype)
    assert type.quantize(type.dequantize(codes)).tolist() == codes.tolist()


def test_dequantizing_follows_the_formula_in_binary32() -> None:
    type = UniformType(I32, (0.1,), (5,))
    codes = np.array([2**31 - 1, -(2**31), 5, 123456789], np.int32)
    expected = [np.float32(np.float32(int(c) - 5) * np.array(0.1, np.float32)) for c in codes]
    assert type.dequantize(codes).tolist() == expected


def test_scales_along_an_axis_and_in_blocks() -> None:
    codes = np.ones((2, 3), np.int8)
    assert PER_CHANNEL.dequantize(codes).tolist() == [[0.5] * 3, [0.0] * 3]
    expected = [[1.0, 1.0, 2.0], [3.0, 3.0, 4.0]]
    assert BLOCKS.dequantize(codes).tolist() == expected
    assert BLOCKS.quantize(np.array(expected, np.float32)).tolist() == codes.tolist()


def test_a_palette_takes_the_nearest_entry_the_first_of_equals() -> None:
    type = CodebookType(U8, (1.0, -1.0, 0.5, 1.0))
    assert type.quantize(np.array([0.9, -3.0, 0.75, 0.0, 0.5], np.float32)).tolist() == [0, 1, 0, 2, 2]
    assert type.dequantize(np.array([[3, 1]], np.uint8)).tolist() == [[1.0, -1.0]]


def test_a_per_channel_type_has_no_single_scale() -> None:
    for name in ("scale", "zero_point"):
        with pytest.raises(IrError, match="per-tensor"):
            getattr(PER_CHANNEL, name)


def test_constant_data_is_equal_bit_by_bit() -> None:
    zeros = Dense(np.zeros(3, np.float32))
    assert zeros == Dense(np.zeros(3, ">f4"))
    assert hash(zeros) == hash(Dense(np.zeros(3, np.float32)))
    for other in (-np.zeros(3, np.float32), np.zeros(3, np.int32), np.zeros((3, 1), np.float32)):
        assert zeros != Dense(other)
    nan = Dense(np.array([np.nan], np.float32))
    assert nan == Dense(np.array([np.nan], np.float32))
    with pytest.raises(ValueError, match="read-only"):
        zeros.array[0] = 1

"""Calibration and input data: what is accepted, what is refused and how it is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qcc.ir import F32, I8, CalibrationError, TensorType, UniformType, UsageError, Value
from qcc.samples import batch_size, check_samples, example_samples, read_npz, to_codes, to_real

REAL = Value("x", TensorType((2, 3), F32))
CODES = Value("q", TensorType((1, 4), UniformType(I8, (0.5,), (3,))))


def test_rows_are_grouped_by_the_models_first_axis_and_the_last_one_fills_up() -> None:
    samples = check_samples({"x": np.arange(15).reshape(5, 3)}, [REAL], "test")
    batches = list(samples.batches([REAL]))
    assert [b["x"].shape for b in batches] == [(2, 3)] * 3
    assert batches[2]["x"].tolist() == [[12, 13, 14], [12, 13, 14]]
    assert batches[0]["x"].dtype == np.float32


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "no data for input x"),
        ({"y": np.zeros((1, 3)), "x": np.zeros((1, 3))}, "there is no input 'y'"),
        ({"x": np.zeros((4, 2))}, r"shape \[4, 2\], should be \[samples, 3\]"),
        ({"x": np.zeros(3)}, r"shape \[3\]"),
        ({"x": np.zeros((0, 3))}, "there are no samples"),
        ({"x": np.array([["a", "b", "c"]])}, "elements of type <U1"),
        ({"x": np.full((2, 3), np.nan)}, "sample 0 holds NaN"),
        ({"x": np.array([[0, 0, 0], [0, np.inf, 0]])}, "sample 1 holds NaN or infinity"),
        ({"x": np.full((1, 3), 1e300)}, "too large for float32"),
    ],
)
def test_data_that_does_not_fit_is_refused(data: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(CalibrationError, match=message):
        check_samples(data, [REAL], "test")


@pytest.mark.parametrize(("shape", "message"), [((), "share a first axis"), ((0, 3), "has no element")])
def test_inputs_that_take_no_samples_are_refused(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        batch_size([Value("x", TensorType(shape, F32))])


def test_inputs_of_different_lengths_are_refused() -> None:
    other = Value("y", TensorType((2, 1), F32))
    with pytest.raises(CalibrationError, match="different numbers of samples"):
        check_samples({"x": np.zeros((4, 3)), "y": np.zeros((2, 1))}, [REAL, other], "test")


def test_quantized_inputs_take_real_numbers_or_codes_of_their_type_and_nothing_else() -> None:
    real = check_samples({"q": np.array([[0.0, 0.5, -100.0, 100.0]])}, [CODES], "test").arrays["q"]
    assert to_codes(real, CODES.type).tolist() == [[3, 4, -128, 127]]
    codes = check_samples({"q": np.array([[1, 2, 3, 4]], np.int8)}, [CODES], "test").arrays["q"]
    assert to_codes(codes, CODES.type).tolist() == [[1, 2, 3, 4]]
    assert to_real(codes, CODES.type).tolist() == [[-1.0, -0.5, 0.0, 0.5]]
    with pytest.raises(CalibrationError, match="should be int8 codes or real numbers"):
        check_samples({"q": np.array([[1, 2, 3, 4]], np.int32)}, [CODES], "test")


def test_made_up_samples_reach_the_extremes_and_repeat() -> None:
    first, again = (example_samples([CODES], seed=7).arrays["q"] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert (first == -128).all(axis=1).any()
    assert (first == 127).all(axis=1).any()
    assert (first == 3).all(axis=1).any()
    assert not np.array_equal(first, example_samples([CODES], seed=8).arrays["q"])


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04garbage", b"\x93NUMPY" + bytes(40), b"text"])
def test_files_that_are_no_npz_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"x\.npz"):
        read_npz(path)


def test_truncated_missing_and_pickled_files_are_refused(tmp_path: Path) -> None:
    whole = tmp_path / "whole.npz"
    np.savez(whole, x=np.arange(1000.0))
    cut = tmp_path / "cut.npz"
    cut.write_bytes(whole.read_bytes()[:500])
    pickled = tmp_path / "pickled.npz"
    np.savez(pickled, x=np.array([{"a": 1}], dtype=object))
    single = tmp_path / "single.npy"
    np.save(single, np.zeros(3))
    for path in (cut, pickled, single, tmp_path / "absent.npz", tmp_path):
        with pytest.raises(UsageError):
            read_npz(path)
    assert read_npz(whole)["x"].shape == (1000,)

"""Calibration and input data: what is accepted, what is refused and how it is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qcc.ir import F32, I8, CalibrationError, TensorType, UniformType, UsageError, Value
from qcc.samples import Samples, check_samples, example_samples, join, read_npz, shared_axis, to_codes, to_real

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


def test_inputs_that_take_no_samples_are_refused() -> None:
    with pytest.raises(UsageError, match="has no element"):
        shared_axis([Value("x", TensorType((0, 3), F32))])


def inputs_of(*shapes: tuple[int, ...]) -> list[Value]:
    return [Value(f"x{number}", TensorType(shape, F32)) for number, shape in enumerate(shapes)]


@pytest.mark.parametrize(
    ("shapes", "size", "message"),
    [
        (((2, 3),), 2, r"should be \[samples, 3\]"),
        (((4, 8), (4,)), 4, r"x0: .*should be \[samples, 8\]"),
        (((),), None, r"should be \[samples\]"),
        (((16,),), None, r"should be \[samples, 16\]"),
        (((1, 3), (2, 5)), None, r"x0: .*should be \[samples, 1, 3\]"),
        (((2, 3), ()), None, r"x0: .*should be \[samples, 2, 3\]"),
    ],
)
def test_what_a_sample_is(shapes: tuple[tuple[int, ...], ...], size: int | None, message: str) -> None:
    inputs = inputs_of(*shapes)
    assert shared_axis(inputs) == size
    rests = [shape if size is None else shape[1:] for shape in shapes]
    data = {v.name: np.arange(5 * np.prod(r, dtype=int)).reshape(5, *r) for v, r in zip(inputs, rests, strict=True)}
    samples = check_samples(data, inputs, "test")
    batches = list(samples.batches(inputs))
    assert (samples.count, samples.runs(inputs)) == (5, len(batches))
    assert len(batches) == (5 if size is None else -(-5 // size))
    for value in inputs:
        assert {b[value.name].shape for b in batches} == {value.type.shape}
        rows = join([b[value.name] for b in batches], size, samples.count)
        np.testing.assert_array_equal(rows, data[value.name])
    with pytest.raises(CalibrationError, match=message):
        check_samples({v.name: np.zeros((5, *r, 7)) for v, r in zip(inputs, rests, strict=True)}, inputs, "test")
    made = example_samples(inputs, seed=0)
    assert [b[inputs[0].name].shape for b in made.batches(inputs)] == [shapes[0]] * 8


def test_a_single_sample_without_its_axis_is_explained() -> None:
    with pytest.raises(CalibrationError, match=r"shape \[16\], should be \[samples, 16\]") as caught:
        check_samples({"x0": np.zeros(16)}, inputs_of((16,)), "test")
    assert "array[numpy.newaxis]" in caught.value.help


def test_a_model_without_inputs_is_run_once() -> None:
    for samples in (check_samples({}, [], "test"), example_samples([], seed=0)):
        assert (samples.count, samples.runs([]), list(samples.batches([]))) == (1, 1, [{}])


def test_outputs_without_the_axis_of_samples_are_stacked() -> None:
    assert join([np.zeros((4, 2))] * 3, 1, 3).shape == (3, 4, 2)
    assert join([np.zeros(())] * 3, 2, 5).shape == (3,)
    assert Samples({"x": np.zeros((5, 1))}).count == 5


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
    for dtype in (np.int32, np.uint8, np.bool_):
        with pytest.raises(CalibrationError, match="should be int8 codes or real numbers") as caught:
            check_samples({"q": np.ones((1, 4), dtype)}, [CODES], "test")
        assert "astype(numpy.int8), real numbers by astype(numpy.float32)" in caught.value.help


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.bool_, np.float64])
def test_float_inputs_take_numbers_of_any_type_as_real_ones(dtype: type[np.generic]) -> None:
    found = check_samples({"x": np.ones((2, 3), dtype)}, [REAL], "test").arrays["x"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.ones((2, 3)))


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

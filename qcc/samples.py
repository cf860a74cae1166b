"""Calibration and input data: named arrays whose first axis is samples.

Where a model's inputs share their first axis (all have the same first size B, and one of them at least two axes), that
axis is samples: an array for an input of shape [B, …] has shape [samples, …] with any number of samples, and one run
takes B of them. Otherwise (scalars, vectors, different first sizes) a sample is one whole input: the array has shape
[samples, *shape of the input]. A model without inputs is run once.

Elements: for an input of floats, numbers of any type are real numbers. For a quantized input, arrays of its storage
type are codes, float arrays are real numbers, and any other type is an error. Other inputs take their own type only.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from qcc.ir import Array, CalibrationError, QccError, TensorType, UniformType, UsageError, Value, nearest


@dataclass(frozen=True, eq=False)
class Samples:
    """Arrays by input name, the first axis of each is samples.

    Attributes:
        arrays: the data.
        origin: where it came from, for messages.
    """

    arrays: Mapping[str, Array]
    origin: str = "the data given"

    @property
    def count(self) -> int:
        """Number of samples; one for a model without inputs."""
        return min((a.shape[0] for a in self.arrays.values()), default=1)

    def runs(self, inputs: Sequence[Value]) -> int:
        """Return how many runs of the model the samples make."""
        return -(-self.count // (shared_axis(inputs) or 1))

    def batches(self, inputs: Sequence[Value]) -> Iterator[dict[str, Array]]:
        """Yield one mapping a run of the model, of its inputs' shapes; the last sample is repeated to fill a run."""
        size = shared_axis(inputs)
        for start in range(0, self.count, size or 1):
            rows = start if size is None else np.minimum(np.arange(start, start + size), self.count - 1)
            yield {v.name: np.asarray(self.arrays[v.name][rows], order="C") for v in inputs}


def shared_axis(inputs: Sequence[Value]) -> int | None:
    """Return how many samples one run takes along the inputs' first axis; None where a sample is a whole input."""
    sizes = {v.type.shape[0] if v.type.rank else None for v in inputs}
    if len(sizes) != 1 or max(v.type.rank for v in inputs) < 2:
        return None
    size = sizes.pop()
    if size == 0:
        raise UsageError(
            "the first axis of the inputs has no element, so no sample fits", help="export with a batch of 1"
        )
    return size


def join(arrays: Sequence[Array], size: int | None, count: int) -> Array:
    """Return one output of all runs as one array.

    Args:
        arrays: the output of each run.
        size: samples of a run along a shared first axis, or None; see `shared_axis`.
        count: samples of all runs.

    Returns:
        Joined along the first axis and cut to `count`, where the inputs share a first axis and the output has it
        too; else stacked: one entry for each run.
    """
    if size is not None and arrays[0].ndim and arrays[0].shape[0] == size:
        return np.concatenate(arrays)[:count]
    return np.stack(arrays)


def read_npz(path: Path) -> dict[str, Array]:
    """Return the arrays of a `.npz` file; UsageError where it can't be read."""
    if not path.is_file():
        raise UsageError("there is no such file", place=str(path), help="give a .npz file made by numpy.savez")
    try:
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise UsageError("this is a single array", place=str(path), help="save it by numpy.savez(path, NAME=…)")
        with loaded as file:
            return {key: file[key] for key in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, NotImplementedError, MemoryError) as error:
        raise UsageError(
            f"not a readable .npz file: {error}", place=str(path), help="make it by numpy.savez"
        ) from error


def check_samples(
    data: Mapping[str, Array], inputs: Sequence[Value], origin: str, error: type[QccError] = CalibrationError
) -> Samples:
    """Return the samples after checking names, shapes, element types and finiteness against the model's inputs.

    Integers are converted where an input is real. Real numbers stay real where an input is quantized (they are
    quantized later); integers must then be codes of the storage type.
    """
    names = [v.name for v in inputs]
    for key in data:
        if key not in names:
            raise error(f"there is no input {key!r}", place=origin, help=nearest(key, names))
    missing = [n for n in names if n not in data]
    if missing:
        raise error(f"no data for input {', '.join(missing)}", place=origin, help="keys are input names")
    skipped = 0 if shared_axis(inputs) is None else 1
    arrays = {v.name: _checked(np.asarray(data[v.name]), v, skipped, origin, error) for v in inputs}
    counts = {name: a.shape[0] for name, a in arrays.items()}
    if len(set(counts.values())) > 1:
        raise error(f"inputs have different numbers of samples: {counts}", place=origin)
    if not all(counts.values()):
        raise error("there are no samples", place=origin, help="the first axis of each array is samples")
    return Samples(arrays, origin)


def _checked(array: Array, value: Value, skipped: int, origin: str, error: type[QccError]) -> Array:
    place = f"{origin}, {value.name}"
    wanted = value.type.shape[skipped:]
    if not array.ndim or array.shape[1:] != wanted:
        raise error(
            f"shape {list(array.shape)}, should be [samples{''.join(f', {d}' for d in wanted)}]",
            place=place,
            help="the first axis is samples; make a single sample `array[numpy.newaxis]`"
            if array.shape == wanted
            else "the first axis is samples",
        )
    if array.dtype.kind not in "fiub":
        raise error(f"elements of type {array.dtype}, numbers are needed", place=place)
    if array.dtype.kind == "f" and not np.all(np.isfinite(array)):
        bad = int(np.argmax(~np.isfinite(array.reshape(array.shape[0], -1)).all(axis=1)))
        raise error(f"sample {bad} holds NaN or infinity", place=place, help="leave such samples out")
    return _converted(array, value.type, place, error)


def _converted(array: Array, type: TensorType, place: str, error: type[QccError]) -> Array:
    storage = type.element.storage.dtype
    if array.dtype.kind == "f" and (type.is_quantized or type.is_float):
        with np.errstate(over="ignore"):
            narrow = array.astype(np.float32)
        if not np.all(np.isfinite(narrow)):
            raise error("a number is too large for float32", place=place)
        return narrow
    if type.is_float:
        return array.astype(storage)
    if array.dtype != storage:
        raise error(
            f"elements of type {array.dtype}, should be {storage}{' codes or real numbers' * type.is_quantized}",
            place=place,
            help=f"convert codes by astype(numpy.{storage}), real numbers by astype(numpy.float32)"
            if type.is_quantized
            else f"convert them by astype(numpy.{storage})",
        )
    return array


def to_codes(array: Array, type: TensorType) -> Array:
    """Return what the compiled model takes: codes for a quantized input, quantized here where the array is real."""
    if isinstance(type.element, UniformType) and array.dtype.kind == "f":
        return type.element.quantize(array)
    return array


def to_real(array: Array, type: TensorType) -> Array:
    """Return real numbers for a quantized output, others as they are."""
    return type.element.dequantize(array) if isinstance(type.element, UniformType) else array


def example_samples(inputs: Sequence[Value], seed: int, random_count: int = 4) -> Samples:
    """Return made-up samples: random values of the whole range, typical ones, and all-low, all-high, all-zero."""
    generator = np.random.default_rng(seed)
    if not inputs:
        return Samples({}, "none")
    combine = np.stack if shared_axis(inputs) is None else np.concatenate
    arrays = {v.name: combine(list(_examples(v, generator, random_count))) for v in inputs}
    made = Samples(arrays)
    return replace(made, origin=f"made up, {made.count} samples with seed {seed}")


def _examples(value: Value, generator: np.random.Generator, random_count: int) -> Iterator[Array]:
    shape, element = value.type.shape, value.type.element
    dtype = element.storage.dtype
    if dtype.kind == "f":
        low, high, zero = -3.0, 3.0, 0.0
        for _ in range(random_count):
            yield np.asarray(generator.normal(size=shape), dtype)
    else:
        codes = element if isinstance(element, UniformType) else element.storage
        low, high = float(codes.minimum), float(codes.maximum)
        low, high = max(low, -(2.0**31)), min(high, 2.0**31 - 1)
        zero = float(element.zero_points[0]) if isinstance(element, UniformType) else 0.0
        for _ in range(random_count):
            yield np.asarray(generator.integers(int(low), int(high) + 1, shape), dtype)
        spread = generator.normal(zero, (high - low) / 16, shape)
        yield np.asarray(np.clip(np.rint(spread), low, high), dtype)
    for fill in (low, high, zero) if dtype.kind != "f" else (low, high, zero, 1.0):
        yield np.full(shape, fill, dtype)

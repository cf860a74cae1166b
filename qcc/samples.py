"""Calibration and input data: named arrays whose first axis is samples."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qcc.ir import Array, CalibrationError, QccError, TensorType, UniformType, UsageError, Value, nearest


@dataclass(frozen=True, eq=False)
class Samples:
    """Arrays by input name, each of shape (samples, …).

    Attributes:
        arrays: the data.
        origin: where it came from, for messages.
    """

    arrays: Mapping[str, Array]
    origin: str = "the data given"

    @property
    def count(self) -> int:
        """Number of samples."""
        return min((a.shape[0] for a in self.arrays.values()), default=0)

    def runs(self, inputs: Sequence[Value]) -> int:
        """Return how many runs of the model the samples make."""
        return -(-self.count // batch_size(inputs))

    def batches(self, inputs: Sequence[Value]) -> Iterator[dict[str, Array]]:
        """Yield one mapping a run of the model: as many samples as its first axis, the last sample repeated to fill."""
        size = batch_size(inputs)
        for start in range(0, self.count, size):
            rows = np.minimum(np.arange(start, start + size), self.count - 1)
            yield {v.name: np.ascontiguousarray(self.arrays[v.name][rows]) for v in inputs}


def batch_size(inputs: Sequence[Value]) -> int:
    """Return how many samples one run of a model with these inputs takes: their first axis, which must agree."""
    sizes = {v.type.shape[0] for v in inputs if v.type.rank}
    if len(sizes) != 1 or any(not v.type.rank for v in inputs):
        shapes = ", ".join(f"{v.name} {list(v.type.shape)}" for v in inputs)
        message = f"the inputs do not share a first axis of samples: {shapes}"
        raise UsageError(message, help="export the model with the batch as the first axis of every input")
    size = sizes.pop()
    if not size:
        raise UsageError(
            "the first axis of the inputs has no element, so no sample fits", help="export with a batch of 1"
        )
    return size


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
    arrays = {v.name: _checked(np.asarray(data[v.name]), v, origin, error) for v in inputs}
    counts = {name: a.shape[0] for name, a in arrays.items()}
    if len(set(counts.values())) > 1:
        raise error(f"inputs have different numbers of samples: {counts}", place=origin)
    if not all(counts.values()):
        raise error("there are no samples", place=origin, help="the first axis of each array is samples")
    return Samples(arrays, origin)


def _checked(array: Array, value: Value, origin: str, error: type[QccError]) -> Array:
    place = f"{origin}, {value.name}"
    wanted = value.type.shape[1:]
    if array.ndim != value.type.rank or array.shape[1:] != wanted:
        raise error(
            f"shape {list(array.shape)}, should be [samples{''.join(f', {d}' for d in wanted)}]",
            place=place,
            help="the first axis is samples",
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
    size = batch_size(inputs)
    arrays = {v.name: np.concatenate(list(_examples(v, generator, random_count)), axis=0) for v in inputs}
    return Samples(arrays, f"made up, {(random_count + 4) * size} samples with seed {seed}")


def _examples(value: Value, generator: np.random.Generator, random_count: int) -> Iterator[Array]:
    shape, element = value.type.shape, value.type.element
    dtype = element.storage.dtype
    if dtype.kind == "f":
        low, high, zero = -3.0, 3.0, 0.0
        for _ in range(random_count):
            yield generator.normal(size=shape).astype(dtype)
    else:
        codes = element if isinstance(element, UniformType) else element.storage
        low, high = float(codes.minimum), float(codes.maximum)
        low, high = max(low, -(2.0**31)), min(high, 2.0**31 - 1)
        zero = float(element.zero_points[0]) if isinstance(element, UniformType) else 0.0
        for _ in range(random_count):
            yield generator.integers(int(low), int(high) + 1, shape).astype(dtype)
        spread = generator.normal(zero, (high - low) / 16, shape)
        yield np.clip(np.rint(spread), low, high).astype(dtype)
    for fill in (low, high, zero) if dtype.kind != "f" else (low, high, zero, 1.0):
        yield np.full(shape, fill, dtype)

"""Compiles nests into one shared library and compares them with NumPy; used by the tests of the nests."""

from __future__ import annotations

import ctypes
import mmap
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from qcc.targets.instructions import VectorLevel
from qcc.targets.lowering import build_object
from qcc.targets.nests.convolution import Convolution, convolution, packed_constants

Array = npt.NDArray[Any]
_PAGE = mmap.PAGESIZE


def host_lacks(level: VectorLevel) -> str | None:
    """Why this host can't run `level`, or None."""
    cpuinfo = Path("/proc/cpuinfo")
    flags = set(cpuinfo.read_text().split()) if cpuinfo.exists() else set()
    missing = [flag for flag in level.cpu_flags if flag not in flags]
    return f"needs cpu: {', '.join(missing)}" if missing else None


def load_object(data: bytes, folder: Path, name: str) -> ctypes.CDLL:
    """Link an object file into a shared library and load it."""
    (folder / f"{name}.o").write_bytes(data)
    library = folder / f"{name}.so"
    subprocess.run(["cc", "-shared", "-o", str(library), str(folder / f"{name}.o")], check=True)
    return ctypes.CDLL(str(library))


@dataclass
class GuardedArray:
    """A copy of an array that ends (or begins) at the border of unmapped memory: a stray access is a crash."""

    value: Array
    at_end: bool = True
    _map: mmap.mmap = field(init=False, repr=False)

    def __post_init__(self) -> None:
        pages = -(-max(self.value.nbytes, 1) // _PAGE)
        self._map = mmap.mmap(-1, (pages + 2) * _PAGE)
        base = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        libc = ctypes.CDLL(None, use_errno=True)
        for page in (0, pages + 1):
            if libc.mprotect(ctypes.c_void_p(base + page * _PAGE), ctypes.c_size_t(_PAGE), 0):
                raise OSError(ctypes.get_errno(), "mprotect")
        start = _PAGE + (pages * _PAGE - self.value.nbytes if self.at_end else 0)
        self.address = base + start
        raw = np.ctypeslib.as_array((ctypes.c_uint8 * self.value.nbytes).from_address(self.address))
        self.view: Array = raw.view(self.value.dtype).reshape(self.value.shape)
        self.view[...] = self.value


@dataclass
class Case:
    """A convolution with its data."""

    spec: Convolution
    source: Array
    weights: npt.NDArray[np.int8]
    bias: npt.NDArray[np.int32]
    multiplier: npt.NDArray[np.int64] | None = None
    shift: npt.NDArray[np.int64] | None = None
    table: Array | None = None

    def expected(self) -> Array:
        """The output, in int64 NumPy."""
        return self._finish(self._accumulators())

    def _accumulators(self) -> npt.NDArray[np.int64]:
        spec = self.spec
        top, left, bottom, right = spec.padding
        image = self.source.astype(np.int64) - spec.input_zero_point
        image = np.pad(image, ((0, 0), (top, bottom), (left, right), (0, 0)))
        batch, height, width, channels = spec.output
        result = np.zeros((batch, height, width, spec.groups, channels // spec.groups), np.int64)
        grouped = self.weights.reshape(spec.groups, -1, *self.weights.shape[1:]).astype(np.int64)
        for row in range(spec.kernel[0]):
            for column in range(spec.kernel[1]):
                rows = row * spec.dilations[0] + np.arange(height) * spec.strides[0]
                columns = column * spec.dilations[1] + np.arange(width) * spec.strides[1]
                taps = image[:, rows[:, None], columns].reshape(batch, height, width, spec.groups, -1)
                result += np.einsum("bhwgc,gnc->bhwgn", taps, grouped[:, :, row, column])
        return result.reshape(batch, height, width, channels) + self.bias

    def _finish(self, accumulators: npt.NDArray[np.int64]) -> Array:
        rescale = self.spec.epilogue.rescale
        if rescale is None or self.multiplier is None or self.shift is None:
            return accumulators.astype(np.int32)
        half = np.int64(1) << (self.shift - 1)
        value = ((accumulators * self.multiplier + half) >> self.shift) + rescale.zero_point
        clamped: npt.NDArray[np.int64] = np.clip(value, rescale.low, rescale.high)
        if self.table is not None:
            looked_up: Array = self.table[clamped - np.iinfo(self.spec.epilogue.output_type).min]
            return looked_up
        return clamped.astype(self.spec.epilogue.output_type)

    def run(self, library: ctypes.CDLL, level: VectorLevel, at_end: bool = True) -> Array:
        """The compiled function's output."""
        constants = packed_constants(self.spec, level.dot, self.weights, self.bias, self.multiplier, self.shift)
        if self.table is not None:
            constants["table"] = self.table
        output = np.zeros(self.spec.output, self.spec.epilogue.output_type)
        arrays = [GuardedArray(array, at_end) for array in (self.source, *constants.values(), output)]
        getattr(library, self.spec.name)(*(ctypes.c_void_p(array.address) for array in arrays))
        return arrays[-1].view.copy()


def compile_cases(cases: Sequence[Case], level: VectorLevel, folder: Path) -> ctypes.CDLL:
    """All cases' functions in one library."""
    functions = [convolution(case.spec, level.dot) for case in cases]
    return load_object(build_object(functions, level.target()), folder, level.name)

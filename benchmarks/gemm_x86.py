"""GMAC/s of dense layers and pointwise convolutions on AVX512-VNNI, against a bare GEMM nest on the same machine.

    python benchmarks/gemm_x86.py

The yardstick is the plainest nest that reaches the dot-product unit: aligned `uint8 × int8`, 6 rows × 4 vectors, a
64-bit rescale in registers, no tails. The nests of qcc run beside it in one process, interleaved, with int8 and with
uint8 activations; the ratio of medians must be at least 0.85 for every shape with int8 activations.
"""

from __future__ import annotations

import ctypes
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from qcc.targets import tir
from qcc.targets.lowering import build_object
from qcc.targets.nests.convolution import convolution, packed_constants
from qcc.targets.nests.epilogue import Epilogue, rescale_for
from qcc.targets.nests.matmul import matmul
from qcc.targets.nests.products import InputType
from qcc.targets.x86_instructions import AVX512_VNNI

SHAPES = (
    *((784, 128, 256), (784, 256, 256), (196, 256, 256), (196, 512, 512), (196, 1024, 256), (49, 320, 960)),
    *((49, 1280, 320), (49, 160, 960), (49, 1024, 1024), (768, 256, 512), (192, 512, 512), (48, 1024, 1024)),
)
"""Rows, columns, depth."""
ENOUGH = 0.85
ROWS, VECTORS, LANES = 6, 4, 16
_DOT = "llvm.x86.avx512.vpdpbusd.512"
Array = npt.NDArray[Any]


def yardstick(rows: int, columns: int, depth: int) -> tir.PrimFunc:
    """The bare nest; `rows` is a multiple of 6, `columns` of 64."""
    width = VECTORS * LANES
    source, output = tir.buffer("input", rows * depth, "uint8"), tir.buffer("output", rows * columns, "uint8")
    weights = tir.buffer("weights", columns * depth, "int8")
    bias, factor = tir.buffer("bias", columns, "int32"), tir.buffer("multiplier", columns, "int32")
    shift = tir.buffer("shift", columns, "int64")
    body = tir.Body()
    places = [(row, vector) for row in range(ROWS) for vector in range(VECTORS)]
    with body.loop("block", columns // width) as block, body.loop("tile", rows // ROWS) as tile:
        sums = body.allocate("sums", ROWS * VECTORS, "int32x16")
        starts = [block * tir.constant(width) + tir.constant(vector * LANES) for vector in range(VECTORS)]
        for row, vector in places:
            body.store(sums, row * VECTORS + vector, tir.load(bias, starts[vector], LANES))
        with body.loop("step", depth // 4) as step:
            for row, vector in places:
                offset = (tile * tir.constant(ROWS) + tir.constant(row)) * tir.constant(depth) + step * tir.constant(4)
                word = tir.reinterpret(tir.load(source, offset, 4), "int32")
                bytes_ = tir.reinterpret(tir.splat(word, LANES), "uint8x64")
                place = (block * tir.constant(depth // 4) + step) * tir.constant(width * 4) + tir.constant(vector * 64)
                old = tir.load(sums, row * VECTORS + vector)
                new = tir.llvm("int32x16", _DOT, old, bytes_, tir.load(weights, place, 64))
                body.store(sums, row * VECTORS + vector, new)
        one = tir.splat(1, LANES, "int64")
        for row, vector in places:
            by = tir.load(shift, starts[vector], LANES)
            wide = tir.cast(tir.load(sums, row * VECTORS + vector), "int64x16")
            product = wide * tir.cast(tir.load(factor, starts[vector], LANES), "int64x16")
            value = tir.cast((product + (one << (by - one))) >> by, "int32x16") + tir.splat(3, LANES)
            clamped = tir.maximum(tir.minimum(value, tir.splat(255, LANES)), tir.splat(0, LANES))
            target = (tile * tir.constant(ROWS) + tir.constant(row)) * tir.constant(columns) + starts[vector]
            body.store(output, target, tir.cast(clamped, "uint8x16"), LANES)
    return body.function("yardstick", [source, weights, bias, factor, shift, output])


def aligned(array: Array) -> Array:
    """A copy at a 64-byte boundary."""
    raw = np.empty(array.nbytes + 64, np.uint8)
    start = -raw.ctypes.data % 64
    copy: Array = raw[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def medians(calls: Sequence[Callable[[], object]], repeats: int, rounds: int = 31) -> list[float]:
    """Median seconds of each call, all of them interleaved."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, record in zip(calls, times, strict=True):
            start = time.perf_counter()
            for _ in range(repeats):
                call()
            record.append((time.perf_counter() - start) / repeats)
    return [statistics.median(record) for record in times]


@dataclass(frozen=True)
class Call:
    """A call of a compiled function; it keeps the arrays alive."""

    function: Any
    arrays: tuple[Array, ...]

    def __call__(self) -> None:
        """Run the function once."""
        self.function(*(ctypes.c_void_p(array.ctypes.data) for array in self.arrays))


def measure(shape: tuple[int, int, int], folder: Path) -> tuple[float, dict[str, float]]:
    """GMAC/s of the yardstick, and of the nests by input type."""
    rows, columns, depth = shape
    generator = np.random.default_rng(0)
    weights = generator.integers(-128, 128, (columns, 1, 1, depth)).astype(np.int8)
    shift, factor = generator.integers(39, 43, columns), generator.integers(2**30, 2**31, columns)
    bias = generator.integers(-1000, 1000, columns).astype(np.int32)
    inputs: tuple[InputType, ...] = ("int8", "uint8")
    specs = {}
    for kind in inputs:
        info = np.iinfo(kind)
        epilogue = Epilogue(kind, rescale_for(shift, 3, int(info.min), int(info.max)))
        specs[kind] = matmul(f"nest_{kind}", rows, columns, depth, kind, epilogue, input_zero_point=5)
    padded = (-(-rows // ROWS) * ROWS, -(-columns // (VECTORS * LANES)) * VECTORS * LANES)
    functions = [yardstick(*padded, depth), *(convolution(spec, AVX512_VNNI.dot) for spec in specs.values())]
    library = _library(build_object(functions, AVX512_VNNI.target()), folder / "_".join(map(str, shape)))
    data = generator.integers(0, 256, (padded[0], depth)).astype(np.uint8)
    calls = []
    ones = np.ones(padded[1], np.int32)
    bare: list[Array] = [data, np.resize(weights, padded[1] * depth), ones, ones * 2**30, ones.astype(np.int64) * 40]
    calls.append(_call(library.yardstick, [*bare, np.zeros(padded, np.uint8)]))
    for kind, spec in specs.items():
        constants = packed_constants(spec, AVX512_VNNI.dot, weights, bias, factor, shift)
        arrays = [data[:rows].view(kind), *constants.values(), np.zeros((rows, columns), kind)]
        calls.append(_call(getattr(library, spec.name), arrays))
    macs = [padded[0] * padded[1] * depth, *[rows * columns * depth] * len(specs)]
    seconds = medians(calls, max(1, 100_000_000 // macs[1]))
    rates = [count / each / 1e9 for count, each in zip(macs, seconds, strict=True)]
    return rates[0], dict(zip(specs, rates[1:], strict=True))


def _call(function: Any, arrays: Sequence[Array]) -> Call:
    return Call(function, tuple(aligned(array) for array in arrays))


def _library(data: bytes, path: Path) -> ctypes.CDLL:
    path.with_suffix(".o").write_bytes(data)
    shared = path.with_suffix(".so")
    subprocess.run(["cc", "-shared", "-o", str(shared), str(path.with_suffix(".o"))], check=True)
    return ctypes.CDLL(str(shared))


def main() -> int:
    """Print a table; 1 when a ratio is below the goal."""
    print(f"{'rows':>5} {'columns':>7} {'depth':>5}  {'yardstick':>9} {'int8':>6} {'uint8':>6}  {'int8 ratio':>10}")
    worst = 9.9
    with tempfile.TemporaryDirectory() as folder:
        for shape in SHAPES:
            base, rates = measure(shape, Path(folder))
            ratio = rates["int8"] / base
            worst = min(worst, ratio)
            numbers = f"{base:9.0f} {rates['int8']:6.0f} {rates['uint8']:6.0f}  {ratio:10.2f}"
            print(f"{shape[0]:5} {shape[1]:7} {shape[2]:5}  {numbers}")
    print(f"worst ratio {worst:.2f}, goal {ENOUGH}")
    return int(worst < ENOUGH)


if __name__ == "__main__":
    sys.exit(main())

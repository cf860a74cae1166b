"""Damaged .tflite files: seeded mutations of a model, most of them where the reader looks for structure."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np

from qcc.frontends.tflite import ModelFile, import_model
from qcc.frontends.tflite.flatbuffer import Buffer

#: Numbers that sizes, offsets, counts and enumerations of damaged files often are.
EXTREMES = (
    0,
    1,
    2,
    3,
    4,
    7,
    16,
    127,
    128,
    255,
    1 << 15,
    (1 << 16) - 1,
    1 << 16,
    1 << 24,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 1,
)


def structure(data: bytes) -> list[tuple[int, int]]:
    """Return where the reader finds numbers of the file, and their sizes: all that is not data of constants."""
    places: set[tuple[int, int]] = set()
    scalar, vector = Buffer.scalar, Buffer.vector

    def read(self: Buffer, position: int, kind: str) -> object:
        places.add((position, struct.calcsize(kind)))
        return scalar(self, position, kind)

    def read_all(self: Buffer, position: int, size: int) -> tuple[int, int]:
        start, count = vector(self, position, size)
        places.update((start + i * size, size) for i in range(count))
        return start, count

    with patch.object(Buffer, "scalar", read), patch.object(Buffer, "vector", read_all), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import_model(ModelFile(data, "model.tflite"))
    return sorted(places)


def mutations(data: bytes, seed: int, count: int) -> Iterator[bytes]:
    """Yield `count` damaged copies of a file."""
    places = structure(data)
    generator = np.random.default_rng(seed)
    for _ in range(count):
        copy = bytearray(data)
        for _ in range(int(generator.choice([1, 1, 1, 2, 5, 20]))):
            _damage(copy, places, generator)
        yield bytes(copy)


def _damage(data: bytearray, places: list[tuple[int, int]], generator: np.random.Generator) -> None:
    """Change a file in place at one position."""
    position, size = places[int(generator.integers(len(places)))]
    if position + size > len(data):  # an earlier mutation has cut the file
        return
    match int(generator.integers(8)):
        case 0:
            del data[int(generator.integers(len(data))) :]
        case 1:
            data[position] ^= 1 << int(generator.integers(8))
        case 2:
            data[int(generator.integers(len(data)))] ^= 1 << int(generator.integers(8))
        case 3 | 4:
            value = int(generator.choice(EXTREMES))
            data[position : position + size] = (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")
        case 5:
            data[position : position + size] = generator.bytes(size)
        case 6:  # what another place of the same size holds: offsets that lead elsewhere, back, or to themselves
            others = [p for p, s in places if s == size and p + s <= len(data)]
            source = others[int(generator.integers(len(others)))]
            data[position : position + size] = data[source : source + size]
        case _:
            change = int(generator.integers(-8, 9)).to_bytes(8, "little", signed=True)[:size]
            total = int.from_bytes(data[position : position + size], "little") + int.from_bytes(change, "little")
            data[position : position + size] = (total & ((1 << 8 * size) - 1)).to_bytes(size, "little")


def model_bytes(models: Path, name: str) -> bytes:
    """Return a shared model."""
    return (models / f"{name}.tflite").read_bytes()

"""Values, where they come from, and constant data."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from .types import Array, TensorType


@dataclass(frozen=True)
class Value:
    """A named, typed tensor in SSA form; within a module the name says which."""

    name: str
    type: TensorType

    def with_type(self, type: TensorType) -> Value:
        """Return the value of the same name with another type."""
        return Value(self.name, type)


@dataclass(frozen=True)
class Location:
    """Where an operation came from: model file, node name, and the passes that made or changed it."""

    file: str = ""
    node: str = ""
    passes: tuple[str, ...] = ()

    def by(self, name: str) -> Location:
        """Return the location with pass `name` appended (once in a row)."""
        return self if self.passes[-1:] == (name,) else replace(self, passes=(*self.passes, name))


class Dense:
    """Immutable array data of a constant; equal when dtype, shape and every bit are equal."""

    def __init__(self, array: Array) -> None:
        data = np.array(array, copy=True, order="C")
        if data.dtype.byteorder == ">":
            data = data.astype(data.dtype.newbyteorder("="))
        data.flags.writeable = False
        self.array = data

    @cached_property
    def digest(self) -> str:
        """A short hash of dtype, shape and contents."""
        found = hashlib.blake2b(f"{self.array.dtype.str}{self.array.shape}".encode(), digest_size=8)
        found.update(self.array.reshape(-1).view(np.uint8).data)
        return found.hexdigest()

    @cached_property
    def bounds(self) -> tuple[int, int]:
        """Smallest and largest of integer data, which must not be empty."""
        return int(self.array.min()), int(self.array.max())

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Dense) and self.digest == other.digest)

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"Dense({self.array.dtype}{list(self.array.shape)}, {self.digest})"

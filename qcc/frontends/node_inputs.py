"""What every importer's node shares: inputs by position, and those that must be known at import."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from qcc.ir import Array

from .problem import Unsupported


class MaybeKnown(Protocol):
    """A tensor whose data may be known at import."""

    @property
    def array(self) -> Array | None:
        """Its data, where that is known."""
        ...


T = TypeVar("T", bound=MaybeKnown)


class NodeInputs(Generic[T]):
    """The inputs of a node.

    Attributes:
        inputs: tensors by position, None where an optional one is left out.
    """

    def __init__(self, inputs: Sequence[T | None]) -> None:
        self.inputs = list(inputs)

    def input(self, index: int, what: str = "") -> T:
        """Return a required input."""
        tensor = self.optional(index)
        if tensor is None:
            raise Unsupported(f"input {index}{f' ({what})' if what else ''} is missing")
        return tensor

    def optional(self, index: int) -> T | None:
        """Return an input, None where it is left out."""
        return self.inputs[index] if index < len(self.inputs) else None

    def constant(self, index: int, what: str) -> Array:
        """Return the data of a required input that must be known at import."""
        return known(self.input(index, what), f"input {index} ({what})")


def known(tensor: MaybeKnown, what: str) -> Array:
    """Return the data of a tensor; Unsupported where it is computed at run time."""
    if tensor.array is None:
        raise Unsupported(f"{what} is computed at run time, it must be constant")
    return tensor.array

"""What every loaded artifact is, wherever its code runs: an interface, and a function from codes to codes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from qcc.ir import Array, EvaluationError, Module, Stage, Value, check_inputs
from qcc.targets.emission.header import ERROR_MEANINGS, OK
from qcc.targets.emission.interface import Interface


@dataclass(frozen=True)
class LoadedModel(ABC):
    """A compiled model, ready to run.

    Attributes:
        interface: as the C API has it.
        manifest: what the artifact says of itself.
    """

    interface: Interface = field(repr=False)
    manifest: Mapping[str, Any] = field(repr=False)

    @property
    def name(self) -> str:
        """The name of the module."""
        return self.interface.name

    @cached_property
    def inputs(self) -> tuple[Value, ...]:
        """The inputs with their types; quantized ones take codes."""
        return tuple(Value(port.name, port.type) for port in self.interface.inputs)

    @cached_property
    def outputs(self) -> tuple[Value, ...]:
        """The outputs with their types; quantized ones give codes."""
        return tuple(Value(port.name, port.type) for port in self.interface.outputs)

    @abstractmethod
    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return the outputs by name for one set of inputs: one array for each input, of its shape and storage type.

        An EvaluationError says which input is missing or does not fit.
        """

    @abstractmethod
    def run_many(self, samples: Iterable[Mapping[str, Array]]) -> Iterator[dict[str, Array]]:
        """Yield the outputs by name for each sample, as `run` does; states go from each run to the next."""

    def _checked(self, inputs: Mapping[str, Array], states: tuple[Value, ...] = ()) -> dict[str, Array]:
        """Return arrays for the inputs and the given states; an EvaluationError says what does not fit."""
        return check_inputs(Module(self.name, Stage.INTEGER, (*self.inputs, *states), (), ()), inputs)


def require_ok(status: int) -> None:
    """Raise an EvaluationError unless a run ended well."""
    if status != OK:
        meaning = ERROR_MEANINGS.get(status, "an unknown error")
        raise EvaluationError(f"the compiled model returned {status}: {meaning}")

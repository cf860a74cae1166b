"""A module: named inputs, operations in topological order, named outputs. Immutable; passes make new ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from .errors import IrError
from .op import Op, Stage
from .ops.constant import Constant
from .types import Array
from .value import Dense, Value


@dataclass(frozen=True)
class Output:
    """A result of the module: the name callers use and the value returned."""

    name: str
    value: Value


@dataclass(frozen=True)
class State:
    """What a module keeps from one run to the next.

    A run reads it as the input `name` and gives what it becomes as the output `name`; the caller ties the two together.

    Attributes:
        name: of an input, and of an output of the same type.
        initial: the data before the first run, in the storage type: codes, where the input is quantized.
    """

    name: str
    initial: Dense


@dataclass(frozen=True)
class Module:
    """A model.

    Attributes:
        name: a C identifier; names the artifact's files and functions.
        stage: what the operations mean.
        inputs: values that the caller gives; their names are the input names.
        ops: operations, each after the definitions of its operands.
        outputs: what is returned.
        attributes: facts about the module as text, such as `recipe` or `target`, in order.
        states: the inputs and outputs that are kept from one run to the next.
    """

    name: str
    stage: Stage
    inputs: tuple[Value, ...]
    ops: tuple[Op, ...]
    outputs: tuple[Output, ...]
    attributes: tuple[tuple[str, str], ...] = field(default=())
    states: tuple[State, ...] = field(default=())

    @cached_property
    def initial_states(self) -> dict[str, Array]:
        """The data of each state before the first run, by name."""
        return {s.name: s.initial.array for s in self.states}

    @cached_property
    def caller_inputs(self) -> tuple[Value, ...]:
        """The inputs without those that read a state."""
        return tuple(v for v in self.inputs if v.name not in self.initial_states)

    @cached_property
    def caller_outputs(self) -> tuple[Output, ...]:
        """The outputs without those that a state becomes."""
        return tuple(o for o in self.outputs if o.name not in self.initial_states)

    @cached_property
    def definitions(self) -> dict[str, Op]:
        """The defining operation of each value that is not an input, by value name."""
        return {value.name: op for op in self.ops for value in op.results}

    @cached_property
    def users(self) -> dict[str, tuple[Op, ...]]:
        """The operations that read each value, by value name, in order."""
        found: dict[str, list[Op]] = {}
        for op in self.ops:
            for name in dict.fromkeys(v.name for v in op.operands):
                found.setdefault(name, []).append(op)
        return {name: tuple(ops) for name, ops in found.items()}

    @cached_property
    def values(self) -> dict[str, Value]:
        """Every value by name: inputs and results."""
        found = {v.name: v for v in self.inputs}
        found.update((v.name, v) for op in self.ops for v in op.results)
        return found

    @cached_property
    def output_names(self) -> frozenset[str]:
        """Names of the values that are returned."""
        return frozenset(o.value.name for o in self.outputs)

    def definition(self, value: Value) -> Op | None:
        """Return the operation that defines `value`, None for an input."""
        return self.definitions.get(value.name)

    def constant(self, value: Value) -> Array | None:
        """Return the data of `value` where it is a constant, else None."""
        op = self.definition(value)
        return op.value.array if isinstance(op, Constant) else None

    def use_count(self, value: Value) -> int:
        """Return how many operations and outputs read `value`."""
        return len(self.users.get(value.name, ())) + sum(o.value.name == value.name for o in self.outputs)

    def attribute(self, key: str, default: str = "") -> str:
        """Return the module attribute `key`."""
        return dict(self.attributes).get(key, default)

    def with_attribute(self, key: str, text: str) -> Module:
        """Return the module with attribute `key` set."""
        return self.replace(attributes=tuple({**dict(self.attributes), key: text}.items()))

    def replace(self, **changes: object) -> Module:
        """Return a copy with fields changed."""
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]  # checked by the verifier

    def input_named(self, name: str) -> Value:
        """Return the input of that name."""
        for value in self.inputs:
            if value.name == name:
                return value
        raise IrError(f"there is no input {name!r}", help="inputs: " + ", ".join(v.name for v in self.inputs))

    def __iter__(self) -> Iterator[Op]:
        return iter(self.ops)

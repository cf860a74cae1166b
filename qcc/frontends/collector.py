"""What the emission of every format shares: the parts of a module while they are collected, with their names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from qcc.ir import (
    Array,
    Dense,
    Location,
    Module,
    Op,
    Output,
    Stage,
    TensorType,
    UniqueNames,
    Value,
    c_identifier,
    replace_op,
)
from qcc.ir.ops import Constant

from .limits import FoldBudget


class Collector:
    """Collects inputs, operations and outputs of a module.

    The operations of a node are kept back until the node is finished, because only then it is known which of their
    results are the node's, and get the model's names.

    Args:
        name: of the module.
        reserved: names that no value gets unasked.

    Attributes:
        name: of the module, as an identifier.
        location: of the node that is imported.
        hint: what values of the node that have no name of their own are named after.
    """

    def __init__(self, name: str, reserved: Iterable[str] = ()) -> None:
        self.name = c_identifier(name)
        self.location = Location()
        self.hint = "v"
        self._names = UniqueNames(reserved)
        self._inputs: list[Value] = []
        self._ops: list[Op] = []
        self._outputs: list[Output] = []
        self._pending: list[Op] = []
        self._fold_budget = FoldBudget()

    def discard(self) -> None:
        """Drop the operations of the node: it can't be imported."""
        self._pending.clear()

    def _keep(
        self, op_class: type[Op], operands: Sequence[Value], attributes: Mapping[str, Any], types: Sequence[TensorType]
    ) -> tuple[Value, ...]:
        """Return the results, of the given types, of an operation of the node."""
        op = op_class(operands=tuple(operands), location=self.location, **attributes)
        results = tuple(Value(self._names.unique(f"{self.hint}_{op.name}"), t) for t in types)
        self._pending.append(replace_op(op, results=results))
        return results

    def _keep_constant(self, value: Value, name: str, array: Array, notes: tuple[tuple[str, str], ...] = ()) -> None:
        """Add the constant that defines `value`: the tensor `name` of the model."""
        location = Location(self.location.file, name)
        self._pending.append(Constant(value=Dense(array), results=(value,), location=location, notes=notes))

    def _flush(self, renamed: Mapping[str, Value]) -> None:
        """Append the node's operations; values among `renamed` become what that says."""
        for op in self._pending:
            operands = tuple(renamed.get(v.name, v) for v in op.operands)
            results = tuple(renamed.get(v.name, v) for v in op.results)
            self._ops.append(replace_op(op, operands=operands, results=results))
        self._pending.clear()

    def _module(self) -> Module:
        """Return what has been collected, of the float stage and not verified."""
        return Module(self.name, Stage.FLOAT, tuple(self._inputs), tuple(self._ops), tuple(self._outputs))

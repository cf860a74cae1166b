"""The builder: appends operations, infers types, keeps names unique."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from .attributes import check_names
from .errors import IrError
from .module import Module, Output, State
from .naming import UniqueNames, c_identifier
from .op import Op, Stage, check_arity, replace_op, required_attributes
from .ops.constant import Constant
from .types import Array, TensorType
from .value import Dense, Location, Value


class Builder:
    """Builds a module one operation at a time.

    >>> b = Builder("net")
    >>> x = b.input("x", TensorType((1, 4), F32))
    >>> y = b.emit(Relu, x, name="y")
    >>> b.output("y", y)
    >>> module = b.build()
    """

    def __init__(self, name: str = "model", stage: Stage = Stage.FLOAT) -> None:
        self.name = c_identifier(name)
        self.stage = stage
        self.location = Location()
        self.ops: list[Op] = []
        self._inputs: list[Value] = []
        self._outputs: list[Output] = []
        self._states: list[State] = []
        self._names = UniqueNames()
        self._definitions: dict[str, Op] = {}

    def unique(self, name: str) -> str:
        """Return `name`, with the first free number behind it where it is taken, and reserve it."""
        return self._names.unique(name)

    def input(self, name: str, type: TensorType) -> Value:
        """Add an input."""
        if name in self._names:
            raise IrError(f"two inputs or values are named {name!r}")
        self._names.take(name)
        self._inputs.append(Value(name, type))
        return self._inputs[-1]

    def state(self, name: str, type: TensorType, initial: Array) -> Value:
        """Add a state and return what a run reads of it; `output` of the same name says what it becomes."""
        value = self.input(name, type)
        self._states.append(State(name, Dense(initial)))
        return value

    def emit(self, op_class: type[Op], *operands: Value, name: str = "", **attributes: Any) -> Value:
        """Append an operation with one result and return that result.

        Args:
            operands: its operands, optional trailing ones left out.
            name: the wish for the result's name (made unique).
            attributes: attributes, and `location`, `notes`, `types` (result types where not the inferred ones).
        """
        results = self.emit_many(op_class, *operands, names=(name,), **attributes)
        if len(results) != 1:
            raise IrError(f"{op_class.name} has {len(results)} results: use emit_many")
        return results[0]

    def emit_many(
        self,
        op_class: type[Op],
        *operands: Value,
        names: tuple[str, ...] = (),
        types: tuple[TensorType, ...] | None = None,
        **attributes: Any,
    ) -> tuple[Value, ...]:
        """Append an operation with any number of results and return them."""
        attributes.setdefault("location", self.location)
        known = [f.name for f in fields(op_class) if f.name not in ("operands", "results")]
        check_names(op_class.name, known, required_attributes(op_class), attributes)
        op = op_class(operands=operands, **attributes)
        check_arity(op)
        types = op.infer() if types is None else types
        wished = [*names, *[""] * (len(types) - len(names))]
        if len(wished) != len(types):
            raise IrError(f"{op.name} has {len(types)} results, {len(wished)} names are given")
        results = tuple(Value(self.unique(n or op.name), t) for n, t in zip(wished, types, strict=True))
        return self.append(replace_op(op, results=results))

    def append(self, op: Op) -> tuple[Value, ...]:
        """Append an operation as it is (its result names must be free or reserved)."""
        self._names.take(*(v.name for v in op.results))
        self._definitions.update((v.name, op) for v in op.results)
        self.ops.append(op)
        return op.results

    def constant(self, array: Array, name: str = "", type: TensorType | None = None, **attributes: Any) -> Value:
        """Append a constant; its type follows from the array's dtype unless given."""
        data = Dense(array)
        types = None if type is None else (type,)
        return self.emit(Constant, name=name or "constant", value=data, types=types, **attributes)

    def definition(self, value: Value) -> Op | None:
        """Return the operation appended so far that defines `value`."""
        return self._definitions.get(value.name)

    def constant_of(self, value: Value) -> Array | None:
        """Return the data of `value` where it is a constant, else None."""
        op = self.definition(value)
        return op.value.array if isinstance(op, Constant) else None

    def output(self, name: str, value: Value) -> None:
        """Add an output."""
        self._outputs.append(Output(name, value))

    def build(self) -> Module:
        """Return the verified module."""
        from .verifier import verify

        module = Module(self.name, self.stage, tuple(self._inputs), tuple(self.ops), tuple(self._outputs))
        module = module.replace(states=tuple(self._states))
        verify(module)
        return module

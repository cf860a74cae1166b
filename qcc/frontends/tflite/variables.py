"""Variables of a model: what it keeps from one run to the next, as states of the module.

There are two kinds: resources, which VAR_HANDLE names, READ_VARIABLE reads and ASSIGN_VARIABLE writes, and tensors that
are marked as variable, which operations such as SVDF read and write. Within a run, what was written last is read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qcc.ir import I32, Array, TensorType, UniformType

from ..problem import Unsupported
from .defects import Defects
from .emission import Emitter, Tensor
from .model_file import FileGraph, ModelFile
from .node import OptionReader
from .tensor_types import tensor_data, tensor_type


class Handle(Tensor):
    """Names a variable; it has no data and no value.

    Attributes:
        key: of the variable.
        variable: its type, where it is a tensor that is marked as variable.
    """

    def __init__(self, name: str, key: str, variable: TensorType | None = None) -> None:
        super().__init__(name, TensorType((), I32))
        self.key = key
        self.variable = variable


@dataclass
class _Variable:
    """A variable that something has read or written: its state's name, and the tensor that it is now."""

    state: str
    type: TensorType
    current: Tensor


class Variables:
    """The variables of one import.

    `initializers` are the numbers of the subgraphs that gave initial data.

    Args:
        file: the model.
        emitter: where states are added.
        defects: where to record what is wrong but clear.
    """

    def __init__(self, file: ModelFile, emitter: Emitter, defects: Defects) -> None:
        self._file = file
        self._emitter = emitter
        self._defects = defects
        self._found: dict[str, _Variable] = {}
        self._initial: dict[str, tuple[TensorType, Array]] = {}
        self.initializers: set[int] = set()

    def read(self, key: str, type: TensorType) -> Tensor:
        """Return what a variable is now; its type is that of the first to read or write it."""
        return self._variable(key, type).current

    def write(self, key: str, tensor: Tensor) -> None:
        """Make a variable what `tensor` is, codes as they are."""
        variable = self._variable(key, tensor.type)
        if tensor.shape != variable.type.shape or tensor.type.element.storage != variable.type.element.storage:
            raise Unsupported(f"variable {variable.state!r} is {variable.type}, it can't become {tensor.type}")
        variable.current = tensor

    def initialize(self, index: int) -> None:
        """Take the initial data of variables from the subgraph that CALL_ONCE names: constants that it assigns."""
        if index == 0:
            raise Unsupported("names the main subgraph as the one that initializes")
        graph = self._file.graph(index)
        self.initializers.add(index)
        handles: dict[int, str] = {}
        for operator in graph.operators:
            if operator.name == "VAR_HANDLE" and len(operator.outputs) == 1:
                handles[operator.outputs[0]] = OptionReader(operator).key()
            elif operator.name == "ASSIGN_VARIABLE" and len(operator.inputs) == 2 and operator.inputs[0] in handles:
                self._initial[handles[operator.inputs[0]]] = self._constant(graph, operator.inputs[1])
            else:
                raise Unsupported(f"the subgraph that initializes holds {operator.name}, which is not supported there")

    def finish(self) -> None:
        """Add what each variable becomes to the module."""
        for variable in self._found.values():
            self._emitter.next_state(variable.state, variable.type, variable.current)

    def _constant(self, graph: FileGraph, index: int) -> tuple[TensorType, Array]:
        if index < 0:
            raise Unsupported("a variable is initialized with nothing")
        tensor = graph.tensors[index]
        type = tensor_type(tensor, tensor.shape, self._defects)
        if tensor.buffer >= self._file.buffer_count:
            raise Unsupported(f"{tensor.label} has its data in buffer {tensor.buffer}, which is not there")
        return type, tensor_data(self._file, tensor, type)

    def _variable(self, key: str, type: TensorType) -> _Variable:
        if key not in self._found:
            state = self._emitter.state(key, type, self._data(key, type))
            self._found[key] = _Variable(state.name, type, state)
        return self._found[key]

    def _data(self, key: str, type: TensorType) -> Array:
        """Return the initial data of a variable: real zero, where the file gives none."""
        if key not in self._initial:
            zero = type.element.zero_point if isinstance(type.element, UniformType) else 0
            self._emitter.take_bytes(type.bytes)
            return np.full(type.shape, zero, type.element.storage.dtype)
        given, data = self._initial[key]
        if given.shape != type.shape or given.element.storage != type.element.storage:
            raise Unsupported(f"variable {key!r} is initialized as {given} and used as {type}")
        return data

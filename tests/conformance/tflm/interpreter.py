"""An interpreter of .tflite files with the arithmetic of TensorFlow Lite Micro's reference kernels.

Written for the tests from the mathematics alone (ARITHMETIC.md §2 and §3), in exact NumPy integers, and independent of
the compiler under test: it reads files itself, and has its own rescaling and its own functions.

Float tensors are carried for QUANTIZE, DEQUANTIZE and data movement only.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tests.conformance.tflm import (  # noqa: F401  # importing registers the kernels
    elementwise,
    functions,
    movement,
    pooling,
    products,
    reductions,
    resize,
    softmax,
)
from tests.conformance.tflm.fixed_point import Array
from tests.conformance.tflm.graph import Graph, Operation, read_graphs
from tests.conformance.tflm.kernel import KERNELS, Call


class TflmInterpreter:
    """Runs a file; variables live from one run to the next."""

    def __init__(self, data: bytes) -> None:
        self.graphs = read_graphs(data)
        self.variables: dict[str, Array] = {}
        self.handles: dict[tuple[int, int], str] = {}
        self.initialized = False

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return the outputs by name for inputs by name."""
        graph = self.graphs[0]
        values = {i: np.asarray(inputs[graph.tensors[i].name]) for i in graph.inputs}
        self._run_graph(0, values)
        found = {}
        for number in graph.outputs:
            info = graph.tensors[number]
            value = values.get(number, info.data)
            assert value is not None
            found[info.name] = value.astype(info.type)
        return found

    def _run_graph(self, which: int, values: dict[int, Array]) -> None:
        graph = self.graphs[which]
        for operation in graph.operations:
            if not self._resource(which, operation, values):
                _execute(graph, operation, values)

    def _resource(self, which: int, operation: Operation, values: dict[int, Array]) -> bool:
        """Execute an operation on variables; return whether it was one."""
        name, inputs, outputs = operation.name, operation.inputs, operation.outputs
        if name == "CALL_ONCE":
            if not self.initialized:
                self.initialized = True
                self._run_graph(operation.options.initSubgraphIndex, {})
        elif name == "VAR_HANDLE":
            self.handles[which, outputs[0]] = operation.options.sharedName.decode()
        elif name == "READ_VARIABLE":
            values[outputs[0]] = self.variables[self.handles[which, inputs[0]]]
        elif name == "ASSIGN_VARIABLE":
            self.variables[self.handles[which, inputs[0]]] = _value(self.graphs[which], inputs[1], values)
        else:
            return False
        return True


def _value(graph: Graph, number: int, values: Mapping[int, Array]) -> Array:
    if number in values:
        return values[number]
    data = graph.tensors[number].data
    assert data is not None, f"tensor {graph.tensors[number].name} has no value"
    return data


def _execute(graph: Graph, operation: Operation, values: dict[int, Array]) -> None:
    call = Call(
        operation.name,
        operation.options,
        tuple(None if i < 0 else graph.tensors[i] for i in operation.inputs),
        tuple(None if i < 0 else _value(graph, i, values) for i in operation.inputs),
        tuple(graph.tensors[i] for i in operation.outputs),
    )
    results = KERNELS[operation.name](call)
    for number, info, result in zip(operation.outputs, call.outputs, results, strict=True):
        array = np.asarray(result).reshape(info.shape)
        if info.type != "float32":
            lowest, highest = info.limits
            assert array.min(initial=0) >= lowest, f"{operation.name} leaves the range of {info.type}"
            assert array.max(initial=0) <= highest, f"{operation.name} leaves the range of {info.type}"
        values[number] = array.astype(info.type)

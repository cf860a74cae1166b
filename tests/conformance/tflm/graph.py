"""Reads a .tflite file through the classes that LiteRT ships, for the scalar interpreter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tests.conformance.tflm.fixed_point import Array

TYPES = {number: name.lower() for name, number in vars(schema.TensorType).items() if isinstance(number, int)}
CODES = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}


@dataclass(frozen=True)
class TensorInfo:
    """A tensor of the file; `data` are its codes if it is constant."""

    name: str
    shape: tuple[int, ...]
    type: str
    scales: Array
    zero_points: Array
    axis: int
    data: Array | None

    @property
    def scale(self) -> np.float32:
        return np.float32(self.scales[0])

    @property
    def zero_point(self) -> int:
        return int(self.zero_points[0]) if self.zero_points.size else 0

    @property
    def limits(self) -> tuple[int, int]:
        """The lowest and the highest code."""
        info = np.iinfo(self.type)
        return int(info.min), int(info.max)


@dataclass(frozen=True)
class Operation:
    """An operation: tensor numbers, −1 where an optional operand is missing, and the schema's options object."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Any


@dataclass(frozen=True)
class Graph:
    tensors: Sequence[TensorInfo]
    operations: Sequence[Operation]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read_graphs(data: bytes) -> list[Graph]:
    """Return the subgraphs of a file."""
    model = schema.ModelT.InitFromPackedBuf(data)
    codes = [CODES[max(c.builtinCode, c.deprecatedBuiltinCode)] for c in model.operatorCodes]
    return [_graph(g, codes, model.buffers) for g in model.subgraphs]


def _graph(graph: Any, codes: Sequence[str], buffers: Sequence[Any]) -> Graph:
    operations = [
        Operation(codes[o.opcodeIndex], _numbers(o.inputs), _numbers(o.outputs), o.builtinOptions)
        for o in graph.operators
    ]
    tensors = [_tensor(t, buffers[t.buffer].data) for t in graph.tensors]
    return Graph(tensors, operations, _numbers(graph.inputs), _numbers(graph.outputs))


def _numbers(values: Any) -> tuple[int, ...]:
    return () if values is None else tuple(int(v) for v in values)


def _tensor(tensor: Any, buffer: Any) -> TensorInfo:
    shape, kind, given = _numbers(tensor.shape), TYPES[tensor.type], tensor.quantization
    quantized = given is not None and given.scale is not None
    scales = np.asarray(given.scale if quantized else [], np.float32)
    points = np.asarray(given.zeroPoint if quantized and given.zeroPoint is not None else [], np.int64)
    axis = int(given.quantizedDimension) if quantized else 0
    data = None if buffer is None or len(buffer) == 0 else _codes(np.asarray(buffer, np.uint8), kind, shape)
    return TensorInfo(tensor.name.decode(), shape, kind, scales, points, axis, data)


def _codes(buffer: Array, kind: str, shape: tuple[int, ...]) -> Array:
    if kind != "int4":
        return np.frombuffer(buffer.tobytes(), kind).reshape(shape)
    nibbles = np.stack([buffer & 15, buffer >> 4], axis=1).reshape(-1)[: int(np.prod(shape))]
    return ((nibbles.astype(np.int8) ^ 8) - 8).reshape(shape)

"""From the bytes of a .tflite file to what it lists: tensors, operators, buffers. Nothing is given a meaning here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qcc.ir import Array, FrontendError

from ..model_bytes import read_bytes
from . import schema
from .flatbuffer import Buffer, Table

#: Bytes that a file may have; offsets have 32 bits.
FILE_LIMIT = 1 << 32


@dataclass(frozen=True)
class FileQuantization:
    """Quantization parameters as a file states them; `custom` where they are of a kind of their own."""

    scales: Array
    zero_points: Array
    dimension: int
    custom: bool


@dataclass(frozen=True)
class FileTensor:
    """A tensor as a file states it.

    Attributes:
        index: its position in the subgraph.
        name: from the file, perhaps empty or not unique.
        shape: of the tensor as it is compiled; empty for a scalar, and where the file does not know.
        signature: the shape with −1 for open dimensions; empty where the file says nothing.
        type: number of the element type.
        buffer: number of the buffer with its data; 0 stands for none.
        is_variable: it keeps its data from one run to the next.
        is_sparse: its data is stored without zeros.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    signature: tuple[int, ...]
    type: int
    buffer: int
    quantization: FileQuantization
    is_variable: bool
    is_sparse: bool

    @property
    def label(self) -> str:
        """How messages name it."""
        return f"tensor {self.name!r}" if self.name else f"tensor {self.index}"


@dataclass(frozen=True)
class FileOperator:
    """An operator as a file states it.

    Attributes:
        name: of the operation, of the custom operation, or `operation 999`.
        version: of the operation.
        inputs, outputs: tensor numbers, −1 for an input that is left out.
        options_type: number of the kind of options table.
        options: the table.
    """

    name: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options_type: int
    options: Table | None


@dataclass(frozen=True)
class FileGraph:
    """A subgraph: tensors, the numbers of those that it takes and gives, operators in the order in which they run."""

    tensors: tuple[FileTensor, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operators: tuple[FileOperator, ...]


class ModelFile:
    """A .tflite file.

    Args:
        data: its bytes.
        place: of the file, for messages.
    """

    def __init__(self, data: bytes, place: str) -> None:
        if not data:
            raise FrontendError("is empty", place=place, help="export the model again")
        self._buffer = Buffer(data, place)
        if len(data) < 8 or data[4:8] != schema.IDENTIFIER:
            raise self._buffer.damaged("is not a TFLite model: the bytes 4 to 8 are not 'TFL3'")
        root = self._buffer.root()
        version = int(root.scalar(schema.Model.VERSION, "I", 0))
        if version != schema.VERSION:
            raise self._buffer.damaged(f"uses schema version {version}, {schema.VERSION} is known")
        self._codes = [_operation(t) for t in root.tables(schema.Model.OPERATOR_CODES)]
        self._buffers = root.tables(schema.Model.BUFFERS)
        self._graphs = root.tables(schema.Model.SUBGRAPHS)
        if not self._graphs:
            raise self._buffer.damaged("holds no subgraph")

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self._buffer.data)

    @property
    def buffer_count(self) -> int:
        """How many buffers there are."""
        return len(self._buffers)

    @property
    def graph_count(self) -> int:
        """How many subgraphs there are."""
        return len(self._graphs)

    def graph(self, index: int) -> FileGraph:
        """Return a subgraph; 0 is what the model computes."""
        if not 0 <= index < len(self._graphs):
            raise self._buffer.damaged(f"there is no subgraph {index}, only {len(self._graphs)}")
        table = self._graphs[index]
        tensors = tuple(_tensor(i, t) for i, t in enumerate(table.tables(schema.SubGraph.TENSORS)))
        graph = FileGraph(
            tensors,
            table.integers(schema.SubGraph.INPUTS),
            table.integers(schema.SubGraph.OUTPUTS),
            tuple(self._operator(t) for t in table.tables(schema.SubGraph.OPERATORS)),
        )
        self._check_numbers(graph)
        return graph

    def data(self, buffer: int) -> memoryview:
        """Return the bytes of a buffer, not copied; none where it is empty."""
        table = self._buffers[buffer]
        offset = int(table.scalar(schema.Buffer.OFFSET, "Q", 0))
        if offset > 1:
            size = int(table.scalar(schema.Buffer.SIZE, "Q", 0))
        else:
            offset, size = table.extent(schema.Buffer.DATA)
        if offset + size > self.size:
            raise self._buffer.damaged(f"{size} bytes of data at {offset} lie outside the file")
        return memoryview(self._buffer.data)[offset : offset + size]

    def _operator(self, table: Table) -> FileOperator:
        code = int(table.scalar(schema.Operator.OPCODE_INDEX, "I", 0))
        if code >= len(self._codes):
            raise self._buffer.damaged(f"an operator has code {code}, there are {len(self._codes)}")
        name, version = self._codes[code]
        return FileOperator(
            name,
            version,
            table.integers(schema.Operator.INPUTS),
            table.integers(schema.Operator.OUTPUTS),
            int(table.scalar(schema.Operator.OPTIONS_TYPE, "B", 0)),
            table.table(schema.Operator.OPTIONS),
        )

    def _check_numbers(self, graph: FileGraph) -> None:
        """Raise FrontendError where a tensor is referred to that is not there."""
        count = len(graph.tensors)
        lists = [("a subgraph", graph.inputs, 0), ("a subgraph", graph.outputs, 0)]
        for operator in graph.operators:
            lists += [(operator.name, operator.inputs, -1), (operator.name, operator.outputs, 0)]
        for what, numbers, lowest in lists:
            wrong = [n for n in numbers if not lowest <= n < count]
            if wrong:
                raise self._buffer.damaged(f"{what} refers to tensor {wrong[0]}, there are {count}")


def read_model(path: Path) -> ModelFile:
    """Return the file at a path; FrontendError where it can't be read or is of another format."""
    return ModelFile(read_bytes(path, limit=FILE_LIMIT), str(path))


def _operation(table: Table) -> tuple[str, int]:
    """Return name and version of an operation."""
    number = int(table.scalar(schema.OperatorCode.CODE, "i", 0))
    old = int(table.scalar(schema.OperatorCode.DEPRECATED_CODE, "b", 0))
    number = max(number, old)  # old files know the old field only; new ones have a placeholder there
    version = int(table.scalar(schema.OperatorCode.VERSION, "i", 1))
    if not 0 <= number < len(schema.OPERATIONS):
        return f"operation {number}", version
    name = schema.OPERATIONS[number]
    return (f"CUSTOM {table.text(schema.OperatorCode.CUSTOM_CODE)}" if name == "CUSTOM" else name), version


def _tensor(index: int, table: Table) -> FileTensor:
    return FileTensor(
        index,
        table.text(schema.Tensor.NAME),
        table.integers(schema.Tensor.SHAPE),
        table.integers(schema.Tensor.SHAPE_SIGNATURE),
        int(table.scalar(schema.Tensor.TYPE, "b", 0)),
        int(table.scalar(schema.Tensor.BUFFER, "I", 0)),
        _quantization(table.table(schema.Tensor.QUANTIZATION)),
        bool(table.scalar(schema.Tensor.IS_VARIABLE, "?", False)),
        table.has(schema.Tensor.SPARSITY) or bool(table.scalar(schema.Tensor.EXTERNAL_BUFFER, "I", 0)),
    )


def _quantization(table: Table | None) -> FileQuantization:
    if table is None:
        return FileQuantization(np.empty(0, np.float32), np.empty(0, np.int64), 0, False)
    return FileQuantization(
        table.numbers(schema.Quantization.SCALE, "<f4"),
        table.numbers(schema.Quantization.ZERO_POINT, "<i8"),
        int(table.scalar(schema.Quantization.QUANTIZED_DIMENSION, "i", 0)),
        bool(table.scalar(schema.Quantization.DETAILS_TYPE, "B", 0)),
    )

"""Builds .tflite models for tests, operation by operation.

    b = TfliteBuilder()
    x = b.input("x", (1, 5, 5, 2), "int8", scale=0.5, zero_point=-3)
    w = b.constant("w", weights, scale=[0.1, 0.2], axis=0)        # int8 array O×KH×KW×I: the type is the array's
    y = b.tensor("y", (1, 5, 5, 2), "int8", scale=0.25)
    b.op("CONV_2D", [x, w, bias], [y], padding="SAME", stride_w=1, stride_h=1, fused_activation_function="RELU6")
    b.output(y)
    data = b.build()                                              # bytes of a file

Attributes are the schema's fields in snake case (`stride_w`, `keep_dims`, …); enumerations are given by name. Every
field that is not given has the schema's default, except the dilations of convolutions, which are 1. An optional operand
that is missing is None. Shapes are given, never derived: a test may lie.

A variable (resource) is made by `variable`, which also writes the subgraph that CALL_ONCE runs:

    state = b.variable("state", initial_codes)
    old = b.tensor("old", (1, 4), "int8", scale=0.5)
    b.op("READ_VARIABLE", [state], [old])
    b.op("ASSIGN_VARIABLE", [state, new], [])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

Array: TypeAlias = npt.NDArray[Any]

OPTIONS = {
    "ABS": "AbsOptions",
    "ADD": "AddOptions",
    "ARG_MAX": "ArgMaxOptions",
    "ARG_MIN": "ArgMinOptions",
    "ASSIGN_VARIABLE": "AssignVariableOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "BATCH_MATMUL": "BatchMatMulOptions",
    "BROADCAST_TO": "BroadcastToOptions",
    "CALL_ONCE": "CallOnceOptions",
    "CAST": "CastOptions",
    "CONCATENATION": "ConcatenationOptions",
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "DEPTH_TO_SPACE": "DepthToSpaceOptions",
    "DEQUANTIZE": "DequantizeOptions",
    "DIV": "DivOptions",
    "EXP": "ExpOptions",
    "EXPAND_DIMS": "ExpandDimsOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "GATHER": "GatherOptions",
    "GELU": "GeluOptions",
    "HARD_SWISH": "HardSwishOptions",
    "L2_NORMALIZATION": "L2NormOptions",
    "LEAKY_RELU": "LeakyReluOptions",
    "MAXIMUM": "MaximumMinimumOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "MINIMUM": "MaximumMinimumOptions",
    "MIRROR_PAD": "MirrorPadOptions",
    "MUL": "MulOptions",
    "PACK": "PackOptions",
    "PAD": "PadOptions",
    "PADV2": "PadV2Options",
    "QUANTIZE": "QuantizeOptions",
    "READ_VARIABLE": "ReadVariableOptions",
    "REDUCE_MAX": "ReducerOptions",
    "REDUCE_MIN": "ReducerOptions",
    "RESHAPE": "ReshapeOptions",
    "RESIZE_BILINEAR": "ResizeBilinearOptions",
    "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighborOptions",
    "REVERSE_V2": "ReverseV2Options",
    "SLICE": "SliceOptions",
    "SOFTMAX": "SoftmaxOptions",
    "SPACE_TO_DEPTH": "SpaceToDepthOptions",
    "SPLIT": "SplitOptions",
    "SPLIT_V": "SplitVOptions",
    "SQUARE": "SquareOptions",
    "SQUEEZE": "SqueezeOptions",
    "STRIDED_SLICE": "StridedSliceOptions",
    "SUB": "SubOptions",
    "SUM": "ReducerOptions",
    "TILE": "TileOptions",
    "TRANSPOSE": "TransposeOptions",
    "TRANSPOSE_CONV": "TransposeConvOptions",
    "UNPACK": "UnpackOptions",
    "VAR_HANDLE": "VarHandleOptions",
}
"""The table of attributes of each operation that has one."""

ENUMERATIONS = {
    "padding": schema.Padding,
    "fused_activation_function": schema.ActivationFunctionType,
    "mode": schema.MirrorPadMode,
    "weights_format": schema.FullyConnectedOptionsWeightsFormat,
    "output_type": schema.TensorType,
    "quantized_bias_type": schema.TensorType,
    "in_data_type": schema.TensorType,
    "out_data_type": schema.TensorType,
}
"""The enumeration of each attribute whose values have names."""

ALIGNMENT = 16
"""Bytes: where the data of a buffer starts, as the schema asks."""


@dataclass(frozen=True)
class Tensor:
    """A tensor by its number in the subgraph.

    Attributes:
        scale: one for the tensor, or one for each index of `axis`; empty: not quantized.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    type: str
    scale: tuple[float, ...] = ()
    zero_point: tuple[int, ...] = ()
    axis: int = 0


@dataclass
class TfliteBuilder:
    """A model being written; see the module's text for its use."""

    description: str = ""
    inputs: list[Tensor] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._buffers = [schema.BufferT()]
        self._codes: dict[tuple[str, int], int] = {}
        self._main = _new_subgraph("main")
        self._initial = _new_subgraph("initialize")
        self._variables = 0

    def input(
        self,
        name: str,
        shape: Sequence[int],
        type: str = "int8",
        scale: float | Sequence[float] = (),
        zero_point: int | Sequence[int] = 0,
    ) -> Tensor:
        """Add an input of the model."""
        tensor = self.tensor(name, shape, type, scale, zero_point)
        self.inputs.append(tensor)
        return tensor

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        type: str = "int8",
        scale: float | Sequence[float] = (),
        zero_point: int | Sequence[int] = 0,
        axis: int = 0,
    ) -> Tensor:
        """Add a tensor that an operation computes."""
        return _add_tensor(self._main, name, shape, type, (scale, zero_point, axis), 0)

    def constant(
        self,
        name: str,
        values: Array,
        scale: float | Sequence[float] = (),
        zero_point: int | Sequence[int] = 0,
        axis: int = 0,
        type: str | None = None,
    ) -> Tensor:
        """Add a tensor with data: codes if it has a scale. `type` int4 packs an int8 array."""
        return self._constant(self._main, name, values, (scale, zero_point, axis), type)

    def variable(self, name: str, initial: Array, scale: float | Sequence[float] = (), zero_point: int = 0) -> Tensor:
        """Return the handle of a variable that CALL_ONCE sets to `initial`."""
        if not self._variables:
            self._add_op(self._main, "CALL_ONCE", [], [], 1, {"init_subgraph_index": 1})
        self._variables += 1
        value = self._constant(self._initial, f"{name}_initial", initial, (scale, zero_point, 0), None)
        inner = self._handle(self._initial, name)
        self._add_op(self._initial, "ASSIGN_VARIABLE", [inner, value], [], 1, {})
        return self._handle(self._main, name)

    def op(
        self, name: str, inputs: Sequence[Tensor | None], outputs: Sequence[Tensor], version: int = 1, **attributes: Any
    ) -> None:
        """Add an operation; `attributes` are those of the schema's table in snake case."""
        self._add_op(self._main, name, inputs, outputs, version, attributes)

    def output(self, *tensors: Tensor) -> None:
        """Make tensors outputs of the model."""
        self.outputs += tensors

    def build(self) -> bytes:
        """Return the file."""
        self._main.inputs = [t.index for t in self.inputs]
        self._main.outputs = [t.index for t in self.outputs]
        model = schema.ModelT(version=3, description=self.description, buffers=self._buffers)
        model.operatorCodes = [_operator_code(name, version) for name, version in self._codes]
        model.subgraphs = [self._main, self._initial] if self._variables else [self._main]
        writer = _AlignedBuilder(1024)
        writer.Finish(model.Pack(writer), b"TFL3")
        return bytes(writer.Output())

    def _constant(self, graph: Any, name: str, values: Array, quantization: _Given, type: str | None) -> Tensor:
        packed = _nibbles(values) if type == "int4" else np.ascontiguousarray(values)
        self._buffers.append(schema.BufferT(data=np.frombuffer(packed.tobytes(), np.uint8)))
        kind = type or values.dtype.name
        return _add_tensor(graph, name, values.shape, kind, quantization, len(self._buffers) - 1)

    def _handle(self, graph: Any, name: str) -> Tensor:
        handle = _add_tensor(graph, f"{name}_handle", (), "resource", ((), 0, 0), 0)
        self._add_op(graph, "VAR_HANDLE", [], [handle], 1, {"container": "", "shared_name": name})
        return handle

    def _add_op(
        self,
        graph: Any,
        name: str,
        inputs: Sequence[Tensor | None],
        outputs: Sequence[Tensor],
        version: int,
        attributes: dict[str, Any],
    ) -> None:
        number = self._codes.setdefault((name, version), len(self._codes))
        op = schema.OperatorT(opcodeIndex=number)
        op.inputs = [-1 if t is None else t.index for t in inputs]
        op.outputs = [t.index for t in outputs]
        table = OPTIONS.get(name)
        if table is not None:
            op.builtinOptionsType = getattr(schema.BuiltinOptions, table)
            op.builtinOptions = _options(table, attributes)
        elif attributes:
            raise TypeError(f"{name} has no attributes: {sorted(attributes)}")
        graph.operators.append(op)


_Given: TypeAlias = tuple[float | Sequence[float], int | Sequence[int], int]
"""Scale, zero point, axis."""


class _AlignedBuilder(flatbuffers.Builder):  # type: ignore[misc]  # untyped base
    """Writes arrays of bytes, which are data of tensors, at multiples of 16."""

    def CreateNumpyVector(self, x: Array) -> Any:  # noqa: N802  # the base's name
        self.StartVector(x.itemsize, x.size, max(ALIGNMENT, x.itemsize) if x.itemsize == 1 else x.itemsize)
        data = np.ascontiguousarray(x).tobytes()
        self.head -= len(data)
        self.Bytes[self.head : self.head + len(data)] = data
        return self.EndVector()


def _new_subgraph(name: str) -> Any:
    return schema.SubGraphT(tensors=[], inputs=[], outputs=[], operators=[], name=name)


def _operator_code(name: str, version: int) -> Any:
    code = getattr(schema.BuiltinOperator, name)
    return schema.OperatorCodeT(deprecatedBuiltinCode=min(code, 127), version=version, builtinCode=code)


def _add_tensor(graph: Any, name: str, shape: Sequence[int], type: str, given: _Given, buffer: int) -> Tensor:
    scale, zero_point, axis = given
    scales = tuple(float(np.float32(s)) for s in np.atleast_1d(np.asarray(scale, np.float32)))
    points = tuple(int(z) for z in np.broadcast_to(zero_point, (len(scales),)))
    tensor = Tensor(len(graph.tensors), name, tuple(int(n) for n in shape), type, scales, points, axis)
    quantization = None
    if scales:
        quantization = schema.QuantizationParametersT(
            scale=list(scales), zeroPoint=list(points), quantizedDimension=axis
        )
    graph.tensors.append(
        schema.TensorT(
            shape=list(tensor.shape),
            type=getattr(schema.TensorType, type.upper()),
            buffer=buffer,
            name=name,
            quantization=quantization,
            hasRank=True,
        )
    )
    return tensor


def _options(table: str, attributes: dict[str, Any]) -> Any:
    options = getattr(schema, f"{table}T")()
    for name in ("dilation_w_factor", "dilation_h_factor"):
        if hasattr(options, _camel(name)):
            attributes = {name: 1, **attributes}
    for name, value in attributes.items():
        if not hasattr(options, _camel(name)):
            raise TypeError(f"{table} has no {name}")
        named = isinstance(value, str) and name in ENUMERATIONS
        setattr(options, _camel(name), getattr(ENUMERATIONS[name], value) if named else value)
    return options


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _nibbles(values: Array) -> Array:
    """Return int4 codes two a byte, the first in the low half."""
    flat = values.reshape(-1).astype(np.int64) & 15
    padded = np.concatenate([flat, np.zeros(flat.size % 2, np.int64)])
    packed: Array = (padded[::2] | padded[1::2] << 4).astype(np.uint8)
    return packed

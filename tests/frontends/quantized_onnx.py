"""Small quantized ONNX models, the integer modules that qcc makes of them, and what ONNX Runtime gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from qcc.compiler import CompileOptions, choose_pipeline
from qcc.frontends.onnx import import_model
from qcc.ir import Array, Module, evaluate
from qcc.passes import DEFAULT_PASSES, Part, PassContext, PassManager, Pipeline

MICROSOFT = "com.microsoft"
_ONNX_TYPES = {
    "float32": TensorProto.FLOAT,
    "int8": TensorProto.INT8,
    "uint8": TensorProto.UINT8,
    "uint16": TensorProto.UINT16,
}


@dataclass(frozen=True)
class Parameters:
    """Scale, zero point and NumPy type of a tensor of codes."""

    dtype: Any
    scale: Any
    zero_point: Any = 0

    @property
    def arrays(self) -> tuple[Array, Array]:
        """Scale and zero point as ONNX has them."""
        return np.asarray(self.scale, np.float32), np.asarray(self.zero_point, self.dtype)

    def codes(self, rng: np.random.Generator, shape: Sequence[int]) -> Array:
        """Random codes, the extremes among them."""
        limits = np.iinfo(self.dtype)
        codes = rng.integers(limits.min, limits.max + 1, shape).astype(self.dtype)
        codes.reshape(-1)[:2] = limits.min, limits.max
        return codes


@dataclass
class Graph:
    """A model under construction; every method returns the name of a tensor."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    inputs: dict[str, tuple[Any, Sequence[int]]] = field(default_factory=dict)

    def input(self, name: str, shape: Sequence[int], dtype: Any = np.float32) -> str:
        self.inputs[name] = (np.dtype(dtype), shape)
        return name

    def constant(self, array: Array, name: str = "") -> str:
        name = name or f"c{len(self.constants)}"
        self.constants[name] = np.asarray(array)
        return name

    def node(self, op_type: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(op_type, list(inputs), [name], f"{op_type}_{name}", domain=domain, **attributes)
        )
        return name

    def parameters(self, p: Parameters) -> tuple[str, str]:
        scale, zero_point = p.arrays
        return self.constant(scale), self.constant(zero_point)

    def quantize(self, x: str, p: Parameters, **attributes: Any) -> str:
        return self.node("QuantizeLinear", x, *self.parameters(p), **attributes)

    def dequantize(self, x: str, p: Parameters, **attributes: Any) -> str:
        return self.node("DequantizeLinear", x, *self.parameters(p), **attributes)

    def model(self, *outputs: str, opset: int = 21) -> onnx.ModelProto:
        infos = [helper.make_tensor_value_info(n, _ONNX_TYPES[t.name], s) for n, (t, s) in self.inputs.items()]
        graph = helper.make_graph(
            self.nodes,
            "g",
            infos,
            [helper.make_empty_tensor_value_info(name) for name in outputs],
            [numpy_helper.from_array(array, name) for name, array in self.constants.items()],
        )
        imports = [helper.make_opsetid("", opset), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=imports, ir_version=10)


def integer_module(model: onnx.ModelProto, **options: Any) -> Module:
    """Return the integer module of a quantized model, before the passes of a target."""
    module = import_model(model, "test.onnx")
    pipeline = choose_pipeline(module, False, CompileOptions(target="c", **options))
    late = DEFAULT_PASSES[Part.TARGET]
    return PassManager(Pipeline(p for p in pipeline if p.name not in late)).run(module, PassContext())


def evaluated(module: Module, feeds: Mapping[str, Array]) -> list[Array]:
    """Return the outputs of a module for codes or real numbers."""
    return list(evaluate(module, feeds).values())


def session(model: onnx.ModelProto, int8: bool = True) -> onnxruntime.InferenceSession:
    """Return a session of ONNX Runtime; with `int8` its integer kernels take int8 QDQ groups too."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if int8:
        options.add_session_config_entry("session.qdqisint8allowed", "1")
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def float_operations(module: Module) -> list[str]:
    """Return the names of the operations of a module that compute on real numbers."""
    return [
        op.name for op in module.ops if not op.boundary and any(v.type.is_float for v in op.results) and op.operands
    ]

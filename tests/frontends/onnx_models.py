"""Small ONNX models for the tests of the frontend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from qcc.frontends.onnx import import_model
from qcc.ir import Array, evaluate

Shape = Sequence[int | str | None]


def model_of(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Shape],
    outputs: Sequence[str],
    constants: Mapping[str, Array] | None = None,
    opset: int = 17,
    element: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    """Return a model; the types of its outputs stay open."""
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info(name, element, shape) for name, shape in inputs.items()],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def one_node(
    op_type: str,
    inputs: Mapping[str, Shape],
    constants: Mapping[str, Array] | None = None,
    outputs: int = 1,
    opset: int = 17,
    order: Sequence[str] | None = None,
    **attributes: Any,
) -> onnx.ModelProto:
    """Return a model of one node, named `node`, that reads the inputs and then the constants (or in `order`)."""
    reads = list(order) if order is not None else [*inputs, *(constants or {})]
    results = [f"y{i}" for i in range(outputs)]
    node = helper.make_node(op_type, reads, results, name="node", **attributes)
    return model_of([node], inputs, results, constants, opset)


def run(model: onnx.ModelProto, inputs: Mapping[str, Array]) -> list[Array]:
    """Return the outputs of a model as qcc's evaluator computes them."""
    return list(evaluate(import_model(model, "test.onnx"), inputs).values())

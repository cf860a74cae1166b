"""The ONNX backend node tests, from the `onnx` package, as cases that any back end of qcc can run.

The package generates them when they are collected; no network is needed. Two things are adapted to a compiler of
fixed sequences in float32:

* What decides shapes (the target of Reshape, the axes of ReduceSum, the pads of Pad, …) is a constant in a compiled
  model. The tests feed it as an input; here the model is specialised: such an input becomes an initializer that holds
  what the test feeds. `CONSTANT_INPUTS` says which inputs of which operations. Operations that qcc only folds
  (`FOLDED`) get all their inputs as constants.
* All floats are f32 in qcc. Inputs of other float types are converted, results are compared in the type expected.

`node_cases()` gives the cases of the operations that qcc imports; `exceptions()` those that are known not to pass.
"""

from __future__ import annotations

import fnmatch
import tomllib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from qcc.frontends.onnx import IMPORTERS, import_model
from qcc.frontends.onnx.ops import folded
from qcc.frontends.onnx.reading import OLDEST_OPSET
from qcc.ir import Array, Module

#: Operations that exist only on constants.
FOLDED = frozenset(folded.IMPORTERS)

_ALL = tuple(range(8))

#: Positions of the inputs that must be known when a model is compiled.
CONSTANT_INPUTS: dict[str, tuple[int, ...]] = {
    "ConstantOfShape": (0,),
    "ConvInteger": (1, 3),
    "DequantizeLinear": (1, 2),
    "Dropout": (1, 2),
    "Expand": (1,),
    "Gather": (1,),
    "Pad": (1, 2, 3),
    "QLinearConv": (1, 2, 3, 4, 5, 6, 7, 8),
    "QLinearMatMul": (1, 2, 4, 5, 6, 7),
    "QuantizeLinear": (1, 2),
    "Range": _ALL,
    "ReduceL1": (1,),
    "ReduceL2": (1,),
    "ReduceLogSum": (1,),
    "ReduceLogSumExp": (1,),
    "ReduceMax": (1,),
    "ReduceMean": (1,),
    "ReduceMin": (1,),
    "ReduceSum": (1,),
    "ReduceSumSquare": (1,),
    "Reshape": (1,),
    "Resize": (1, 2, 3),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "Squeeze": (1,),
    "Tile": (1,),
    "Unsqueeze": (1,),
    "Upsample": (1,),
    **dict.fromkeys(FOLDED, _ALL),
}

EXCEPTIONS_FILE = Path(__file__).with_name("onnx_node_exceptions.toml")


@dataclass(frozen=True, eq=False)
class NodeCase:
    """One test: a model, what to feed at run time, and what must come out.

    Attributes:
        model: specialised, so all of its inputs are fed.
        inputs, outputs: arrays by name, in the types of the test.
        rtol, atol: as the test states them.
    """

    name: str
    model: onnx.ModelProto
    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]
    rtol: float
    atol: float

    def load(self) -> Module:
        """Return the module of the model."""
        return import_model(self.model, self.name)

    def feeds(self, module: Module) -> dict[str, Array]:
        """Return the inputs in the types that the module takes."""
        return {v.name: np.asarray(self.inputs[v.name]).astype(v.type.element.storage.dtype) for v in module.inputs}

    def check(self, results: Mapping[str, Array]) -> None:
        """Compare results by name with what is expected, in the types expected."""
        for name, expected in self.outputs.items():
            with np.errstate(all="ignore"):
                found = np.asarray(results[name]).astype(expected.dtype)
            assert found.shape == expected.shape
            if expected.dtype.kind in "biu":
                np.testing.assert_array_equal(found, expected)
            else:
                expected, found = expected.astype(np.float64), found.astype(np.float64)
                np.testing.assert_allclose(found, expected, self.rtol, self.atol)


@cache
def node_cases() -> dict[str, NodeCase]:
    """Return, by name, the cases whose operations qcc imports."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package's own generators divide by zero on purpose
        collected = collect_testcases(None)
    cases = {}
    for test in collected:
        if test.model is None or test.data_sets is None:
            continue
        nodes = test.model.graph.node
        known = all(n.op_type in IMPORTERS and n.domain in ("", "ai.onnx") for n in nodes)
        if not known or ("_expanded" in test.name and any(n.op_type in FOLDED for n in nodes)):
            continue
        fed, expected = test.data_sets[0]
        inputs = named(test.model.graph.input, fed)
        outputs = named(test.model.graph.output, expected)
        if inputs is None or outputs is None:
            continue
        model, rest = specialise(test.model, inputs)
        cases[test.name] = NodeCase(test.name, model, rest, outputs, test.rtol, test.atol)
    return cases


def named(values: Sequence[onnx.ValueInfoProto], data: Sequence[object]) -> dict[str, Array] | None:
    """Return data by the names of inputs or outputs; None where not all are tensors."""
    arrays = {v.name: plain_array(d) for v, d in zip(values, data, strict=True)}
    known = {name: array for name, array in arrays.items() if array is not None}
    return known if len(known) == len(arrays) else None


def specialise(model: onnx.ModelProto, inputs: Mapping[str, Array]) -> tuple[onnx.ModelProto, dict[str, Array]]:
    """Return the model with the inputs that decide shapes as initializers, and the inputs that are left."""
    constant: set[str] = set()
    for node in reversed(model.graph.node):
        if constant & set(node.output) and node.op_type not in ("Shape", "Size"):
            constant.update(node.input)
        positions = CONSTANT_INPUTS.get(node.op_type, ())
        constant.update(node.input[p] for p in positions if p < len(node.input))
    special = onnx.ModelProto()
    special.CopyFrom(model)
    raise_opset(special)
    kept = [v for v in special.graph.input if v.name not in constant]
    special.graph.ClearField("input")
    special.graph.input.extend(kept)
    special.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(array), name) for name, array in inputs.items() if name in constant
    )
    return special, {name: array for name, array in inputs.items() if name not in constant}


def raise_opset(model: onnx.ModelProto) -> None:
    """Let a model of an opset older than qcc reads say the oldest, where its operations have the same definition."""
    (imported,) = [i for i in model.opset_import if i.domain == ""]
    if imported.version >= OLDEST_OPSET:
        return
    definitions = [
        [onnx.defs.get_schema(n.op_type, v) for n in model.graph.node] for v in (imported.version, OLDEST_OPSET)
    ]
    before, after = ([schema.since_version for schema in schemas] for schemas in definitions)
    imported.version = OLDEST_OPSET if before == after else imported.version


def plain_array(data: object) -> Array | None:
    """Return the data of a tensor, None for sequences and optional values."""
    if isinstance(data, onnx.TensorProto):
        return numpy_helper.to_array(data)
    return np.asarray(data) if isinstance(data, np.ndarray | np.generic) else None


@cache
def exceptions() -> dict[str, str]:
    """Return the reason of each pattern of case names that are known not to pass."""
    entries = tomllib.loads(EXCEPTIONS_FILE.read_text(encoding="utf-8"))["exception"]
    return {pattern: entry["reason"] for entry in entries for pattern in entry["cases"]}


def reason_against(name: str) -> str | None:
    """Return why a case is known not to pass, None where it must."""
    for pattern, reason in exceptions().items():
        if fnmatch.fnmatchcase(name, pattern):
            return reason
    return None

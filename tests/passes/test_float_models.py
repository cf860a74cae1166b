"""The float pipeline on real models: the same results, no batch norms, no transposes but those of the interface."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from qcc.frontends import load
from qcc.ir import evaluate, ops
from qcc.passes import Part, PassContext, PassManager, default_pipeline

#: Model and largest error allowed, as for the import alone: folding changes the order of roundings, not their size.
MODELS = {
    "resnet8_cifar10.onnx": 1e-6,
    "mobilenet_v1_025_vww.onnx": 1e-6,
    "mobilenet_v2_float.onnx": 1e-4,
}


@pytest.mark.parametrize("name", MODELS)
def test_a_real_model_computes_what_onnxruntime_does(shared_models: Path, name: str) -> None:
    module = load(shared_models / name)
    context = PassContext()
    result = PassManager(default_pipeline([Part.FLOAT])).run(module, context)
    x = {v.name: np.random.default_rng(0).standard_normal(v.type.shape).astype(np.float32) for v in result.inputs}
    expected = onnxruntime.InferenceSession(shared_models / name).run(None, x)
    for array, reference in zip(evaluate(result, x).values(), expected, strict=True):
        np.testing.assert_allclose(array, reference, rtol=0, atol=MODELS[name])


@pytest.mark.parametrize("name", MODELS)
def test_what_is_left_of_a_real_model(shared_models: Path, name: str) -> None:
    module = load(shared_models / name)
    context = PassContext()
    result = PassManager(default_pipeline([Part.FLOAT])).run(module, context)
    assert not {"batch_norm", "clamp", "pad"} & {op.name for op in result.ops}
    (transpose,) = (op for op in result.ops if isinstance(op, ops.Transpose))
    assert result.definition(transpose.x) is None, "the one transpose brings the input from N×C×H×W"
    assert context.remarks == []
    places = {op.location.node for op in module.ops if isinstance(op, ops.Conv2d)}
    assert {op.location.node for op in result.ops if isinstance(op, ops.Conv2d)} == places


@pytest.mark.parametrize("name", MODELS)
def test_a_second_run_changes_nothing(shared_models: Path, name: str) -> None:
    pipeline = default_pipeline([Part.FLOAT])
    once = PassManager(pipeline).run(load(shared_models / name))
    assert PassManager(pipeline).run(once) == once

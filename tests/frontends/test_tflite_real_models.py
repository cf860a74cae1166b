"""The shared TFLite models import: float ones to what LiteRT computes, quantized ones with the file's types."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qcc.frontends import load
from qcc.ir import I8, I32, Stage, UniformType, evaluate, ops
from tests.conformance.litert import Job, run_litert

FLOAT = ("autoencoder_ad_float", "mobilenet_v1_025_vww_float", "resnet8_cifar10_float")
INT8 = ("autoencoder_ad_int8", "mobilenet_v1_025_vww_int8", "mobilenet_v2_int8", "resnet8_cifar10_int8")


@pytest.mark.parametrize("name", FLOAT)
def test_a_float_model_computes_what_litert_computes(shared_models: Path, name: str) -> None:
    path = shared_models / f"{name}.tflite"
    module = load(path)
    assert module.stage is Stage.FLOAT
    assert module.attribute("arithmetic") == ""
    (x,) = module.inputs
    data = {x.name: np.random.default_rng(1).uniform(-1, 1, x.type.shape).astype(np.float32)}
    (outcome,) = run_litert([Job(path.read_bytes(), [data])])
    (expected,) = outcome.outputs
    for output, found in evaluate(module, data).items():
        np.testing.assert_allclose(found, expected[output], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", INT8)
def test_a_quantized_model_has_the_types_of_its_file(shared_models: Path, name: str) -> None:
    path = shared_models / f"{name}.tflite"
    module = load(path)
    assert module.stage is Stage.QUANTIZED
    assert module.attribute("arithmetic") == "tflm"
    for op in module.ops:
        if not isinstance(op, ops.Conv2d | ops.Matmul):
            continue
        image, weight, bias = (v.type.uniform() for v in op.operands)
        assert (image.storage, weight.storage, bias.storage) == (I8, I8, I32)
        assert bias.scales == tuple(float(np.float32(image.scale) * np.float32(s)) for s in weight.scales)
        assert isinstance(op.result.type.element, UniformType)
    # Real arithmetic rounds elsewhere than integer arithmetic, so codes differ by steps, not by meaning.
    (x,) = module.inputs
    codes = np.random.default_rng(1).integers(-128, 128, x.type.shape).astype(np.int8)
    (outcome,) = run_litert([Job(path.read_bytes(), [{x.name: codes}])])
    ((output, found),) = evaluate(module, {x.name: codes}).items()
    assert np.mean(np.abs(found.astype(int) - outcome.outputs[0][output])) < 4

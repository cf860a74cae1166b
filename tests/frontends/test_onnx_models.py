"""Real models: imported, and held against ONNX Runtime.

Tolerances: both sides sum in float32 in different orders, so results differ by some multiple of 2^-24 of the largest
intermediate. 1e-5 of the largest output (probabilities: 1e-6 absolute) leaves a factor of ten above what is measured,
and is a hundred times smaller than what one wrong tap or padding row makes.
"""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from qcc.demo import load_demo
from qcc.frontends import load
from qcc.ir import Stage, evaluate, parse_module, print_module, verify

MODELS = {
    "resnet8_cifar10.onnx": 1e-6,
    "mobilenet_v1_025_vww.onnx": 1e-6,
    "mobilenet_v2_float.onnx": 1e-4,
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("batch", [1, 3])
def test_a_real_model_computes_what_onnxruntime_does(shared_models: Path, name: str, batch: int) -> None:
    module = load(shared_models / name, batch=batch)
    verify(module)
    assert module.stage is Stage.FLOAT
    (value,) = module.inputs
    assert value.type.shape[0] == batch
    session = onnxruntime.InferenceSession(shared_models / name)
    x = np.random.default_rng(batch).standard_normal(value.type.shape).astype(np.float32)
    expected = session.run(None, {value.name: x})
    outputs = evaluate(module, {value.name: x})
    assert list(outputs) == [o.name for o in session.get_outputs()]
    for array, reference in zip(outputs.values(), expected, strict=True):
        np.testing.assert_allclose(array, reference, rtol=0, atol=MODELS[name])


@pytest.mark.parametrize("batch", [1, 4])
def test_the_demonstration_model(batch: int) -> None:
    demo = load_demo()
    module = load(demo.model, batch=batch)
    images = demo.test_images[:batch]
    (expected,) = onnxruntime.InferenceSession(demo.model).run(["logits"], {"image": images})
    np.testing.assert_allclose(evaluate(module, {"image": images})["logits"], expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_names_and_places_of_the_model_are_kept(shared_models: Path, name: str) -> None:
    module = load(shared_models / name)
    places = {op.location.node for op in module.ops if op.name == "conv2d"}
    assert {op.location.file for op in module.ops} == {name}
    assert len(places) == sum(op.name == "conv2d" for op in module.ops)


def test_a_real_model_survives_as_text(shared_models: Path, tmp_path: Path) -> None:
    module = load(shared_models / "resnet8_cifar10.onnx")
    assert parse_module(print_module(module)) == module
    (tmp_path / "m.qir").write_text(print_module(module), encoding="utf-8")
    assert load(tmp_path / "m.qir") == module

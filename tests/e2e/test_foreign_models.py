"""Foreign chips under an emulator: layers of awkward shapes and the real models, every bit against the evaluator."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import qcc
from qcc.ir import Module, evaluate
from qcc.samples import Samples, example_samples
from qcc.targets.emulation import EmulatedModel
from qcc.targets.runtime import load_model
from qcc.verification import verify
from tests.e2e.foreign_sweep import sweep
from tests.e2e.test_real_models import MODELS, compiled, images_of
from tests.targets.compiled import compiled as compiled_module
from tests.targets.compiled import extreme_inputs
from tests.targets.integer_modules import random_inputs
from tests.targets.test_foreign_code import TARGETS, require_tools

EVERY = [t for t in TARGETS if "hvxv68" not in t]
M4_C, M55_C = "thumbv7em-none-eabi+acle@cortex-m4", "thumbv8.1m.main-none-eabi+mve+acle@cortex-m55"
"""C source with intrinsics instead of machine code."""
INT8_MODELS = ["autoencoder_ad_int8", "resnet8_cifar10_int8", "mobilenet_v1_025_vww_int8", "mobilenet_v2_int8"]


def assert_same_bits(module: Module, target: str, folder: Path) -> None:
    """Compile and run on random and extreme codes; every output equals the evaluator's."""
    compiled_module(module, target).save(folder)
    model = load_model(folder)
    assert isinstance(model, EmulatedModel)
    samples = [random_inputs(module, 0), random_inputs(module, 1), *extreme_inputs(module)]
    for number, (inputs, found) in enumerate(zip(samples, model.run_many(samples), strict=True)):
        for name, array in evaluate(module, inputs).items():
            np.testing.assert_array_equal(found[name], array, err_msg=f"{target}: sample {number}, {name}")


@pytest.mark.slow
@pytest.mark.parametrize("target", [*EVERY, M4_C, M55_C])
@pytest.mark.parametrize("seed", [1, 2])
def test_layers_of_awkward_shapes(seed: int, target: str, tmp_path: Path, tool: Callable[[str], str]) -> None:
    require_tools(target, tool)
    assert_same_bits(sweep(seed, 54), target, tmp_path / "a")


@pytest.mark.slow
@pytest.mark.parametrize(("model", "target"), [*product(list(MODELS)[:2], EVERY), ("mobilenet_v1_025_vww", M55_C)])
def test_real_models(
    model: str,
    target: str,
    shared_models: Path,
    shared_data: Path,
    tool: Callable[[str], str],
) -> None:
    require_tools(target, tool)
    artifact = compiled(shared_models, shared_data, model, target, 4)
    images, _ = images_of(shared_data, model, "", 2)
    for samples in (example_samples(artifact.module.inputs, seed=1), Samples({"input": images})):
        report = verify(artifact.module, artifact.run_many, samples)
        assert report.passed, str(report.difference)
        assert report.approximate == ()


@pytest.mark.slow
@pytest.mark.parametrize(("model", "target"), [*product(INT8_MODELS, EVERY), ("mobilenet_v1_025_vww_int8", M55_C)])
def test_models_of_tflite_files(model: str, target: str, shared_models: Path, tool: Callable[[str], str]) -> None:
    require_tools(target, tool)
    artifact = qcc.compile(shared_models / f"{model}.tflite", target=target)
    assert artifact.manifest["arithmetic_profile"] == "tflm"
    report = verify(artifact.module, artifact.run_many, example_samples(artifact.module.inputs, seed=1, random_count=1))
    assert report.passed, str(report.difference)
    assert report.approximate == ()


@pytest.mark.slow
@pytest.mark.parametrize("target", EVERY)
def test_the_largest_model(target: str, shared_models: Path, shared_data: Path, tool: Callable[[str], str]) -> None:
    require_tools(target, tool)
    artifact = compiled(shared_models, shared_data, "mobilenet_v2_float", target, 2)
    images, _ = images_of(shared_data, "mobilenet_v2_float", "", 1)
    report = verify(artifact.module, artifact.run_many, Samples({"input": images}))
    assert report.passed, str(report.difference)


@pytest.mark.slow
@pytest.mark.parametrize("target", [*EVERY, M55_C])
def test_the_demo_model(target: str, tool: Callable[[str], str]) -> None:
    require_tools(target, tool)
    folder = Path(qcc.__file__).parent / "demo"
    with np.load(folder / "digits.npz") as data:
        images = next(array for name, array in data.items() if name.endswith("images"))[:32].astype(np.float32)
    module = qcc.load(folder / "digits.onnx")
    shape = module.inputs[0].type.shape
    calibration = {module.inputs[0].name: images.reshape(-1, *shape[1:])}
    artifact = qcc.compile(module, target=target, calibration=calibration)
    report = verify(artifact.module, artifact.run_many, example_samples(artifact.module.inputs, seed=3))
    assert report.passed, str(report.difference)

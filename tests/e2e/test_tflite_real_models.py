"""Real quantized .tflite models, whole: the bits of LiteRT's interpreter and of TensorFlow Lite Micro's arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import qcc
from qcc.ir import Array
from qcc.targets import Target
from tests.conformance.litert import AUTO, BUILTIN_REF, Job, run_litert
from tests.conformance.subject import compare_runs, evaluated, imported, realized
from tests.conformance.tflm.interpreter import TflmInterpreter

X86 = "x86_64-linux-gnu"
TARGETS = ("c", f"{X86}+avx2", f"{X86}+avx-vnni", f"{X86}+avx512-vnni")
RESOLVERS = {"litert-ref": BUILTIN_REF, "litert-xnn": AUTO}
MEAN = np.array([0.485, 0.456, 0.406])
STD = np.array([0.229, 0.224, 0.225])

Inputs = list[dict[str, Array]]


def imagenet(data: Path, count: int) -> Array:
    """Return images as the input's scale says: (x/255 − mean)/std in units of 0.0186…, channels first."""
    with np.load(data / "imagenet_224.npz") as arrays:
        real = (arrays["images"][:count] / 255.0 - MEAN) / STD
    codes = np.clip(np.rint(real / np.float64(np.float32(0.01863112))) - 14, -128, 127)
    return np.asarray(codes.transpose(0, 3, 1, 2)[:, None], np.int8)


def cifar10(data: Path, count: int) -> Array:
    """Return images as the input's scale of 1 and zero point of −128 say."""
    with np.load(data / "cifar10_32.npz") as arrays:
        return np.asarray(arrays["images"][:count, None].astype(np.int16) - 128, np.int8)


def random_codes(shape: Sequence[int]) -> Callable[[Path, int], Array]:
    """Return a function that gives random codes, every one possible."""
    return lambda data, count: np.random.default_rng(11).integers(-128, 128, (count, *shape)).astype(np.int8)


@dataclass(frozen=True)
class RealModel:
    """A model and its inputs.

    Attributes:
        input: the name of its input in the file.
        count: how many inputs compiled code and the evaluator are held against LiteRT on.
        quick: how many the quick test takes; 0 leaves the model to the slow test.
        scalar: how many the scalar interpreter is asked.
    """

    input: str
    inputs: Callable[[Path, int], Array]
    count: int
    quick: int
    scalar: int


MODELS = {
    "autoencoder_ad_int8": RealModel("input_1", random_codes((1, 640)), 100, 5, 20),
    "resnet8_cifar10_int8": RealModel("input_1_int8", cifar10, 100, 2, 5),
    "mobilenet_v1_025_vww_int8": RealModel("input_1_int8", random_codes((1, 96, 96, 3)), 100, 1, 5),
    "mobilenet_v2_int8": RealModel("input.5", imagenet, 20, 0, 1),
}


def runs_of(model: str, data: Path, count: int) -> Inputs:
    real = MODELS[model]
    return [{real.input: codes} for codes in real.inputs(data, count)]


@cache
def reference(model: str, models: Path, data: Path, profile: str, count: int) -> list[list[Array]]:
    """Return what the reference of a profile gives."""
    content, runs = (models / f"{model}.tflite").read_bytes(), runs_of(model, data, count)
    if profile == "tflm":
        interpreter = TflmInterpreter(content)
        return [list(interpreter.run(inputs).values()) for inputs in runs]
    (outcome,) = run_litert([Job(content, runs, RESOLVERS[profile])])
    assert outcome.error is None
    return [list(outputs.values()) for outputs in outcome.outputs]


def check_evaluator(model: str, models: Path, data: Path, profile: str, count: int) -> None:
    module = realized(imported((models / f"{model}.tflite").read_bytes()), profile)
    expected = reference(model, models, data, profile, count)
    found = compare_runs(evaluated(module, runs_of(model, data, count)), expected)
    assert found.total == count * expected[0][0].size
    assert found.wrong == 0, f"{found.wrong} of {found.total} elements differ, by up to {found.largest}"


def check_target(model: str, models: Path, data: Path, profile: str, count: int, target: str) -> None:
    missing = Target.parse(target).missing_on_host()
    if missing:
        pytest.skip(f"needs cpu: {', '.join(missing)}")
    artifact = qcc.compile(models / f"{model}.tflite", target=target, arithmetic=profile)
    names = [v.name for v in artifact.module.inputs]
    outputs = [o.name for o in artifact.module.outputs]
    results = []
    for inputs in runs_of(model, data, count):
        result = artifact.run_codes(dict(zip(names, inputs.values(), strict=True)))
        results.append([result[name] for name in outputs])
    expected = reference(model, models, data, profile, count)
    found = compare_runs(results, expected)
    assert found.total == count * expected[0][0].size
    assert found.wrong == 0, f"{found.wrong} of {found.total} elements differ, by up to {found.largest}"


PROFILES = ("litert-ref", "litert-xnn", "tflm")
COMPILED = [
    (model, profile, target)
    for model in MODELS
    for profile in PROFILES
    for target in TARGETS
    if (profile != "tflm" or target == "c")
    and (model != "mobilenet_v2_int8" or "avx-vnni" not in target or profile == "litert-xnn")
]
"""The scalar interpreter and the largest model, which take long, are tried on fewer targets.

Both profiles of LiteRT are held on `c` and x86 to 20 images for MobileNetV2 and to 100 inputs for the others, as is the
evaluator. `tflm`, whose reference is a scalar interpreter in Python, takes the inputs that this has time for.
"""

QUICK = [name for name, real in MODELS.items() if real.quick]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("model", QUICK)
def test_the_evaluator_on_a_few_inputs(shared_models: Path, shared_data: Path, model: str, profile: str) -> None:
    real = MODELS[model]
    check_evaluator(model, shared_models, shared_data, profile, min(real.quick, real.scalar))


@pytest.mark.slow
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("model", MODELS)
def test_the_evaluator(shared_models: Path, shared_data: Path, model: str, profile: str) -> None:
    real = MODELS[model]
    check_evaluator(model, shared_models, shared_data, profile, real.scalar if profile == "tflm" else real.count)


@pytest.mark.slow
@pytest.mark.parametrize(("model", "profile", "target"), COMPILED)
def test_compiled(shared_models: Path, shared_data: Path, model: str, profile: str, target: str) -> None:
    real = MODELS[model]
    check_target(model, shared_models, shared_data, profile, real.scalar if profile == "tflm" else real.count, target)

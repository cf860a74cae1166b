"""The real models, whole: bits on every target, and accuracy."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import qcc
from qcc.ir import Array
from qcc.samples import Samples, example_samples
from qcc.targets import Target
from qcc.verification import verify

X86 = "x86_64-linux-gnu"
TARGETS = ("c", f"{X86}+avx2", f"{X86}+avx-vnni", f"{X86}+avx512-vnni")
MEAN = np.array([0.485, 0.456, 0.406], np.float32).reshape(1, 3, 1, 1)
STD = np.array([0.229, 0.224, 0.225], np.float32).reshape(1, 3, 1, 1)


def pixels(images: Array) -> Array:
    """Return N×H×W×3 bytes as N×3×H×W float32, 0 … 255."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2).astype(np.float32))


def imagenet(images: Array) -> Array:
    return (pixels(images) / 255 - MEAN) / STD


def vww(images: Array) -> Array:
    """Return 96×96 cuts of images, 0 … 1."""
    return pixels(images[:, 64:160, 64:160]) / 255


MODELS: dict[str, tuple[str, Callable[[Array], Array]]] = {
    "resnet8_cifar10": ("cifar10_32.npz", pixels),
    "mobilenet_v1_025_vww": ("imagenet_224.npz", vww),
    "mobilenet_v2_float": ("imagenet_224.npz", imagenet),
}

QUICK_AND_SLOW = [pytest.param(m, marks=() if m == "resnet8_cifar10" else pytest.mark.slow) for m in MODELS]
"""The smallest model is in the quick run."""


def images_of(data: Path, model: str, kind: str, count: int | None = None) -> tuple[Array, Array]:
    """Return images of a kind (`` or `calibration_`), as the model takes them, and their labels."""
    file, prepare = MODELS[model]
    with np.load(data / file) as arrays:
        return prepare(arrays[f"{kind}images"][:count]), arrays[f"{kind}labels"][:count]


def compiled(models: Path, data: Path, model: str, target: str, count: int | None) -> qcc.Artifact:
    calibration, _ = images_of(data, model, "calibration_", count)
    return qcc.compile(models / f"{model}.onnx", target=target, calibration={"input": calibration})


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("model", QUICK_AND_SLOW)
def test_every_bit_is_the_evaluators(shared_models: Path, shared_data: Path, model: str, target: str) -> None:
    missing = Target.parse(target).missing_on_host()
    if missing:
        pytest.skip(f"needs cpu: {', '.join(missing)}")
    artifact = compiled(shared_models, shared_data, model, target, 4)
    module = artifact.module
    images, _ = images_of(shared_data, model, "", 4)
    for samples in (example_samples(module.inputs, seed=1), Samples({"input": images})):
        report = verify(module, artifact.run_many, samples)
        assert report.passed, str(report.difference)
        assert report.approximate == ()


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("model", QUICK_AND_SLOW)
def test_the_c_source_is_strict_c99(
    shared_models: Path, shared_data: Path, tmp_path: Path, tool: Callable[[str], str], model: str, compiler: str
) -> None:
    folder = compiled(shared_models, shared_data, model, "c", 2).save(tmp_path / "artifact")
    strict = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O1"]
    subprocess.run([tool(compiler), *strict, "-c", f"{model}.c", "-o", "model.o"], cwd=folder, check=True)
    text = (folder / f"{model}.c").read_text() + (folder / f"{model}.h").read_text()
    headers = set(re.findall(r"#include <(.*?)>", text))
    assert headers <= {"stdint.h", "stddef.h", "string.h"}


@pytest.mark.slow
def test_all_targets_compute_the_same_bits(shared_models: Path, shared_data: Path) -> None:
    images, _ = images_of(shared_data, "resnet8_cifar10", "", 20)
    found = {}
    for target in TARGETS:
        if not Target.parse(target).missing_on_host():
            artifact = compiled(shared_models, shared_data, "resnet8_cifar10", target, 8)
            found[target] = artifact.run({"input": images}, raw=True)["dense_out"]
    assert {f.tobytes() for f in found.values()} == {found["c"].tobytes()}


@pytest.mark.slow
@pytest.mark.parametrize("model", ["resnet8_cifar10", "mobilenet_v2_float"])
def test_int8_is_within_a_point_of_float(shared_models: Path, shared_data: Path, model: str) -> None:
    images, labels = images_of(shared_data, model, "")
    session = onnxruntime.InferenceSession(str(shared_models / f"{model}.onnx"))
    real = np.concatenate([session.run(None, {"input": images[i : i + 1]})[0] for i in range(len(images))])
    artifact = compiled(shared_models, shared_data, model, "native", None)
    (int8,) = artifact.run({"input": images}).values()
    float_top1, int8_top1 = (100 * np.mean(s.argmax(axis=1) == labels) for s in (real, int8))
    print(f"{model}: float {float_top1:.2f} %, int8 {int8_top1:.2f} %")
    assert float_top1 > 75  # the images are prepared as the model wants them
    assert int8_top1 >= float_top1 - 1.0

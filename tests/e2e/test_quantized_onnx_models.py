"""Models that ONNX Runtime's own `quantize_static` makes of the shared float models, compiled as they are quantized.

Compared with ONNX Runtime's integer kernels, which it uses for uint8 by default and for int8 with the session option
`session.qdqisint8allowed`. Its default session computes the int8 layers around residual connections in binary32: there
the codes of some elements near ties differ, and what follows from them (docs/arithmetic-ort.md). The profile
`ort-default` gives the bits of the default session.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest

import qcc
from qcc.ir import Array
from qcc.samples import Samples, example_samples
from qcc.verification import verify
from tests.e2e.test_real_models import MODELS, images_of
from tests.frontends.quantized_onnx import session

pytestmark = pytest.mark.slow

LARGE = "mobilenet_v2_float"
X86 = "x86_64-linux-gnu+avx2"
SCHEMES = {
    "uint8": ("QUInt8", False),
    "uint8-channel": ("QUInt8", True),
    "int8": ("QInt8", False),
    "int8-channel": ("QInt8", True),
}
COUNTS = {"resnet8_cifar10": 1000, "mobilenet_v1_025_vww": 120, LARGE: 120}
"""Images compared on x86, all that there are."""

COUNTS_OF_C = {"resnet8_cifar10": 30, "mobilenet_v1_025_vww": 6, LARGE: 2}
"""Images that portable C computes."""

LABELLED = ("resnet8_cifar10", LARGE)
"""Models whose classes are those of the images' labels."""


def quantized(models: Path, data: Path, folder: Path, model: str, scheme: str, folded: bool) -> Path:
    """Return the file of a model that `quantize_static` has made; `folded` prepares it as ONNX Runtime recommends."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    images, _ = images_of(data, model, "calibration_", 8 if model == LARGE else 32)

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # the base class has no types
        """Gives one image at a time."""

        def __init__(self) -> None:
            self.rows: Iterator[Array] = iter(images)

        def get_next(self) -> dict[str, Array] | None:
            """Return the next image as a batch of one."""
            row = next(self.rows, None)
            return None if row is None else {"input": row[None]}

    source, path = folder / "float.onnx", folder / f"{model}.onnx"
    shutil.copyfile(models / f"{model}.onnx", source)  # quantize_static writes beside it
    logging.getLogger().setLevel(logging.ERROR)  # it recommends what `folded` does
    if folded:
        quant_pre_process(str(source), str(folder / "prepared.onnx"), skip_symbolic_shape=True)
        source = folder / "prepared.onnx"
    type, per_channel = SCHEMES[scheme]
    quantize_static(
        str(source),
        str(path),
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=per_channel,
        activation_type=getattr(QuantType, type),
        weight_type=QuantType.QInt8,
    )
    return path


@cache
def artifact_of(path: Path, target: str, arithmetic: str | None = None) -> qcc.Artifact:
    return qcc.compile(path, target=target, arithmetic=arithmetic)


def outputs(path: Path, images: Array, int8: bool = True) -> Array:
    """Return what ONNX Runtime gives for each image."""
    runner = session(onnx.load(path), int8)
    return np.concatenate([runner.run(None, {"input": image[None]})[0] for image in images])


def found_of(artifact: qcc.Artifact, images: Array) -> Array:
    (found,) = artifact.run({"input": images}).values()
    return np.asarray(found)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("model", MODELS)
def test_every_output_is_that_of_the_integer_kernels(
    shared_models: Path, shared_data: Path, tmp_path: Path, model: str, scheme: str
) -> None:
    folded = scheme.endswith("channel")  # both ways of making a model, each in half of the cases
    path = quantized(shared_models, shared_data, tmp_path, model, scheme, folded)
    images, labels = images_of(shared_data, model, "", COUNTS[model])
    expected = outputs(path, images, int8=scheme.startswith("int8"))
    x86 = artifact_of(path, X86)
    assert x86.manifest["arithmetic_profile"] == "ort"
    found = found_of(x86, images)
    assert np.mean(found.argmax(1) != expected.argmax(1)) <= 0.003, "top-1 is ONNX Runtime's within 0.3 point"
    assert model not in LABELLED or np.mean(found.argmax(1) == labels) > 0.7, "the model still tells images apart"
    np.testing.assert_array_equal(found, expected)
    few = COUNTS_OF_C[model]
    np.testing.assert_array_equal(found_of(artifact_of(path, "c"), images[:few]), expected[:few])
    for artifact in (x86, artifact_of(path, "c")):
        samples = Samples({"input": images[:1]}) if model == LARGE else example_samples(artifact.module.inputs, 3, 1)
        report = verify(artifact.module, artifact.run_many, samples)
        assert report.passed, str(report.difference)
        assert report.approximate == ()


def logits_model(path: Path, folder: Path, softmax_stays: bool = True) -> Path:
    """Return the model whose output is the quantized logits; a softmax that stays reads them too."""
    model = onnx.load(path)
    (softmax,) = [n for n in model.graph.node if n.op_type == "Softmax"]
    del model.graph.output[:]
    if not softmax_stays:
        del model.graph.node[list(model.graph.node).index(softmax) :]  # what stands behind reads it
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info(softmax.input[0]))
    made = folder / "logits.onnx"
    onnx.save(model, made)
    return made


@pytest.mark.parametrize("scheme", ["int8", "int8-channel"])
def test_against_the_default_session_few_logits_differ_by_more_than_a_step(
    shared_models: Path, shared_data: Path, tmp_path: Path, scheme: str
) -> None:
    model = "resnet8_cifar10"
    path = logits_model(quantized(shared_models, shared_data, tmp_path, model, scheme, True), tmp_path)
    images, labels = images_of(shared_data, model, "", 1000)
    artifact = artifact_of(path, X86)
    found, default, allowed = found_of(artifact, images), outputs(path, images, int8=False), outputs(path, images)
    step = artifact.manifest["outputs"][0]["scale"]
    far, own = (np.rint(np.abs(default - other) / step).max(axis=1) > 1 for other in (found, allowed))
    np.testing.assert_array_equal(far, own, "as far as ONNX Runtime's two sessions are from each other")
    assert far.mean() < 0.05
    assert np.mean(found.argmax(1) != default.argmax(1)) <= 0.003
    assert abs(np.mean(found.argmax(1) == labels) - np.mean(default.argmax(1) == labels)) <= 0.003


@pytest.mark.parametrize(
    ("model", "scheme", "count"),
    [("resnet8_cifar10", "int8", 300), ("resnet8_cifar10", "int8-channel", 300), (LARGE, "int8-channel", 2)],
)
def test_every_output_is_that_of_the_default_session(
    shared_models: Path, shared_data: Path, tmp_path: Path, model: str, scheme: str, count: int
) -> None:
    path = quantized(shared_models, shared_data, tmp_path, model, scheme, True)
    path = path if model == LARGE else logits_model(path, tmp_path, softmax_stays=False)
    images, _ = images_of(shared_data, model, "", count)
    expected = outputs(path, images, int8=False)
    if scheme == "int8-channel":
        assert (expected != outputs(path, images)).any(), "the images tell the two sessions apart"
    for target, few in ((X86, count), ("c", max(count // 10, 1))):
        artifact = artifact_of(path, target, "ort-default")
        np.testing.assert_array_equal(found_of(artifact, images[:few]), expected[:few])
        if model != LARGE:
            samples = example_samples(artifact.module.inputs, 2, 1)
            report = verify(artifact.module, artifact.run_many, samples)
            assert report.passed, str(report.difference)
            assert report.approximate == ()

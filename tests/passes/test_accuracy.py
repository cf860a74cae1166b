"""Real models: the integer module against the float one, on images that calibration has not seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from qcc.frontends import load
from qcc.ir import Array, Module, evaluate
from qcc.passes import Part, PassContext, PassManager, default_pipeline

#: Points of top-1 accuracy that quantization may cost.
MARGIN = 1.0


def cifar(image: Array) -> Array:
    return image.astype(np.float32).transpose(2, 0, 1)[None]


def imagenet(image: Array) -> Array:
    mean, deviation = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)
    return ((image.astype(np.float32) / 255 - mean) / deviation).transpose(2, 0, 1)[None]


def compiled(path: Path, images: Array, preprocess: Callable[[Array], Array]) -> tuple[Module, Module]:
    """Return the float module behind the float passes, and the integer module."""
    module = load(path)
    name = module.inputs[0].name

    def samples() -> Iterator[dict[str, Array]]:
        return ({name: preprocess(image)} for image in images)

    context = PassContext(calibration=samples)
    real = PassManager(default_pipeline([Part.FLOAT])).run(module, context)
    return real, PassManager(default_pipeline([Part.QUANTIZE])).run(real, context)


def correct(module: Module, images: Array, labels: Array, preprocess: Callable[[Array], Array]) -> int:
    """Return how many images get their label."""
    (value,), (output,) = module.inputs, module.outputs
    found = 0
    for image, label in zip(images, labels, strict=True):
        real = preprocess(image)
        given = value.type.uniform().quantize(real) if value.type.is_quantized else real
        found += int(np.argmax(evaluate(module, {value.name: given})[output.name]) == label)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "data", "preprocess", "least"),
    [
        ("resnet8_cifar10.onnx", "cifar10_32.npz", cifar, 0.75),
        ("mobilenet_v2_float.onnx", "imagenet_224.npz", imagenet, 0.80),
    ],
)
def test_top_1_stays_within_a_point(
    model: str,
    data: str,
    preprocess: Callable[[Array], Array],
    least: float,
    shared_models: Path,
    shared_data: Path,
) -> None:
    arrays = np.load(shared_data / data)
    real, integer = compiled(shared_models / model, arrays["calibration_images"], preprocess)
    images, labels = arrays["images"], arrays["labels"]
    before, after = (correct(m, images, labels, preprocess) for m in (real, integer))
    assert before / len(labels) > least
    assert 100 * (before - after) / len(labels) <= MARGIN

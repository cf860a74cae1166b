"""How far quantized real models are from float, on images that their ranges were not observed on."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from qcc.frontends import load
from qcc.ir import Array, Module, evaluate, ops
from qcc.passes import Part, PassContext, PassManager, default_pipeline, parse_pipeline

Prepare = Callable[[Array], Array]


def planes(images: Array) -> Array:
    """Return images N×H×W×C of bytes as N×C×H×W of floats."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32)


def normalized(images: Array) -> Array:
    """Return images as MobileNetV2 takes them."""
    mean = np.array([0.485, 0.456, 0.406], np.float32).reshape(3, 1, 1)
    deviation = np.array([0.229, 0.224, 0.225], np.float32).reshape(3, 1, 1)
    return np.asarray((planes(images) / np.float32(255) - mean) / deviation, np.float32)


def small(images: Array) -> Array:
    """Return every second pixel of the middle, 96×96, between 0 and 1."""
    return planes(images[:, 16:208:2, 16:208:2]) / np.float32(255)


def float_logits_module(path: Path) -> Module:
    """Return a classifier through the float pipeline, its output before the softmax."""
    module = PassManager(default_pipeline([Part.FLOAT])).run(load(path))
    last = module.ops[-1]
    if not isinstance(last, ops.Softmax):
        return module
    (output,) = module.outputs
    return module.replace(ops=module.ops[:-1], outputs=(type(output)(output.name, last.x),))


def logits(module: Module, images: Array) -> Array:
    """Return the real outputs for images, one at a time."""
    (x,), (output,) = module.inputs, module.outputs
    rows = []
    for image in images:
        data = image[np.newaxis]
        codes = x.type.uniform().quantize(data) if x.type.is_quantized else data
        y = evaluate(module, {x.name: codes})[output.name]
        rows.append(output.value.type.uniform().dequantize(y) if output.value.type.is_quantized else y)
    return np.concatenate(rows)


def integer(module: Module, images: Array, **calibrate: str) -> Module:
    """Return the integer module, its ranges observed on `images` with options of `calibrate`."""
    name = module.inputs[0].name
    context = PassContext(calibration=lambda: ({name: image[np.newaxis]} for image in images))
    pipeline = default_pipeline([Part.QUANTIZE], {"calibrate": calibrate})
    return PassManager(pipeline).run(module, context)


def signal_to_noise(expected: Array, found: Array) -> float:
    """Return 10·log10(Σ expected² / Σ (expected − found)²) in decibels."""
    return float(10 * np.log10(np.sum(expected**2) / np.sum((expected - found) ** 2)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "data", "prepare", "count", "least"),
    [
        ("resnet8_cifar10.onnx", "cifar10_32.npz", planes, 200, 29.0),
        ("mobilenet_v1_025_vww.onnx", "imagenet_224.npz", small, 24, 24.0),
        ("mobilenet_v2_float.onnx", "imagenet_224.npz", normalized, 24, 18.0),
    ],
)
def test_logits_of_unseen_images_are_near_those_of_float(
    shared_models: Path, shared_data: Path, model: str, data: str, prepare: Prepare, count: int, least: float
) -> None:
    images = prepare(np.load(shared_data / data)["calibration_images"][:count])
    module = float_logits_module(shared_models / model)
    seen, unseen = images[count // 3 :], images[: count // 3]
    expected = logits(module, unseen)
    assert signal_to_noise(expected, logits(integer(module, seen), unseen)) > least


def test_integer_arithmetic_adds_nothing_to_what_types_lose(shared_models: Path, shared_data: Path) -> None:
    """The quantized stage rounds each result once, from real arithmetic; the integer stage is no worse."""
    images = planes(np.load(shared_data / "cifar10_32.npz")["calibration_images"][:60])
    module = float_logits_module(shared_models / "resnet8_cifar10.onnx")
    seen, unseen = images[20:], images[:20]
    name = module.inputs[0].name
    context = PassContext(calibration=lambda: ({name: image[np.newaxis]} for image in seen))
    pipeline = parse_pipeline("calibrate,propagate-ranges,nudge-zero-points,quantize-weights")
    quantized = PassManager(pipeline).run(module, context)
    expected = logits(module, unseen)
    ideal = signal_to_noise(expected, logits(quantized, unseen))
    found = signal_to_noise(expected, logits(PassManager(parse_pipeline("insert-rescale")).run(quantized), unseen))
    assert found > ideal - 0.5


@pytest.mark.slow
def test_the_default_observer_beats_extremes_where_outliers_are(shared_models: Path, shared_data: Path) -> None:
    images = normalized(np.load(shared_data / "imagenet_224.npz")["calibration_images"][24:36])
    module = float_logits_module(shared_models / "mobilenet_v2_float.onnx")
    seen, unseen = images[4:], images[:4]
    expected = logits(module, unseen)
    default = signal_to_noise(expected, logits(integer(module, seen), unseen))
    extremes = signal_to_noise(expected, logits(integer(module, seen, observer="min-max"), unseen))
    assert default > extremes + 1.5

"""Top-1 of int8 artifacts against the float models, calibrated on the calibration images that come with the data.

    python benchmarks/accuracy.py [--shared FOLDER] [--target T] [--recipe R]

FOLDER holds `models/*.onnx` and `data/*.npz`; by default it is QCC_SHARED, or `../shared` beside the repository. The
float figure is ONNX Runtime's. Exit status 1 where int8 loses more than one point.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

import qcc

ROOT = Path(__file__).resolve().parents[1]

MEAN = np.array([0.485, 0.456, 0.406], np.float32).reshape(1, 3, 1, 1)
STD = np.array([0.229, 0.224, 0.225], np.float32).reshape(1, 3, 1, 1)


def pixels(images: np.ndarray) -> np.ndarray:
    """Return N×H×W×3 bytes as N×3×H×W float32, 0 … 255."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2).astype(np.float32))


def imagenet(images: np.ndarray) -> np.ndarray:
    """Return images as networks of torchvision's kind take them."""
    return (pixels(images) / 255 - MEAN) / STD


@dataclass(frozen=True)
class Case:
    """A model, its images, and how the images become its input."""

    model: str
    data: str
    prepare: Callable[[np.ndarray], np.ndarray]


CASES = (
    Case("resnet8_cifar10.onnx", "cifar10_32.npz", pixels),
    Case("mobilenet_v2_float.onnx", "imagenet_224.npz", imagenet),
)


def top1(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of right answers in percent."""
    return 100 * float(np.mean(scores.argmax(axis=1) == labels))


def measure(case: Case, shared: Path, target: str, recipe: str) -> tuple[float, float, float]:
    """Return top-1 of float and int8 in percent, and how often both agree in percent."""
    model = shared / "models" / case.model
    with np.load(shared / "data" / case.data) as data:
        calibration, images, labels = data["calibration_images"], data["images"], data["labels"]
    session = onnxruntime.InferenceSession(str(model))
    (name,) = (i.name for i in session.get_inputs())
    inputs = case.prepare(images)
    expected = np.concatenate([session.run(None, {name: inputs[i : i + 1]})[0] for i in range(len(inputs))])
    artifact = qcc.compile(model, target=target, calibration={name: case.prepare(calibration)}, recipe=recipe)
    with tempfile.TemporaryDirectory() as folder:
        artifact.save(Path(folder) / "artifact")
        outputs = qcc.Artifact.load(Path(folder) / "artifact").run({name: inputs})
    (found,) = outputs.values()
    return top1(expected, labels), top1(found, labels), top1(found, expected.argmax(axis=1))


def main() -> int:
    """Print a line for each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = os.environ.get("QCC_SHARED", str(ROOT.parent / "shared"))
    parser.add_argument("--shared", type=Path, default=Path(shared), metavar="FOLDER")
    parser.add_argument("--target", default="native")
    parser.add_argument("--recipe", default="int8")
    arguments = parser.parse_args()
    held = True
    for case in CASES:
        real, int8, agree = measure(case, arguments.shared, arguments.target, arguments.recipe)
        held = held and int8 >= real - 1.0
        print(f"{case.model}: float {real:.2f} %, int8 {int8:.2f} % ({int8 - real:+.2f}); same answer {agree:.2f} %")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())

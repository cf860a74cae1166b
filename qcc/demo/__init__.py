"""The model and the images of the demonstration: a small classifier of handwritten digits.

``digits.onnx`` is a float convolutional network (opset 17) with one input, ``image``, float32 in [0, 1] of the shape
(N, 1, 8, 8), and one output, ``logits``, float32 of the shape (N, 10). ``examples/train_digits.py`` made both files
from scikit-learn's digits (the test set of "Optical Recognition of Handwritten Digits", UCI).

``digits.npz`` holds unsigned bytes from 0 to 16; an image is its bytes divided by 16:

=================== ============= ======= ===================================================
key                 shape         type    what
=================== ============= ======= ===================================================
calibration_images  (64, 1, 8, 8) uint8   images of the training set, for calibration
test_images         (450, 1, 8, 8) uint8  images that the training never saw
test_labels         (450,)        uint8   the digit on each test image
=================== ============= ======= ===================================================
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

__all__ = ["DemoData", "load_demo"]

FOLDER = Path(__file__).parent
WHITE = np.float32(16)  # the digits have 17 levels, 0 to 16


@dataclass(frozen=True, eq=False)
class DemoData:
    """What the demonstration works with.

    Attributes:
        model: the ONNX file.
        calibration: the images to calibrate with, by input name; the first axis is samples.
        test_images: the images to measure with, float32 in [0, 1], (N, 1, 8, 8).
        test_labels: the digit on each test image, (N,).
    """

    model: Path
    calibration: dict[str, npt.NDArray[np.float32]]
    test_images: npt.NDArray[np.float32]
    test_labels: npt.NDArray[np.int64]


def load_demo() -> DemoData:
    """Read the demonstration's images and say where its model is."""
    with np.load(FOLDER / "digits.npz") as file:
        return DemoData(
            model=FOLDER / "digits.onnx",
            calibration={"image": file["calibration_images"] / WHITE},
            test_images=file["test_images"] / WHITE,
            test_labels=file["test_labels"].astype(np.int64),
        )

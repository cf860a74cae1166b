"""The demonstration's model and images, held against ONNX Runtime."""

import numpy as np
import onnxruntime

from qcc.demo import load_demo


def test_shapes_types_and_range() -> None:
    demo = load_demo()
    calibration = demo.calibration["image"]
    assert calibration.shape == (64, 1, 8, 8)
    assert demo.test_images.shape == (450, 1, 8, 8)
    assert demo.test_labels.shape == (450,)
    assert set(demo.test_labels.tolist()) == set(range(10))
    for images in (calibration, demo.test_images):
        assert images.dtype == np.float32
        assert images.min() == 0
        assert images.max() == 1


def test_no_calibration_image_is_a_test_image() -> None:
    demo = load_demo()
    test = {image.tobytes() for image in demo.test_images}
    assert not any(image.tobytes() in test for image in demo.calibration["image"])


def test_the_model_classifies_in_any_batch() -> None:
    demo = load_demo()
    session = onnxruntime.InferenceSession(demo.model)
    assert [node.name for node in session.get_inputs()] == list(demo.calibration)
    (logits,) = session.run(["logits"], {"image": demo.test_images})
    assert np.mean(logits.argmax(1) == demo.test_labels) >= 0.975
    (one,) = session.run(["logits"], {"image": demo.test_images[:1]})
    np.testing.assert_allclose(one, logits[:1], atol=1e-4)

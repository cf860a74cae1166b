"""The integer form of a whole small network against its quantized form and against real arithmetic."""

import numpy as np

from qcc.ir import Stage, parse_module, print_module
from tests.passes.quantization import classifier, quantized, random_samples, run, steps_by_value


def test_classifier_integer_form_follows_the_quantized_form() -> None:
    module = classifier()
    samples = random_samples(module, 16)
    quantized_module = quantized(module, samples)
    integer = run(quantized_module, "insert-rescale")
    assert integer.stage is Stage.INTEGER
    assert parse_module(print_module(integer)) == integer
    for sample in samples:
        steps = steps_by_value(quantized_module, integer, sample)
        assert len(steps) == 9
        assert max(int(np.max(s)) for s in steps.values()) <= 1

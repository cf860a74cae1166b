"""The integer form of a whole small network against its quantized form and against real arithmetic."""

import numpy as np

from qcc.ir import Stage, parse_module, print_module
from tests.passes.quantization import classifier, outputs, quantized, random_samples, run


def test_classifier_integer_form_follows_the_quantized_form() -> None:
    module = classifier()
    samples = random_samples(module, 16)
    quantized_module = quantized(module, samples)
    integer = run(quantized_module, "insert-rescale")
    assert integer.stage is Stage.INTEGER
    assert parse_module(print_module(integer)) == integer
    for sample in samples:
        expected, found = outputs(quantized_module, sample), outputs(integer, sample)
        for name, codes in expected.items():
            assert np.abs(codes.astype(int) - found[name]).max() <= 1

"""The integer form of a whole small network against its quantized form and against real arithmetic."""

from dataclasses import dataclass

import numpy as np
import pytest

from qcc.ir import (
    Array,
    Builder,
    Op,
    Operand,
    PassError,
    Stage,
    TensorType,
    evaluate,
    parse_module,
    print_module,
)
from qcc.passes import Realizer, realizes
from tests.passes.quantization import (
    calibrated,
    classifier,
    f32,
    outputs,
    quantized,
    random_samples,
    run,
    steps_by_value,
)


@dataclass(frozen=True, kw_only=True)
class Negate(Op):
    """An operation that another package might define."""

    name = "their_negate"
    x = Operand(0)

    def infer(self) -> tuple[TensorType, ...]:
        return (self.x.type.with_element(self.x.type.element.expressed),)

    def evaluate(self, x: Array) -> Array:  # type: ignore[override]  # operands by name
        return -x


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


@pytest.mark.parametrize("magnitude", [0.0, 1e-30, 1e-12, 1e12, 1e25])
def test_extreme_calibration_data_gives_a_network_that_is_right_on_it(magnitude: float) -> None:
    module = classifier()
    samples = [{"x": (s["x"] * magnitude).astype(np.float32)} for s in random_samples(module, 4)]
    integer = run(quantized(module, samples), "insert-rescale,fuse-tables,prove-accumulators")
    for sample in samples:
        found, real = outputs(integer, sample), evaluate(module, sample)
        for output in integer.outputs:
            to = output.value.type.uniform()
            assert np.abs(to.dequantize(found[output.name]) - real[output.name]).max() <= 12 * to.scale


def test_an_unknown_profile_is_an_error() -> None:
    module = classifier()
    quantized_module = quantized(module, random_samples(module, 1))
    with pytest.raises(PassError, match="no arithmetic profile 'fast'"):
        run(quantized_module, "insert-rescale{profile=fast}")


def test_weights_must_be_quantized_before() -> None:
    module = classifier()
    context = calibrated(random_samples(module, 1))
    with pytest.raises(PassError, match="run quantize-weights before") as caught:
        run(module, "calibrate,propagate-ranges,nudge-zero-points,insert-rescale", context)
    assert "%stem = conv2d" in caught.value.op


def test_an_operation_of_another_package_brings_its_own_integer_form() -> None:
    b = Builder("net")
    x = b.input("x", f32(1, 4))
    b.output("y", b.emit(Negate, x, name="y"))
    module = b.build()
    samples = random_samples(module, 2)
    with pytest.raises(PassError, match="no integer form of this operation is known"):
        quantized(module, samples)

    @realizes(Negate)
    def negate(realizer: Realizer, op: Negate) -> None:
        own, to = op.x.type.uniform(), op.result.type.uniform()
        realizer.define_rescale(op.result, realizer.codes(op.x), -own.scale / to.scale, own.zero_point)

    quantized_module = quantized(module, samples)
    integer = run(quantized_module, "insert-rescale,prove-accumulators")
    assert int(np.max(steps_by_value(quantized_module, integer, samples[0])["y"])) <= 1

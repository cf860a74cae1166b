"""The rules of TFLite's profiles: vectors of ARITHMETIC.md §7, bounds of activations, precision, sums that wrap.

Every operation against LiteRT itself: tests/conformance.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcc.ir import (
    F32,
    I8,
    I16,
    I32,
    I64,
    U8,
    Array,
    Builder,
    Module,
    PassError,
    ScalarType,
    Stage,
    TensorType,
    UniformType,
    Value,
    evaluate,
    ops,
)
from qcc.passes import KERNEL, PassContext
from qcc.passes.realization.tflite import activation_bounds
from qcc.passes.realization.xnnpack import activation_bounds as xnnpack_bounds
from tests.passes.quantization import run

TFLITE = ("tflm", "litert-ref", "litert-xnn")


def codes(*shape: int, scale: float, zero: int = 0, storage: ScalarType = I8) -> TensorType:
    return TensorType(shape, UniformType(storage, (scale,), (zero,)))


def module(
    op_class: Any, result: TensorType, *operands: TensorType | tuple[TensorType, Array], **attributes: Any
) -> Module:
    """One operation; operands with data are constants."""
    b = Builder("m", Stage.QUANTIZED)
    values = []
    for number, operand in enumerate(operands):
        if isinstance(operand, tuple):
            values.append(b.constant(operand[1], f"c{number}", operand[0]))
        else:
            values.append(b.input(f"x{number}", operand))
    op = op_class(operands=tuple(values), results=(Value("y", result),), **attributes)
    b.append(op)
    b.output("y", op.result)
    return b.build()


def integer(source: Module, profile: str, context: PassContext | None = None) -> Module:
    return run(source, f"insert-rescale{{profile={profile}}},prove-accumulators", context)


def result(source: Module, profile: str, *inputs: Array) -> Array:
    made = integer(source, profile)
    return evaluate(made, {f"x{i}": a for i, a in enumerate(inputs)})["y"].reshape(-1)


def test_add_vectors() -> None:
    """ADD with s1=0.05, z1=−3, s2=0.02, z2=7, s_y=0.06, z_y=−10."""
    source = module(
        ops.Add, codes(6, scale=0.06, zero=-10), codes(6, scale=0.05, zero=-3), codes(6, scale=0.02, zero=7)
    )
    a = np.array([-128, -50, 0, 1, 99, 127], np.int8)
    b = np.array([127, -128, 5, -6, 33, 127], np.int8)
    for profile in ("tflm", "litert-ref"):
        assert result(source, profile, a, b).tolist() == [-74, -94, -8, -11, 84, 127]


TIES = np.array([-225, -224, -97, -96, -95, -33, -32, -31, 31, 32, 33, 95, 96, 97, 224, 225])
ROUNDED = {
    "tflm": [-4, -4, -2, -2, -1, -1, -1, 0, 1, 1, 1, 2, 2, 2, 4, 4],
    "litert-ref": [-4, -4, -2, -2, -1, -1, -1, 0, 0, 1, 1, 1, 2, 2, 4, 4],
    "litert-xnn": [-4, -4, -2, -2, -1, -1, 0, 0, 0, 0, 1, 1, 2, 2, 4, 4],
    "single": [-4, -3, -2, -1, -1, -1, 0, 0, 0, 1, 1, 1, 2, 2, 4, 4],
}
"""M = 2^−6; `litert-ref` rounds the exact product of a fully connected layer once, ties away from zero."""


@pytest.mark.parametrize("profile", ROUNDED)
def test_ties_of_a_fully_connected_layer(profile: str) -> None:
    """The sum is the bias: codes of a quantized type, taken as they are."""
    n = TIES.size
    weights = TensorType((1, n), UniformType(I8, (2.0**-3,) * n, (0,) * n, 1))
    bias = TensorType((n,), UniformType(I32, (2.0**-6,) * n, (0,) * n, 0))
    source = module(
        ops.Matmul,
        codes(1, n, scale=1.0),
        codes(1, 1, scale=2.0**-3),
        (weights, np.zeros((1, n), np.int8)),
        (bias, TIES.astype(np.int32)),
    )
    assert result(source, profile, np.zeros((1, 1), np.int8)).tolist() == ROUNDED[profile]


@pytest.mark.parametrize(
    ("sums", "bias", "expected"),
    [
        (I32, I32, [-138, -17, -1, -1, 1, 2, 75, 171]),
        (I64, I64, [-138, -17, -1, -1, 1, 2, 75, 170]),
    ],
)
def test_sums_of_16_bit_activations(sums: ScalarType, bias: ScalarType, expected: list[int]) -> None:
    """m = 1518500250, e = −9: 31 bits where the bias is i32, 15 where it is i64."""
    numbers = np.array([-100000, -12345, -999, -512, 511, 1234, 54321, 123456])
    n, real = numbers.size, 1518500250 * 2.0**-40
    weights = TensorType((n, 1, 1, 1), UniformType(I8, (1.0,), (0,)))
    scale = 2.0**-9 / real
    assert np.float64(np.float32(scale)) == pytest.approx(scale)
    source = module(
        ops.Conv2d,
        codes(1, 1, 1, n, scale=1.0, storage=I16),
        codes(1, 1, 1, 1, scale=float(np.float32(real)), storage=I16),
        (weights, np.zeros((n, 1, 1, 1), np.int8)),
        (TensorType((n,), UniformType(bias, (1.0,), (0,))), numbers.astype(bias.dtype)),
        accumulator=sums,
    )
    made = integer(source, "tflm")
    found = evaluate(made, {"x0": np.zeros((1, 1, 1, 1), np.int16)})["y"].reshape(-1).tolist()
    assert found == expected


def test_bounds_of_activations() -> None:
    """RELU6 with 6 / s = 50.5 and z = −128: TFLite rounds before the zero point is added, XNNPACK behind."""
    to = UniformType(I8, (6 / 50.5,), (-128,))
    exact = np.float32(6) / np.float32(to.scale)
    assert exact == np.float32(50.5)
    assert activation_bounds(to, (0.0, 6.0)) == (-128, -77)
    assert xnnpack_bounds(to, (0.0, 6.0)) == (-128, -78)
    assert activation_bounds(to, (0.0, float("inf"))) == (-128, 127)
    assert activation_bounds(to, None) == xnnpack_bounds(to, None) == (-128, 127)
    assert activation_bounds(UniformType(U8, (1e-30,), (7,)), (-1.0, 1.0)) == (0, 255)


def test_tensorflow_lite_micro_does_not_rescale_relu6() -> None:
    x = np.array([-128, 0, 1, 11, 13, 127], np.int8)
    types: tuple[TensorType, TensorType] = codes(6, scale=0.5, zero=1), codes(6, scale=0.25, zero=3)
    bounds: dict[str, Any] = {"minimum": 0.0, "maximum": 6.0}
    source = module(ops.Clamp, *types, **bounds, notes=((KERNEL, "RELU6"),))
    # From 3, the code of 0, to 3 + 24; the others double the step: 1 + (x − 3)/2, up to 1 + 12.
    assert result(source, "tflm", x).tolist() == [3, 3, 3, 11, 13, 27]
    assert result(source, "litert-ref", x).tolist() == [1, 1, 1, 5, 6, 13]
    assert result(module(ops.Clamp, *types, **bounds), "tflm", x).tolist() == [1, 1, 1, 5, 6, 13]  # not from a file


@pytest.mark.parametrize("profile", TFLITE)
def test_sums_may_wrap_and_are_reported(profile: str) -> None:
    """A bias near the end of 32 bits: TFLite's sums wrap, so do the evaluator's; qcc's own refuse."""
    bias = TensorType((1,), UniformType(I32, (1.0,), (0,)))
    source = module(
        ops.Matmul,
        codes(1, 1, scale=2.0**24),
        codes(1, 1, scale=1.0),
        (TensorType((1, 1), UniformType(I8, (1.0,), (0,))), np.array([[127]], np.int8)),
        (bias, np.array([2**31 - 100], np.int32)),
    )
    context = PassContext()
    made = integer(source, profile, context)
    (remark,) = [r for r in context.remarks if r.pass_name == "prove-accumulators"]
    assert "overflows i32: it wraps, as in TFLite's kernels" in str(remark)
    assert evaluate(made, {"x0": np.array([[100]], np.int8)})["y"].tolist() == [[-128]]
    with pytest.raises(PassError, match="overflows i32"):
        integer(source, "single")


@pytest.mark.parametrize("profile", [*TFLITE, "single"])
def test_real_constants_are_taken_as_codes(profile: str) -> None:
    """A float model that qcc quantizes itself, by another profile: constants are still real."""
    x = np.arange(-128, 128).astype(np.int8)
    for op, function in ((ops.Add, np.add), (ops.Mul, np.multiply), (ops.Sub, np.subtract)):
        to = codes(256, scale=0.03, zero=-5)
        constant = TensorType((1,), F32), np.array([0.75], np.float32)
        source = module(op, to, codes(256, scale=0.02, zero=3), constant)
        real = function((x.astype(np.float64) - 3) * np.float32(0.02), 0.75)
        exact = np.clip(real / np.float32(0.03) - 5, -128, 127)
        assert np.abs(result(source, profile, x) - exact).max() <= 1


@pytest.mark.parametrize(("scales", "taken"), [((0.1, 1e-12), True), ((1e-12,), False)])
def test_xnnpack_takes_channels_with_tiny_scales(scales: tuple[float, ...], taken: bool) -> None:
    """Channels without weights have such scales, as in mobilenet_v1_025_vww; one for all has a limit of 2^−32."""
    axis = 1 if len(scales) > 1 else None
    weight = TensorType((1, 2), UniformType(I8, scales, (0,) * len(scales), axis))
    source = module(ops.Matmul, codes(1, 2, scale=0.5), codes(1, 1, scale=0.5), (weight, np.ones((1, 2), np.int8)))
    names = {op.name for op in run(source, "insert-rescale{profile=litert-xnn}", PassContext()).ops}
    assert ("rescale_float" in names, "rescale" in names) == (taken, not taken)


UNLIKE = codes(1, 4, scale=3e30), codes(1, 4, scale=1e-5)
SLOPES = (codes(4, scale=1.0), np.array([1, 2, 3, 4], np.int8))
WITHOUT_MULTIPLIER: dict[str, Module] = {
    "abs": module(ops.Abs, UNLIKE[1], UNLIKE[0]),
    "add": module(ops.Add, UNLIKE[1], UNLIKE[0], UNLIKE[0]),
    "hard_swish": module(ops.HardSwish, UNLIKE[1], UNLIKE[0]),
    "leaky_relu": module(ops.LeakyRelu, UNLIKE[1], UNLIKE[0], alpha=0.1),
    "mul": module(ops.Mul, UNLIKE[1], UNLIKE[0], UNLIKE[0]),
    "prelu": module(ops.Prelu, UNLIKE[1], UNLIKE[0], SLOPES),
    "reduce_mean": module(ops.ReduceMean, codes(1, 1, scale=1e-5), UNLIKE[0], axes=(1,)),
    "requantize": module(ops.Requantize, UNLIKE[1], UNLIKE[0]),
}


@pytest.mark.parametrize("name", WITHOUT_MULTIPLIER)
@pytest.mark.parametrize("profile", ["tflm", "litert-ref"])
def test_a_ratio_without_a_multiplier_names_the_operation_and_the_next_step(name: str, profile: str) -> None:
    with pytest.raises(PassError, match="has no multiplier") as caught:
        run(WITHOUT_MULTIPLIER[name], f"insert-rescale{{profile={profile}}}")
    assert f"%y = {name}(" in caught.value.op
    assert "check the model's scales" in caught.value.help

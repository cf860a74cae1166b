"""What an operation means is the same in every profile: at most a step from the evaluator, whatever the parameters.

Kernels of the field often take for granted that operand and result have one scale, or the result a certain one. But a
module need not come from their files.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcc.ir import I8, Array, Builder, Module, Op, PassError, Stage, TensorType, UniformType, Value, evaluate, ops
from qcc.passes import PassContext, registered_profiles
from tests.passes.quantization import run

X = UniformType(I8, (0.05,), (-3,))
Y = UniformType(I8, (0.02,), (5,))
WINDOW = {"kernel": (2, 2), "strides": (2, 2)}
OPERATIONS: dict[str, tuple[type[Op], int, tuple[int, ...], dict[str, Any]]] = {
    "avg_pool2d": (ops.AvgPool2d, 1, (1, 2, 2, 16), WINDOW),
    "max_pool2d": (ops.MaxPool2d, 1, (1, 2, 2, 16), WINDOW),
    "clamp": (ops.Clamp, 1, (1, 4, 4, 16), {"minimum": 0.0, "maximum": 6.0}),
    "sigmoid": (ops.Sigmoid, 1, (1, 4, 4, 16), {}),
    "tanh": (ops.Tanh, 1, (1, 4, 4, 16), {}),
    "concat": (ops.Concat, 2, (1, 4, 4, 32), {"axis": 3}),
    "maximum": (ops.Maximum, 2, (1, 4, 4, 16), {}),
    "pad": (ops.Pad, 1, (1, 6, 4, 16), {"low": (0, 1, 0, 0), "high": (0, 1, 0, 0)}),
    "reduce_mean": (ops.ReduceMean, 1, (1, 1, 1, 16), {"axes": (1, 2)}),
    "reduce_max": (ops.ReduceMax, 1, (1, 4, 4, 1), {"axes": (3,)}),
    "resize": (
        ops.Resize,
        1,
        (1, 8, 8, 16),
        {"shape": (1, 8, 8, 16), "scales": (1.0, 2.0, 2.0, 1.0), "mode": "linear", "coordinates": "half_pixel"},
    ),
}
FLOAT_ONLY = {("resize", "ort"), ("resize", "ort-default")}
"""What a profile leaves in float."""


def one_operation(name: str) -> Module:
    """Return a module of one operation whose result has other parameters than its operands."""
    op_class, count, shape, attributes = OPERATIONS[name]
    b = Builder("m", Stage.QUANTIZED)
    x = b.input("x", TensorType((1, 4, 4, 16), X))
    return finished(b, op_class(operands=(x,) * count, results=(Value("y", TensorType(shape, Y)),), **attributes))


def finished(b: Builder, op: Op) -> Module:
    b.append(op)
    b.output("y", op.result)
    return b.build()


def off_by(module: Module, profile: str, x: Array) -> int:
    """Return how many steps the integer module is off the evaluator of the quantized one, at most."""
    integer = run(module, f"insert-rescale{{profile={profile}}}", PassContext())
    expected, found = (evaluate(m, {"x": x})["y"].astype(np.int64) for m in (module, integer))
    assert len(np.unique(expected)) > 2
    return int(np.abs(found - expected).max())


@pytest.mark.parametrize("profile", registered_profiles())
@pytest.mark.parametrize("name", OPERATIONS)
def test_parameters_differ(name: str, profile: str) -> None:
    if (name, profile) not in FLOAT_ONLY:
        x = np.arange(-128, 128).astype(np.int8).reshape(1, 4, 4, 16)
        assert off_by(one_operation(name), profile, x) <= 1


@pytest.mark.parametrize("profile", registered_profiles())
def test_weights_have_a_zero_point(profile: str) -> None:
    b = Builder("m", Stage.QUANTIZED)
    x = b.input("x", TensorType((1, 4, 4, 16), X))
    codes = np.arange(-40, 40, 5).astype(np.int8).reshape(1, 1, 1, 16)
    weight = b.constant(codes, "w", TensorType(codes.shape, UniformType(I8, (0.01,), (4,))))
    y = Value("y", TensorType((1, 4, 4, 1), UniformType(I8, (0.2,), (5,))))
    module = finished(b, ops.Conv2d(operands=(x, weight), results=(y,)))
    samples = np.random.default_rng(1).integers(-128, 128, (1, 4, 4, 16)).astype(np.int8)
    assert off_by(module, profile, samples) <= 1


@pytest.mark.parametrize("profile", registered_profiles())
def test_weights_with_a_scale_for_each_input_channel_are_refused(profile: str) -> None:
    """Of a square matrix nothing but the axis tells."""
    b = Builder("m", Stage.QUANTIZED)
    x = b.input("x", TensorType((1, 2), X))
    weight = b.constant(np.eye(2, dtype=np.int8), "w", TensorType((2, 2), UniformType(I8, (0.01, 0.5), (0, 0), axis=0)))
    module = finished(b, ops.Matmul(operands=(x, weight), results=(Value("y", TensorType((1, 2), Y)),)))
    with pytest.raises(PassError, match="scales along axis 0"):
        run(module, f"insert-rescale{{profile={profile}}}", PassContext())


def test_the_sum_of_quantized_values_is_a_real_one() -> None:
    """The evaluator adds real numbers and rounds once, in the end."""
    b = Builder("m", Stage.QUANTIZED)
    x = b.input("x", TensorType((4,), UniformType(I8, (0.25,), (0,))))
    y = Value("y", TensorType((1,), UniformType(I8, (0.25,), (0,))))
    module = finished(b, ops.ReduceSum(operands=(x,), results=(y,), axes=(0,)))
    assert evaluate(module, {"x": np.array([1, 2, 3, 5], np.int8)})["y"].tolist() == [11]

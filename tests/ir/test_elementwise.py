"""Element-by-element operations: functions, arithmetic, clamps, tables and changes of scale."""

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from qcc.ir import F16, F32, I1, I4, I8, I16, I32, I64, U8, EvaluationError, Op, Stage, TensorType, UniformType, ops
from tests.ir.building import infer, random_codes, random_floats, refused, run


def normal_cdf(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


FUNCTIONS: list[tuple[type[Op], dict[str, Any], Callable[[float], float]]] = [
    (ops.Sigmoid, {}, lambda x: 0.5 + 0.5 * math.tanh(x / 2)),
    (ops.Tanh, {}, lambda x: 1 - 2 / (math.exp(2 * x) + 1)),
    (ops.LeakyRelu, {"alpha": 0.3}, lambda x: max(x, 0) + 0.3 * min(x, 0)),
    (ops.HardSigmoid, {}, lambda x: min(1.0, max(0.0, 0.2 * x + 0.5))),
    (ops.HardSwish, {}, lambda x: x * min(6.0, max(0.0, x + 3)) / 6),
    (ops.Erf, {}, math.erf),
    (ops.Gelu, {}, lambda x: x * normal_cdf(x)),
    (ops.Elu, {"alpha": 2}, lambda x: x if x > 0 else 2 * (math.exp(x) - 1)),
    (ops.Silu, {}, lambda x: x / (1 + math.exp(-x))),
    (ops.Exp, {}, math.exp),
    (ops.Log, {}, lambda x: math.log(x) if x > 0 else math.nan),
    (ops.Sqrt, {}, lambda x: math.sqrt(x) if x >= 0 else math.nan),
    (ops.Reciprocal, {}, lambda x: 1 / x),
    (ops.Abs, {}, math.fabs),
    (ops.Neg, {}, lambda x: 0 - x),
]


@pytest.mark.parametrize(("op_class", "attributes", "function"), FUNCTIONS)
def test_functions(op_class: type[Op], attributes: dict[str, Any], function: Callable[[float], float]) -> None:
    x = np.linspace(-8, 8, 200, dtype=np.float32).reshape(2, 100)
    expected = np.vectorize(function, otypes=[float])(x.astype(float)).astype(np.float32)
    np.testing.assert_allclose(run(op_class, x, **attributes), expected, rtol=1e-6, atol=1e-9)
    refused("takes real numbers", op_class, TensorType((2,), I8), **attributes)


@pytest.mark.parametrize(("op_class", "attributes", "function"), FUNCTIONS)
def test_functions_of_codes(op_class: type[Op], attributes: dict[str, Any], function: Callable[[float], float]) -> None:
    codes = np.arange(-128, 128).astype(np.int8)
    before, after = UniformType(I8, (0.05,), (-127,), storage_minimum=-127), UniformType(I8, (0.03,), (-20,))
    codes = codes[1:]
    y = run(op_class, codes, stage=Stage.QUANTIZED, inputs=(before,), result=after, **attributes)
    with np.errstate(all="ignore"):
        real = np.array(
            [function(r) if r or op_class is not ops.Reciprocal else np.inf for r in (codes + 127.0) * 0.05]
        )
    exact = np.where(np.isnan(real), -np.inf, real) / np.array(0.03, np.float32) - 20
    assert np.max(np.abs(y - exact.clip(-128, 127))) <= 0.5 + 1e-3


def test_sigmoid_and_gelu_at_the_ends() -> None:
    x = np.array([-np.inf, -1e30, 1e30, np.inf], np.float32)
    assert run(ops.Sigmoid, x).tolist() == [0, 0, 1, 1]
    assert run(ops.Elu, x).tolist() == [-1, -1, x[2], np.inf]
    assert run(ops.Gelu, x[1:3]).tolist() == [0, x[2]]
    tanh_form = run(ops.Gelu, random_floats(100), approximate="tanh")
    np.testing.assert_allclose(tanh_form, run(ops.Gelu, random_floats(100)), atol=1e-3)
    refused("approximation", ops.Gelu, TensorType((1,), F32), approximate="fast")


ARITHMETIC: list[tuple[type[Op], Callable[[float, float], float]]] = [
    (ops.Add, lambda a, b: a + b),
    (ops.Sub, lambda a, b: a - b),
    (ops.Mul, lambda a, b: a * b),
    (ops.Div, lambda a, b: a / b),
    (ops.Pow, lambda a, b: abs(a) ** b if b else 1.0),
    (ops.Minimum, min),
    (ops.Maximum, max),
]


@pytest.mark.parametrize(("op_class", "function"), ARITHMETIC)
def test_arithmetic_with_broadcasting(op_class: type[Op], function: Callable[[float, float], float]) -> None:
    a, b = random_floats(2, 1, 3), random_floats(4, 1, seed=1)
    a = np.abs(a) if op_class is ops.Pow else a
    y = run(op_class, a, b)
    assert y.shape == (2, 4, 3)
    expected = [function(float(a[i, 0, k]), float(b[j, 0])) for i, j, k in np.ndindex(2, 4, 3)]
    np.testing.assert_allclose(y.ravel(), expected, rtol=1e-5)
    refused("do not broadcast", op_class, TensorType((2,), F32), TensorType((3,), F32))
    refused("different element types", op_class, TensorType((2,), F32), TensorType((2,), I32))


def test_integer_arithmetic_wraps_and_wants_width() -> None:
    a = np.array([2**31 - 1, -(2**31), 5], np.int32)
    assert run(ops.Add, a, np.array([1, -1, 2], np.int32), stage=Stage.INTEGER).tolist() == [-(2**31), 2**31 - 1, 7]
    assert run(ops.Sub, a, np.array([-1, 1, 2], np.int32), stage=Stage.INTEGER).tolist() == [-(2**31), 2**31 - 1, 3]
    assert run(ops.Mul, a, np.array([2, 2, -2], np.int32), stage=Stage.INTEGER).tolist() == [-2, 0, -10]
    for op_class in (ops.Add, ops.Sub, ops.Mul):
        refused("can overflow", op_class, TensorType((2,), I8), TensorType((2,), I8))
        refused("has no clamp", op_class, TensorType((2,), I32), TensorType((2,), I32), clamp=(0, 6))
        refused("above its maximum", op_class, TensorType((2,), F32), TensorType((2,), F32), clamp=(6, 0))
    codes = random_codes(50), random_codes(50, seed=1)
    smaller = run(ops.Minimum, *codes, stage=Stage.INTEGER, inputs=(I8, I8))
    assert smaller.tolist() == [min(p) for p in zip(*(c.tolist() for c in codes), strict=True)]


def test_integer_division_is_exact_and_goes_toward_zero() -> None:
    a = np.array([7, -7, 7, -7, 2**62 + 1], np.int64)
    b = np.array([2, 2, -2, -2, 1], np.int64)
    assert run(ops.Div, a, b).tolist() == [3, -3, -3, 3, 2**62 + 1]
    with pytest.raises(EvaluationError, match="divisor is 0"):
        run(ops.Div, a, np.zeros(5, np.int64))
    assert run(ops.Div, np.array([1, -1], np.float32), np.array([0, 0], np.float32)).tolist() == [np.inf, -np.inf]


def test_fused_and_separate_clamps_agree() -> None:
    a, b = random_floats(50), random_floats(50, seed=1)
    fused = run(ops.Add, a, b, clamp=(-0.5, 0.5))
    assert fused.tolist() == run(ops.Clamp, run(ops.Add, a, b), minimum=-0.5, maximum=0.5).tolist()


def test_clamps_of_integers_are_exact() -> None:
    big = np.array([-(2**63), -3, 2**53 + 1, 2**63 - 1], np.int64)
    assert run(ops.Clamp, big, minimum=-math.inf, maximum=math.inf).tolist() == big.tolist()
    codes = random_codes(100)
    y = run(ops.Clamp, codes, stage=Stage.INTEGER, inputs=(I8,), minimum=-10.5, maximum=300)
    assert y.tolist() == [max(c, -10) for c in codes.tolist()]
    refused("lies between", ops.Clamp, TensorType((1,), I8), minimum=0.25, maximum=0.75)
    refused("lies between", ops.Clamp, TensorType((1,), I8), minimum=200, maximum=300)
    refused("above maximum", ops.Clamp, TensorType((1,), F32), minimum=1, maximum=0)
    refused("minimum is nan", ops.Clamp, TensorType((1,), F32), minimum=math.nan, maximum=0)
    refused("maximum is True", ops.Clamp, TensorType((1,), F32), minimum=0, maximum=True)


@pytest.mark.parametrize("shape", [(), (3,), (4, 1, 1)])
def test_rescale_follows_its_formula(shape: tuple[int, ...]) -> None:
    x = random_codes(2, 4, 5, 3, low=-(2**31) + 200, high=2**31 - 200, dtype="int32")
    m = random_codes(*shape, low=-(2**31), high=2**31 - 1, dtype="int32", seed=1)
    s = random_codes(*shape, low=31, high=62, seed=2)
    limits = {"minimum": -100, "maximum": 120, "input_zero_point": 100, "output_zero_point": -5}
    y = run(ops.Rescale, x, m, s, stage=Stage.INTEGER, constants=(1, 2), to=I8, **limits)
    exact = np.broadcast_arrays(x, m, s)
    expected = [
        min(max(math.floor(Fraction((a - 100) * b, 2**c) + Fraction(1, 2)) - 5, -100), 120)
        for a, b, c in zip(*(e.ravel().tolist() for e in exact), strict=True)
    ]
    assert y.dtype == np.int8
    assert y.ravel().tolist() == expected


def test_refused_rescales() -> None:
    x, m, s = TensorType((2, 3), I32), TensorType((3,), I32), TensorType((3,), I8)
    fine: dict[str, Any] = {"to": I8, "minimum": -128, "maximum": 127}
    assert infer(ops.Rescale, x, m, s, **fine) == TensorType((2, 3), I8)
    refused("takes integers", ops.Rescale, TensorType((2, 3), F32), m, s, **fine)
    assert infer(ops.Rescale, TensorType((2, 3), I64), m, s, **fine) == TensorType((2, 3), I8)
    refused("takes integers", ops.Rescale, x, TensorType((3,), I64), s, **fine)
    refused("takes integers", ops.Rescale, x, m, TensorType((1,), I8), **fine)
    refused("do not broadcast", ops.Rescale, x, TensorType((2,), I32), TensorType((2,), I8), **fine)
    refused("do not broadcast", ops.Rescale, x, TensorType((4, 2, 3), I32), TensorType((4, 2, 3), I8), **fine)
    refused("leave i8", ops.Rescale, x, m, s, **{**fine, "maximum": 128})
    refused("leave i8", ops.Rescale, x, m, s, **{**fine, "minimum": 127, "maximum": 0})
    refused("no rounding", ops.Rescale, x, m, s, rounding="up", **fine)
    refused("gives integers", ops.Rescale, x, m, s, **{**fine, "to": F32})
    one = np.array(1, np.int32)
    with pytest.raises(EvaluationError, match="0 … 62"):
        run(ops.Rescale, one, one, np.array(63, np.int8), stage=Stage.INTEGER, **fine)


@pytest.mark.parametrize("element", [I8, U8])
def test_tables(element: Any) -> None:
    codes = np.arange(element.minimum, element.maximum + 1).astype(element.dtype)
    table = random_codes(256, low=-(2**15), high=2**15 - 1, dtype="int16")
    one = run(ops.Table, codes, table, stage=Stage.INTEGER, inputs=(element,), constants=(1,))
    assert one.tolist() == table.tolist()
    by_channel = random_codes(3, 256, seed=2)
    x = np.repeat(codes[:, None], 3, axis=1)
    found = run(ops.Table, x, by_channel, stage=Stage.INTEGER, inputs=(element, I8), constants=(1,))
    assert found.tolist() == by_channel.T.tolist()
    refused("8-bit codes", ops.Table, TensorType((2,), I16), TensorType((256,), I8))
    refused("should be", ops.Table, TensorType((2,), I8), TensorType((255,), I8))
    refused("should be", ops.Table, TensorType((2, 3), I8), TensorType((2, 256), I8))


def test_casts() -> None:
    x = np.array([1.9, -1.9, 300.0, -129.5, np.nan, np.inf, 2.0**40 + 2**33], np.float64)
    assert run(ops.Cast, x, to=I8).tolist() == [1, -1, 44, 127, 0, 0, 0]
    assert run(ops.Cast, x, to=I1).tolist() == [True] * 7
    assert run(ops.Cast, np.array([7, 8, -9, 23], np.int32), to=I4).tolist() == [7, -8, 7, 7]
    assert run(ops.Cast, np.array([-1, 256], np.int32), to=U8).tolist() == [255, 0]
    assert run(ops.Cast, np.array([-1, 2], np.int8), to=F32).dtype == np.float32
    refused("to is", ops.Cast, TensorType((1,), F32), to="i8")


def test_quantize_dequantize_and_storage_cast() -> None:
    type = UniformType(I8, (0.5,), (3,))
    x = random_floats(2, 50) * 40
    codes = run(ops.Quantize, x, to=type)
    assert codes.tolist() == np.clip(np.round(x.astype(float) / 0.5) + 3, -128, 127).tolist()
    assert run(ops.Dequantize, codes, stage=Stage.QUANTIZED, inputs=(type,)).tolist() == ((codes - 3.0) * 0.5).tolist()
    plain = run(ops.StorageCast, codes, stage=Stage.INTEGER, inputs=(type,))
    assert plain.tobytes() == codes.tobytes()
    assert infer(ops.StorageCast, TensorType((2,), I8), to=type) == TensorType((2,), type)
    refused("real values", ops.Quantize, TensorType((2,), I8), to=type)
    refused(
        "does not stand for",
        ops.Quantize,
        TensorType((2,), UniformType(I8, (1.0,), (0,)).base),
        to=replace(type, base=F16),
    )
    refused("quantized values", ops.Dequantize, TensorType((2,), F32))
    refused("not stored as", ops.StorageCast, TensorType((2,), U8), to=type)
    refused("codes or integers", ops.StorageCast, TensorType((2,), F32))

"""Quantized TFLite models keep what their files say; defects are named."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import qcc
from qcc.cli import main
from qcc.frontends import FrontendWarning, load
from qcc.ir import I8, I32, I64, FrontendError, Module, Op, PassError, Stage, UniformType, evaluate, ops
from tests.conformance.subject import realized
from tests.conformance.tflite_builder import Tensor, TfliteBuilder
from tests.frontends.tflite_models import import_bytes

CONV: dict[str, Any] = {"padding": "VALID", "stride_h": 1, "stride_w": 1, "fused_activation_function": "RELU6"}
DENSE: dict[str, Any] = {"weights_format": "DEFAULT", "fused_activation_function": "NONE"}

SCALES = [0.1, 0.2, 0.3]


def built(b: TfliteBuilder, *outputs: Tensor) -> bytes:
    b.output(*outputs)
    return b.build()


def only(module: Module, kind: type[Op]) -> Any:
    (found,) = (op for op in module.ops if isinstance(op, kind))
    return found


def convolution(**given: Any) -> bytes:
    """Return a convolution; `kind`, `weight_zero`, `axis`, `bias`, `bias_scale` and `option` replace parts of it."""
    b = TfliteBuilder()
    kind = given.get("kind", "int8")
    zero = 0 if kind == "int16" else 3
    x = b.input("x", (1, 4, 4, 2), kind, 0.5, zero)
    weights = np.arange(24, dtype=np.int8).reshape(3, 2, 2, 2)
    w = b.constant("w", weights, SCALES, given.get("weight_zero", 0), 0)
    bias = given.get("bias", np.array([1, -2, 3], np.int32))
    scale = given.get("bias_scale", [float(np.float32(0.5) * np.float32(s)) for s in SCALES])
    operands = [x, w] if bias is None else [x, w, b.constant("b", bias, scale, axis=given.get("axis", 0))]
    y = b.tensor("y", (1, 3, 3, 3), kind, 0.25, zero)
    b.op("CONV_2D", operands, [y], **CONV, **given.get("option", {}))
    return built(b, y)


def test_a_convolution_says_what_the_file_says() -> None:
    module = import_bytes(convolution())
    assert (module.stage, module.attribute("arithmetic")) == (Stage.QUANTIZED, "tflm")
    op = only(module, ops.Conv2d)
    assert op.clamp == (0.0, 6.0)
    x, weight, bias = (v.type.uniform() for v in op.operands)
    assert x == UniformType(I8, (0.5,), (3,))
    assert weight == UniformType(I8, (0.1, 0.2, 0.3), (0, 0, 0), 0)
    products = tuple(float(np.float32(0.5) * np.float32(s)) for s in (0.1, 0.2, 0.3))
    assert bias == UniformType(I32, products, (0, 0, 0), 0)
    constant = module.constant(op.bias)
    assert constant is not None
    assert constant.tolist() == [1, -2, 3]
    assert op.result.type.uniform() == UniformType(I8, (0.25,), (3,))


def test_depthwise_weights_and_their_scales_change_axes() -> None:
    b = TfliteBuilder()
    x = b.input("x", (1, 4, 4, 2), "int8", 0.5)
    weights = np.arange(16, dtype=np.int8).reshape(1, 2, 2, 4)
    w = b.constant("w", weights, [0.1, 0.2, 0.3, 0.4], axis=3)
    y = b.tensor("y", (1, 3, 3, 4), "int8", 1.0)
    b.op("DEPTHWISE_CONV_2D", [x, w, None], [y], depth_multiplier=2, **{**CONV, "fused_activation_function": "NONE"})
    op = only(import_bytes(built(b, y)), ops.Conv2d)
    assert op.groups == 2
    assert op.weight.type.shape == (4, 2, 2, 1)
    assert op.weight.type.uniform().axis == 0


@pytest.mark.parametrize(
    ("bias", "option", "accumulator"),
    [
        (np.array([1, 2, 3], np.int64), {}, I64),
        (np.array([1, 2, 3], np.int32), {}, I32),
        (None, {}, I64),
        (None, {"quantized_bias_type": "INT32"}, I32),
        (None, {"quantized_bias_type": "INT64"}, I64),
    ],
)
def test_sums_of_16_bit_activations(bias: Any, option: dict[str, Any], accumulator: Any) -> None:
    op = only(import_bytes(convolution(kind="int16", bias=bias, option=option)), ops.Conv2d)
    assert op.accumulator == accumulator
    if bias is not None:
        assert op.bias.type.uniform().storage.dtype == bias.dtype


@pytest.mark.parametrize(("option", "warned"), [({}, True), ({"quantized_bias_type": "INT32"}, False)])
def test_an_int32_bias_that_litert_takes_for_int64(option: dict[str, Any], warned: bool) -> None:
    """The option tells LiteRT the type of a bias of 16-bit activations; without it, 64 bits are read."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        import_bytes(convolution(kind="int16", bias=np.array([1, 2, 3], np.int32), option=option))
    assert any("does not say INT32" in str(w.message) for w in found) == warned


def test_dequantize_then_quantize_stays_two_and_integer_quantize_is_a_requantize() -> None:
    b = TfliteBuilder()
    x = b.input("x", (1, 4), "uint8", 0.5, 7)
    real, codes, other = (
        b.tensor("real", (1, 4), "float32"),
        b.tensor("codes", (1, 4), "int8", 0.1),
        b.tensor("z", (1, 4), "int16", 0.2),
    )
    b.op("DEQUANTIZE", [x], [real])
    b.op("QUANTIZE", [real], [codes])
    b.op("QUANTIZE", [codes], [other])
    module = import_bytes(built(b, other))
    assert [op.name for op in module.ops] == ["dequantize", "quantize", "requantize"]
    assert [str(v.type.element) for op in module.ops for v in op.results] == [
        "f32",
        "!quant.uniform<i8:f32, 0.1>",
        "!quant.uniform<i16:f32, 0.2>",
    ]


def test_float_input_and_output_with_a_float_region() -> None:
    b = TfliteBuilder()
    x = b.input("x", (1, 4), "float32")
    q, t, r = (
        b.tensor("q", (1, 4), "int8", 0.1),
        b.tensor("t", (1, 4), "int8", 1 / 128),
        b.tensor("r", (1, 4), "float32"),
    )
    y = b.tensor("y", (1, 4), "float32")
    b.op("QUANTIZE", [x], [q])
    b.op("TANH", [q], [t])
    b.op("DEQUANTIZE", [t], [r])
    b.op("EXP", [r], [y])
    module = import_bytes(built(b, y))
    assert module.stage is Stage.QUANTIZED
    data = np.array([[0.0, 0.5, -1.0, 3.0]], np.float32)
    np.testing.assert_allclose(evaluate(module, {"x": data})["y"], np.exp(np.tanh(data)), atol=0.03)


def test_dynamic_range_weights_become_real_with_a_warning() -> None:
    b = TfliteBuilder()
    x = b.input("x", (2, 3), "float32")
    w = b.constant("w", np.array([[1, 2, 3], [4, 5, -6]], np.int8), 0.5)
    y = b.tensor("y", (2, 2), "float32")
    b.op("FULLY_CONNECTED", [x, w, None], [y], **DENSE)
    with pytest.warns(FrontendWarning, match="quantized weights and real activations"):
        module = import_bytes(built(b, y))
    assert module.stage is Stage.FLOAT
    found = evaluate(module, {"x": np.eye(2, 3, dtype=np.float32)})["y"]
    assert found.tolist() == [[0.5, 2.0], [1.0, 2.5]]


def test_half_precision_weights_become_f32() -> None:
    b = TfliteBuilder()
    x = b.input("x", (2, 2), "float32")
    half = b.constant("half", np.array([0.5, 0.1], np.float16))
    w, y = b.tensor("w", (2,), "float32"), b.tensor("y", (2, 2), "float32")
    b.op("DEQUANTIZE", [half], [w])
    b.op("MUL", [x, w], [y], fused_activation_function="NONE")
    module = import_bytes(built(b, y))
    assert module.stage is Stage.FLOAT
    found = evaluate(module, {"x": np.ones((2, 2), np.float32)})["y"]
    assert found[0].tolist() == [0.5, float(np.float16(0.1))]


def test_four_bit_weights() -> None:
    b = TfliteBuilder()
    x = b.input("x", (1, 3), "int8", 1.0)
    w = b.constant("w", np.array([[-8, 7, 1], [2, -3, 4]], np.int8), 1.0, type="int4")
    y = b.tensor("y", (1, 2), "int8", 1.0)
    b.op("FULLY_CONNECTED", [x, w, None], [y], **DENSE)
    module = import_bytes(built(b, y))
    found = evaluate(module, {"x": np.array([[1, 1, 2]], np.int8)})["y"]
    assert found.tolist() == [[1, 7]]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"axis": 3}, "quantized_dimension 3 is out of range; read as 0"),
        ({"bias_scale": [0.05, 0.11, 0.15]}, "scales of the bias are not input scale · weight scale"),
        ({"bias_scale": ()}, "the bias has no scale"),
        ({"weight_zero": 5}, "zero points of weights are ignored"),
    ],
)
def test_a_defect_whose_meaning_is_clear_is_a_warning(given: dict[str, Any], message: str) -> None:
    with pytest.warns(FrontendWarning, match=message):
        module = import_bytes(convolution(**given))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sound = import_bytes(convolution())
    assert module == sound


def test_an_unknown_version_is_a_warning() -> None:
    b = TfliteBuilder()
    x, y = b.input("x", (1, 4), "int8", 0.5), b.tensor("y", (1, 4), "int8", 0.5)
    b.op("ADD", [x, x], [y], version=99, fused_activation_function="NONE")
    with pytest.warns(FrontendWarning, match="version 99 of ADD is not known; read as"):
        import_bytes(built(b, y))


def test_codes_that_are_copied_between_scales_are_kept() -> None:
    b = TfliteBuilder()
    x, y = b.input("x", (1, 4), "int8", 0.5), b.tensor("y", (4,), "int8", 0.25)
    b.op("RESHAPE", [x], [y], new_shape=[4])
    with pytest.warns(FrontendWarning, match="codes are kept"):
        module = import_bytes(built(b, y))
    assert evaluate(module, {"x": np.array([[1, 2, -3, 127]], np.int8)})["y"].tolist() == [1, 2, -3, 127]


def test_all_that_is_unsupported_is_in_one_error() -> None:
    b = TfliteBuilder()
    x = b.input("x", (1, 4), "int8", 0.5)
    p, q, y = (b.tensor(n, (1, 4), "int8", 0.5) for n in "pqy")
    b.op("COS", [x], [p])
    b.op("SIGN", [x], [q])
    b.op("ADD", [p, q], [y], fused_activation_function="NONE")
    with pytest.raises(FrontendError, match=r"2 parts of the model") as caught:
        import_bytes(built(b, y))
    assert "COS 'p'" in str(caught.value)
    assert "SIGN 'q'" in str(caught.value)
    assert "ADD" not in str(caught.value)


def test_a_missing_buffer_is_named() -> None:
    b = TfliteBuilder()
    x, w = b.input("x", (1, 4), "int8", 0.5), b.tensor("w", (1, 4), "int8", 0.5)
    y = b.tensor("y", (1, 4), "int8", 0.5)
    b.op("ADD", [x, w], [y], fused_activation_function="NONE")
    with pytest.raises(FrontendError, match="tensor 'w': has no data, and nothing computes it"):
        import_bytes(built(b, y))


def test_the_command_line_tells_defects(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.tflite").write_bytes(convolution(axis=3))
    assert main(["import", str(tmp_path / "m.tflite"), "-o", str(tmp_path / "m.qir")]) == 0
    assert "qcc: warning: m.tflite: tensor 'b': quantized_dimension 3" in capsys.readouterr().err
    assert load(tmp_path / "m.qir").attribute("arithmetic") == "tflm"


WINDOW: dict[str, Any] = {"padding": "VALID", "stride_h": 2, "stride_w": 2, "filter_height": 2, "filter_width": 2}
COPYING: dict[str, tuple[tuple[int, ...], int, dict[str, Any]]] = {
    "AVERAGE_POOL_2D": ((1, 2, 2, 16), 1, WINDOW),
    "MAX_POOL_2D": ((1, 2, 2, 16), 1, {**WINDOW, "fused_activation_function": "RELU6"}),
    "CONCATENATION": ((1, 4, 4, 32), 2, {"axis": 3}),
    "RESIZE_BILINEAR": ((1, 8, 8, 16), 1, {"half_pixel_centers": True}),
}


@pytest.mark.parametrize("name", COPYING)
def test_kernels_that_do_not_look_at_parameters_keep_the_codes(name: str) -> None:
    """The result has other parameters than the operand, which is said; only an activation is in those of the result."""
    shape, count, options = COPYING[name]
    codes = np.arange(-128, 128).astype(np.int8).reshape(1, 4, 4, 16)

    def outputs(scale: float, zero: int) -> np.ndarray[Any, Any]:
        b = TfliteBuilder()
        operands: list[Tensor] = [b.input("x", (1, 4, 4, 16), "int8", 0.05, -3)] * count
        if name == "RESIZE_BILINEAR":
            operands.append(b.constant("size", np.array([8, 8], np.int32)))
        y = b.tensor("y", shape, "int8", scale, zero)
        b.op(name, operands, [y], **options)
        module = realized(import_bytes(built(b, y)), "tflm")
        return evaluate(module, {"x": codes})["y"]

    expected = outputs(0.05, -3)
    with pytest.warns(FrontendWarning, match="codes are kept"):
        found = outputs(0.02, 5)
    if name == "MAX_POOL_2D":  # RELU6: from the code of 0 to that of 6, 5 + 300
        free = codes.reshape(1, 2, 2, 2, 2, 16).max(axis=(2, 4))
        assert expected.tolist() == np.clip(free, -3, -3 + 120).tolist()
        expected = np.maximum(free, 5)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("option", [["--keep-float", "conv2d"], ["--recipe", "float"]])
def test_what_is_quantized_stays_so(tmp_path: Path, capsys: pytest.CaptureFixture[str], option: list[str]) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(convolution())
    assert main(["compile", str(path), "-o", str(tmp_path / "built"), "--target", "c", *option]) == 2
    text = " ".join(capsys.readouterr().err.split())
    assert f"the module is quantized already: {option[0]} can't change it" in text
    assert "compile the float model from which this one was made" in text


def test_no_error_advises_to_keep_a_quantized_operation_in_float() -> None:
    b = TfliteBuilder()
    x, y = b.input("x", (1, 4), "int16", 0.5), b.tensor("y", (1, 4), "int16", 0.5)
    b.op("MUL", [x, x], [y], fused_activation_function="NONE")
    b.output(y)
    with pytest.raises(PassError, match="16-bit codes") as caught:
        qcc.compile(import_bytes(b.build()), target="c", arithmetic="single")
    assert "--keep-float" not in str(caught.value)
    assert "another profile by --arithmetic" in str(caught.value)

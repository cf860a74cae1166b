"""Quantized nodes whose parameters contradict each other, and quantized models on the command line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from qcc.cli import main
from qcc.frontends.onnx import import_model
from qcc.ir import Array, FrontendError
from tests.frontends.quantized_onnx import MICROSOFT, Graph, Parameters

F32, I8, U8 = np.float32, np.int8, np.uint8


def reason(model: onnx.ModelProto) -> str:
    """Return the text of the error that importing a model raises."""
    with pytest.raises(FrontendError) as caught:
        import_model(model, "test.onnx")
    assert caught.value.help
    return caught.value.message


def dequantize(codes: Array, scale: Array, zero_point: Array | None, **attributes: Any) -> onnx.ModelProto:
    """A DequantizeLinear of an input of the shape of `codes`."""
    g = Graph()
    g.input("x", codes.shape, codes.dtype)
    rest = [g.constant(a) for a in (scale, zero_point) if a is not None]
    return g.model(g.node("DequantizeLinear", "x", *rest, **attributes))


CODES = np.zeros((2, 6), I8)
BAD = {
    "the scale has the shape [5], [6] is needed for [2, 6] along axis 1": (np.ones(5, F32), None, {}),
    "the scale has the shape [6], [2] is needed for [2, 6] along axis 0": (np.ones(6, F32), None, {"axis": 0}),
    "axis 2 of a tensor of rank 2": (np.ones(6, F32), None, {"axis": 2}),
    "axis -3 of a tensor of rank 2": (np.ones(6, F32), None, {"axis": -3}),
    "the zero point has the shape [2], the scale [6]": (np.ones(6, F32), np.zeros(2, I8), {}),
    "the zero point is of type u8, the codes are i8": (np.float32(1), np.zeros((), U8), {}),
    "the scale holds int32, it must hold floats": (np.ones((), np.int32), None, {}),
    "a scale is not a positive number": (np.zeros((), F32), None, {}),
    "a scale is not a positive number ": (np.array(np.nan, F32), None, {}),
    "[2, 3] is needed for [2, 6] along axis 1 in blocks of 2": (np.ones((2, 2), F32), None, {"block_size": 2}),
    "attribute 'block_size' is -1": (np.ones((2, 2), F32), None, {"block_size": -1}),
    "attributes not supported: blocks": (np.float32(1), None, {"blocks": 2}),
}


@pytest.mark.parametrize("text", BAD)
def test_parameters_that_do_not_fit(text: str) -> None:
    scale, zero_point, attributes = BAD[text]
    message = reason(dequantize(CODES, np.asarray(scale), zero_point, **attributes))
    assert text.strip() in message
    assert "DequantizeLinear 'DequantizeLinear_t0'" in message


def test_types_that_are_not_supported() -> None:
    g = Graph()
    x = g.input("x", (3,))
    assert "codes of type i32" in reason(
        g.model(g.node("QuantizeLinear", x, *(g.constant(np.asarray(v)) for v in (F32(1), np.int32(0)))))
    )
    g = Graph()
    node = g.node(
        "QuantizeLinear", g.input("x", (3,)), g.constant(np.asarray(F32(1))), output_dtype=TensorProto.FLOAT8E4M3FN
    )
    assert "codes of type float8e4m3fn are not supported" in reason(g.model(node))


def test_missing_and_wrong_inputs_of_quantized_operations() -> None:
    g = Graph()
    p = Parameters(U8, 0.1, 3)
    x = g.input("x", (2, 3), U8)
    assert "input 3 is missing" in reason(g.model(g.node("QLinearMatMul", x, *g.parameters(p))))
    g = Graph()
    x = g.input("x", (2, 3), U8)
    concat = g.node("QLinearConcat", *g.parameters(p), x, domain=MICROSOFT, axis=1)
    assert "3 inputs are given, it takes 2 and 3 for each operand" in reason(g.model(concat))
    g = Graph()
    x = g.input("x", (1, 1, 4, 4), U8)
    w, b = g.constant(np.ones((1, 1, 2, 2), U8)), g.constant(np.ones(1, F32))
    conv = g.node("QLinearConv", x, *g.parameters(p), w, *g.parameters(p), *g.parameters(p), b)
    assert "the bias, input 8, must be a constant of int32" in reason(g.model(conv))
    g = Graph()
    assert "input 0 is of type f32" in reason(
        g.model(g.node("QLinearSigmoid", g.input("x", (2,)), *g.parameters(p), *g.parameters(p), domain=MICROSOFT))
    )


def test_codes_of_16_bits_have_no_qlinear_operations() -> None:
    g = Graph()
    p = Parameters(np.uint16, 0.1, 3)
    x = g.input("x", (2, 3), np.uint16)
    model = g.model(g.node("QLinearSigmoid", x, *g.parameters(p), *g.parameters(p), domain=MICROSOFT))
    assert "input 0 is of type u16, it must hold codes of 8 bits" in reason(model)


def test_integer_products_of_other_types() -> None:
    g = Graph()
    node = g.node("MatMulInteger", g.input("x", (2, 3)), g.constant(np.ones((3, 2), U8)))
    assert "input 0 is of type f32, it must hold 8-bit integers" in reason(g.model(node))
    g = Graph()
    zero = g.constant(np.zeros((), I8))
    node = g.node("ConvInteger", g.input("x", (1, 1, 4, 4), U8), g.constant(np.ones((1, 1, 2, 2), I8)), zero)
    assert "the zero point is of type i8, the codes are u8" in reason(g.model(node))


def test_a_packed_tensor_of_the_wrong_length() -> None:
    tensor = helper.make_tensor("w", TensorProto.INT4, [5], b"\x12\x34\x05", raw=True)
    tensor.raw_data = b"\x12\x34"
    g = Graph()
    model = g.model(g.node("DequantizeLinear", "w", g.constant(np.asarray(F32(1)))))
    model.graph.initializer.append(tensor)
    assert "holds 2 bytes of data, its shape and type need 3" in reason(model)


def quantized_file(folder: Path) -> Path:
    """A small QDQ model whose last operation stays in float."""
    g = Graph()
    p = Parameters(U8, 0.02, 128)
    x = g.dequantize(g.quantize(g.input("x", (1, 4)), p), p)
    w = g.dequantize(g.constant(np.arange(-8, 8, dtype=I8).reshape(4, 4)), Parameters(I8, 0.1))
    y = g.dequantize(g.quantize(g.node("MatMul", x, w), p), p)
    path = folder / "small.onnx"
    onnx.save(g.model(y, g.node("Exp", y)), path)
    return path


def test_every_command_takes_a_quantized_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, artifact = quantized_file(tmp_path), tmp_path / "artifact"
    np.savez(tmp_path / "in.npz", x=np.linspace(-2, 2, 12, dtype=F32).reshape(3, 4))
    assert main(["import", str(path), "-o", str(tmp_path / "m.qir")]) == 0
    assert main(["opt", str(tmp_path / "m.qir"), "-p", "absorb-quantization", "-o", str(tmp_path / "q.qir")]) == 0
    assert main(["inspect", str(path)]) == 0
    assert main(["compile", str(path), "-o", str(artifact), "--target", "c"]) == 0
    assert "1 operation stays in float: exp %t6: its result is" in capsys.readouterr().err
    assert json.loads((artifact / "manifest.json").read_text())["arithmetic_profile"] == "ort"
    assert main(["verify", str(artifact)]) == 0
    assert (
        main(["run", str(artifact), "--inputs", str(tmp_path / "in.npz"), "--outputs", str(tmp_path / "out.npz")]) == 0
    )
    assert main(["compile", str(path), "-o", str(artifact), "--calibration", str(tmp_path / "in.npz")]) == 2
    assert "--calibration can't change it" in capsys.readouterr().err

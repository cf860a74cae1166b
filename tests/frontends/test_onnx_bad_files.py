"""Files and graphs that are damaged or hostile: each gives one clear error, soon, and never a traceback."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from qcc.frontends import load
from qcc.frontends.onnx import import_model, parse_model
from qcc.ir import FrontendError, ParseError, QccError, UsageError
from tests.frontends.onnx_models import model_of, one_node

WEIGHT = np.ones((4, 3, 3, 3), np.float32)


def conv_model() -> onnx.ModelProto:
    """A convolution and a Relu."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["t"], name="conv"),
        helper.make_node("Relu", ["t"], ["y"], name="relu"),
    ]
    return model_of(nodes, {"x": ["N", 3, 8, 8]}, ["y"], {"w": WEIGHT})


def error_of(model: onnx.ModelProto, **options: object) -> str:
    """Return the text of the FrontendError that importing a model raises."""
    with pytest.raises(FrontendError) as caught:
        import_model(model, "test.onnx", **options)  # type: ignore[arg-type]  # options as the tests give them
    assert caught.value.place == "test.onnx"
    assert caught.value.help
    return str(caught.value)


# Files


@pytest.mark.parametrize("cut", [1, 2, 10, 100, -100, -1])
def test_truncated(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(conv_model().SerializeToString()[:cut])
    with pytest.raises(FrontendError, match=r"m\.onnx"):
        load(path)


@pytest.mark.parametrize("content", [b"", b"hello, this is no model", b"\x00" * 100, b"\xff" * 100, b"\x08\x08"])
def test_garbage(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(FrontendError, match=r"m\.onnx: (is empty|is not a complete|holds no graph)"):
        load(path)


def test_a_folder_and_a_file_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").mkdir()
    with pytest.raises(FrontendError, match="can't be read: Is a directory"):
        load(tmp_path / "m.onnx")
    with pytest.raises(FrontendError, match="can't be read: No such file"):
        load(tmp_path / "other.onnx")


def test_an_unknown_suffix(tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    path.write_bytes(b"PK\x03\x04 whatever")
    with pytest.raises(FrontendError, match=r"no frontend reads files that end in '\.pt'") as caught:
        load(path)
    assert ".onnx (onnx)" in caught.value.help


def test_content_decides_where_the_suffix_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(conv_model().SerializeToString())
    assert load(path).input_named("x").type.shape == (1, 3, 8, 8)
    wrong = tmp_path / "model.qir"
    wrong.write_bytes(conv_model().SerializeToString())
    with pytest.raises(FrontendError, match="the suffix says qir, the content is onnx"):
        load(wrong)


def test_a_text_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "m.qir"
    path.write_bytes(b"module \xff\xfe")
    with pytest.raises(ParseError, match="not UTF-8 text: byte 7"):
        load(path)


def test_a_batch_below_one() -> None:
    with pytest.raises(UsageError, match="a batch of 0"):
        load("whatever.onnx", batch=0)


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_damaged_bytes_never_give_anything_but_an_error_of_qcc(data: st.DataObject) -> None:
    whole = conv_model().SerializeToString()
    header = whole[:120] + whole[-80:]
    content = bytearray(whole if data.draw(st.booleans()) else header)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(QccError):
        import_model(parse_model(bytes(content), "test.onnx"), "test.onnx")


# Graphs


def test_a_circle() -> None:
    nodes = [helper.make_node("Add", ["x", "b"], ["a"], name="first"), helper.make_node("Relu", ["a"], ["b"])]
    text = error_of(model_of(nodes, {"x": [1]}, ["b"]))
    assert "circle: Add 'first', Relu 'Relu_1'" in text


def test_nodes_in_another_order_are_sorted() -> None:
    nodes = [helper.make_node("Relu", ["a"], ["b"]), helper.make_node("Neg", ["x"], ["a"])]
    module = import_model(model_of(nodes, {"x": [1]}, ["b"]))
    assert [op.name for op in module.ops] == ["neg", "clamp"]


def test_inputs_that_nothing_defines() -> None:
    nodes = [helper.make_node("Add", ["x", "ghost"], ["a"], name="sum"), helper.make_node("Relu", ["spook"], ["b"])]
    text = error_of(model_of(nodes, {"x": [1]}, ["a", "b", "phantom"]))
    assert "Add 'sum': reads 'ghost', which nothing defines" in text
    assert "Relu 'Relu_1': reads 'spook'" in text
    assert "output 'phantom': nothing defines it" in text


def test_names_defined_twice() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Neg", ["x"], ["a"], name="second")]
    assert "Neg 'second': its output 'a' is already defined" in error_of(model_of(nodes, {"x": [1]}, ["a"]))
    model = model_of([helper.make_node("Relu", ["x"], ["y"])], {"x": [1]}, ["y"])
    model.graph.input.append(model.graph.input[0])
    assert "input 'x': is there twice" in error_of(model)
    model = conv_model()
    model.graph.initializer.append(model.graph.initializer[0])
    assert "initializer 'w': is there twice" in error_of(model)
    model = conv_model()
    model.graph.output.append(model.graph.output[0])
    assert "output 'y': is there twice" in error_of(model)


def test_an_input_without_a_name() -> None:
    model = conv_model()
    model.graph.input.add()
    assert "input 1: has no name" in error_of(model)


@pytest.mark.parametrize("opset", [1, 6, 1000])
def test_opsets_that_are_not_known(opset: int) -> None:
    model = one_node("Relu", {"x": [1]})
    model.opset_import[0].version = opset
    assert f"uses opset {opset}" in error_of(model)


def test_no_opset_and_no_graph() -> None:
    model = one_node("Relu", {"x": [1]})
    del model.opset_import[:]
    assert "which operator set" in error_of(model)
    assert "no graph" in error_of(onnx.ModelProto())


def test_all_that_is_unsupported_is_listed_at_once() -> None:
    nodes = [
        helper.make_node("FancyOp", ["x"], ["a"], name="fancy"),
        helper.make_node("Relu", ["a"], ["b"], name="behind"),
        helper.make_node("Sigmoyd", ["b"], ["c"], name="typo"),
        helper.make_node("FusedConv", ["x"], ["d"], name="foreign", domain="com.microsoft"),
        helper.make_node("MaxPool", ["x"], ["e", "i"], name="indices", kernel_shape=[2, 2]),
        helper.make_node("Relu", ["x"], ["f"], name="extra", slope=0.5),
        helper.make_node("LeakyRelu", ["x"], ["g"], name="kind", alpha=1),
        helper.make_node("Reshape", ["x", "s"], ["h"], name="dynamic"),
        helper.make_node("LSTM", ["x"], ["l"], name="recurrent"),
    ]
    model = model_of(nodes, {"x": [1, 1, 4, 4], "s": [2]}, ["c", "d", "e", "f", "g", "h", "l"])
    model.graph.input[1].type.tensor_type.elem_type = TensorProto.INT64
    text = error_of(model)
    for line in (
        "FancyOp 'fancy': there is no importer for this operation",
        "Sigmoyd 'typo': there is no importer for this operation; did you mean 'Sigmoid'?",
        "FusedConv 'foreign': of the domain 'com.microsoft' only DequantizeLinear, DynamicQuantizeMatMul, ",
        "MaxPool 'indices': the output 'Indices' is not supported",
        "Relu 'extra': attributes not supported: slope",
        "LeakyRelu 'kind': attribute 'alpha' is not of type float",
        "Reshape 'dynamic': input 1 (shape) is computed at run time, it must be constant",
        "LSTM 'recurrent': recurrent layers are not supported",
    ):
        assert line in text
    assert "behind" not in text
    assert "8 parts" in text


def test_control_flow_has_a_reason() -> None:
    branch = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["r"])], "branch", [], [helper.make_empty_tensor_value_info("r")]
    )
    node = helper.make_node("If", ["x"], ["y"], name="if", then_branch=branch, else_branch=branch)
    assert "If 'if': control flow is not supported" in error_of(model_of([node], {"x": [1]}, ["y"]))


def test_a_three_dimensional_convolution_has_a_reason() -> None:
    model = one_node("Conv", {"x": [1, 1, 4, 4, 4]}, {"w": np.ones((1, 1, 2, 2, 2), np.float32)})
    assert "Conv 'node': only 1-D and 2-D are supported" in error_of(model)


# Tensors


@pytest.mark.parametrize(
    ("values", "text"),
    [([np.nan], "1 NaN of"), ([np.inf, -np.inf], "2 infinite of"), ([np.nan, np.inf], "1 NaN and 1 inf")],
)
def test_weights_that_are_not_numbers(values: list[float], text: str) -> None:
    weight = WEIGHT.copy()
    weight.reshape(-1)[: len(values)] = values
    message = error_of(one_node("Conv", {"x": [1, 3, 8, 8]}, {"w": weight}))
    assert f"tensor 'w': {text}" in message
    assert "108 elements" in message


def test_a_double_that_is_no_float() -> None:
    assert "tensor 'w': 1 infinite" in error_of(one_node("Add", {"x": [1]}, {"w": np.array([1e300])}))


def test_nan_in_what_nothing_reads_does_no_harm() -> None:
    model = one_node("Relu", {"x": [1]})
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([np.nan], np.float32), "unused"))
    import_model(model)


def tensor(model: onnx.ModelProto) -> onnx.TensorProto:
    """The first initializer."""
    found: onnx.TensorProto = model.graph.initializer[0]
    return found


DAMAGES: dict[str, tuple[Callable[[onnx.TensorProto], object], str]] = {
    "short": (
        lambda t: setattr(t, "raw_data", t.raw_data[:-1]),
        "holds 431 bytes of data, its shape and type need 432",
    ),
    "long": (lambda t: setattr(t, "raw_data", t.raw_data + b"1234"), "holds 436 bytes"),
    "huge": (lambda t: t.dims.extend([1 << 40]), "declares the shape"),
    "overflow": (lambda t: t.dims.extend([1 << 62, 1 << 62]), "declares the shape"),
    "empty": (lambda t: t.dims.extend([1 << 62, 0]), "declares the shape"),
    "deep": (lambda t: t.dims.extend([1] * 100), "declares the shape"),
    "negative": (lambda t: t.dims.extend([-1]), "declares the shape"),
    "no data": (lambda t: t.ClearField("raw_data"), "holds 0 elements"),
    "unknown type": (lambda t: setattr(t, "data_type", 99), "has elements of type 99"),
    "text": (lambda t: setattr(t, "data_type", TensorProto.STRING), "has elements of string"),
    "no type": (lambda t: t.ClearField("data_type"), "has elements of undefined"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_tensors(damage: str) -> None:
    model = conv_model()
    change, text = DAMAGES[damage]
    change(tensor(model))
    message = error_of(model)
    assert f"tensor 'w': {text}" in message


@pytest.mark.parametrize(
    ("node", "constants"),
    [
        (helper.make_node("ConstantOfShape", ["c"], ["y"]), {"c": np.array([1 << 40])}),
        (helper.make_node("Expand", ["x", "c"], ["y"]), {"c": np.array([1 << 40, 1])}),
        (helper.make_node("Tile", ["x", "c"], ["y"]), {"c": np.array([1 << 62])}),
        (
            helper.make_node("Range", ["a", "b", "d"], ["y"]),
            {"a": np.array(0.0), "b": np.array(np.inf), "d": np.array(1.0)},
        ),
        (helper.make_node("Pad", ["x", "c"], ["y"]), {"c": np.array([1 << 61, 1 << 61])}),
        (helper.make_node("Resize", ["x", "", "c"], ["y"]), {"c": np.array([1e30], np.float32)}),
        (helper.make_node("Reshape", ["x", "c"], ["y"]), {"c": np.array([1] * 100)}),
        (helper.make_node("Reshape", ["x", "c"], ["y"]), {"c": np.array([np.nan])}),
        (helper.make_node("CumSum", ["c", "c"], ["y"]), {"c": np.zeros(0)}),
    ],
)
def test_small_files_that_ask_for_large_tensors(node: onnx.NodeProto, constants: dict[str, np.ndarray]) -> None:
    error_of(model_of([node], {"x": [4]}, ["y"], constants))


@pytest.mark.parametrize(
    "attributes",
    [
        {"kernel_shape": [2, 1 << 31]},
        {"kernel_shape": [2, 2], "dilations": [1 << 31, 1]},
        {"kernel_shape": [60000, 60000], "dilations": [2, 2]},
        {"kernel_shape": [2, 2], "strides": [1 << 62, 1]},
    ],
)
@pytest.mark.parametrize("op_type", ["MaxPool", "AveragePool"])
def test_windows_larger_than_any_image(op_type: str, attributes: dict[str, list[int]]) -> None:
    model = one_node(op_type, {"x": [1, 3, 32, 32]}, auto_pad="SAME_LOWER")
    model.graph.node[0].attribute.extend(helper.make_attribute(n, v) for n, v in attributes.items())
    assert "65536 is the limit" in error_of(model)


def test_an_input_too_large() -> None:
    assert "too large" in error_of(one_node("Relu", {"x": [1 << 20, 1 << 20]}))


# External data


def external(location: str, **entries: int) -> onnx.ModelProto:
    """A model whose weights lie in another file."""
    model = conv_model()
    tensor(model).ClearField("raw_data")
    tensor(model).data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor(model).external_data.add(key=key, value=str(value))
    return model


def test_external_data_is_read(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(b"skip" + WEIGHT.tobytes())
    onnx.save(conv_model(), tmp_path / "inside.onnx")
    (tmp_path / "m.onnx").write_bytes(external("w.bin", offset=4, length=432).SerializeToString())
    outside, inside = load(tmp_path / "m.onnx"), load(tmp_path / "inside.onnx")
    (a,) = [op for op in outside.ops if op.name == "constant"]
    (b,) = [op for op in inside.ops if op.name == "constant"]
    assert a.attributes() == b.attributes()


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/passwd", "link.bin", "sub/../../secret.bin"])
def test_external_data_outside_the_folder_is_refused(tmp_path: Path, location: str) -> None:
    (tmp_path / "secret.bin").write_bytes(WEIGHT.tobytes())
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    text = error_of(external(location), folder=folder)
    assert f"{location!r}, outside the model's folder" in text


@pytest.mark.parametrize(
    ("entries", "text"),
    [
        ({"offset": 500}, "which has 432"),
        ({"length": 500}, "which has 432"),
        ({"offset": 4}, "holds 428 bytes"),
        ({"offset": -1}, "which has 432"),
    ],
)
def test_external_data_of_the_wrong_size(tmp_path: Path, entries: dict[str, int], text: str) -> None:
    (tmp_path / "w.bin").write_bytes(WEIGHT.tobytes())
    assert text in error_of(external("w.bin", **entries), folder=tmp_path)


def test_external_data_that_is_missing(tmp_path: Path) -> None:
    assert "can't be read: No such file" in error_of(external("w.bin"), folder=tmp_path)
    assert "which is not named" in error_of(external("w.bin"))
    assert "not named" in error_of(external(""), folder=tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs cpu: a system with named pipes")
def test_external_data_that_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "is not a file" in error_of(external("pipe"), folder=tmp_path)


# Interface


def test_open_dimensions_are_named_with_the_flag() -> None:
    model = one_node("Relu", {"x": ["N", 3, "height", None]})
    text = error_of(model)
    assert "input 'x': dimensions without a size: height, ? in [N, 3, height, ?]" in text
    assert "--shape x=N,3,height,? with numbers in place of height, ?" in text
    module = import_model(model, shapes={"x": (2, 3, 4, 5)})
    assert module.inputs[0].type.shape == (2, 3, 4, 5)


def test_a_shape_that_no_memory_holds() -> None:
    with pytest.raises(FrontendError) as caught:
        import_model(one_node("Relu", {"x": ["N", "M"]}), shapes={"x": (99999999, 99999999)})
    assert "input 'x': the shape [99999999, 99999999] given has more than" in str(caught.value)
    assert caught.value.help


@pytest.mark.parametrize("declared", [[1, 9], [1], [1, 4, 1], []])
def test_an_output_declared_with_another_shape(declared: list[int]) -> None:
    model = one_node("Relu", {"x": [1, 4]})
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y0", TensorProto.FLOAT, declared))
    assert f"output 'y0': is declared as {declared}, but the graph computes [1, 4]" in error_of(model)


@pytest.mark.parametrize("declared", [None, ["N", "M"], [None, 4], [8, 4], [1, 0], ["N", 4]])
def test_an_output_declared_with_an_open_shape_or_another_batch(declared: list[int | str | None] | None) -> None:
    model = one_node("Relu", {"x": [1, 4]})
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y0", TensorProto.FLOAT, declared))
    assert import_model(model).outputs[0].value.type.shape == (1, 4)


def test_an_output_declared_for_the_shapes_of_another_export() -> None:
    model = one_node("Relu", {"x": [1, "length"]})
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y0", TensorProto.FLOAT, [1, 9]))
    assert import_model(model, shapes={"x": (1, 4)}).outputs[0].value.type.shape == (1, 4)


def test_the_batch_is_every_dimension_of_its_name() -> None:
    nodes = [helper.make_node("MatMul", ["a", "b"], ["y"])]
    module = import_model(model_of(nodes, {"a": ["N", 3], "b": [3, "N"]}, ["y"]), batch=5)
    assert [v.type.shape for v in module.inputs] == [(5, 3), (3, 5)]


def test_a_fixed_batch_stays() -> None:
    model = one_node("Relu", {"x": [4, 3]})
    assert import_model(model).inputs[0].type.shape == (4, 3)
    assert import_model(model, batch=4).inputs[0].type.shape == (4, 3)
    assert "has the fixed batch 4" in error_of(model, batch=2)


def test_shapes_that_do_not_fit() -> None:
    model = one_node("Relu", {"x": ["N", 3]})
    assert "[1, 4] given does not fit [N, 3]" in error_of(model, shapes={"x": (1, 4)})
    assert "given does not fit [N, 3]" in error_of(model, shapes={"x": (1, 3, 1)})
    assert "there is no input 'image'" in error_of(model, shapes={"image": (1, 3)})


def test_inputs_that_are_no_tensors() -> None:
    model = one_node("Identity", {"x": [1]})
    model.graph.input[0].type.CopyFrom(helper.make_sequence_type_proto(helper.make_tensor_type_proto(1, [1])))
    assert "input 'x': is a sequence" in error_of(model)
    model.graph.input[0].ClearField("type")
    assert "input 'x'" in error_of(model)


# Functions


def with_functions(functions: dict[str, list[str]], called: str) -> onnx.ModelProto:
    """A model that calls functions, each a chain of the operations named."""
    model = model_of([helper.make_node(called, ["x"], ["y"], domain="own")], {"x": [2]}, ["y"])
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    for name, body in functions.items():
        names = ["a", *(f"t{i}" for i in range(len(body) - 1)), "b"]
        nodes = [
            helper.make_node(op, [names[i]], [names[i + 1]], domain="own" if op in functions else "")
            for i, op in enumerate(body)
        ]
        model.functions.append(helper.make_function("own", name, ["a"], ["b"], nodes, imports))
    model.opset_import.append(helper.make_opsetid("own", 1))
    return model


def test_functions_are_expanded() -> None:
    model = with_functions({"Outer": ["Neg", "Inner", "Inner"], "Inner": ["Relu", "Neg"]}, "Outer")
    assert [op.name for op in import_model(model).ops] == ["neg", "clamp", "neg", "clamp", "neg"]


@pytest.mark.parametrize("functions", [{"F": ["F"]}, {"F": ["Relu", "G"], "G": ["F"]}])
def test_functions_that_call_themselves(functions: dict[str, list[str]]) -> None:
    assert "calls itself" in error_of(with_functions(functions, "F"))


def test_functions_that_grow_without_end() -> None:
    functions = {f"F{i}": [f"F{i + 1}"] * 10 for i in range(30)} | {"F30": ["Relu"]}
    assert "expand to" in error_of(with_functions(functions, "F0"))


def test_an_unknown_function() -> None:
    assert "domain 'own' are not supported" in error_of(with_functions({"F": ["Relu"]}, "G"))

"""Text that is hostile, odd or large; and modules in files."""

import base64
import re
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qcc.ir import (
    F16,
    F32,
    F64,
    I1,
    I4,
    I8,
    I64,
    SCALAR_TYPES,
    U32,
    Array,
    ArtifactError,
    Builder,
    Module,
    ParseError,
    QccError,
    Resources,
    ScalarType,
    Stage,
    TensorType,
    UniformType,
    UsageError,
    load_module,
    ops,
    parse_module,
    print_module,
    save_module,
)

GOOD = """module @net stage float {
  input %x : tensor<1x4xf32>
  %w = constant() {value = dense_resource<w>} : tensor<4x5xf32>
  %y = matmul(%x, %w) {clamp = [0.0, inf]} : tensor<1x5xf32>
  %p = pad(%y) {low = [0, 0], high = [0, 1]} : tensor<1x6xf32>
  output %p as "y"
}
resources {
  w = "DATA"
}
""".replace("DATA", base64.b64encode(bytes(80)).decode())


def test_the_text_to_be_broken_is_fine() -> None:
    module = parse_module(GOOD)
    assert parse_module(print_module(module)) == module


@pytest.mark.parametrize("scalar", SCALAR_TYPES.values(), ids=str)
def test_every_scalar_type_is_read_back(scalar: ScalarType) -> None:
    builder = Builder("m", Stage.QUANTIZED)
    builder.output("x", builder.input("x", TensorType((2,), scalar)))
    if scalar.is_integer:
        builder.output("q", builder.input("q", TensorType((2,), UniformType(scalar, (0.5,), (0,)))))
    module = builder.build()
    assert parse_module(print_module(module)) == module


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("[0.0, inf]", "[0.0]", 4, r"clamp is \(0.0,\)"),
        ("[0.0, inf]", '"relu"', 4, "clamp is 'relu'"),
        ("[0.0, inf]", "[0.0, nan]", 4, "clamp is"),
        ("[0.0, inf]", "[1, 0]", 4, "minimum above its maximum"),
        ("clamp", "clomp", 4, "did you mean 'clamp'"),
        ("clamp = [0.0, inf]", "clamp = none, clamp = none", 4, "attribute 'clamp' is given twice"),
        ("low = [0, 0], ", "", 5, "needs the attribute low"),
        ("low = [0, 0]", "low = [0, 0.5]", 5, "low is"),
        ("low = [0, 0]", "low = [0, 1e3]", 5, "low is"),
        ("low = [0, 0]", "low = [0, 99999999999999999999]", 5, "low is"),
        ("low = [0, 0]", "low = [0, " + "9" * 5000 + "]", 5, "too many digits"),
        ("low = [0, 0]", "low = " + "[" * 5000 + "]" * 5000, 5, "nested"),
        ("low = [0, 0]", "low = tensor<2xi8>", 5, "low is"),
        ("matmul", "matmull", 4, "did you mean 'matmul'"),
        ("matmul(%x, %w)", "matmul(%x)", 4, "given 1 operands"),
        ("matmul(%x, %w)", "matmul(%x, %w, %w, %w)", 4, "given 4 operands"),
        ("(%x, %w)", "(%x, %v)", 4, "%v is used before"),
        ("%p = pad", "%y = pad", 5, "%y is defined twice"),
        ("%p = pad", "%p, %q = pad", 5, "2 results have 1 types"),
        ("as \"y\"", 'as "y" output %p as "y"', 6, "two outputs are named 'y'"),
        ("1x6xf32", "1x7xf32", 5, r"should be \[1, 6\]"),
        ("1x6xf32", "1x6xi32", 5, "should be f32"),
        ("1x6xf32", "1x6x!t0", 5, "type !t0 is not defined"),
        ("1x6xf32", "1x6xu64", 5, "no type 'u64'"),
        ("1x6xf32", "1x6x!quant.uniform<i8:f32, 0.0>", 5, "positive"),
        ("1x6xf32", "1x6x!quant.uniform<i8:f32, 1.0:0.5>", 5, "integer is needed"),
        ("1x6xf32", "1x6x!quant.uniform<i8:f32:7, {1.0}>", 5, "axis 7"),
        ("1x6xf32", "99999999999x99999999999xf32", 5, "too large"),
        ("1x6xf32", "9" * 5000 + "xf32", 5, "too many digits"),
        ("1x4xf32", "1x4xf33", 2, "not valid .qir text"),
        ("stage float", "stage flat", 1, "no stage 'flat'"),
        ("@net", "@a.b", 1, "no C identifier"),
        ("resource<w>", "resource<v>", 3, "no resource 'v'"),
        ("resource<w>", "resource<elided>", 3, "was elided"),
        ("4x5xf32", "400x500xf32", 3, "has 80 bytes"),
        ("4x5xf32", "20xi1", 3, "has 80 bytes"),
        ("dense_resource<w>", "dense<[1, [2]]>", 3, "does not have the shape"),
        ("dense_resource<w>", "dense<1>", 3, "does not have the shape"),
        ("dense_resource<w>", "dense<" + "[" * 3000 + "]" * 3000 + ">", 3, "does not have the shape"),
        ('  w = "', '  w = "!', 9, "not base64"),
        ('  w = "', '  w = "é', 9, "not base64"),
        ('  w = "', '  w = ""\n  w = "', 10, "given twice"),
        ("module", "type !t0 = i8\ntype !t0 = i8\nmodule", 2, "defined twice"),
        ('as "y"', 'as "\\q"', 6, "JSON"),
        ('as "y"', "", 7, "expected 'as'"),
        (': tensor<1x6xf32>', ': tensor<1x6xf32> at [0] at [1]', 5, "offsets is given twice"),
        (': tensor<1x6xf32>', ': tensor<1x6xf32> at [0, 4]', 5, "2 arena offsets"),
        (': tensor<1x6xf32>', ': tensor<1x6xf32> at [0.5]', 5, "integer is needed"),
        ('  input', '  attribute "a" = "b" attribute "a" = "c"\n  input', 2, "'a' is given twice"),
    ],
)  # fmt: skip
def test_hostile_text(old: str, new: str, line: int, message: str) -> None:
    text = GOOD.replace(old, new, 1)
    assert text != GOOD
    with pytest.raises(QccError) as caught:
        parse_module(text, file="net.qir")
    error = caught.value
    assert re.search(message, str(error))
    assert re.match(rf"net.qir:{line}:\d+$", error.place), error.place
    assert error.help
    shown = error.message.splitlines()[1].strip()
    assert shown
    assert shown in text.split("\n")[line - 1]


def test_an_error_points_at_the_column() -> None:
    with pytest.raises(ParseError) as caught:
        parse_module(GOOD.replace("clamp = [0.0, inf]", "clamp = [0.0, ]"), file="net.qir")
    _, shown, pointer = caught.value.message.split("\n")
    assert shown[pointer.index("^")] == "]"
    assert caught.value.place == f"net.qir:4:{GOOD.splitlines()[3].index('inf') + 1}"


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_cut_and_changed_text_gives_errors_of_ours_only(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(GOOD)))
    end = data.draw(st.integers(start, min(len(GOOD), start + 20)))
    new = data.draw(
        st.one_of(st.just(""), st.text(max_size=4), st.sampled_from(["%x", "[", "}", "inf", "-1", "i8", '"']))
    )
    try:
        module = parse_module(GOOD[:start] + new + GOOD[end:])
    except QccError as error:
        assert error.place  # noqa: PT017 - either outcome is right, and both are checked
    else:
        assert parse_module(print_module(module)) == module


@pytest.mark.parametrize("text", ["", "module", GOOD[:-2], "\x00", "module @n stage float {", GOOD + GOOD])
def test_text_that_is_cut_or_too_long(text: str) -> None:
    with pytest.raises(ParseError, match=r"ends too early|not valid"):
        parse_module(text)


def constant_module(array: Array, element: ScalarType) -> Module:
    builder = Builder("net", Stage.INTEGER)
    value = builder.constant(array, "c", TensorType(array.shape, element))
    builder.output("c", value)
    return builder.build()


@pytest.mark.parametrize(
    ("array", "element"),
    [
        (np.array([0.0, -0.0, np.inf, -np.inf, 1e-45, 3.4028235e38, 0.1], np.float32), F32),
        (np.frombuffer(b"\x01\x00\xc0\x7f\xff\xff\xff\xff", np.float32), F32),  # two NaNs with bits of their own
        (np.array([65504, 6e-8, 0.1], np.float16), F16),
        (np.array([0.1, 5e-324, 1.7976931348623157e308], np.float64), F64),
        (np.array([True, False]), I1),
        (np.array(True), I1),
        (np.array([[-8], [7]], np.int8), I4),
        (np.array([-(2**63), 2**63 - 1]), I64),
        (np.array([2**32 - 1], np.uint32), U32),
        (np.zeros((2, 0, 3), np.int8), I8),
        (np.zeros((0,), np.float32), F32),
        (np.arange(40, dtype=np.float32).reshape(5, 8), F32),
        (np.array([[True] * 20]), I1),
    ],
)
def test_data_reads_back_bit_by_bit(array: Array, element: ScalarType) -> None:
    module = constant_module(array, element)
    again = parse_module(print_module(module))
    assert again == module
    read = again.constant(again.outputs[0].value)
    assert read is not None
    assert read.tobytes() == array.tobytes()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dense<[1, 300]> : tensor<2xi8>", "300 does not fit i8"),
        ("dense<[1, 1.5]> : tensor<2xi8>", "1.5 is no i8"),
        ("dense<[1, true]> : tensor<2xi8>", "True is no i8"),
        ("dense<[1, 0]> : tensor<2xi1>", "1 is no i1"),
        ("dense<8> : tensor<i4>", "8 does not fit i4"),
        ("dense<-1> : tensor<u8>", "-1 does not fit u8"),
    ],
)
def test_data_must_fit_its_type(text: str, message: str) -> None:
    value, _, type = text.partition(" : ")
    with pytest.raises(ParseError, match=message):
        parse_module(f'module @n stage float {{ %c = constant() {{value = {value}}} : {type} output %c as "c" }}')


def test_negative_zero_and_huge_attributes_read_back() -> None:
    for value in (-0.0, 1e300, -1e-300, 0.1, float("-inf")):
        builder = Builder()
        x = builder.input("x", TensorType((1,), F32))
        builder.output("y", builder.emit(ops.Pad, x, low=(0,), high=(1,), value=value))
        found = parse_module(print_module(builder.build())).ops[0].attributes()["value"]
        assert repr(found) == repr(value)


def test_elided_text_is_short_and_says_so_when_read() -> None:
    text = print_module(parse_module(GOOD), Resources.ELIDED, locations=False)
    assert "resources" not in text
    with pytest.raises(ParseError, match="elided"):
        parse_module(text)


def large_module() -> Module:
    """Weights of the size of MobileNetV2's."""
    builder = Builder("big")
    x = builder.input("x", TensorType((1, 1024), F32))
    rng = np.random.default_rng(0)
    for number in range(4):
        x = builder.emit(
            ops.Matmul, x, builder.constant(rng.normal(size=(1024, 1024)).astype(np.float32), f"w{number}")
        )
    builder.output("y", x)
    return builder.build()


def test_large_weights_print_and_parse_quickly(tmp_path: Path) -> None:
    module = large_module()
    start = time.perf_counter()
    again = parse_module(print_module(module))
    save_module(tmp_path / "big.qir", module, beside=True)
    beside = load_module(tmp_path / "big.qir")
    assert time.perf_counter() - start < 10  # it takes half a second
    assert again == module
    assert beside == module
    assert (tmp_path / "big.qir").stat().st_size < 2000


@pytest.mark.parametrize("beside", [False, True])
def test_files(tmp_path: Path, beside: bool) -> None:
    module = parse_module(GOOD)
    path = tmp_path / "net.qir"
    save_module(path, module, beside)
    first = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    assert sorted(first) == (["net.npz", "net.qir"] if beside else ["net.qir"])
    assert load_module(path) == module
    save_module(str(path), module, beside)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == first


def test_files_that_can_not_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't read"):
        load_module(tmp_path / "none.qir")
    with pytest.raises(UsageError, match="can't read"):
        load_module(tmp_path)
    binary = tmp_path / "binary.qir"
    binary.write_bytes(b"\x08\xff\xfe")
    with pytest.raises(ParseError, match="not UTF-8"):
        load_module(binary)
    path = tmp_path / "net.qir"
    save_module(path, parse_module(GOOD), beside=True)
    for content in (b"", b"PK\x03\x04", b"\x93NUMPY"):
        path.with_suffix(".npz").write_bytes(content)
        with pytest.raises(ParseError, match=r"not an .npz"):
            load_module(path)
    with path.with_suffix(".npz").open("wb") as file:
        np.savez(file, w=np.zeros((4, 5)))
    with pytest.raises(ParseError, match="float64"):
        load_module(path)
    path.with_suffix(".npz").unlink()
    with pytest.raises(ParseError, match="no resource 'w'"):
        load_module(path)


def test_files_that_can_not_be_written(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="can't be written"):
        save_module(tmp_path / "none" / "net.qir", parse_module(GOOD))
    (tmp_path / "net.qir").mkdir()
    with pytest.raises(ArtifactError, match="can't be written"):
        save_module(tmp_path / "net.qir", parse_module(GOOD))
    assert [p.name for p in tmp_path.iterdir()] == ["net.qir"]

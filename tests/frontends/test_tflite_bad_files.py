"""Damaged and hostile .tflite files end in a clear error, quickly and without taking memory."""

from __future__ import annotations

import struct
import time
import tracemalloc
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from qcc.cli import main
from qcc.frontends import load
from qcc.frontends.limits import ALL_FOLD_MACS
from qcc.frontends.tflite import ModelFile
from qcc.ir import FrontendError, QccError, evaluate
from tests.conformance.tflite_builder import TfliteBuilder
from tests.frontends.tflite_models import import_bytes

#: Of one import of a small hostile file.
SECONDS, BYTES = 5.0, 200 << 20


@contextmanager
def bounded() -> Iterator[None]:
    """Fail where the block takes more than `SECONDS` of the processor or Python objects of more than `BYTES`."""
    tracemalloc.start()
    start = time.process_time()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < BYTES
        assert time.process_time() - start < SECONDS
    finally:
        tracemalloc.stop()


def refused(data: bytes) -> str:
    """Return the message of the error that a file ends in."""
    with bounded(), pytest.raises(FrontendError) as caught:
        import_bytes(data)
    assert caught.value.place == "m.tflite"
    assert caught.value.help
    return str(caught.value)


def adder(codes: int = 4, shape: tuple[int, ...] = (1, 4)) -> bytes:
    """Return a model that adds a constant of `codes` bytes, declared as `shape`."""
    b = TfliteBuilder()
    x, y = b.input("x", shape, "int8", 0.5), b.tensor("y", shape, "int8", 0.5)
    constant = b.constant("c", np.zeros(codes, np.int8), 0.5)
    b._main.tensors[constant.index].shape = list(shape)
    b.op("ADD", [x, constant], [y], fused_activation_function="NONE")
    b.output(y)
    return b.build()


class Writer:
    """Flatbuffers by hand, to write what no builder writes."""

    def __init__(self) -> None:
        self.data = bytearray(b"\0\0\0\0TFL3")

    def table(self, fields: dict[int, tuple[str, int]]) -> int:
        """Append a table; a field of kind `o` is the position of what it points to, set later by `point`."""
        slots = max(fields, default=-1) + 1
        vtable = len(self.data)
        table = vtable + 4 + 2 * slots
        offsets, body = [0] * slots, b""
        for slot, (kind, value) in fields.items():
            offsets[slot] = 4 + len(body)
            body += struct.pack("<I", 0) if kind == "o" else struct.pack(f"<{kind}", value)
        self.data += struct.pack(f"<HH{slots}H", 4 + 2 * slots, 4 + len(body), *offsets)
        self.data += struct.pack("<i", table - vtable) + body
        for slot, (kind, value) in fields.items():
            if kind == "o":
                self.point(table + offsets[slot], value)
        return table

    def point(self, place: int, target: int) -> None:
        """Write the offset from a place to a target, modulo 2^32."""
        struct.pack_into("<I", self.data, place, (target - place) & 0xFFFFFFFF)

    def reserve(self, size: int) -> int:
        """Append zeros and return where."""
        self.data += bytes(size)
        return len(self.data) - size

    def vector(self, count: int, size: int, target: int | None = None) -> int:
        """Append a vector; with a target, of offsets that all lead there."""
        place = self.reserve(4 + count * size)
        struct.pack_into("<I", self.data, place, count)
        for i in range(count if target is not None else 0):
            self.point(place + 4 + 4 * i, target or 0)
        return place


def test_an_empty_file_and_one_of_another_format() -> None:
    assert "is empty" in refused(b"")
    assert "is not a TFLite model" in refused(b"\x08\x07" * 40)
    assert "is not a TFLite model" in refused(b"TFL3")


def test_another_schema_version() -> None:
    data = bytearray(adder())
    root = struct.unpack_from("<I", data)[0]
    vtable = root - struct.unpack_from("<i", data, root)[0]
    struct.pack_into("<I", data, root + struct.unpack_from("<H", data, vtable + 4)[0], 9)
    assert "schema version 9" in refused(bytes(data))


def test_every_truncation_is_an_error() -> None:
    data = adder()
    for length in range(len(data)):
        with pytest.raises(FrontendError):
            import_bytes(data[:length])


@pytest.mark.parametrize("root", [0, 1, 6, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_root_that_leads_nowhere(root: int) -> None:
    assert "m.tflite: " in refused(struct.pack("<I", root) + adder()[4:])


@pytest.mark.parametrize(("codes", "shape"), [(3, (1, 4)), (5, (1, 4)), (4, (1, 1 << 20)), (4, (1 << 15, 1 << 15))])
def test_data_that_does_not_fit_its_shape(codes: int, shape: tuple[int, ...]) -> None:
    assert "its shape and type need" in refused(adder(codes, shape)) or "too large" in refused(adder(codes, shape))


@pytest.mark.parametrize("shape", [(1 << 30, 1 << 30), (-1, 4), (1,) * 40, (1 << 29,)])
def test_shapes_that_make_no_sense(shape: tuple[int, ...]) -> None:
    refused(adder(4, shape))


def test_tables_that_are_shared_a_million_times() -> None:
    w = Writer()
    numbers = w.vector(2000, 4)
    operator = w.table({1: ("o", numbers)})
    operators = w.vector(3000, 4, operator)
    subgraph = w.table({3: ("o", operators)})
    code = w.table({})
    root = w.table({0: ("I", 3), 1: ("o", w.vector(1, 4, code)), 2: ("o", w.vector(1, 4, subgraph))})
    struct.pack_into("<I", w.data, 0, root)
    refused(bytes(w.data))


def test_the_time_is_linear_where_all_tensors_have_one_name() -> None:
    b = TfliteBuilder()
    x = b.input("x", (1, 4), "float32")
    for _ in range(2000):
        y = b.tensor("same", (1, 4), "float32")
        b.op("RELU", [x], [y])
        x = y
    b.output(x)
    data = b.build()
    start = time.process_time()
    module = import_bytes(data)
    assert time.process_time() - start < 20
    assert len(module.ops) == 2000


def test_operators_in_a_row_go_the_whole_line(tmp_path: Path) -> None:
    b = TfliteBuilder()
    x = b.input("x", (1, 4), "float32")
    for i in range(300):
        y = b.tensor(f"y{i}", (1, 4), "float32")
        b.op("ABS" if i % 2 else "TANH", [x], [y])
        x = y
    b.output(x)
    (tmp_path / "deep.tflite").write_bytes(b.build())
    module = load(tmp_path / "deep.tflite")
    assert np.all(np.isfinite(evaluate(module, {"x": np.ones((1, 4), np.float32)})["y299"]))
    assert main(["import", str(tmp_path / "deep.tflite"), "-o", str(tmp_path / "deep.qir")]) == 0
    assert load(tmp_path / "deep.qir") == module


def test_an_operator_that_reads_its_own_result() -> None:
    b = TfliteBuilder()
    x, y = b.input("x", (1, 4), "int8", 0.5), b.tensor("y", (1, 4), "int8", 0.5)
    b.op("ADD", [x, y], [y], fused_activation_function="NONE")
    b.output(y)
    assert "tensor 'y': is read before an operator computes it" in refused(b.build())


def test_two_operators_with_one_result() -> None:
    b = TfliteBuilder()
    x, y = b.input("x", (1, 4), "int8", 0.5), b.tensor("y", (1, 4), "int8", 0.5)
    for _ in range(2):
        b.op("ADD", [x, x], [y], fused_activation_function="NONE")
    b.output(y)
    assert "computes a tensor that is there already" in refused(b.build())


def test_constants_that_grow_at_import() -> None:
    b = TfliteBuilder()
    x = b.constant("x", np.zeros((1, 1), np.float32))
    shape = b.constant("shape", np.array([1 << 13, 1 << 13], np.int32))
    y, z = b.tensor("y", (1 << 13, 1 << 13), "float32"), b.tensor("z", (1 << 13, 1 << 13), "float32")
    b.op("BROADCAST_TO", [x, shape], [y])
    b.op("NEG", [y], [z])
    b.output(z)
    assert "many times larger than its file" in refused(b.build())


def test_one_buffer_as_the_data_of_many_constants() -> None:
    b = TfliteBuilder()
    data = b.constant("data", np.zeros((1 << 20,), np.int8), 0.5)
    x = b.input("x", (1 << 20,), "int8", 0.5)
    for i in range(200):
        again, y = b.tensor(f"c{i}", data.shape, "int8", 0.5), b.tensor(f"y{i}", data.shape, "int8", 0.5)
        b._main.tensors[again.index].buffer = b._main.tensors[data.index].buffer
        b.op("ADD", [x, again], [y], fused_activation_function="NONE")
        x = y
    b.output(x)
    assert "many times larger than its file" in refused(b.build())


def test_a_convolution_of_constants_that_costs_much_is_left_to_the_model() -> None:
    b = TfliteBuilder()
    n = 128
    one, shape = b.constant("one", np.ones((1, 1, 1, 1), np.float32)), b.constant("s", np.array([1, n, n, 1], np.int32))
    image, weight = b.tensor("image", (1, n, n, 1), "float32"), b.tensor("weight", (1, n, n, 1), "float32")
    for tensor in (image, weight):
        b.op("BROADCAST_TO", [one, shape], [tensor])
    y = b.tensor("y", (1, n, n, 1), "float32")
    b.op("CONV_2D", [image, weight, None], [y], padding="SAME", stride_w=1, stride_h=1)
    b.output(y)
    data = b.build()
    assert len(data) < 1024
    with bounded():
        module = import_bytes(data)
    assert [op.name for op in module.ops if op.name != "constant"] == ["conv2d"]


def test_many_costs_at_import_are_one_budget() -> None:
    b = TfliteBuilder()
    x = b.constant("x", np.ones((256, 256), np.float32))
    w = b.constant("w", np.eye(256, dtype=np.float32))
    for i in range(6):
        y = b.tensor(f"y{i}", (256, 256), "float32")
        b.op("FULLY_CONNECTED", [x, w, None], [y], fused_activation_function="NONE")
        x = y
    b.output(x)
    module = import_bytes(b.build())
    assert sum(op.name == "matmul" for op in module.ops) == 6 - ALL_FOLD_MACS // 256**3


def test_one_value_as_many_outputs() -> None:
    b = TfliteBuilder()
    x, y = b.input("x", (1, 4), "float32"), b.tensor("y", (1, 4), "float32")
    b.op("NEG", [x], [y])
    b.output(*[y] * 16000)
    start = time.process_time()
    module = import_bytes(b.build())
    assert time.process_time() - start < 20
    assert [o.name for o in module.outputs][:3] == ["y", "y_1", "y_2"]
    assert len({o.name for o in module.outputs}) == 16000


def test_a_message_lists_some_of_many_problems() -> None:
    b = TfliteBuilder()
    x = b.input("x", (1, 4), "float32")
    for i in range(500):
        y = b.tensor(f"y{i}", (1, 4), "float32")
        b.op("ROUND", [x], [y])
        b.output(y)
    message = refused(b.build())
    assert "500 parts of the model can't be imported" in message
    assert "ROUND 'y99'" in message
    assert "ROUND 'y100'" not in message
    assert "… and 400 more" in message


@pytest.mark.parametrize(
    ("option", "value"), [("stride_h", 0), ("stride_w", -1), ("dilation_h_factor", 1 << 30), ("padding", 77)]
)
def test_options_that_make_no_sense(option: str, value: int) -> None:
    b = TfliteBuilder()
    x = b.input("x", (1, 4, 4, 1), "int8", 0.5)
    w = b.constant("w", np.zeros((1, 2, 2, 1), np.int8), 0.5)
    y = b.tensor("y", (1, 3, 3, 1), "int8", 0.5)
    b.op("CONV_2D", [x, w, None], [y], **{"padding": 1, "stride_h": 1, "stride_w": 1, option: value})
    b.output(y)
    assert "CONV_2D 'y'" in refused(b.build())


def test_a_sound_file_is_sound() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(import_bytes(adder()).ops) == 2


def test_the_command_line_says_it_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.tflite").write_bytes(adder()[:-40])
    for command in (["inspect", str(tmp_path / "m.tflite")], ["compile", str(tmp_path / "m.tflite"), "-o", "x"]):
        assert main(command) == 2
        error = capsys.readouterr().err
        assert "m.tflite" in error
        assert "help: " in error
        assert "Traceback" not in error


def test_names_send_no_control_characters_to_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "red\x1b[31m.tflite").write_bytes(adder()[:-40])
    assert main(["inspect", str(tmp_path / "red\x1b[31m.tflite")]) == 2
    error = capsys.readouterr().err
    assert "\x1b" not in error
    assert "red\\x1b[31m.tflite" in error


def test_no_name_steers_a_terminal_or_an_editor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    b = TfliteBuilder()
    x = b.input("red\x1b[31m\n\u202e", (1, 4), "int8", 0.5)
    y = b.tensor("bell\x07\x00", (1, 4), "int8", 0.5)
    b.op("ABS", [x], [y])
    b.output(y)
    (tmp_path / "m.tflite").write_bytes(b.build())
    for command in ("inspect m.tflite", "compile m.tflite -o built --target c", "verify built", "inspect built"):
        verb, path, *options = command.split()
        options = [str(tmp_path / o) if o == "built" else o for o in options]
        assert main([verb, str(tmp_path / path), *options]) == 0
    shown = "".join(capsys.readouterr())
    assert "red\\x1b[31m" in shown
    texts = [shown, *(f.read_text() for f in (tmp_path / "built").glob("*.[chq]*"))]
    assert len(texts) > 3
    for text in texts:
        assert {c for c in text if not c.isprintable()} <= {"\n", "\t"}


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(QccError, match="can't be read"):
        load("/nonexistent/m.tflite")
    with pytest.raises(FrontendError, match="lie outside the file"):
        ModelFile(struct.pack("<I", 100) + b"TFL3" + bytes(8), "m.tflite")

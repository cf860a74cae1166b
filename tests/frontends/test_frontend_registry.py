"""Frontends of other packages, and how one is chosen."""

from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from qcc.frontends import Frontend, frontend, load, register_frontend, registered_frontends
from qcc.ir import F32, Builder, FrontendError, Module, TensorType, ops


class ToyFrontend:
    """A format that holds one number: the size of a vector to be negated."""

    name = "toy"
    suffixes = (".toy",)

    def recognizes(self, head: bytes) -> bool:
        return head.startswith(b"TOY ")

    def load(self, path: Path, batch: int, shapes: Mapping[str, Sequence[int]]) -> Module:
        builder = Builder(path.stem)
        x = builder.input("x", TensorType((batch, int(path.read_text().split()[-1])), F32))
        builder.output("y", builder.emit(ops.Neg, x, name="y"))
        return builder.build()


def entry_points_of(*points: EntryPoint) -> object:
    """Return a stand-in for `entry_points`."""
    return lambda group: points if group == "qcc.frontends" else ()


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("toy", f"{__name__}:ToyFrontend", "qcc.frontends")
    monkeypatch.setattr(EntryPoint, "load", lambda self: ToyFrontend)
    monkeypatch.setattr("importlib.metadata.entry_points", entry_points_of(point))


@pytest.mark.usefixtures("toy")
def test_an_entry_point_brings_a_format(tmp_path: Path) -> None:
    assert list(registered_frontends()) == ["onnx", "qir", "tflite", "toy"]
    (tmp_path / "a.toy").write_text("7")
    assert load(tmp_path / "a.toy", batch=2).inputs[0].type.shape == (2, 7)
    (tmp_path / "a.dat").write_text("TOY 7")
    assert load(tmp_path / "a.dat").inputs[0].type.shape == (1, 7)


def test_an_entry_point_that_is_no_frontend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(EntryPoint, "load", lambda self: object())
    point = EntryPoint("odd", "x:y", "qcc.frontends")
    monkeypatch.setattr("importlib.metadata.entry_points", entry_points_of(point))
    with pytest.raises(FrontendError, match=r"entry point 'odd' of group 'qcc.frontends' is not a frontend"):
        load(tmp_path / "m.onnx")


def test_an_entry_point_that_can_not_be_loaded_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    point = EntryPoint("odd", "no_such_module:Frontend", "qcc.frontends")
    monkeypatch.setattr("importlib.metadata.entry_points", entry_points_of(point))
    with pytest.raises(FrontendError, match="frontends of package 'no_such_module:Frontend' can't be loaded"):
        load(tmp_path / "m.onnx")


def test_a_frontend_registered_by_hand_takes_the_place_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frontend, "_REGISTERED", {})
    mine: Frontend = ToyFrontend()
    assert register_frontend(mine) is mine
    assert registered_frontends()["toy"] is mine


def test_qir_text_has_fixed_shapes(tmp_path: Path) -> None:
    path = tmp_path / "m.qir"
    path.write_text('module @m stage float {\n  input %x : tensor<1x4xf32>\n  output %x as "y"\n}\n')
    assert load(path).inputs[0].type.shape == (1, 4)
    with pytest.raises(FrontendError, match=r"input 'x' has the fixed shape \[1, 4\]"):
        load(path, batch=2)
    with pytest.raises(FrontendError, match=r"input 'x' has the fixed shape \[1, 4\]"):
        load(path, shapes={"x": (2, 4)})
    with pytest.raises(FrontendError, match="there is no input 'z' to give a shape"):
        load(path, shapes={"z": (1, 4)})

"""Passes of others: from a file, and from installed packages."""

import sys
from collections.abc import Iterator
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

from qcc.ir import Module, PassError
from qcc.passes import (
    Pass,
    PassContext,
    load_file,
    parse_pipeline,
    pass_named,
    register_pass,
    registered_passes,
    registry,
)

PASS = '''
from dataclasses import dataclass
from typing import ClassVar

from qcc.ir import Module
from qcc.passes import Pass, PassContext, register_pass


@register_pass
@dataclass(frozen=True)
class Shout(Pass):
    """Rename the module."""

    name: ClassVar[str] = "test-shout"
    suffix: str = "LOUD"

    def run(self, module: Module, context: PassContext) -> Module:
        return module.replace(name=module.name + self.suffix)
'''


@pytest.fixture(autouse=True)
def same_passes_afterwards() -> Iterator[None]:
    before = dict(registry._REGISTRY)
    yield
    registry._REGISTRY.clear()
    registry._REGISTRY.update(before)
    registry.load_entry_points.cache_clear()


def test_a_file_registers_its_passes(tmp_path: Path) -> None:
    file = tmp_path / "my_pass.py"
    file.write_text(PASS)
    assert list(load_file(file)) == ["test-shout"]
    assert str(parse_pipeline('test-shout{suffix="!"}')) == "test-shout{suffix=!}"
    assert list(load_file(str(file))) == ["test-shout"], "a file may be loaded again, changed or not"


@pytest.mark.parametrize(
    ("name", "text", "message", "place"),
    [
        ("broken.py", "def f(:\n", "SyntaxError", "broken.py:1"),
        ("raises.py", "x = 1\nx / 0\n", "ZeroDivisionError", "raises.py:2"),
        ("imports.py", "import no_such_package\n", "ModuleNotFoundError", "imports.py:1"),
        ("passes.txt", "x = 1\n", "is not a Python file", ""),
    ],
)
def test_a_file_that_can_not_be_loaded_is_an_error(
    tmp_path: Path, name: str, text: str, message: str, place: str
) -> None:
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(PassError, match=message) as caught:
        load_file(file)
    assert caught.value.place.endswith(place)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PassError, match="there is no file"):
        load_file(tmp_path / "none.py")


def test_two_passes_of_one_name_are_an_error(tmp_path: Path) -> None:
    file = tmp_path / "twin.py"
    file.write_text(PASS.replace("test-shout", "canonicalize"))
    with pytest.raises(PassError, match="two passes are named 'canonicalize'"):
        load_file(file)
    assert pass_named("canonicalize").__module__ == "qcc.passes.canonicalize"


def test_a_pass_needs_a_name() -> None:
    class Nameless(Pass):
        def run(self, module: Module, context: PassContext) -> Module:
            return module

    with pytest.raises(PassError, match="Nameless has no name"):
        register_pass(Nameless)


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, module: str, text: str) -> None:
    """Make a package with an entry point appear installed."""
    (folder / f"{module}.py").write_text(text)
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[qcc.passes]\n{module} = {module}\n")
    assert PathDistribution(info).entry_points
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, module, raising=False)
    registry.load_entry_points.cache_clear()


def test_an_installed_package_brings_its_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "loud_passes", PASS)
    assert "test-shout" in registered_passes()


def test_an_installed_package_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "broken_passes", "raise RuntimeError('old version')")
    with pytest.raises(PassError, match="package 'broken_passes' can't be loaded: RuntimeError: old version") as caught:
        pass_named("test-shout")
    assert caught.value.help == "update or uninstall broken_passes"

"""The tutorial on passes, executed: its files are written, its commands run, what they print compared."""

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from qcc.cli import main
from qcc.ir import PassError
from qcc.passes import load_file, parse_pipeline, pass_named, registry

TUTORIAL = Path(__file__).resolve().parents[2] / "docs" / "writing-a-pass.md"
BLOCK = re.compile(
    r"(?:<!-- file: (?P<file>\S+) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


def blocks() -> list[tuple[str, str, str]]:
    """Return file name, language and text of each block of the tutorial."""
    found = BLOCK.finditer(TUTORIAL.read_text(encoding="utf-8"))
    return [(m["file"] or "", m["language"], m["text"]) for m in found]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Change to a folder that holds the tutorial's files."""
    for file, _, text in blocks():
        if file:
            (tmp_path / file).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    before = dict(registry._REGISTRY)
    yield tmp_path
    registry._REGISTRY.clear()
    registry._REGISTRY.update(before)


def test_the_tutorial_has_its_files_and_commands() -> None:
    assert {file for file, _, _ in blocks() if file} == {"m.qir", "my_pass.py", "test_my_pass.py"}
    assert sum(language == "sh" for _, language, _ in blocks()) == 2


def test_the_commands_print_what_the_tutorial_shows(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, compared = blocks(), 0
    for (_, language, text), following in zip(found, [*found[1:], ("", "", "")], strict=True):
        if language != "sh":
            continue
        program, *arguments = shlex.split(text)
        assert program == "qcc"
        assert main(arguments) == 0
        output = capsys.readouterr().out
        if following[:2] == ("", "") and following[2]:
            assert output == following[2]
            compared += 1
    assert compared == 1
    assert (folder / "n.qir").is_file()


def test_the_remark_that_the_tutorial_mentions(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["opt", "m.qir", "-p", "leaky-relu-as-maximum", "--load", "my_pass.py", "--timing"]) == 0
    assert "leaky-relu-as-maximum: y: the slope 1.5 is not between 0 and 1.0" in capsys.readouterr().err


def test_the_test_of_the_tutorial_passes(folder: Path) -> None:
    spec = importlib.util.spec_from_file_location("test_my_pass", folder / "test_my_pass.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.test_the_result_is_the_same()


def test_the_pass_has_a_place_among_the_others(folder: Path) -> None:
    with pytest.raises(PassError, match="there is no pass"):
        pass_named("leaky-relu-as-maximum")
    load_file("my_pass.py")
    assert str(parse_pipeline("leaky-relu-as-maximum{largest-slope=0.5}")) == "leaky-relu-as-maximum{largest_slope=0.5}"

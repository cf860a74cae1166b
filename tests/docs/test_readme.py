"""The README: its commands, its C example, its recipe and its figures are true."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from qcc.cli import main
from qcc.cli.arguments import make_parser
from qcc.demo import load_demo
from qcc.passes import Recipe, load_recipe

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
DEMO = load_demo()


def blocks(language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", TEXT, re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", body, flags=re.MULTILINE) for indent, body in found]


def commands() -> list[list[str]]:
    """Return the arguments of each `qcc` command of the shell blocks."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    parts = [part.strip() for line in lines for part in line.split("&&")]
    return [shlex.split(part, comments=True)[1:] for part in parts if part.startswith("qcc ")]


def test_every_command_is_one_that_the_command_line_takes() -> None:
    assert len(commands()) >= 8
    for arguments in commands():
        make_parser().parse_args(arguments)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the README's commands read."""
    (tmp_path / "model.onnx").write_bytes(DEMO.model.read_bytes())
    np.savez(tmp_path / "samples.npz", allow_pickle=False, **DEMO.calibration)
    np.savez(tmp_path / "in.npz", image=DEMO.test_images[:3])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands_run_in_order(
    folder: Path, cpu_feature: Callable[[str], None], tool: Callable[[str], str]
) -> None:
    cpu_feature("avx512_vnni")
    for name in ("clang", "arm-none-eabi-gcc", "qemu-system-arm"):
        tool(name)
    for arguments in commands():
        if arguments != ["demo"]:
            quick = ["--seconds", "0.05"] if arguments[0] == "bench" else []
            assert main([*arguments, *quick]) == 0, arguments
    with np.load("out.npz") as outputs:
        assert outputs["logits"].shape == (3, 10)
    assert (folder / "ir" / "00-import.qir").is_file()


def test_the_c_example_compiles_and_runs(folder: Path, tool: Callable[[str], str]) -> None:
    command = ["compile", "model.onnx", "-o", "digits", "--target", "c", "--name", "digits"]
    assert main([*command, "--calibration", "samples.npz"]) == 0
    (example,) = blocks("c")
    (folder / "main.c").write_text(example + "\nint main(void) { return classify(); }\n")
    strict = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    sources = ["main.c", "digits/digits.c", "-Idigits", "-o", "main"]
    subprocess.run([tool("gcc"), *strict, *sources], check=True)
    assert subprocess.run(["./main"], check=False).returncode == 0


def test_the_recipe_says_what_it_shows(folder: Path) -> None:
    (example,) = blocks("toml")
    (folder / "mine.toml").write_text(example)
    recipe = load_recipe("mine.toml")
    assert isinstance(recipe, Recipe)
    assert recipe.calibration.observer == "percentile"
    assert recipe.keep_float.ops == ("softmax",)


def test_the_recipes_that_it_names_are_there() -> None:
    for name in re.findall(r"`(int8[a-z-]*)`", TEXT):
        assert load_recipe(name).name == name

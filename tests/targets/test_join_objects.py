"""Joining object files: what a linker would refuse is refused."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from qcc.ir import ToolError
from qcc.targets.emission.elf import ObjectFile, read_object
from qcc.targets.emission.join_objects import join_objects

Compile = Callable[[str], ObjectFile]


@pytest.fixture
def object_of(tmp_path: Path, tool: Callable[[str], str]) -> Compile:
    """Return a function that compiles C text."""

    def compile(text: str) -> ObjectFile:
        source = tmp_path / "source.c"
        source.write_text(text)
        subprocess.run([tool("gcc"), "-O1", "-c", source.name, "-o", "source.o"], cwd=tmp_path, check=True)
        return read_object((tmp_path / "source.o").read_bytes())

    return compile


def test_a_symbol_is_bound_to_the_definition_of_another_object(object_of: Compile) -> None:
    objects = [object_of("int g(int); int f(int x) { return g(x) + 1; }"), object_of("int g(int x) { return 2 * x; }")]
    symbols = {s.name: s for s in read_object(join_objects(objects, [], ["f"], 1)).symbols if s.kind == "function"}
    assert set(symbols) == {"f", "g"}
    assert all(s.section for s in symbols.values())
    assert symbols["f"].binding != symbols["g"].binding  # only f is kept visible


def test_two_definitions_are_an_error(object_of: Compile) -> None:
    twice = object_of("int f(int x) { return x; }")
    with pytest.raises(ToolError, match="two objects define 'f'"):
        join_objects([twice, twice], [], ["f"], 1)


def test_a_weak_definition_gives_way(object_of: Compile) -> None:
    weak = object_of("__attribute__((weak)) int f(int x) { return x; }")
    strong = object_of("int f(int x) { return x + 1; }")
    for objects in ([strong, weak], [weak, weak]):
        joined = read_object(join_objects(objects, [], ["f"], 1))
        assert sum(s.name == "f" and s.kind == "function" for s in joined.symbols) == 1


def test_what_is_left_out_and_pointed_to_is_an_error(object_of: Compile) -> None:
    pointing = object_of(
        '__attribute__((section(".text.tvm.fp16.conv"), noinline)) static int g(int x) { return x * 3; }\n'
        "int f(int x) { return g(x) + 1; }"
    )
    with pytest.raises(ToolError, match="points into a section that is left out"):
        join_objects([pointing], [], ["f"], 1)

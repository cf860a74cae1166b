"""Cross compilers and emulators: found by what a target says, named with what brings them where they are missing."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from qcc.ir import ToolError
from qcc.targets.cross import ZIG, CrossCompiler, Emulator

from .toolchain import run_tool


@dataclass(frozen=True)
class FoundCompiler:
    """A cross compiler of this machine.

    Attributes:
        command: program and flags that select the chip.
        baseline: program and flags that select the weakest processor of its family.
        version: what it calls itself.
        recipe: what the target says of it.
    """

    command: tuple[str, ...]
    baseline: tuple[str, ...]
    version: str
    recipe: CrossCompiler


def find_compiler(choices: Sequence[CrossCompiler]) -> FoundCompiler:
    """Return the first of the compilers that is there; a ToolError names them all and what brings them."""
    for choice in choices:
        program = _program(choice.program)
        if program:
            commands = (*program, *choice.flags), (*program, *choice.baseline)
            return FoundCompiler(*commands, _version(program), choice)
    wanted = " or ".join(choice.program for choice in choices) or "a C compiler for the chip"
    ways = ", or ".join(dict.fromkeys(choice.install for choice in choices))
    raise ToolError(f"there is no {wanted} on this machine", help=f"install it: {ways}")


def find_emulator(emulator: Emulator) -> str:
    """Return the path of an emulator; a ToolError says what brings it."""
    path = shutil.which(emulator.program)
    if path is None:
        raise ToolError(f"there is no {emulator.program} on this machine", help=f"install it: {emulator.install}")
    return path


def _program(name: str) -> tuple[str, ...]:
    """The beginning of a command that runs a compiler; empty where it is not there."""
    if name == ZIG:
        found = importlib.util.find_spec("ziglang") is not None
        return (sys.executable, "-m", "ziglang", "cc") if found else ()
    path = shutil.which(name)
    return (path,) if path else ()


@cache
def _version(program: tuple[str, ...]) -> str:
    lines = run_tool([*program, "--version"], Path.cwd()).splitlines()
    return lines[0] if lines else Path(program[0]).name

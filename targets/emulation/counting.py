"""Executed instructions, by a QEMU plugin: a cost that is the same on every machine and in every run."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np

from qcc.ir import Array, EvaluationError
from qcc.targets.emission.elf import read_object
from qcc.targets.emission.toolchain import c_compiler, run_tool

from .harness import source_text

DONE = "harness_done"
"""The function that the harness calls behind a run."""


@dataclass(frozen=True)
class StepCount:
    """A step of the model: the function that computes it, and the instructions until the next one begins."""

    function: str
    instructions: int


@dataclass(frozen=True)
class InstructionCount:
    """What one run of a model executes.

    Attributes:
        unit: `instructions`, or `packets` on Hexagon.
        total: from the call of NAME_run to its return.
        steps: kernels in the order in which they ran; copies belong to the kernel before them.
    """

    unit: str
    total: int
    steps: tuple[StepCount, ...]


def count_instructions(program: Path, name: str, unit: str, execute: Callable[[Path, str], None]) -> InstructionCount:
    """Return the count of one run of the model `name` in `program`.

    Args:
        program: an ELF file with symbols.
        name: of the module.
        unit: what the emulator counts.
        execute: runs the program with a plugin and the plugin's arguments.
    """
    file = read_object(program.read_bytes())
    functions = {s.name: s.value & ~1 for s in file.symbols if s.kind == "function"}  # bit 0 says Thumb
    entry, kernels = f"{name}_run", {a: n for n, a in functions.items() if n.startswith(f"{name}_k_")}
    if entry not in functions or DONE not in functions:
        raise EvaluationError(f"the program has no function {entry} to count", place=str(program))
    marks = [functions[entry], *kernels, functions[DONE]]
    with tempfile.TemporaryDirectory(prefix="qcc-") as text:
        records = Path(text) / "records"
        execute(plugin(), f"out={option_text(records)},marks={':'.join(f'{mark:x}' for mark in marks)}")
        data = np.fromfile(records, np.uint64).reshape(-1, 2)
    return _count(unit, data, functions[entry], kernels, functions[DONE])


def option_text(path: Path) -> str:
    """Return a path as QEMU's options take it: a comma ends a value, two are one."""
    return str(path).replace(",", ",,")


def _count(unit: str, records: Array, entry: int, kernels: dict[int, str], done: int) -> InstructionCount:
    """Turn the records of the first run into counts."""
    table = [(int(address), int(executed)) for address, executed in records]
    starts = [i for i, (address, _) in enumerate(table) if address == entry]
    ends = [i for i, (address, _) in enumerate(table) if address == done]
    if not starts or not ends or ends[0] < starts[0]:
        raise EvaluationError("the emulator's plugin saw no run of the model", help="is QEMU built with plugins?")
    run = table[starts[0] : ends[0] + 1]
    steps = tuple(
        StepCount(kernels[address], following - executed)
        for (address, executed), (_, following) in pairwise(run)
        if address in kernels
    )
    return InstructionCount(unit, run[-1][1] - run[0][1], steps)


@cache
def plugin() -> Path:
    """The plugin, compiled by the host's C compiler for as long as this process runs."""
    folder = Path(_folder().name)
    (folder / "instruction_count.c").write_text(source_text("instruction_count.c"), encoding="utf-8")
    library = "libinstruction_count.so"
    command = [c_compiler().path, "-std=c99", "-O2", "-fPIC", "-shared", "-o", library, "instruction_count.c"]
    run_tool(command, folder, library)
    return folder / library


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="qcc-")

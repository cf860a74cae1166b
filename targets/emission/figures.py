"""What a compiled module costs: flash, RAM, stack, measured on its object file."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from qcc.ir import ToolError
from qcc.targets.target import Target

from .cross_tools import find_compiler
from .elf import read_object
from .program import Program
from .toolchain import c_compiler, run_tool

C_FLAGS = ("-std=c99", "-O2", "-g0")
"""How NAME.c is compiled where its figures are measured, and where it is run on the host."""


@dataclass(frozen=True)
class Figures:
    """Bytes; None where nothing could be measured.

    Attributes:
        arena_bytes: working memory that the caller gives.
        weight_bytes: constants, the sum of their symbols' sizes.
        code_bytes: executable sections.
        flash_bytes: everything that is loaded and not written, what `size` calls text, and initial data.
        ram_bytes: the arena, data and bss (both are 0), without the stack.
        data_bytes, bss_bytes: writable statics: 0.
        stack_bytes: the deepest stack of NAME_run and NAME_run_within, without that of the C library's functions that
            they call; None where it is not known.
    """

    arena_bytes: int
    weight_bytes: int
    code_bytes: int | None = None
    flash_bytes: int | None = None
    ram_bytes: int | None = None
    data_bytes: int | None = None
    bss_bytes: int | None = None
    stack_bytes: int | None = None

    def manifest(self) -> dict[str, Any]:
        """Return the entries of the manifest."""
        return asdict(self)


def measure_object(data: bytes, program: Program, stack_bytes: int | None = None) -> Figures:
    """Return the figures of an object file."""
    file = read_object(data)
    constants = {c.symbol for c in program.constants}
    return Figures(
        arena_bytes=program.arena_bytes,
        weight_bytes=sum(s.size for s in file.symbols if s.name in constants),
        code_bytes=file.code_bytes,
        flash_bytes=file.text_bytes + file.data_bytes,
        ram_bytes=program.arena_bytes + file.data_bytes + file.bss_bytes,
        data_bytes=file.data_bytes,
        bss_bytes=file.bss_bytes,
        stack_bytes=stack_bytes,
    )


@dataclass(frozen=True)
class _Compiler:
    """A C compiler: how it is called, and what it calls itself."""

    command: tuple[str, ...]
    version: str


def _compiler_for(target: Target) -> _Compiler:
    """The compiler of a target's C source: the chip's, else the host's."""
    if target.link is not None:
        found = find_compiler([c for c in target.link.linkers if c.has_libc])
        return _Compiler(found.command, found.version)
    host = c_compiler()
    return _Compiler((host.path,), host.version)


def measure_source(source: str, header: str, program: Program, target: Target) -> tuple[Figures, _Compiler | None]:
    """Return the figures of a C file (its outline is enough) as a compiler for the target builds it, and that compiler.

    Where there is no compiler only the arena is known, and what the weights take at most (compilers leave some out).
    """
    try:
        compiler = _compiler_for(target)
    except ToolError:
        weights = sum(max(c.array.nbytes, c.array.dtype.itemsize) for c in program.constants)
        return Figures(program.arena_bytes, weights), None
    with tempfile.TemporaryDirectory(prefix="qcc-") as text:
        folder, name = Path(text), program.name
        (folder / f"{name}.h").write_text(header, encoding="utf-8")
        (folder / f"{name}.c").write_text(source, encoding="utf-8")
        reports_stack = "clang" not in compiler.version
        flags = [*C_FLAGS, *(["-fstack-usage"] if reports_stack else [])]
        run_tool([*compiler.command, *flags, "-c", f"{name}.c", "-o", f"{name}.o"], folder, f"{name}.o")
        report = folder / f"{name}.su"
        stack = _deepest_stack(report.read_text(encoding="utf-8"), program) if report.exists() else None
        return measure_object((folder / f"{name}.o").read_bytes(), program, stack), compiler


def _deepest_stack(report: str, program: Program) -> int | None:
    """Return the deepest stack of a run by a compiler's stack usage report; None if unbounded."""
    sizes: dict[str, int] = {}
    for line in report.splitlines():
        found = re.match(r".*:([\w.]+)\t(\d+)\t(\S+)$", line)
        if found is None or (found[3].startswith("dynamic") and "bounded" not in found[3]):
            return None
        function = found[1].split(".")[0]  # what is split off a function has its name, a dot and more
        sizes[function] = sizes.get(function, 0) + int(found[2])
    return deepest_run(sizes, program.name)


def deepest_run(sizes: Mapping[str, int], name: str) -> int:
    """Return the deepest stack of a run: an entry function, what that calls in a row, and a kernel.

    Args:
        sizes: the bytes that each function takes.
        name: of the module.
    """
    entries, apart = (f"{name}_run", f"{name}_run_within"), (f"{name}_check_cpu", f"{name}_reset")
    row = (f"{name}_checked_run", f"{name}_kernels")
    inner = (size for function, size in sizes.items() if function not in (*entries, *row, *apart))
    return max(sizes.get(entry, 0) for entry in entries) + sum(sizes.get(f, 0) for f in row) + max(inner, default=0)

"""libNAME.a for a chip that is not this machine's: kernels from LLVM, the entry functions from a C cross compiler.

Objects and constants are joined here, so that no binary tools of the chip are needed; the entry functions are a few
instructions, whose compiler the manifest names.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from qcc.ir import ToolError
from qcc.targets.target import Target

from .archive import archive
from .arm_attributes import without_float_arguments
from .cross_tools import FoundCompiler, find_compiler
from .elf import read_object
from .entry import visible_symbols
from .figures import deepest_run
from .header import header_text
from .interface import Interface
from .join_objects import join_objects
from .machine_code import entry_source
from .program import Program
from .thumb_stack import frame_sizes
from .toolchain import run_tool

ENTRY_FLAGS = (
    "-std=c99",
    "-O2",
    "-ffreestanding",
    "-fno-asynchronous-unwind-tables",
    "-fno-unwind-tables",
    "-fno-stack-protector",
    "-g0",
    "-w",
)
"""How the entry functions are compiled; they only call kernels."""


@dataclass(frozen=True)
class ForeignCode:
    """The library of an artifact, the one object in it, and the compiler of the entry functions.

    Attributes:
        archive, object, compiler: these.
        stack_bytes: as `Figures` has it.
    """

    archive: bytes
    object: bytes
    compiler: FoundCompiler
    stack_bytes: int | None = None


def foreign_code(interface: Interface, program: Program, target: Target) -> ForeignCode:
    """Return the library of a program; loads the code generator and runs a C compiler for the chip.

    The same program and compiler give the same bytes. Only the functions of the C API are visible from outside.
    """
    from qcc.targets.lowering import build_objects

    if target.link is None:
        raise ToolError(f"{target} has no link recipe", help="give its family one: Target.link")
    objects = build_objects((f.primitive for f in program.functions), target.tvm_target())
    compiler = find_compiler(target.link.compilers)
    objects.append(_entry(interface, program, compiler))
    constants = [(c.symbol, c.array) for c in program.constants]
    visible = visible_symbols(interface)
    files = [read_object(data) for data in objects]
    if not program.has_float:  # else libm may be called, by the target's calling convention
        files = [without_float_arguments(file) for file in files]
    joined = join_objects(files, constants, visible, program.alignment)
    frames = frame_sizes(read_object(joined)) if target.triple.startswith("thumb") else None
    stack = None if frames is None else deepest_run(frames, program.name)
    return ForeignCode(archive(f"{program.name}.o", joined, visible), joined, compiler, stack)


def _entry(interface: Interface, program: Program, compiler: FoundCompiler) -> bytes:
    """Compile the entry functions for the weakest processor of the family: they find out which one it is."""
    with tempfile.TemporaryDirectory(prefix="qcc-") as text:
        folder = Path(text)
        (folder / f"{program.name}.h").write_text(header_text(interface, program), encoding="utf-8")
        (folder / "entry.c").write_text(entry_source(interface, program), encoding="utf-8")
        run_tool([*compiler.baseline, *ENTRY_FLAGS, "-c", "entry.c", "-o", "entry.o"], folder, "entry.o")
        return (folder / "entry.o").read_bytes()

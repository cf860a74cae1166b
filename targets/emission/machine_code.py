"""libNAME.a and libNAME.so: kernels from LLVM, entry function and weights from the host's C compiler, one object."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qcc.targets.target import Target

from .entry import constant_declarations_text, entry_text, prototypes_text, visible_symbols
from .header import header_text
from .interface import Interface
from .program import Program
from .toolchain import c_compiler, find_tool, run_tool
from .weak_versions import with_weak_versions

ENTRY_FLAGS = ("-std=c99", "-O2", "-fPIC", "-fno-asynchronous-unwind-tables", "-ffreestanding", "-g0", "-w")
"""How the entry function is compiled; it only calls kernels."""


@dataclass(frozen=True)
class MachineCode:
    """The libraries of an artifact, and the one object file that both are made of."""

    archive: bytes
    shared: bytes
    object: bytes


def machine_code(interface: Interface, program: Program, target: Target) -> MachineCode:
    """Return the libraries of a program; loads the code generator and runs the host's C compiler and binutils.

    The same program gives the same bytes. Only the functions of the C API are visible from outside.
    """
    from qcc.targets.lowering import build_objects

    name = program.name
    compiler = c_compiler().path
    with tempfile.TemporaryDirectory(prefix="qcc-") as text:
        folder = Path(text)
        parts = ["entry.part.o"]  # no name of a module has a dot
        (folder / f"{name}.h").write_text(header_text(interface, program), encoding="utf-8")
        (folder / "entry.c").write_text(entry_source(interface, program), encoding="utf-8")
        run_tool([compiler, *target.baseline, *ENTRY_FLAGS, "-c", "entry.c", "-o", parts[0]], folder)
        kernels = build_objects((f.primitive for f in program.functions), target.tvm_target())
        for number, data in enumerate(kernels):
            parts.append(f"kernels{number}.part.o")
            (folder / parts[-1]).write_bytes(data)
            half_precision = "--remove-section=.text.tvm.fp16.conv"  # conversions that TVM adds and nothing calls
            run_tool([find_tool("objcopy"), "--strip-debug", half_precision, parts[-1]], folder)
        if program.constants:
            _write_constants(program, folder)
            parts.append("weights.part.o")
            run_tool([compiler, "-c", "weights.s", "-o", parts[-1]], folder)
        return _link(interface, parts, folder, compiler, program.has_float)


def entry_source(interface: Interface, program: Program) -> str:
    """Return the C file of the entry functions, which declares kernels and constants."""
    declarations = prototypes_text(program) + constant_declarations_text(program)
    head = f'#include "{program.name}.h"\n#include <stddef.h>\n'
    return head + "void *memcpy(void *, const void *, size_t);\n" + declarations + entry_text(interface, program)


def _write_constants(program: Program, folder: Path) -> None:
    """Write the constants' bytes and an assembler file that gives them names; a C compiler takes far longer."""
    lines = ['    .section .rodata,"a",@progbits']
    with (folder / "weights.bin").open("wb") as stream:
        for constant in program.constants:
            data = np.ascontiguousarray(constant.array).tobytes() or b"\0"
            lines += [
                f"    .balign {program.alignment}",
                f"    .globl {constant.symbol}",
                f"    .type {constant.symbol}, @object",
                f"    .size {constant.symbol}, {len(data)}",
                f"{constant.symbol}:",
                f'    .incbin "weights.bin", {stream.tell()}, {len(data)}',
            ]
            stream.write(data)
    lines.append('    .section .note.GNU-stack,"",@progbits')
    (folder / "weights.s").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _link(interface: Interface, parts: list[str], folder: Path, compiler: str, has_float: bool) -> MachineCode:
    """Join the parts to one object whose only global symbols are the C API, and make both libraries of it."""
    name = interface.name
    joined = f"{name}.o"
    run_tool([find_tool("ld"), "-r", "-o", joined, *parts], folder)
    keep = [f"--keep-global-symbol={symbol}" for symbol in visible_symbols(interface)]
    keep += ["--strip-debug", "--remove-section=.comment"]
    run_tool([find_tool("objcopy"), *keep, joined], folder)
    run_tool([find_tool("ar"), "rcsD", f"lib{name}.a", joined], folder)
    shared = f"lib{name}.so"
    options = [f"-Wl,-soname,{shared}", "-Wl,--build-id=none", "-Wl,-z,noexecstack", "-Wl,-z,defs", "-nostartfiles"]
    run_tool([compiler, "-shared", *options, "-o", shared, joined, *(["-lm"] if has_float else [])], folder)
    archive, library, code = (folder / file for file in (f"lib{name}.a", shared, joined))
    return MachineCode(archive.read_bytes(), with_weak_versions(library.read_bytes()), code.read_bytes())

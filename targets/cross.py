"""How code for a foreign chip is compiled, linked and run, as data: cross compilers, link recipe, emulator.

Nothing here runs a tool: `targets/emission` compiles and joins, `targets/emulation` links and executes.
"""

from __future__ import annotations

from dataclasses import dataclass

ZIG = "zig"
"""The program name that stands for the compiler of the Python package `ziglang` (extra `cross`)."""


@dataclass(frozen=True)
class CrossCompiler:
    """A C compiler for the chip.

    Attributes:
        program: its name, or `zig`.
        flags: what selects the chip, for compiling and for linking.
        baseline: what selects the weakest processor of the family instead, for code that comes before the check of the
            processor: the entry functions and the harness.
        install: what brings it, as a help text says: `apt-get install gcc-aarch64-linux-gnu`.
        link_flags: what a program needs beyond `flags`.
        has_libc: programs get the start code, the C library and libm of the compiler; else they bring their own start
            code, and models with floating point that needs libm can't be linked.
    """

    program: str
    flags: tuple[str, ...]
    baseline: tuple[str, ...]
    install: str
    link_flags: tuple[str, ...] = ()
    has_libc: bool = False


@dataclass(frozen=True)
class LinkRecipe:
    """How C source becomes objects, and objects a program.

    Attributes:
        compilers: for the C source of the entry function, first choice first.
        linkers: for whole programs, first choice first.
        sources: files of `targets/emulation` that make a program of the harness: input and output, start code where no
            C library has it.
        start: file of `targets/emulation` with the start code of programs whose linker has no C library.
        script: text of the linker script, empty where the linker's own serves.
    """

    compilers: tuple[CrossCompiler, ...]
    linkers: tuple[CrossCompiler, ...]
    sources: tuple[str, ...] = ()
    start: str = ""
    script: str = ""


@dataclass(frozen=True)
class Emulator:
    """What executes a program of the chip on this machine.

    Attributes:
        program: of QEMU: `qemu-aarch64`, `qemu-system-arm`.
        options: that choose processor or machine.
        install: what brings it.
        system: a whole machine, whose program reads and writes files by semihosting; else a Linux process.
        unit: what QEMU's plugins count as one instruction: `instructions`, on Hexagon `packets`.
        limit: what to do where a program dies because the emulator does not know all of the chip's instructions; empty:
            it knows them.
    """

    program: str
    options: tuple[str, ...]
    install: str
    system: bool = False
    unit: str = "instructions"
    limit: str = ""


NO_LIBRARY_CALLS = ("-fno-tree-loop-distribute-patterns",)
"""GCC makes loops calls of the C library, whose code may be for another processor than the weakest."""


def clang(common: tuple[str, ...], chip: tuple[str, ...], baseline: tuple[str, ...]) -> CrossCompiler:
    """Clang with LLVM's linker, which know every chip; programs have no C library.

    Args:
        common: flags for both, the chip and the weakest processor of its family.
        chip, baseline: what selects one and the other.
    """
    linking = ("-fuse-ld=lld", "-nostdlib", "-static")
    return CrossCompiler("clang", (*common, *chip), (*common, *baseline), "apt-get install clang lld", linking)


def gcc(
    triple: str, install: str, common: tuple[str, ...], chip: tuple[str, ...], baseline: tuple[str, ...]
) -> CrossCompiler:
    """A GNU cross compiler for Linux with its C library; see `clang`."""
    flags, weakest = (*common, *chip), (*common, *baseline, *NO_LIBRARY_CALLS)
    return CrossCompiler(f"{triple}-gcc", flags, weakest, install, ("-static", "-no-pie"), has_libc=True)


def zig(*baseline: str) -> CrossCompiler:
    """Zig's C compiler, which brings musl for Linux targets, and compiles it for the processor that it is told.

    That is the weakest of the family here, since a program's start code comes before any check.
    """
    return CrossCompiler(ZIG, baseline, baseline, "pip install 'qcc[cross]'", ("-static", "-fno-pie"), has_libc=True)

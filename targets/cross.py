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
        install: what brings it, as a help text says: `apt-get install gcc-aarch64-linux-gnu`.
        link_flags: what a program needs beyond `flags`.
        has_libc: programs get the start code, the C library and libm of the compiler; else they bring their own start
            code, and models with floating point that needs libm can't be linked.
    """

    program: str
    flags: tuple[str, ...]
    install: str
    link_flags: tuple[str, ...] = ()
    has_libc: bool = False


@dataclass(frozen=True)
class LinkRecipe:
    """How C source becomes objects, and objects a program.

    Attributes:
        compilers: for the C source of the entry function, first choice first.
        linkers: for whole programs, first choice first.
        sources: files of `targets/emulation` that make a program of the harness: start code, input and output.
        script: text of the linker script, empty where the linker's own serves.
    """

    compilers: tuple[CrossCompiler, ...]
    linkers: tuple[CrossCompiler, ...]
    sources: tuple[str, ...] = ()
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
    """

    program: str
    options: tuple[str, ...]
    install: str
    system: bool = False
    unit: str = "instructions"


def clang(*flags: str, has_libc: bool = False) -> CrossCompiler:
    """Clang with LLVM's linker, which know every chip; programs have no C library."""
    linking = ("-fuse-ld=lld", "-nostdlib", "-static")
    return CrossCompiler("clang", flags, "apt-get install clang lld", linking, has_libc)


def gcc(triple: str, install: str, *flags: str) -> CrossCompiler:
    """A GNU cross compiler for Linux with its C library."""
    return CrossCompiler(f"{triple}-gcc", flags, install, ("-static", "-no-pie"), has_libc=True)


def zig(*flags: str) -> CrossCompiler:
    """Zig's C compiler, which brings musl for Linux targets."""
    return CrossCompiler(ZIG, flags, "pip install 'qcc[cross]'", ("-static", "-fno-pie"), has_libc=True)

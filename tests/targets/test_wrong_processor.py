"""A library on a processor that can't run it: an error code before anything is written, from code that any can run."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qcc.ir import F32, Builder, Module, Stage, TensorType, evaluate, ops
from qcc.targets import Target
from qcc.targets.cortex_m_family import LINKER_SCRIPT
from qcc.targets.emission.elf import read_object
from qcc.targets.emission.header import ERROR_CPU, OK, header_text
from qcc.targets.emission.interface import interface_of
from qcc.targets.emission.machine_code import entry_source
from qcc.targets.emission.program import lower_program
from qcc.targets.emulation import EmulatedModel, Request
from tests.targets.compiled import compiled, compiled_once, planned
from tests.targets.entry_code import beyond_baseline, entry_instructions
from tests.targets.integer_modules import random_inputs, residual_net
from tests.targets.linked_program import linked_with
from tests.targets.test_foreign_code import TARGETS, model_of, require_tools, untouched

AARCH64, HVX = "aarch64-linux-gnu", "hexagon-unknown-linux-musl+hvxv"
ARMV7 = "armv7-linux-gnueabihf+neon"
M4, M7 = "thumbv7em-none-eabi@cortex-m4", "thumbv7em-none-eabi@cortex-m7"
M55 = "thumbv8.1m.main-none-eabi+mve@cortex-m55"


def assert_refused(model: EmulatedModel, module: Module, options: tuple[str, ...] | None = None) -> None:
    """Every run is an error, and the harness found no output touched."""
    ((status, outputs),) = model.call([random_inputs(module, 0)], Request(options=options))
    assert status == ERROR_CPU
    assert untouched(outputs)


def assert_right(model: EmulatedModel, module: Module, options: tuple[str, ...] | None = None) -> None:
    """A run gives the evaluator's outputs."""
    inputs = random_inputs(module, 0)
    ((status, outputs),) = model.call([inputs], Request(options=options))
    assert status == OK
    for name, array in evaluate(module, inputs).items():
        np.testing.assert_allclose(outputs[name], array, rtol=1e-6 if array.dtype.kind == "f" else 0)


def wave() -> Module:
    """A module that computes in binary32."""
    b = Builder("wave", Stage.INTEGER)
    b.output("y", b.emit(ops.Sigmoid, b.input("x", TensorType((1, 9), F32))))
    return b.build()


LINUX = {
    f"{AARCH64}+dotprod": ("cortex-a53", "cortex-a76"),
    f"{AARCH64}+i8mm": ("cortex-a76", "max"),
    f"{AARCH64}@neoverse-v1": ("neoverse-n1", "max,sve=off"),
    ARMV7: ("cortex-a9,neon=off", "cortex-a9"),
    "armv7-linux-gnueabihf@cortex-a15": ("cortex-a9", "cortex-a7"),
}
"""Processors that lack something, and ones that have all."""


@pytest.mark.parametrize("target", [pytest.param(t, marks=[] if "+dot" in t else pytest.mark.slow) for t in LINUX])
def test_linux_processors(target: str, tmp_path: Path, tool: Callable[[str], str]) -> None:
    require_tools(target, tool)
    model = model_of(residual_net, target, tmp_path / "a")
    wrong, right = LINUX[target]
    assert_refused(model, residual_net(), ("-cpu", wrong))
    assert_right(model, residual_net(), ("-cpu", right))


BOARDS = {
    "mps2-an385": ("0x00000000", "0x00000400, LENGTH = 4M - 1K", "0x21000000, LENGTH = 16M"),  # Cortex-M3
    "mps2-an386": ("0x00000000", "0x00000400, LENGTH = 4M - 1K", "0x21000000, LENGTH = 16M"),  # Cortex-M4
    "mps2-an505": ("0x10000000", "0x10000400, LENGTH = 1M", "0x38000000, LENGTH = 1M"),  # Cortex-M33
    "microbit": ("0x00000000", "0x00000400, LENGTH = 127K", "0x20000000, LENGTH = 16K"),  # Cortex-M0
}
"""Machines of QEMU: where the vector table, flash and RAM are."""


def on_board(model: EmulatedModel, machine: str) -> EmulatedModel:
    """Return the model for another machine of QEMU; `model` holds its files and must live as long."""
    assert model.target.link is not None
    vectors, flash, ram = BOARDS[machine]
    script = LINKER_SCRIPT.format(machine=machine, flash=flash, ram=ram).replace("0x00000000", vectors)
    script = script.replace("end + 64K", "end + 2K")  # enough for this model, and what the smallest board has
    return replace(model, target=replace(model.target, link=replace(model.target.link, script=script)))


@pytest.mark.parametrize(
    ("target", "machine", "able"),
    [
        (M4, "mps2-an385", False),
        pytest.param(M4, "microbit", False, marks=pytest.mark.slow),
        pytest.param(M4, "mps2-an505", True, marks=pytest.mark.slow),
        pytest.param(M7, "mps2-an385", False, marks=pytest.mark.slow),
        pytest.param(M7, "mps2-an386", True, marks=pytest.mark.slow),
        pytest.param(M55, "mps2-an385", False, marks=pytest.mark.slow),
        pytest.param(M55, "mps2-an386", False, marks=pytest.mark.slow),
        pytest.param(M55, "mps2-an505", False, marks=pytest.mark.slow),
        pytest.param(M55, "microbit", False, marks=pytest.mark.slow),
    ],
)
def test_cortex_m_processors(target: str, machine: str, able: bool, tmp_path: Path, tool: Callable[[str], str]) -> None:
    require_tools(target, tool)
    model = model_of(residual_net, target, tmp_path / "a")
    (assert_right if able else assert_refused)(on_board(model, machine), residual_net(), ("-machine", machine))


@pytest.mark.slow
@pytest.mark.parametrize(("target", "machine"), [(M4, "mps2-an386"), (M7, "mps2-an500")])
def test_code_that_computes_in_floats_needs_the_floating_point_unit(
    target: str, machine: str, tmp_path: Path, tool: Callable[[str], str]
) -> None:
    require_tools(target, tool)
    without = ("-machine", machine, "-global", "armv7m.vfp=off")
    floats, integers = model_of(wave, target, tmp_path / "f"), model_of(residual_net, target, tmp_path / "i")
    assert_right(floats, wave())
    assert_refused(floats, wave(), without)
    assert_right(integers, residual_net(), without)
    if target == M7:  # it has instructions that a Cortex-M4's unit lacks
        assert_refused(on_board(floats, "mps2-an386"), wave(), ("-machine", "mps2-an386"))


BEFORE_A_RUN = """\
int __real_harness_call(unsigned shift, unsigned arena_shift, int arena_bytes);
int __wrap_harness_call(unsigned shift, unsigned arena_shift, int arena_bytes) {
    *(volatile unsigned *)%s;
    __asm__ volatile("dsb\\n isb\\n msr control, %%0\\n isb" : : "r"(%d) : "memory");
    return __real_harness_call(shift, arena_shift, arena_bytes);
}
"""
"""A change of a register of the processor, then CONTROL; 1 takes the privileges away."""
WRAPPED = ("-Wl,--wrap=harness_call",)


@pytest.mark.slow
def test_without_privileges_a_cortex_m_can_not_tell_and_does_not_fault(
    tmp_path: Path, tool: Callable[[str], str]
) -> None:
    require_tools(M4, tool)
    model = model_of(residual_net, M4, tmp_path / "a")
    program = linked_with(model, BEFORE_A_RUN % ("0xE000ED88u |= 0u", 1), tmp_path, *WRAPPED)
    assert_right(program, residual_net(), ("-machine", "mps2-an386", "-semihosting-config", "userspace=on"))


@pytest.mark.slow
@pytest.mark.parametrize("target", [M4, M55])
def test_a_cortex_m_that_traps_words_at_odd_addresses_is_an_error_code(
    target: str, tmp_path: Path, tool: Callable[[str], str]
) -> None:
    require_tools(target, tool)
    model = model_of(residual_net, target, tmp_path / "a")
    program = linked_with(model, BEFORE_A_RUN % ("0xE000ED14u |= 8u", 0), tmp_path, *WRAPPED)
    assert_refused(program, residual_net())


@pytest.mark.slow
@pytest.mark.parametrize(("target", "build"), [(M4, wave), (M7, wave), (M55, residual_net)])
def test_floating_point_that_is_switched_off_is_an_error_code(
    target: str, build: Callable[[], Module], tmp_path: Path, tool: Callable[[str], str]
) -> None:
    require_tools(target, tool)
    model = model_of(build, target, tmp_path / "a")
    program = linked_with(model, BEFORE_A_RUN % ("0xE000ED88u &= ~(15u << 20)", 0), tmp_path, *WRAPPED)
    assert_refused(program, build())


HEXAGON_ANSWERS = [
    ("66", "int qcc_hexagon_version(void) { return 65; }", False),
    ("66", "int qcc_hexagon_version(void) { return 0; }", False),
    ("66", "int qcc_hexagon_version(void) { return 66; }", True),
    ("68", "int qcc_hexagon_version(void) { return 66; }", False),
    ("68", "int qcc_hexagon_version(void) { return 73; }", True),
    ("66", "int qurt_sysenv_get_arch_version(unsigned *v) { *v = 0x8c65; return 0; }", False),
    ("66", "int qurt_sysenv_get_arch_version(unsigned *v) { *v = 0x8d66; return 0; }", True),
    ("66", "int qurt_sysenv_get_arch_version(unsigned *v) { *v = 0x8181; return 0; }", True),
    ("66", "int qurt_sysenv_get_arch_version(unsigned *v) { *v = 0; return 1; }", True),
    ("66", "int qurt_hvx_get_units(void) { return 0; }", False),
    ("66", "int qurt_hvx_get_units(void) { return 0x400; }", True),
    ("68", "int nothing_that_knows_the_version;", True),
]


@pytest.mark.slow
@pytest.mark.parametrize(("version", "source", "able"), HEXAGON_ANSWERS)
def test_a_hexagon_program_asks_what_the_platform_offers(
    version: str, source: str, able: bool, tmp_path: Path, tool: Callable[[str], str]
) -> None:
    require_tools(HVX + version, tool)
    model = model_of(residual_net, HVX + version, tmp_path / "a")
    (assert_right if able else assert_refused)(linked_with(model, source, tmp_path), residual_net())


@pytest.mark.slow
@pytest.mark.parametrize("version", [66, 68, 73])
def test_library_and_program_say_which_hexagon_they_are_for(
    version: int, tmp_path: Path, tool: Callable[[str], str]
) -> None:
    """Loaders that know the versions refuse the program by the flags of its ELF header: 0x66 is V66."""
    require_tools(f"{HVX}{version}", tool)
    model = model_of(residual_net, f"{HVX}{version}", tmp_path / "a")
    library = (tmp_path / "a" / "libresidual_net.a").read_bytes()
    for data in (library[library.index(b"\x7fELF") :], model.program.read_bytes()):
        assert read_object(data).flags & 0xFF == int(str(version), 16)


X86 = ("avx2", "avx-vnni", "avx512-vnni")
X86_MAIN = """\
#include "residual_net.h"
#include <stdio.h>

static int8_t input[residual_net_INPUT_image_BYTES], output[residual_net_OUTPUT_logits_BYTES];
static uint8_t arena[residual_net_ARENA_BYTES + residual_net_ARENA_ALIGNMENT];

int main(void) {
    residual_net_inputs in = {input};
    residual_net_outputs out = {output};
    const uintptr_t start = (uintptr_t)arena + residual_net_ARENA_ALIGNMENT - 1;
    int touched = 0, status = residual_net_run(&in, &out, (void *)(start - start % residual_net_ARENA_ALIGNMENT));
    for (size_t i = 0; i < sizeof output; ++i) {
        touched |= output[i] != 0;
    }
    printf("%d %d %d\\n", residual_net_check_cpu(), status, touched);
    return 0;
}
"""


@pytest.mark.parametrize("way", ["-fno-lto", pytest.param("-static", marks=pytest.mark.slow)])
@pytest.mark.parametrize("level", ["avx2", *(pytest.param(x, marks=pytest.mark.slow) for x in X86[1:])])
def test_x86_processors(level: str, way: str, tmp_path: Path, tool: Callable[[str], str]) -> None:
    """A program that is linked statically has no copy of CPUID by glibc, and asks the processor itself."""
    emulator = tool("qemu-x86_64")
    folder = compiled_once(residual_net, f"x86_64-linux-gnu+{level}").save(tmp_path)
    (folder / "main.c").write_text(X86_MAIN)
    command = [tool("gcc"), "-std=c99", way, "-o", "program", "main.c", "libresidual_net.a"]
    subprocess.run(command, cwd=folder, check=True)
    # QEMU 7.2 has no AVX-512 and no AVX-VNNI on any processor, and AVX2 on those that have it.
    for cpu in ("Nehalem", "SandyBridge", "Haswell,-bmi2", "Haswell", "Cascadelake-Server", "max"):
        able = level == "avx2" and cpu in ("Haswell", "Cascadelake-Server", "max")
        done = subprocess.run([emulator, "-cpu", cpu, "./program"], cwd=folder, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, "0 0 1\n" if able else f"{ERROR_CPU} {ERROR_CPU} 0\n"), cpu


@pytest.mark.parametrize("level", ["avx2", *(pytest.param(x, marks=pytest.mark.slow) for x in X86[1:])])
def test_an_x86_processor_that_has_all_is_none_that_is_refused(
    level: str, tmp_path: Path, tool: Callable[[str], str], cpu_feature: Callable[[str], None]
) -> None:
    target = f"x86_64-linux-gnu+{level}"
    for flag in Target.parse(target).cpu_flags:
        cpu_feature(flag)
    folder = compiled_once(residual_net, target).save(tmp_path)
    (folder / "main.c").write_text(X86_MAIN)
    for way in ("-fno-lto", "-static"):
        command = [tool("gcc"), "-std=c99", way, "-o", "program", "main.c", "libresidual_net.a"]
        subprocess.run(command, cwd=folder, check=True)
        assert subprocess.run(["./program"], cwd=folder, capture_output=True, text=True).stdout == "0 0 1\n"


def test_an_older_glibc_loads_the_x86_library(tmp_path: Path, tool: Callable[[str], str]) -> None:
    """The version of the weak symbol in it is marked as one that may be absent."""
    folder = compiled_once(residual_net, "x86_64-linux-gnu+avx2").save(tmp_path)
    text = subprocess.run(
        [tool("readelf"), "-VW", "libresidual_net.so"], cwd=folder, capture_output=True, text=True, check=True
    ).stdout
    needed = [line.split("Name:")[1].split() for line in text.splitlines() if "Name: GLIBC" in line]
    assert {name: flags for name, _, flags, *_ in needed}.pop("GLIBC_2.33", "WEAK") == "WEAK"
    assert all(flags == "none" for name, _, flags, *_ in needed if name != "GLIBC_2.33")


ALL = (*TARGETS, "armv7-linux-gnueabihf@cortex-a15", f"{AARCH64}@neoverse-v2", *(f"x86_64-linux-gnu+{x}" for x in X86))
NOT_SLOW = (M4, "x86_64-linux-gnu+avx2")


@pytest.mark.parametrize("target", [pytest.param(t, marks=[] if t in NOT_SLOW else pytest.mark.slow) for t in ALL])
def test_the_entry_functions_are_for_the_weakest_processor_of_the_family(
    target: str, tmp_path: Path, tool: Callable[[str], str]
) -> None:
    artifact = compiled_once(residual_net, target)
    (tmp_path / "a.a").write_bytes(artifact.files["libresidual_net.a"])
    disassembler = tool("objdump" if target.startswith("x86") else "llvm-objdump")
    instructions = entry_instructions(tmp_path / "a.a", "residual_net", disassembler)
    assert len(instructions) > 40
    assert beyond_baseline(target, instructions) == []


@pytest.mark.slow
def test_a_compiler_that_is_set_to_a_newer_processor_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: Callable[[str], str]
) -> None:
    """Distributions choose what their compiler makes code for where nothing is said."""
    compiler = tmp_path / "newer-cc"
    compiler.write_text(f'#!/bin/sh\nexec {tool("gcc")} -march=x86-64-v3 -O3 "$@"\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    (tmp_path / "a.a").write_bytes(compiled(residual_net(), "x86_64-linux-gnu+avx2").files["libresidual_net.a"])
    instructions = entry_instructions(tmp_path / "a.a", "residual_net", tool("objdump"))
    assert beyond_baseline("x86_64-linux-gnu", instructions) == []


STRICT = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function")


@pytest.mark.parametrize(
    ("compiler", "target"),
    [
        ("gcc", "x86_64-linux-gnu+avx512-vnni"),
        ("clang", "x86_64-linux-gnu+avx512-vnni"),
        pytest.param("clang", f"{HVX}66", marks=pytest.mark.slow),
        pytest.param("clang", M55, marks=pytest.mark.slow),
        pytest.param("clang", ARMV7, marks=pytest.mark.slow),
        pytest.param("aarch64-linux-gnu-gcc", f"{AARCH64}+i8mm", marks=pytest.mark.slow),
    ],
)
def test_entry_functions_are_clean(compiler: str, target: str, tmp_path: Path, tool: Callable[[str], str]) -> None:
    module, parsed = residual_net(), Target.parse(target)
    planned_module = planned(module, parsed)
    interface, program = interface_of(planned_module), lower_program(planned_module, parsed)
    (tmp_path / "residual_net.h").write_text(header_text(interface, program))
    (tmp_path / "entry.c").write_text(entry_source(interface, program))
    flags = [f"--target={parsed.triple}"] if compiler == "clang" else []
    if parsed.link is not None:
        flags += next(c.baseline for c in parsed.link.compilers if c.program == compiler)
    subprocess.run([tool(compiler), *flags, *STRICT, "-ffreestanding", "-c", "entry.c"], cwd=tmp_path, check=True)


@pytest.mark.slow
@pytest.mark.parametrize("cpu", ["neoverse-v1", "cortex-a710"])
def test_scalable_vectors_are_not_used_of_a_processor_that_has_them(
    cpu: str, tmp_path: Path, tool: Callable[[str], str]
) -> None:
    (tmp_path / "a.a").write_bytes(compiled_once(residual_net, f"{AARCH64}@{cpu}").files["libresidual_net.a"])
    command = [tool("llvm-objdump"), "-d", "--mattr=+sve,+i8mm", "--no-show-raw-insn", str(tmp_path / "a.a")]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "smmla" in text
    assert "ptrue" not in text
    assert "whilelo" not in text

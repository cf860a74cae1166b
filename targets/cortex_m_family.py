"""The Cortex-M targets: bare-metal Thumb code for M4 and M7 (DSP extension) and for M55 (Helium)."""

from __future__ import annotations

from dataclasses import dataclass, field

from .cortex_m_cpu_check import M4_CHECK, M7_CHECK, M55_CHECK, CortexMCheck
from .cross import NO_LIBRARY_CALLS, CrossCompiler, Emulator, LinkRecipe, clang
from .registry import register_family
from .target import Target, TargetFamily

THUMBV7EM, THUMBV81M = "thumbv7em-none-eabi", "thumbv8.1m.main-none-eabi"

_PACKAGES = "apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi"

_LLVM_OPTIONS = ("-enable-tbaa:bool=false",)
"""The nests read through pointers what they wrote through a variable; TVM gives each variable its own alias class."""

LINKER_SCRIPT = """\
/* Memory of QEMU's machine {machine}: the vector table where the processor looks for it, the rest where room is. */
ENTRY(reset)
MEMORY {{
    VECTORS (rx) : ORIGIN = 0x00000000, LENGTH = 1K
    FLASH (rx) : ORIGIN = {flash}
    RAM (rwx) : ORIGIN = {ram}
}}
SECTIONS {{
    .vectors : {{ KEEP(*(.vectors)) }} > VECTORS
    .text : {{ *(.text*) *(.rodata*) . = ALIGN(4); }} > FLASH
    .ARM.exidx : {{ *(.ARM.exidx*) }} > FLASH
    .data : {{ data_start = .; *(.data*) . = ALIGN(4); data_end = .; }} > RAM AT > FLASH
    data_load = LOADADDR(.data);
    .bss (NOLOAD) : {{ bss_start = .; *(.bss*) *(COMMON) . = ALIGN(8); bss_end = .; end = .; }} > RAM
    stack_top = ORIGIN(RAM) + LENGTH(RAM);
    ASSERT(end + 64K <= stack_top, "no room for a stack of 64 KiB in RAM")
}}
"""


@dataclass(frozen=True)
class CortexM:
    """A processor: what LLVM and GCC are told, what runs it, where that machine has memory.

    Attributes:
        triple: that it belongs to.
        features: that it stands for.
        mattr: features for LLVM beyond the processor's name.
        gcc: flags for GCC.
        machine: of QEMU.
        flash, ram: origin and length, as a linker script writes them.
        check: how code finds out whether a processor has what it needs.
        c_table: the table of vector instructions for C source.
        gcc_c: flags for GCC where C source needs others.
    """

    triple: str
    features: tuple[str, ...]
    mattr: tuple[str, ...]
    gcc: tuple[str, ...]
    machine: str
    flash: str
    ram: str
    check: CortexMCheck
    c_table: str = "CORTEX_M_C"
    gcc_c: tuple[str, ...] = ()


_PSRAM = "0x21000000, LENGTH = 16M"

CORTEX_M: dict[str, CortexM] = {
    "cortex-m4": CortexM(
        THUMBV7EM,
        (),
        (),
        ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=soft"),
        "mps2-an386",
        "0x00000400, LENGTH = 4M - 1K",
        _PSRAM,
        M4_CHECK,
    ),
    "cortex-m7": CortexM(
        THUMBV7EM,
        (),
        (),
        ("-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=soft"),
        "mps2-an500",
        "0x00000400, LENGTH = 4M - 1K",
        "0x60000000, LENGTH = 16M",
        M7_CHECK,
    ),
    "cortex-m55": CortexM(
        THUMBV81M,
        ("mve",),
        (),
        ("-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=soft"),
        "mps3-an547",
        "0x60000000, LENGTH = 128M",
        "0x68000000, LENGTH = 128M",
        M55_CHECK,
        "CORTEX_M55_C",
        ("-mcpu=cortex-m55+nofp", "-mthumb", "-mfloat-abi=softfp"),  # integers only, arguments as in `soft`
    ),
}
"""The processors by LLVM's names; the first of a triple is what the triple alone means."""

_TABLES = "qcc.targets.cortex_m_instructions"
"""Where the tables of vector instructions are, each named after its processor: `CORTEX_M4`."""


ACLE = "acle"
"""The feature that stands for C source instead of machine code."""


@dataclass(frozen=True)
class CortexMFamily(TargetFamily):
    """Cortex-M without an operating system."""

    name: str = "cortex-m"
    summary: str = "Cortex-M bare-metal code, libNAME.a; no processor means cortex-m4, for thumbv8.1m cortex-m55"
    triples: tuple[str, ...] = (THUMBV7EM, THUMBV81M)
    features: dict[str, str] = field(
        default_factory=lambda: {
            "mve": "Helium: 128-bit vectors (thumbv8.1m)",
            ACLE: "C source with the intrinsics of <arm_acle.h>, on thumbv8.1m <arm_mve.h> (`--emit c`)",
        }
    )
    cpus: dict[str, tuple[str, ...]] = field(default_factory=lambda: {n: c.features for n, c in CORTEX_M.items()})
    c_feature: str = ACLE

    def cpus_of(self, triple: str) -> tuple[str, ...]:
        """Return the processors whose instructions the triple names."""
        return tuple(name for name, chip in CORTEX_M.items() if chip.triple == triple)

    def target(self, triple: str, features: tuple[str, ...], cpu: str) -> Target:
        """Return the target of a processor, by default the first of the triple."""
        known = self.cpus_of(triple)
        own = (*dict.fromkeys(feature for name in known for feature in CORTEX_M[name].features), ACLE)
        self.refuse(triple, features, own)
        name = cpu or known[0]
        chip = CORTEX_M[name]
        clang_flags = (f"--target={triple}", "-mfloat-abi=soft"), (f"-mcpu={name}",), ("-mcpu=cortex-m0",)
        in_c = ACLE in features
        flags = (in_c and chip.gcc_c) or chip.gcc
        gcc = CrossCompiler("arm-none-eabi-gcc", flags, _BASELINE, _PACKAGES, _LINK_FLAGS, has_libc=True)
        machine_code: tuple[tuple[str, str | int | tuple[str, ...]], ...] = (
            ("kind", "llvm"),
            ("mtriple", triple),
            ("mcpu", name),
            ("mattr", chip.mattr),
            ("mfloat-abi", "soft"),
            ("vector-width", 128),
            ("cl-opt", _LLVM_OPTIONS),
        )
        return Target(
            triple,
            (*chip.features, *((ACLE,) if in_c else ())),
            name,
            family=self.name,
            llvm=(("kind", "c"),) if in_c else machine_code,
            table=f"{_TABLES}:{chip.c_table if in_c else name.upper().replace('-', '_')}",
            machine=name,
            alignment=16,
            link=LinkRecipe(
                compilers=(clang(*clang_flags), gcc),
                linkers=(gcc,),
                sources=("semihosting_files.c", "cortex_m_start.c"),
                script=LINKER_SCRIPT.format(machine=chip.machine, flash=chip.flash, ram=chip.ram),
            ),
            emulator=Emulator(
                "qemu-system-arm", ("-machine", chip.machine), "apt-get install qemu-system-arm", system=True
            ),
            cpu_check=chip.check.of_source() if in_c else chip.check.of_machine_code(),
        )


_BASELINE = ("-mcpu=cortex-m0", "-mthumb", "-mfloat-abi=soft", *NO_LIBRARY_CALLS)
"""Armv6-M, which every Cortex-M runs."""
_LINK_FLAGS = ("-nostartfiles", "--specs=nosys.specs", "-Wl,--no-warn-rwx-segments")

CORTEX_M_FAMILY = register_family(CortexMFamily())

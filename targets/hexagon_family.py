"""The Hexagon targets: Qualcomm's DSP with HVX vectors of 128 bytes, as Linux programs."""

from __future__ import annotations

from dataclasses import dataclass, field

from .cpu_check import CpuCheck
from .cross import Emulator, LinkRecipe, clang, zig
from .registry import register_family
from .target import Target, TargetFamily

HEXAGON = "hexagon-unknown-linux-musl"

HEXAGON_FEATURES: dict[str, str] = {
    f"hvxv{version}": f"HVX of Hexagon V{version}, vectors of 128 bytes" for version in (66, 67, 68, 69, 71, 73)
}
"""The versions of HVX, oldest first; the newest of several counts."""

HEXAGON_CPUS: dict[str, tuple[str, ...]] = {name.replace("hvx", "hexagon"): (name,) for name in HEXAGON_FEATURES}
"""Processors by LLVM's names."""

TABLE = "qcc.targets.hexagon_instructions:HVX_V66"
"""Where the table of vector instructions is; later versions have them all."""


def hexagon_llvm(feature: str) -> tuple[tuple[str, str | tuple[str, ...]], ...]:
    """Return the entries of TVM's target dictionary for a version of HVX.

    The option keeps a pass of LLVM from joining unaligned loads into aligned ones: it reads up to a vector behind the
    last byte for it.
    """
    mattr = (f"+{feature}", "+hvx-length128b")
    cpu = feature.replace("hvxv", "hexagonv")
    return (("kind", "llvm"), ("mtriple", HEXAGON), ("mcpu", cpu), ("mattr", mattr), ("cl-opt", ("-hvc-va:bool=0",)))


EMULATED = 67
"""The version that QEMU 7.2 executes; code for a later one runs where it has no instruction that came later."""
_LIMIT = (
    f"QEMU executes the instructions of Hexagon V{EMULATED}, the code may have some of V{{version}}: "
    f"compile it for +hvxv{EMULATED} to run it here, or run it on the chip"
)

_CHECK = """\
    extern int qcc_hexagon_version(void) __attribute__((weak));
    extern int qurt_sysenv_get_arch_version(unsigned int *) __attribute__((weak)); /* of QuRT, these two */
    extern int qurt_hvx_get_units(void) __attribute__((weak));
    unsigned int version = 0;
    if (qcc_hexagon_version != NULL) {{
        return qcc_hexagon_version() >= {version};
    }}
    if (qurt_sysenv_get_arch_version != NULL && qurt_sysenv_get_arch_version(&version) == 0
        && (version & 0xffu) < 0x{version}u) {{
        return 0;
    }}
    if (qurt_hvx_get_units != NULL && qurt_hvx_get_units() <= 0) {{
        return 0;
    }}
"""

_ANYWHERE = ("-fPIC", "-mlong-calls")
"""Flags for the entry functions: a call reaches 8 MiB, and what is weak and not linked is at address 0."""

_NOTE = """\
Hexagon tells a program
its version by the operating system alone. Define qcc_hexagon_version, and it is asked; else QuRT is, where the
program is linked with it; else, as under Linux, it can't tell, and is {name}_OK."""

_DECLARATIONS = """\
/*
 * Not part of the library. A program may define it: it returns the version of the processor, {version} for a Hexagon
 * V{version}, or 0 where that has no HVX vectors of 128 bytes. This code needs {version}.
 */
int qcc_hexagon_version(void);
"""


def _cpu_check(version: int) -> CpuCheck:
    """Return the check for code of a version of Hexagon; QuRT writes versions in hexadecimal digits."""
    return CpuCheck(_CHECK.format(version=version), note=_NOTE, declarations=_DECLARATIONS.format(version=version))


@dataclass(frozen=True)
class HexagonFamily(TargetFamily):
    """Hexagon with HVX."""

    name: str = "hexagon"
    summary: str = "Hexagon Linux machine code, libNAME.a; no feature means hvxv66"
    triples: tuple[str, ...] = (HEXAGON, "hexagon-linux-musl")
    features: dict[str, str] = field(default_factory=lambda: dict(HEXAGON_FEATURES))
    cpus: dict[str, tuple[str, ...]] = field(default_factory=lambda: dict(HEXAGON_CPUS))

    def target(self, triple: str, features: tuple[str, ...], cpu: str) -> Target:
        """Return the target at the newest version of HVX that is named."""
        self.refuse_beyond_cpu(triple, features, cpu)
        asked = {*features, *HEXAGON_CPUS.get(cpu, ())} or {"hvxv66"}
        feature = [name for name in HEXAGON_FEATURES if name in asked][-1]
        version = feature.removeprefix("hvxv")
        # Clang 14 knows versions up to 69; its code (the entry function, the harness) runs on all later ones.
        flags = (f"--target={HEXAGON}", "-G0")
        chips = (f"-mcpu=hexagonv{min(int(version), 69)}",), ("-mcpu=hexagonv60",)
        zig_flags = ("-target", "hexagon-linux-musl", "-mcpu=hexagonv60")
        link = LinkRecipe(
            compilers=(clang((*flags, *_ANYWHERE), *chips), zig(*zig_flags, *_ANYWHERE)),
            linkers=(clang(flags, *chips), zig(*zig_flags)),
            sources=("linux_files.c",),
            start="hexagon_start.c",
        )
        return Target(
            HEXAGON,
            (feature,),
            cpu,
            family=self.name,
            llvm=hexagon_llvm(feature),
            table=TABLE,
            machine="hexagon",
            alignment=128,
            link=link,
            emulator=Emulator(
                "qemu-hexagon",
                ("-cpu", f"v{EMULATED}"),
                "apt-get install qemu-user",
                unit="packets",
                limit=_LIMIT.format(version=version) if int(version) > EMULATED else "",
            ),
            cpu_check=_cpu_check(int(version)),
        )


HEXAGON_FAMILY = register_family(HexagonFamily())

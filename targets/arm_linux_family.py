"""The ARM Linux targets: AArch64 with NEON, dot product and matrix multiply, and 32-bit ARMv7 with NEON."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass, field
from typing import TypeAlias

from .cpu_check import CpuCheck
from .cross import Emulator, LinkRecipe, clang, gcc, zig
from .registry import register_family
from .target import Target, TargetFamily, host_cpu_flags

AARCH64, ARMV7 = "aarch64-linux-gnu", "armv7-linux-gnueabihf"
_AARCH64_TRIPLES = (AARCH64, "aarch64-unknown-linux-gnu")
_ARMV7_TRIPLES = (ARMV7, "armv7-unknown-linux-gnueabihf")

ARM_FEATURES: dict[str, str] = {
    "neon": "128-bit vectors (smlal, smull); every AArch64 processor has them",
    "dotprod": "sdot, udot (Armv8.2-A, AArch64)",
    "i8mm": "smmla, ummla (Armv8.6-A, AArch64; implies dotprod)",
}
"""The features, weakest first; the strongest of several counts."""

ARM_CPUS: dict[str, tuple[str, ...]] = {
    "cortex-a7": ("neon",),
    "cortex-a9": ("neon",),
    "cortex-a15": ("neon",),
    "cortex-a35": ("neon",),
    "cortex-a53": ("neon",),
    "cortex-a57": ("neon",),
    "cortex-a72": ("neon",),
    "cortex-a73": ("neon",),
    "cortex-a55": ("dotprod",),
    "cortex-a75": ("dotprod",),
    "cortex-a76": ("dotprod",),
    "cortex-a77": ("dotprod",),
    "cortex-a78": ("dotprod",),
    "cortex-x1": ("dotprod",),
    "neoverse-n1": ("dotprod",),
    "neoverse-v1": ("i8mm",),
    "neoverse-n2": ("i8mm",),
    "neoverse-v2": ("i8mm",),
    "cortex-a510": ("i8mm",),
    "cortex-a710": ("i8mm",),
    "cortex-a715": ("i8mm",),
    "cortex-x2": ("i8mm",),
    "cortex-x3": ("i8mm",),
}
"""Processors by LLVM's names, each with its strongest feature."""

ARMV7_CPUS = ("cortex-a7", "cortex-a9", "cortex-a15")
"""Those that have no 64-bit mode."""

_FLAGS = {"neon": ("asimd",), "dotprod": ("asimd", "asimddp"), "i8mm": ("asimd", "asimddp", "i8mm")}
"""What /proc/cpuinfo calls the features of AArch64."""

_HWCAP, _HWCAP2 = 16, 26
"""The words of the auxiliary vector in which Linux tells every process what the processor has (AT_HWCAP, AT_HWCAP2)."""


def _asks_linux(entry: int, bits: int, names: str) -> str:
    """Return the statements that refuse a processor without all `bits` of a word of the auxiliary vector."""
    return (
        "    extern unsigned long getauxval(unsigned long);\n"
        f"    if ((getauxval({entry}) & 0x{bits:x}u) != 0x{bits:x}u) {{ /* {names} */\n"
        "        return 0;\n"
        "    }\n"
    )


_DOTPROD_CHECK = _asks_linux(_HWCAP, 1 << 20, "AT_HWCAP: ASIMDDP")
_CHECKS = {
    "neon": "",
    "dotprod": _DOTPROD_CHECK,
    "i8mm": _DOTPROD_CHECK + _asks_linux(_HWCAP2, 1 << 13, "AT_HWCAP2: I8MM"),
}
"""How the code itself finds out whether a processor has the features of AArch64."""

_ARMV7_CHECK = _asks_linux(_HWCAP, 1 << 12, "AT_HWCAP: NEON")
_VIRTUALIZED_CHECK = _asks_linux(_HWCAP, 1 << 12 | 7 << 16, "AT_HWCAP: NEON, VFPv4, IDIVA, IDIVT")
_ARMV7_CHECKS = {"cortex-a7": _VIRTUALIZED_CHECK, "cortex-a15": _VIRTUALIZED_CHECK}
"""What LLVM uses of processors of ARMv7 beyond NEON: integer division, fused multiply-add."""

_NO_SVE = ("-sve",)
"""LLVM must not use the scalable vectors that a named processor has: the check asks for the feature alone."""

_TABLES: dict[str, str] = {
    "neon": "qcc.targets.arm_instructions:NEON",
    "dotprod": "qcc.targets.arm_instructions:DOTPROD",
    "i8mm": "qcc.targets.arm_instructions:I8MM",
    "armv7": "qcc.targets.arm_instructions:ARMV7_NEON",
}
"""Where the tables of vector instructions are, by feature."""

LlvmTarget: TypeAlias = tuple[tuple[str, str | int | tuple[str, ...]], ...]


def arm_llvm(level: str, cpu: str = "") -> LlvmTarget:
    """Return the entries of TVM's target dictionary for a feature of AArch64, or for `armv7`."""
    levels = list(ARM_FEATURES)
    features: tuple[str, ...] = ("+v7", "+neon", "+thumb2")
    triple = ARMV7
    if level != "armv7":
        features, triple = tuple(f"+{name}" for name in levels[: levels.index(level) + 1]), AARCH64
        features += _NO_SVE if cpu else ()
    entries: LlvmTarget = (("kind", "llvm"), ("mtriple", triple), ("mcpu", cpu or "generic"), ("mattr", features))
    return (*entries, ("mfloat-abi", "hard")) if level == "armv7" else entries


@dataclass(frozen=True)
class ArmLinuxFamily(TargetFamily):
    """ARM Linux, 64 and 32 bits."""

    name: str = "arm-linux"
    summary: str = "ARM Linux machine code, libNAME.a; no feature means neon"
    triples: tuple[str, ...] = (*_AARCH64_TRIPLES, *_ARMV7_TRIPLES)
    features: dict[str, str] = field(default_factory=lambda: dict(ARM_FEATURES))
    cpus: dict[str, tuple[str, ...]] = field(default_factory=lambda: dict(ARM_CPUS))

    def cpus_of(self, triple: str) -> tuple[str, ...]:
        """Return the 64-bit processors, or for ARMv7 the others."""
        return ARMV7_CPUS if triple in _ARMV7_TRIPLES else tuple(c for c in ARM_CPUS if c not in ARMV7_CPUS)

    def target(self, triple: str, features: tuple[str, ...], cpu: str) -> Target:
        """Return the target at the strongest feature that is named; ARMv7 has NEON only."""
        if triple in _ARMV7_TRIPLES:
            self.refuse(triple, features, ("neon",))
            return self._armv7(cpu)
        self.refuse_beyond_cpu(triple, features, cpu)
        asked = {*features, *ARM_CPUS.get(cpu, ("neon",))}
        return self._aarch64([name for name in ARM_FEATURES if name in asked][-1], cpu)

    def _aarch64(self, feature: str, cpu: str) -> Target:
        march = {"neon": "armv8-a", "dotprod": "armv8.2-a+dotprod", "i8mm": "armv8.2-a+dotprod+i8mm"}[feature]
        chips = (f"-march={march}",), ("-march=armv8-a",)
        packages = "apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
        link = LinkRecipe(
            compilers=(
                clang((f"--target={AARCH64}", "-fPIC"), *chips),
                gcc(AARCH64, packages, ("-fPIC",), *chips),
                zig("-target", "aarch64-linux-musl", "-fPIC"),
            ),
            linkers=(gcc(AARCH64, packages, (), *chips), zig("-target", "aarch64-linux-musl")),
            sources=("linux_files.c",),
        )
        return Target(
            AARCH64,
            (feature,),
            cpu,
            family=self.name,
            llvm=arm_llvm(feature, cpu),
            table=_TABLES[feature],
            cpu_flags=_FLAGS[feature],
            machine="aarch64",
            alignment=16,
            link=link,
            emulator=Emulator("qemu-aarch64", ("-cpu", "max"), "apt-get install qemu-user"),
            cpu_check=CpuCheck(_CHECKS[feature]),
        )

    def _armv7(self, cpu: str) -> Target:
        flags = ("-fPIC", "-march=armv7-a", "-mfloat-abi=hard", "-marm")
        chips = ("-mfpu=neon",), ("-mfpu=vfpv3-d16",)
        packages = "apt-get install gcc-arm-linux-gnueabihf libc6-dev-armhf-cross"
        hosted = gcc("arm-linux-gnueabihf", packages, flags, *chips)
        musl = zig("-target", "arm-linux-musleabihf", "-fPIC", "-mcpu=generic+v7a+vfp3d16")
        link = LinkRecipe(
            compilers=(clang((f"--target={ARMV7}", *flags), *chips), hosted, musl),
            linkers=(hosted, musl),
            sources=("linux_files.c",),
        )
        return Target(
            ARMV7,
            ("neon",),
            cpu,
            family=self.name,
            llvm=arm_llvm("armv7", cpu),
            table=_TABLES["armv7"],
            cpu_flags=("neon",),
            machine="armv7l",
            alignment=16,
            link=link,
            emulator=Emulator("qemu-arm", ("-cpu", "max"), "apt-get install qemu-user"),
            cpu_check=CpuCheck(_ARMV7_CHECKS.get(cpu, _ARMV7_CHECK)),
        )

    def native(self) -> Target | None:
        """Return the strongest feature of a 64-bit ARM host under Linux."""
        if platform.machine() != "aarch64" or sys.platform != "linux":
            return None
        found = [name for name, flags in _FLAGS.items() if set(flags) <= host_cpu_flags()]
        return self._aarch64(found[-1], "") if found else None


ARM_LINUX_FAMILY = register_family(ArmLinuxFamily())

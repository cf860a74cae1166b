"""The x86-64 targets: three feature levels, each with its dot-product instruction.

`x86_64-linux-gnu` without a feature means `+avx2`: the weakest level that has vector kernels, and what every x86
server and desktop processor since 2015 (AMD) or 2013 (Intel) runs. For older ones there is the target `c`.
"""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass, field

from .registry import register_family
from .target import Target, TargetFamily, missing_cpu_flags
from .x86_cpu_check import x86_cpu_check

BASELINE = "avx2"
"""The feature level that a triple without features stands for."""

_V3_FLAGS = ("avx2", "fma", "bmi1", "bmi2", "f16c", "movbe", "abm")
_V4_FLAGS = (*_V3_FLAGS, "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")


@dataclass(frozen=True)
class X86Level:
    """A feature level: what LLVM is told and what the processor must have.

    Attributes:
        name: the feature in a target text.
        summary: one line.
        cpu: LLVM's name of the baseline, which implies its features.
        mattr: features beyond the baseline, as LLVM writes them.
        cpu_flags: all that is needed, as /proc/cpuinfo names it.
        table: where the table of vector instructions is.
    """

    name: str
    summary: str
    cpu: str
    mattr: tuple[str, ...]
    cpu_flags: tuple[str, ...]
    table: str

    def llvm(self) -> tuple[tuple[str, str | tuple[str, ...]], ...]:
        """Return the entries of TVM's target dictionary."""
        return (("kind", "llvm"), ("mtriple", "x86_64-linux-gnu"), ("mcpu", self.cpu), ("mattr", self.mattr))


_TABLES = "qcc.targets.x86_instructions"
X86_FEATURE_LEVELS: dict[str, X86Level] = {
    level.name: level
    for level in (
        X86Level(
            "avx2",
            "256-bit vectors, exact vpmaddwd kernels",
            "x86-64-v3",
            (),
            _V3_FLAGS,
            f"{_TABLES}:AVX2",
        ),
        X86Level(
            "avx-vnni",
            "256-bit vpdpbusd (implies avx2)",
            "x86-64-v3",
            ("+avxvnni",),
            (*_V3_FLAGS, "avx_vnni"),
            f"{_TABLES}:AVX_VNNI",
        ),
        X86Level(
            "avx512-vnni",
            "512-bit vpdpbusd (implies avx2 and AVX-512 F, BW, CD, DQ, VL)",
            "x86-64-v4",
            ("+avx512vnni",),
            (*_V4_FLAGS, "avx512_vnni"),
            f"{_TABLES}:AVX512_VNNI",
        ),
    )
}
"""The feature levels by name, weakest first; of several the last counts."""

_CPUS: dict[str, tuple[str, ...]] = {
    "haswell": ("avx2",),
    "skylake": ("avx2",),
    "znver1": ("avx2",),
    "znver2": ("avx2",),
    "znver3": ("avx2",),
    "alderlake": ("avx2", "avx-vnni"),
    "raptorlake": ("avx2", "avx-vnni"),
    "cascadelake": ("avx2", "avx512-vnni"),
    "icelake-server": ("avx2", "avx512-vnni"),
    "sapphirerapids": ("avx2", "avx-vnni", "avx512-vnni"),
    "znver4": ("avx2", "avx512-vnni"),
    "znver5": ("avx2", "avx-vnni", "avx512-vnni"),
}
"""Processors by LLVM's names, each with its feature levels, weakest first; it stands for the strongest."""


@dataclass(frozen=True)
class X86Family(TargetFamily):
    """x86-64 Linux."""

    name: str = "x86"
    summary: str = "x86-64 Linux machine code: libNAME.a and libNAME.so; no feature means avx2"
    triples: tuple[str, ...] = ("x86_64-linux-gnu", "x86_64-unknown-linux-gnu", "x86_64-pc-linux-gnu")
    features: dict[str, str] = field(default_factory=lambda: {n: v.summary for n, v in X86_FEATURE_LEVELS.items()})
    cpus: dict[str, tuple[str, ...]] = field(default_factory=lambda: dict(_CPUS))

    def target(self, triple: str, features: tuple[str, ...], cpu: str) -> Target:
        """Return the target at the strongest of the levels that features and cpu name."""
        self.refuse_beyond_cpu(triple, features, cpu)
        asked = features or _CPUS.get(cpu, (BASELINE,))[-1:]
        ordered = [level for name, level in X86_FEATURE_LEVELS.items() if name in asked]
        best = ordered[-1]
        flags = tuple(dict.fromkeys(flag for level in ordered for flag in level.cpu_flags))
        return Target(
            self.triples[0],
            tuple(level.name for level in ordered),
            cpu,
            family=self.name,
            llvm=best.llvm(),
            table=best.table,
            cpu_flags=flags,
            machine="x86_64",
            alignment=64,
            baseline=("-march=x86-64",),
            cpu_check=x86_cpu_check(flags),
        )

    def cpu_has(self, cpu: str, feature: str) -> bool:
        """Return whether a processor has a level; the stronger of two does not imply the other one."""
        return feature in _CPUS[cpu]

    def native(self) -> Target | None:
        """Return the strongest level that the host's processor has."""
        if platform.machine() != "x86_64" or sys.platform != "linux":
            return None
        found = [level for level in X86_FEATURE_LEVELS.values() if not missing_cpu_flags(level.cpu_flags)]
        return self.target(self.triples[0], (found[-1].name,), "") if found else None


X86_FAMILY = register_family(X86Family())

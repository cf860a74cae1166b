"""The Hexagon targets: Qualcomm's DSP with HVX vectors of 128 bytes, as Linux programs."""

from __future__ import annotations

from dataclasses import dataclass, field

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
        flags = (f"--target={HEXAGON}", f"-mcpu=hexagonv{min(int(version), 69)}", "-G0")
        link = LinkRecipe(
            compilers=(clang(*flags, "-fPIC"), zig("-target", "hexagon-linux-musl", "-fPIC")),
            linkers=(clang(*flags), zig("-target", "hexagon-linux-musl")),
            sources=("linux_files.c", "hexagon_start.c"),
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
            emulator=Emulator("qemu-hexagon", ("-cpu", "v67"), "apt-get install qemu-user", unit="packets"),
        )


HEXAGON_FAMILY = register_family(HexagonFamily())

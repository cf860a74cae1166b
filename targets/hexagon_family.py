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

_TABLES: dict[str, str] = {}
"""Where the table of vector instructions of a version is; without one the scalar nests do all."""


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
        mattr = (f"+{feature}", "+hvx-length128b")
        return Target(
            HEXAGON,
            (feature,),
            cpu,
            family=self.name,
            llvm=(("kind", "llvm"), ("mtriple", HEXAGON), ("mcpu", f"hexagonv{version}"), ("mattr", mattr)),
            table=_TABLES.get(feature, ""),
            machine="hexagon",
            alignment=128,
            link=link,
            emulator=Emulator("qemu-hexagon", ("-cpu", "v67"), "apt-get install qemu-user", unit="packets"),
        )


HEXAGON_FAMILY = register_family(HexagonFamily())

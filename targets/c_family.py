"""The target `c`: portable C99, one source file, scalar kernels."""

from __future__ import annotations

from dataclasses import dataclass

from .registry import register_family
from .target import Target, TargetFamily


@dataclass(frozen=True)
class CFamily(TargetFamily):
    """C source that any C99 compiler takes."""

    name: str = "c"
    summary: str = "portable C99 source, one file, for any C compiler"
    triples: tuple[str, ...] = ("c",)

    def target(self, triple: str, features: tuple[str, ...], cpu: str) -> Target:
        """Return the only target of the family."""
        return Target(triple, features, cpu, family=self.name, llvm=(("kind", "c"),), alignment=16)


C_FAMILY = register_family(CFamily())

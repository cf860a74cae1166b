"""The pass `insert-rescale`: chooses the integer arithmetic that realizes quantized operations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from qcc.ir import Module, PassError, Stage, drop_dead

from .base import Pass, PassContext
from .realization import Realizer
from .registry import register_pass

PROFILES = ("single",)


@register_pass
@dataclass(frozen=True)
class InsertRescale(Pass):
    """Turn operations on quantized values into integer operations with explicit rescales and tables.

    Options:
        profile: the arithmetic profile; `single` rounds every result once, ties toward +∞. None takes the profile of
            the target's hardware specification.
    """

    name: ClassVar[str] = "insert-rescale"
    accepts: ClassVar[frozenset[Stage]] = frozenset({Stage.QUANTIZED})
    produces: ClassVar[Stage] = Stage.INTEGER
    profile: str | None = None

    def run(self, module: Module, context: PassContext) -> Module:
        """Return the integer module."""
        profile = context.hardware.profile if self.profile is None else self.profile
        if profile not in PROFILES:
            raise PassError(f"there is no arithmetic profile {profile!r}", help="one of: " + ", ".join(PROFILES))
        return drop_dead(Realizer(module, context.hardware, self.name).run())

"""Which target families there are: those of qcc, and those of installed packages (entry points `qcc.targets`)."""

from __future__ import annotations

from functools import cache

from qcc.ir import TargetError
from qcc.passes import loaded_entry_points

from .target import TargetFamily

ENTRY_POINTS = "qcc.targets"

_FAMILIES: dict[str, TargetFamily] = {}


def register_family(family: TargetFamily) -> TargetFamily:
    """Make a family known to `Target.parse` and to `qcc targets`; its name and triples must be free."""
    for known in _FAMILIES.values():
        shared = set(known.triples) & set(family.triples)
        if known.name == family.name and type(known) is not type(family):
            raise TargetError(f"two target families are named {family.name!r}", help="give yours another name")
        if shared and known.name != family.name:
            triples = ", ".join(sorted(shared))
            message = f"target family {family.name!r} claims {triples}, which belongs to {known.name!r}"
            raise TargetError(message, help="give your family triples of its own")
    _FAMILIES[family.name] = family
    return family


def families() -> dict[str, TargetFamily]:
    """Return all target families by name, those of installed packages included."""
    load_entry_points()
    return dict(_FAMILIES)


def family_of(triple: str) -> TargetFamily | None:
    """Return the family that a triple belongs to."""
    return next((family for family in families().values() if triple in family.triples), None)


@cache
def load_entry_points() -> None:
    """Import the modules that installed packages name in the entry point group `qcc.targets`."""
    for _ in loaded_entry_points(ENTRY_POINTS, "targets", TargetError):
        pass  # a module registers its families while it is loaded

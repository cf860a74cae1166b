"""Which target families there are: those of qcc, and those of installed packages (entry points `qcc.targets`)."""

from __future__ import annotations

from functools import cache

from qcc.ir import TargetError

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
            raise TargetError(f"target family {family.name!r} claims {triples}, which belongs to {known.name!r}")
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
    from importlib.metadata import entry_points

    for entry in entry_points(group=ENTRY_POINTS):
        package = entry.dist.name if entry.dist is not None else entry.value
        try:
            entry.load()
        except (ImportError, AttributeError, SyntaxError) as error:
            message = f"the targets of package {package!r} can't be loaded: {error}"
            raise TargetError(message, place=entry.value, help=f"update or uninstall {package}") from error

"""The importers of a format: each module of its package `ops` that has a table adds to them."""

from __future__ import annotations

import difflib
import pkgutil
from collections.abc import Collection, Iterable
from functools import lru_cache
from importlib import import_module
from typing import Any


def importer_table(package: str, path: Iterable[str], table: str = "IMPORTERS") -> dict[str, Any]:
    """Return the importers by operation that the modules of a package hold in `table`, modules in alphabetical order.

    Args:
        package: its `__name__`.
        path: its `__path__`.
    """
    names = sorted(module.name for module in pkgutil.iter_modules(path))
    modules = [import_module(f"{package}.{name}") for name in names]
    return {name: importer for m in modules for name, importer in getattr(m, table, {}).items()}


def no_importer(name: str, note: str, known: Collection[str]) -> str:
    """Return why an operation is not imported: its note where there is one, else that nothing imports it."""
    if note:
        return note
    close = _closest(name, tuple(known))
    suggestion = f"; did you mean {close!r}?" if close else ""
    return f"there is no importer for this operation{suggestion}"


@lru_cache
def _closest(name: str, known: tuple[str, ...]) -> str:
    """Return the known name that is most like `name`, or an empty string."""
    return next(iter(difflib.get_close_matches(name, known, n=1)), "")

"""The program that runs a foreign model, with more C source in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from qcc.targets.emulation import EmulatedModel


def linked_with(model: EmulatedModel, source: str, folder: Path, *flags: str) -> EmulatedModel:
    """Return the model in a program that holds a C file too; `model` holds its files and must live as long."""
    assert model.target.link is not None
    (folder / "more.c").write_text(source)
    more = (str(folder / "more.c"), *flags)
    linkers = tuple(replace(c, link_flags=(*c.link_flags, *more)) for c in model.target.link.linkers)
    return replace(model, target=replace(model.target, link=replace(model.target.link, linkers=linkers)))

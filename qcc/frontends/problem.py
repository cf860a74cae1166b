"""What can't be imported: collected over the whole model, reported in one error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qcc.ir import FrontendError


class Unsupported(FrontendError):
    """One reason why one node can't be imported; the importer collects them."""


@dataclass(frozen=True)
class Problem:
    """A part of the model that can't be imported.

    Attributes:
        place: `Conv 'layer1/conv'`, `tensor 'w'`.
        reason: a sentence without a full stop.
    """

    place: str
    reason: str


#: What to do about parts of a model that can't be imported, where nothing better is known.
CHANGE_THE_MODEL = "change these in the model, or export it without them"


def raise_problems(problems: Sequence[Problem], file: str, help: str = CHANGE_THE_MODEL) -> None:
    """Raise one FrontendError that lists all problems; nothing where there are none."""
    if not problems:
        return
    lines = [f"  {p.place}: {p.reason}" for p in dict.fromkeys(problems)]
    count = f"{len(lines)} parts of the model" if len(lines) > 1 else "a part of the model"
    raise FrontendError(
        "\n".join([f"{count} can't be imported", *lines]),
        place=file,
        help=help,
    )

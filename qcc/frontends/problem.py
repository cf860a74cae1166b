"""What can't be imported: collected over the whole model, reported in one error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qcc.ir import EvaluationError, FrontendError, IrError, QccError


class Unsupported(FrontendError):
    """One reason why one node can't be imported; the importer collects them."""


#: What an importer may raise: what it can't import, and what it meets in a node whose parts make no sense.
IMPORT_ERRORS = (
    Unsupported,
    IrError,
    EvaluationError,
    ArithmeticError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
)


def failure_reason(error: Exception) -> str:
    """Return why a node can't be imported, of one of `IMPORT_ERRORS`."""
    return error.message if isinstance(error, QccError) else f"is malformed: {str(error) or type(error).__name__}"


@dataclass(frozen=True)
class Problem:
    """A part of the model that can't be imported.

    Attributes:
        place: `Conv 'layer1/conv'`, `tensor 'w'`.
        reason: a sentence without a full stop.
    """

    place: str
    reason: str


#: How many problems one error lists.
LISTED = 100

#: What to do about parts of a model that can't be imported, where nothing better is known.
CHANGE_THE_MODEL = "change these in the model, or export it without them"


def raise_problems(problems: Sequence[Problem], file: str, help: str = CHANGE_THE_MODEL) -> None:
    """Raise one FrontendError that lists the problems, the first `LISTED` of many; nothing where there are none."""
    if not problems:
        return
    distinct = list(dict.fromkeys(problems))
    count = f"{len(distinct)} parts of the model" if len(distinct) > 1 else "a part of the model"
    lines = [f"  {p.place}: {p.reason}" for p in distinct[:LISTED]]
    lines += [f"  … and {len(distinct) - LISTED} more"] if len(distinct) > LISTED else []
    raise FrontendError(
        "\n".join([f"{count} can't be imported", *lines]),
        place=file,
        help=help,
    )

"""Problems of ONNX models: what to do about them."""

from __future__ import annotations

from collections.abc import Sequence

from ..problem import CHANGE_THE_MODEL, IMPORT_ERRORS, Problem, Unsupported, failure_reason
from ..problem import raise_problems as raise_all

__all__ = ["IMPORT_ERRORS", "Problem", "Unsupported", "failure_reason", "raise_problems"]

_HELP = f"{CHANGE_THE_MODEL} (most exporters have options for constant folding, opset version and inference mode)"


def raise_problems(problems: Sequence[Problem], file: str) -> None:
    """Raise one FrontendError that lists all problems; nothing where there are none."""
    raise_all(problems, file, _HELP)

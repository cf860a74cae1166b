"""The one exception tree of qcc: every error that a user can reach says what, where and what to do next."""

from __future__ import annotations


class QccError(Exception):
    """Base of every error that qcc raises on purpose.

    Args:
        message: what is wrong, one sentence.
        place: where: a file, a node of the model, a line of text.
        op: the operation concerned, as IR text.
        help: the next action: the flag to give, the nearest name, the thing to change.
    """

    def __init__(self, message: str, *, place: str = "", op: str = "", help: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.place = place
        self.op = op
        self.help = help

    def __str__(self) -> str:
        lines = [f"{self.place}: {self.message}" if self.place else self.message]
        if self.op:
            lines.append(f"  in: {self.op}")
        if self.help:
            lines.append(f"  help: {self.help}")
        return "\n".join(lines)


class IrError(QccError):
    """An operation, type or module that is not well formed."""


class VerifyError(IrError):
    """A module that breaks the rules of its stage.

    Attributes:
        subject: the operation, input or output that breaks them, where it is one.
    """

    subject: object | None = None


class ParseError(IrError):
    """Text that is not valid `.qir`."""


class EvaluationError(QccError):
    """A module that can't be run on the values given."""


class FrontendError(QccError):
    """A model file that can't be read or holds what qcc can't compile."""


class PassError(QccError):
    """A pass, its options or a pipeline text that can't be used as asked."""


class CalibrationError(QccError):
    """Calibration or input data that can't be used."""


class TargetError(QccError):
    """An unknown target or feature, or a module that the target can't run."""


class ToolError(QccError):
    """A tool of the machine (C compiler, emulator) that is missing or failed."""


class ArtifactError(QccError):
    """A folder that is not an artifact, or can't be written."""


class UsageError(QccError):
    """A command line or an API call that makes no sense."""


#: Names that a help sentence lists.
LISTED = 200


def nearest(name: str, candidates: list[str]) -> str:
    """Return a help sentence that names the candidate closest to `name`, or lists them, at most 200."""
    import difflib

    close = difflib.get_close_matches(name, candidates, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    names = sorted(set(candidates))
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return "one of: " + ", ".join(names[:LISTED]) + more if names else "there is none"

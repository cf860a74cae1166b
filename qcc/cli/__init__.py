"""The command line: `qcc COMMAND …`. Exit status 0, 1 (a check failed) or 2 (usage or bad input)."""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Sequence

from .arguments import make_parser
from .interruption import Interruption

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status; errors of the user's making go to standard error."""
    _prepare_streams()
    interruption = Interruption()
    try:
        try:
            with interruption.awaited():
                return _run(argv, interruption)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except BaseException:
        if not interruption.received:
            raise
        print(f"qcc: {interruption}", file=sys.stderr)
        return interruption.status


def _show_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    """Tell a defect of a model file; warnings of libraries are nothing that a user can act on."""
    from qcc.frontends import FrontendWarning

    if issubclass(category, FrontendWarning):
        _tell(f"qcc: warning: {message}")


def _tell(message: str) -> None:
    """Print a message on standard error; names out of model files can't send control characters to the terminal."""
    from qcc.ir import printable

    print(printable(message), file=sys.stderr)


def _prepare_streams() -> None:
    """Let output go nowhere where a stream is closed, and let no letter fail where its encoding lacks it."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _run(argv: Sequence[str] | None, interruption: Interruption) -> int:
    arguments = make_parser().parse_args(argv)
    from qcc.ir import QccError  # here, so that --help does not wait for numpy

    try:
        command = importlib.import_module(f"qcc.cli.{arguments.command_module}")
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            status: int = command.run(arguments)
        return status
    except QccError as error:
        if interruption.received:  # what was interrupted says that it failed
            raise
        _tell(f"qcc: error: {error}")
        return 2
    except BrokenPipeError:
        raise
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        help = "check that the path exists, can be used, and its disk has room"
        _tell(f"qcc: error: {where}{error.strerror or error}\n  help: {help}")
        return 2

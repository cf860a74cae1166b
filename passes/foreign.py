"""Code of others: what it raises becomes an error of qcc that says where."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import Any

from qcc.ir import QccError


@contextmanager
def foreign_code(as_error: Callable[[BaseException], QccError]) -> Iterator[None]:
    """Run code that anybody may have written; what it raises beside a QccError becomes `as_error(exception)`."""
    try:
        yield
    except QccError:
        raise
    # The broad clause is right here: a pass, a plug-in or a file of the user can raise anything, and whoever runs the
    # compiler needs its name and a way on, not a traceback; the cause stays attached.
    except (Exception, SystemExit) as error:
        raise as_error(error) from error


def loaded_entry_points(group: str, what: str, error_class: type[QccError]) -> Iterator[tuple[str, Any]]:
    """Yield name and object of what installed packages bring by the entry points of `group`, loaded.

    Args:
        group: of the entry points.
        what: what they bring, for messages: "passes".
        error_class: of the error that names the package of one that can't be loaded.
    """
    for entry in metadata.entry_points(group=group):
        package = entry.dist.name if entry.dist is not None else entry.value

        def as_error(error: BaseException, value: str = entry.value, package: str = package) -> QccError:
            message = f"the {what} of package {package!r} can't be loaded: {sentence(error)}"
            return error_class(message, place=value, help=f"update or uninstall {package}")

        with foreign_code(as_error):
            loaded = entry.load()
        yield entry.name, loaded


def raised_at(error: BaseException) -> str:
    """Return `file:line` of the innermost frame of an exception, or an empty string."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""


def sentence(error: BaseException) -> str:
    """Return type and message of an exception on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__

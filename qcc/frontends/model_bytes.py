"""The bytes of a model file, or the error that says why they can't be read."""

from __future__ import annotations

from pathlib import Path

from qcc.ir import FrontendError


def read_bytes(path: Path, count: int = -1, limit: int | None = None) -> bytes:
    """Return the first `count` bytes of a file, all where that is negative.

    Raises:
        FrontendError: the file can't be read, or has more than `limit` bytes.
    """
    try:
        size = path.stat().st_size
        if limit is not None and size > limit:
            raise FrontendError(f"has {size} bytes, {limit} are the limit", place=str(path))
        with path.open("rb") as file:
            return file.read(count)
    except OSError as error:
        reason = error.strerror or str(error)
        help = "give the path of a model file"
        raise FrontendError(f"can't be read: {reason}", place=str(path), help=help) from error

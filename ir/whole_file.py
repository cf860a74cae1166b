"""Files that are whole or not there: written beside, then renamed."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from .errors import ArtifactError


def write_whole(path: str | Path, data: bytes) -> None:
    """Write `data` to a file: all of it, or nothing, and then what was there stays.

    A symbolic link stays, and what it names is written. A device or a pipe takes the bytes as they are.

    Raises:
        ArtifactError: the file can't be written.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)
        else:
            _replace(path.resolve() if path.is_symlink() else path, data)
    except OSError as error:
        help = "check that the folder exists, can be written and has space"
        raise ArtifactError(f"can't be written: {error.strerror or error}", place=str(path), help=help) from error


def _replace(path: Path, data: bytes) -> None:
    """Write a file beside `path` and give it that name, with the permissions that a new or the old file has."""
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o666 & ~_umask()
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        part.chmod(mode)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

"""Modules in files: `.qir` text, with the large constants in it or in an `.npz` archive beside it."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from .errors import ArtifactError, ParseError, UsageError
from .module import Module
from .parser import parse_module
from .printer import Printer, Resources
from .types import Array
from .whole_file import write_whole


def save_module(path: str | Path, module: Module, beside: bool = False) -> None:
    """Write a module so that `load_module` reads an equal one.

    Each file is written whole or not at all: a full disk leaves the old ones as they were.

    Args:
        path: of the `.qir` file.
        beside: put large constants into `NAME.npz` beside it; otherwise they are in the text, in base64.

    Raises:
        ArtifactError: the file can't be written, or `NAME.npz` is there and is not this module's.
    """
    path = Path(path)
    printer = Printer(Resources.BESIDE if beside else Resources.INLINE)
    text = printer.module(module).encode("utf-8")
    if beside and printer.blobs:
        archive = path.with_suffix(".npz")
        if archive.exists() and not path.exists():
            help = "move it away, or give another name"
            raise ArtifactError("there is a file of that name that is not a module's", place=str(archive), help=help)
        write_whole(archive, _archive_bytes(printer.blobs))
    write_whole(path, text)


def load_module(path: str | Path) -> Module:
    """Read and verify a module; constants beside the text come from `NAME.npz`.

    Raises:
        UsageError: the file can't be read.
        ParseError, VerifyError: it is not valid `.qir` text.
    """
    path = Path(path)
    beside = path.with_suffix(".npz")
    try:
        data = path.read_bytes()
        blobs = _read_archive(beside) if beside.is_file() and b"dense_resource<" in data else {}
    except OSError as error:
        raise UsageError(f"can't read {path}: {error.strerror or error}", help="check the path") from error
    return parse_bytes(data, blobs, str(path))


def parse_bytes(data: bytes, blobs: Mapping[str, Array] | None = None, file: str = "<text>") -> Module:
    """Return the verified module whose text, in UTF-8, `data` is; as `parse_module`."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        help = "a .qir file is text: see `qcc import` for model files"
        raise ParseError(f"this is not UTF-8 text: byte {error.start}", place=file, help=help) from error
    return parse_module(text, blobs, file)


def _archive_bytes(arrays: Mapping[str, Array]) -> bytes:
    """Return arrays as NumPy's `.npz`; the same arrays give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(name + ".npy")  # dated 1980, whatever the clock says
            with archive.open(entry, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    return buffer.getvalue()


def _read_archive(path: Path) -> dict[str, Array]:
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("it is no zip file")
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ParseError(f"not an .npz archive: {error}", place=str(path), help="save the module again") from error

"""Modules in files: `.qir` text, with the large constants in it or in an `.npz` archive beside it."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np

from .errors import ArtifactError, ParseError, UsageError
from .module import Module
from .parser import parse_module
from .printer import Printer, Resources
from .types import Array


def save_module(path: str | Path, module: Module, beside: bool = False) -> None:
    """Write a module so that `load_module` reads an equal one.

    Both files are written under other names first, then renamed: a full disk leaves the old ones as they were.

    Args:
        path: of the `.qir` file.
        beside: put large constants into `NAME.npz` beside it; otherwise they are in the text, in base64.

    Raises:
        ArtifactError: the file can't be written.
    """
    path = Path(path)
    printer = Printer(Resources.BESIDE if beside else Resources.INLINE)
    text = printer.module(module).encode("utf-8")
    blobs = printer.blobs if beside else {}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    archive = temporary.with_suffix(".npz")
    try:
        temporary.write_bytes(text)
        if blobs:
            with archive.open("wb") as file:
                _write_archive(file, blobs)
            archive.replace(path.with_suffix(".npz"))
        temporary.replace(path)
    except OSError as error:
        for left in (temporary, archive):
            left.unlink(missing_ok=True)
        help = "check that the folder exists, can be written and has space"
        raise ArtifactError(f"can't write {path}: {error.strerror or error}", place=str(path), help=help) from error


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


def _write_archive(file: IO[bytes], arrays: Mapping[str, Array]) -> None:
    """Write arrays as NumPy's `.npz`; the same arrays give the same bytes."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(name + ".npy")  # dated 1980, whatever the clock says
            with archive.open(entry, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _read_archive(path: Path) -> dict[str, Array]:
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("it is no zip file")
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ParseError(f"not an .npz archive: {error}", place=str(path), help="save the module again") from error

"""Artifacts on disk: written beside and renamed, so that a folder is whole or not there."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qcc.ir import ArtifactError

from .integrity import check_files, check_header

FORMAT = "qcc-artifact-1"
"""Says in a manifest that a folder is an artifact, and of which form."""
MANIFEST_FILE = "manifest.json"
LONGEST_NAME = 200
"""Bytes of the name of a folder or a module: file systems take it with what files and temporary folders add to it."""
MANIFEST_FIELDS: dict[str, type | tuple[type, ...]] = {
    "name": str,
    "target": str,
    "machine": str,
    "cpu_flags": list,
    "inputs": list,
    "outputs": list,
    "arena_bytes": int,
    "arena_alignment": int,
    "weight_bytes": int,
    "code_bytes": (int, type(None)),
    "attributes": dict,
    "files": dict,
}
"""What a manifest must say for the artifact to be used, and of which types."""


def save(files: Mapping[str, bytes], folder: str | Path) -> Path:
    """Write an artifact's files to `folder`, which must be absent, empty, or an artifact, which is replaced.

    Everything is written to a folder beside it first, and then renamed. Files in an old artifact that are not of the
    artifact stay. An ArtifactError says why it could not be done; then the old folder is as it was, and nothing new
    remains.
    """
    folder = Path(folder).absolute()
    folder = folder.resolve() if folder.is_symlink() else folder
    kept = _foreign_files(folder)
    new = folder.parent / f".{folder.name}.new-{os.getpid()}"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        new.mkdir()
        for name, data in files.items():
            _write(new / name, data)
        for name in kept:
            (shutil.copytree if (folder / name).is_dir() else shutil.copy2)(folder / name, new / name)
        _put_in_place(new, folder)
    except (OSError, shutil.Error) as error:
        raise ArtifactError(
            f"the artifact can't be written: {getattr(error, 'strerror', None) or error}",
            place=str(folder),
            help="give a folder that can be written, on a disk with room; nothing half-written remains",
        ) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return folder


def check_destination(folder: str | Path) -> None:
    """Raise the ArtifactError that `save` would, before long work: something else is there, or it can't be written."""
    folder = Path(folder).absolute()
    if len(folder.name.encode()) > LONGEST_NAME:
        message = f"the folder's name has {len(folder.name)} characters, {LONGEST_NAME} is the most"
        raise ArtifactError(message, place=f"{folder.name[:20]}…", help="give a shorter one")
    _foreign_files(folder)
    parent = next(p for p in folder.parents if os.path.lexists(p))
    try:
        Path(tempfile.mkdtemp(dir=parent)).rmdir()
    except OSError as error:
        message = f"the artifact can't be written: {error.strerror}"
        raise ArtifactError(message, place=str(folder), help="give a folder that can be written") from error


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """Return the manifest of an artifact.

    An ArtifactError says if the folder is none, the manifest is not whole, a file is missing or not what was compiled
    (size and SHA-256), or the header says something else.
    """
    manifest = _any_manifest(folder)
    wrong = [k for k, kind in MANIFEST_FIELDS.items() if k not in manifest or not isinstance(manifest[k], kind)]
    if wrong:
        message = f"{MANIFEST_FILE} is not whole: {', '.join(wrong)}"
        raise ArtifactError(message, place=str(folder), help="compile the model again")
    check_files(Path(folder), manifest["files"])
    check_header(Path(folder), manifest)
    return manifest


def _any_manifest(folder: str | Path) -> dict[str, Any]:
    """Return the manifest of an artifact, whole or not."""
    path = Path(folder) / MANIFEST_FILE
    help = "give the folder that `qcc compile -o` wrote"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ArtifactError(f"there is no {MANIFEST_FILE} in it", place=str(folder), help=help) from error
    except OSError as error:
        raise ArtifactError(f"{MANIFEST_FILE} can't be read: {error.strerror}", place=str(folder), help=help) from error
    except ValueError as error:
        raise ArtifactError(f"{MANIFEST_FILE} is not JSON: {error}", place=str(folder), help=help) from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        found = manifest.get("format") if isinstance(manifest, dict) else None
        message = f"{MANIFEST_FILE} has format {found!r}, not {FORMAT!r}"
        raise ArtifactError(message, place=str(folder), help="compile the model again")
    return manifest


def _foreign_files(folder: Path) -> list[str]:
    """Return what an artifact's folder holds beside the artifact.

    Raises an ArtifactError if `folder` is something other than absent, empty or an artifact.
    """
    if not os.path.lexists(folder):
        return []
    if not folder.is_dir():
        raise ArtifactError("there is a file of that name", place=str(folder), help="give another folder")
    try:
        names = sorted(path.name for path in folder.iterdir())
        own = _any_manifest(folder).get("files") if names else {}
        listed = {MANIFEST_FILE, *own} if isinstance(own, dict) else {MANIFEST_FILE}
        return [name for name in names if name not in listed]
    except OSError as error:
        message = f"the folder can't be read: {error.strerror}"
        raise ArtifactError(message, place=str(folder), help="give another folder") from error
    except ArtifactError as error:
        message = "the folder holds something that is not an artifact"
        raise ArtifactError(message, place=str(folder), help="empty it, or give another folder") from error


def _write(path: Path, data: bytes) -> None:
    """Write a file and wait until it is on disk: a disk that is full says so here."""
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _put_in_place(new: Path, folder: Path) -> None:
    """Rename `new` to `folder`; what is there goes aside first and comes back if that fails."""
    if not folder.exists():
        new.rename(folder)
        return
    aside = folder.parent / f".{folder.name}.old-{os.getpid()}"
    folder.rename(aside)
    try:
        new.rename(folder)
    except OSError:
        aside.rename(folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)

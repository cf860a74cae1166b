"""Artifacts on disk: whole or not there."""

import errno
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from qcc.ir import ArtifactError
from qcc.targets.emission import read_manifest, save

FILES = {"a.h": b"header", "manifest.json": b'{"format": "qcc-artifact-1", "files": {"a.h": {}}}'}


def entries(folder: Path) -> list[str]:
    """Return all names in a folder, hidden ones included."""
    return sorted(path.name for path in folder.iterdir())


def test_a_new_folder(tmp_path: Path) -> None:
    assert save(FILES, tmp_path / "deep" / "out") == tmp_path / "deep" / "out"
    assert (tmp_path / "deep" / "out" / "a.h").read_bytes() == b"header"
    assert entries(tmp_path / "deep") == ["out"]
    assert (tmp_path / "deep" / "out" / "manifest.json").read_bytes() == FILES["manifest.json"]


def test_an_empty_folder_and_an_old_artifact_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    save(FILES, tmp_path / "out")
    (tmp_path / "out" / "results.npz").write_bytes(b"mine")
    (tmp_path / "out" / "notes").mkdir()
    (tmp_path / "out" / "notes" / "today").write_text("mine too")
    manifest = b'{"format": "qcc-artifact-1", "files": {"b.h": {}}}'
    save({"b.h": b"new", "manifest.json": manifest}, tmp_path / "out")
    assert entries(tmp_path / "out") == ["b.h", "manifest.json", "notes", "results.npz"]
    assert (tmp_path / "out" / "notes" / "today").read_text() == "mine too"
    assert entries(tmp_path) == ["out"]


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    save(FILES, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert entries(tmp_path / "real") == ["a.h", "manifest.json"]


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    with pytest.raises(ArtifactError, match="not an artifact"):
        save(FILES, tmp_path / "out")
    assert entries(tmp_path / "out") == ["thesis.tex"]


def test_a_foreign_manifest_is_no_artifact(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"name": "web extension"}')
    with pytest.raises(ArtifactError, match="not an artifact"):
        save(FILES, tmp_path)
    assert entries(tmp_path) == ["manifest.json"]


def test_a_file_of_that_name(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(ArtifactError, match="a file of that name"):
        save(FILES, tmp_path / "out")
    with pytest.raises(ArtifactError, match="can't be written"):
        save(FILES, tmp_path / "out" / "below")
    assert (tmp_path / "out").read_text() == "a file"


@pytest.mark.parametrize("existing", [False, True])
def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, existing: bool) -> None:
    if existing:
        save({**FILES, "old": b"1"}, tmp_path / "out")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ArtifactError, match="No space left on device"):
        save(FILES, tmp_path / "out")
    assert entries(tmp_path) == (["out"] if existing else [])
    assert not existing or (tmp_path / "out" / "old").read_bytes() == b"1"


_LIMITED = """
import resource, signal, sys
from pathlib import Path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
from qcc.ir import ArtifactError
from qcc.targets.emission import save
try:
    save({"small": b"1", "large": b"x" * 100000}, Path(sys.argv[1]) / "out")
except ArtifactError as error:
    print(error.message)
"""


def test_a_file_size_limit_leaves_nothing_behind(tmp_path: Path) -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-B", "-c", _LIMITED, str(tmp_path)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "the artifact can't be written: File too large"
    assert entries(tmp_path) == []


def test_the_old_artifact_comes_back_if_the_new_one_can_not_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save({**FILES, "old": b"1"}, tmp_path / "out")
    rename = Path.rename

    def refuse(path: Path, target: Path) -> Any:
        if ".new-" in path.name:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(ArtifactError, match="Input/output error"):
        save(FILES, tmp_path / "out")
    assert entries(tmp_path) == ["out"]
    assert (tmp_path / "out" / "old").read_bytes() == b"1"


def test_an_unwritable_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(ArtifactError, match="Permission denied") as caught:
        save(FILES, tmp_path / "out")
    assert "folder that can be written" in caught.value.help
    assert entries(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no manifest.json"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[]", "format None"),
        (b'{"format": "qcc-artifact-0"}', "format 'qcc-artifact-0'"),
        (FILES["manifest.json"], "not whole: name, target, machine"),
        (b'{"format": "qcc-artifact-1", "files": 4, "name": 3}', "not whole: name, .*, files"),
    ],
)
def test_manifests_that_are_none(tmp_path: Path, text: bytes | None, message: str) -> None:
    if text is not None:
        (tmp_path / "manifest.json").write_bytes(text)
    with pytest.raises(ArtifactError, match=message):
        read_manifest(tmp_path)
    with pytest.raises(ArtifactError, match=r"no manifest\.json"):
        read_manifest(tmp_path / "absent")
    shutil.rmtree(tmp_path)

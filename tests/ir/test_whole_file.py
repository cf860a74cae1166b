"""Files are whole or as they were, also where the disk is full."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from qcc.ir import ArtifactError, write_whole


@pytest.fixture
def disk_of_1000_bytes() -> Iterator[None]:
    """Let files of this process end at 1,000 bytes, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.usefixtures("disk_of_1000_bytes")
def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    old, new = tmp_path / "old.npz", tmp_path / "new.npz"
    write_whole(old, b"old")
    for path in (old, new):
        with pytest.raises(ArtifactError, match="can't be written"):
            write_whole(path, bytes(5000))
    assert old.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["old.npz"]


def test_permissions_stay_and_new_files_have_the_usual_ones(tmp_path: Path) -> None:
    private, public, other = tmp_path / "private", tmp_path / "public", tmp_path / "other"
    private.write_bytes(b"")
    private.chmod(0o600)
    other.touch()
    write_whole(private, b"1")
    write_whole(public, b"2")
    assert private.stat().st_mode & 0o777 == 0o600
    assert public.stat().st_mode == other.stat().st_mode

"""The demonstration: runs from what is in the package alone, and its table says that int8 costs next to nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from qcc.cli import main


def test_the_demonstration_compiles_checks_and_compares(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "-o", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    rows = [line for line in printed.splitlines() if "%" in line]
    assert [row.split("  ")[0] for row in rows] == [
        "float32 on this machine",
        "int8 on this machine",
        "int8 in plain C",
    ]
    real, *int8 = (float(row.split("%")[0].split()[-1]) for row in rows)
    assert real >= 97.5
    assert all(accuracy >= real - 1.0 for accuracy in int8)
    assert all("every bit equal" in row for row in rows[1:])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["digits-c", "digits-float", "digits-int8"]
    assert (tmp_path / "digits-c" / "digits.c").is_file()

"""The rule for skips: in CI only a missing feature of the processor may skip a test."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CASES = """
import pytest

def test_tool(tool):
    tool("no-such-program")

def test_shared(shared_models):
    pass

def test_reason_of_no_form():
    pytest.skip("not today")

def test_cpu(cpu_feature):
    cpu_feature("no-such-feature")

@pytest.mark.xfail(reason="a known fault")
def test_expected_failure():
    assert False
"""
MODULE = 'import pytest\npytest.importorskip("no_such_library")\n'


@pytest.mark.parametrize(
    ("ci", "closing", "status"),
    [("", "5 skipped, 1 xfailed", 0), ("true", "2 failed, 1 skipped, 1 xfailed, 2 errors", 1)],
)
def test_only_a_cpu_feature_may_skip_in_ci(tmp_path: Path, ci: str, closing: str, status: int) -> None:
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    (tmp_path / "test_cases.py").write_text(CASES)
    (tmp_path / "test_module.py").write_text(MODULE)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "--rootdir", str(tmp_path)]
    command += ["--continue-on-collection-errors", "-rsfE", "-c", os.devnull, str(tmp_path)]
    environment = {**os.environ, "CI": ci, "QCC_SHARED": str(tmp_path / "absent")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert f"{closing} in " in done.stdout
    assert "needs tool: no-such-program (Debian package no-such-program)" in done.stdout
    assert done.returncode == status

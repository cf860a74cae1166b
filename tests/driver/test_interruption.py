"""Ctrl-C and SIGTERM: one line, the status that shells give, no temporary folders, no half-written artifact."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import qcc.cli
from qcc.ir import ToolError

DIGITS = Path(qcc.__file__).parent / "demo" / "digits.onnx"
DEFAULT: dict[signal.Signals, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
"""What Python does at a signal, unless it was started to ignore it, as shells do with jobs in the background."""
STATUS = {signal.SIGINT: (130, "qcc: interrupted\n"), signal.SIGTERM: (143, "qcc: terminated\n")}


@pytest.mark.parametrize("number", STATUS)
@pytest.mark.parametrize("disguise", [None, RuntimeError("C++ says: something"), ToolError("clang failed")])
def test_what_a_signal_becomes(
    number: signal.Signals,
    disguise: Exception | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Code that calls Python back may make another exception of it."""

    def interrupted(*_: object) -> int:
        try:
            os.kill(os.getpid(), number)
            time.sleep(10)
        except BaseException as error:
            raise (disguise or error) from None
        return 0

    monkeypatch.setattr("qcc.cli.lists.run", interrupted)
    before = signal.signal(number, DEFAULT[number])
    try:
        assert (qcc.cli.main(["targets"]), capsys.readouterr().err) == STATUS[number]
        assert signal.getsignal(number) == DEFAULT[number]
    finally:
        signal.signal(number, before)


def test_a_signal_that_is_ignored_stays_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> int:
        os.kill(os.getpid(), signal.SIGINT)
        return 0

    monkeypatch.setattr("qcc.cli.lists.run", interrupted)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert qcc.cli.main(["targets"]) == 0
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_exceptions_stay_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> int:
        raise RuntimeError("a defect")

    monkeypatch.setattr("qcc.cli.lists.run", broken)
    with pytest.raises(RuntimeError, match="a defect"):
        qcc.cli.main(["targets"])


@pytest.mark.slow
@pytest.mark.parametrize("number", STATUS)
def test_nothing_stays_where_a_compilation_is_ended(number: signal.Signals, tmp_path: Path) -> None:
    temporary, out = tmp_path / "temporary", tmp_path / "out"
    temporary.mkdir()
    options = ["--recipe", "float", "--target", "aarch64-linux-gnu", "-o", str(out / "a")]
    command = [sys.executable, "-m", "qcc", "compile", str(DIGITS), *options]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    before = signal.signal(number, signal.SIG_DFL)  # children inherit it where it was ignored
    try:
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(number, before)
    with process:
        deadline = time.monotonic() + 60
        while not any(temporary.iterdir()) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == STATUS[number]
    assert list(temporary.iterdir()) == []
    assert not out.exists() or list(out.iterdir()) == []

"""What a library for Hexagon is made of."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from qcc.ir import Module
from tests.e2e.foreign_sweep import sweep
from tests.targets.compiled import compiled
from tests.targets.integer_modules import residual_net

TARGET = "hexagon-unknown-linux-musl+hvxv66"
FLOAT = re.compile(r"\b[sd]f(?:add|sub|mpy|min|max|make|cmp|fix|recip|inv|class)|\bconvert_|\.[sdhq]f\b")
"""Floating-point instructions: `r0 = sfadd(…)`, `r0 = convert_w2sf(…)`, `v0.sf = …`."""


def awkward_layers() -> Module:
    """Layers of awkward shapes, of all kinds."""
    return sweep(1, 54)


@pytest.mark.parametrize("build", [residual_net, pytest.param(awkward_layers, marks=pytest.mark.slow)])
def test_an_integer_model_has_no_floating_point_instruction(
    build: Callable[[], Module], tmp_path: Path, tool: Callable[[str], str]
) -> None:
    artifact = compiled(build(), TARGET)
    (library,) = (data for name, data in artifact.files.items() if name.endswith(".a"))
    (tmp_path / "a.a").write_bytes(library)
    command = [
        tool("llvm-objdump"),
        "-d",
        "--no-show-raw-insn",
        "--mattr=+hvxv66,+hvx-length128b",
        str(tmp_path / "a.a"),
    ]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "vrmpy" in text
    assert text.count("{") > 500
    # Older disassemblers refuse a few of the packets that LLVM 22 makes.
    assert text.count("<unknown>") <= text.count("{") // 200
    assert not FLOAT.findall(text)

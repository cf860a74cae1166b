"""What a library for Hexagon is made of."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import qcc
from tests.targets.compiled import compiled
from tests.targets.integer_modules import residual_net
from tests.targets.outside_names import outside_names

TARGET = "hexagon-unknown-linux-musl+hvxv66"
FLOAT = re.compile(r"\b[sd]f(?:add|sub|mpy|min|max|make|cmp|fix|recip|inv|class)|\bconvert_|\.[sdhq]f\b")
"""Floating-point instructions: `r0 = sfadd(…)`, `r0 = convert_w2sf(…)`, `v0.sf = …`."""

OUTSIDE = frozenset({"memcpy", "memset", "memmove", "__hexagon_memcpy_likely_aligned_min32bytes_mult8bytes"})
OUTSIDE |= {f"__hexagon_{name}" for name in ("divsi3", "modsi3", "udivsi3", "umodsi3", "divdi3", "moddi3")}
OUTSIDE |= {"__hexagon_udivdi3", "__hexagon_umoddi3", "_GLOBAL_OFFSET_TABLE_"}
"""What integer code may call that is not in the library: none of it computes in floats."""


def test_an_integer_module_has_no_floating_point_instruction(tmp_path: Path, tool: Callable[[str], str]) -> None:
    check(compiled(residual_net(), TARGET).files, tmp_path, tool)


@pytest.mark.slow
def test_a_real_integer_model_has_no_floating_point_instruction(
    shared_models: Path, tmp_path: Path, tool: Callable[[str], str]
) -> None:
    artifact = qcc.compile(shared_models / "mobilenet_v1_025_vww_int8.tflite", target=TARGET)
    assert not artifact.manifest["has_float"]
    check(artifact.files, tmp_path, tool)


def check(files: Mapping[str, bytes], folder: Path, tool: Callable[[str], str]) -> None:
    """Disassemble the library and look for instructions of floats."""
    (library,) = (data for name, data in files.items() if name.endswith(".a"))
    (folder / "a.a").write_bytes(library)
    features = "--mattr=+hvxv66,+hvx-length128b"
    command = [tool("llvm-objdump"), "-d", "--no-show-raw-insn", features, str(folder / "a.a")]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "vrmpy" in text
    assert text.count("{") > 500
    # Older disassemblers refuse a few of the packets that LLVM 22 makes.
    assert text.count("<unknown>") <= text.count("{") // 200
    assert not FLOAT.findall(text)
    assert outside_names(library, OUTSIDE) == set()

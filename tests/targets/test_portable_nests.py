"""Scalar nests, compiled as C and by LLVM, against the evaluator: bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from qcc.targets.target import Target
from tests.targets.integer_cases import integer_cases
from tests.targets.kernel_programs import compile_c, compile_llvm


@pytest.mark.parametrize("compiler", ["gcc", pytest.param("clang", marks=pytest.mark.slow)])
def test_integer_kernels_as_c(compiler: str, tool: Callable[[str], str], tmp_path: Path) -> None:
    compile_c(integer_cases(), tmp_path, tool(compiler)).check()


@pytest.mark.slow
def test_integer_kernels_by_llvm(tmp_path: Path) -> None:
    compile_llvm(integer_cases()[::3], tmp_path).check()


@pytest.mark.slow
@pytest.mark.parametrize("level", ["avx2", "avx-vnni", "avx512-vnni"])
def test_integer_kernels_at_every_level(level: str, cpu_feature: Callable[[str], None], tmp_path: Path) -> None:
    target = f"x86_64-linux-gnu+{level}"
    for flag in Target.parse(target).cpu_flags:
        cpu_feature(flag)
    compile_llvm(integer_cases(), tmp_path, target).check()

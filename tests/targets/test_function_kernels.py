"""Functions of codes, compiled as C and by LLVM, against the evaluator: bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.targets.function_cases import function_kernel_cases
from tests.targets.kernel_programs import compile_c, compile_llvm


@pytest.mark.parametrize("compiler", ["gcc", pytest.param("clang", marks=pytest.mark.slow)])
def test_functions_as_c(compiler: str, tool: Callable[[str], str], tmp_path: Path) -> None:
    compile_c(function_kernel_cases(), tmp_path, tool(compiler)).check()


@pytest.mark.parametrize("step", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_functions_by_llvm(step: int, tmp_path: Path) -> None:
    compile_llvm(function_kernel_cases()[::step], tmp_path).check()

"""Kernels on real numbers against the evaluator: equal bits where that is promised, else derived tolerances."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from qcc.ir import F32, I8, TensorType, UniformType, ops
from tests.targets.float_cases import float_cases, real_case
from tests.targets.kernel_programs import compile_c, compile_llvm


@pytest.mark.parametrize("compiler", ["gcc", pytest.param("clang", marks=pytest.mark.slow)])
def test_float_kernels_as_c(compiler: str, tool: Callable[[str], str], tmp_path: Path) -> None:
    compile_c(float_cases(), tmp_path, tool(compiler)).check()


@pytest.mark.slow
def test_float_kernels_by_llvm(tmp_path: Path) -> None:
    compile_llvm(float_cases(), tmp_path).check()


def test_not_a_number_is_quantized_to_a_code(tool: Callable[[str], str], tmp_path: Path) -> None:
    to = UniformType(I8, (0.5,), (0,))
    operand = TensorType((4,), F32), np.array([1.0, 2.0, 3.0, 4.0], np.float32)
    one = real_case(lambda b, x: b.emit(ops.Quantize, x, to=to), operand)
    program = compile_c([one], tmp_path, tool("gcc"), ("-O1", "-fsanitize=undefined", "-fno-sanitize-recover"))
    one.inputs = {"in0": np.array([np.nan, np.inf, -np.inf, 1.0], np.float32)}
    one.expected = {"out0": np.array([-128, 127, -128, 2], np.int8)}
    program.check()

"""Fused kernels of many operations: TVM's simplifier makes code of them that grows with their number, and no faster."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tvm
from tvm import s_tir

from qcc.ir import I8, I16, I32, Builder, ScalarType, TensorType, Value, ops
from qcc.targets.kernel import lower_kernel, partition
from qcc.targets.target import Target
from tests.targets.integer_cases import RANDOM, rescaled
from tests.targets.kernel_programs import Case, case, compile_c

WHOLE: dict[str, Any] = {"to": I32, "minimum": I32.minimum, "maximum": I32.maximum}
TWICE: dict[str, Any] = {"rounding": "double"}
LENGTH = 256


def added(b: Builder, x: Value, y: Value) -> Value:
    """A sum of bytes as TensorFlow Lite Micro computes it: six operations, three of them round twice."""
    left = rescaled(b, rescaled(b, x, 1 << 20, 0, input_zero_point=-7, **WHOLE), 1234567890, 32, **TWICE, **WHOLE)
    right = rescaled(b, rescaled(b, y, 1 << 20, 0, input_zero_point=5, **WHOLE), 1 << 30, 31, **TWICE, **WHOLE)
    return rescaled(b, b.emit(ops.Add, left, right), 1789000000, 50, output_zero_point=-20, **TWICE)


def multiplied(b: Builder, x: Value, y: Value) -> Value:
    """A product of 16-bit numbers: four operations."""
    product = b.emit(ops.Mul, rescaled(b, x, 1, 0, **WHOLE), rescaled(b, y, 1, 0, **WHOLE))
    return rescaled(b, product, 1 << 30, 45, to=I16, minimum=-(2**15), maximum=2**15 - 1, **TWICE)


def chain(step: Callable[[Builder, Value, Value], Value], element: ScalarType, count: int) -> Case:
    """`count` steps, each of the result of the one before, as one kernel."""

    def build(b: Builder, x: Value, *others: Value) -> Value:
        for other in others:
            x = step(b, x, other)
        return x

    low, high = element.minimum, element.maximum
    arrays = (RANDOM.integers(low, high, LENGTH, element.dtype, endpoint=True) for _ in range(count + 1))
    return case(build, *((TensorType((LENGTH,), element), np.ascontiguousarray(array)) for array in arrays))


def simplified_size(one: Case, target: str) -> int:
    """The characters of the one kernel's TIR behind TVM's simplifier, which prints shared expressions each time."""
    (kernel,) = partition(one.module)
    module = tvm.IRModule({"kernel": lower_kernel(kernel, Target.parse(target)).function})
    return len(s_tir.transform.StmtSimplify()(module).script())


@pytest.mark.parametrize(
    ("step", "element", "target"),
    [
        (multiplied, I16, "c"),
        (added, I8, "c"),
        (added, I8, "x86_64-linux-gnu+avx2"),
        (added, I8, "hexagon-unknown-linux-musl+hvxv68"),
    ],
)
def test_a_chain_is_as_long_as_its_steps(step: Any, element: ScalarType, target: str) -> None:
    one = simplified_size(chain(step, element, 1), target)
    for count in (2, 3, 8):
        assert simplified_size(chain(step, element, count), target) < 1.15 * count * one


def test_chains_are_the_evaluators(tool: Callable[[str], str], tmp_path: Path) -> None:
    cases = [chain(step, element, 3) for step, element in ((added, I8), (multiplied, I16))]
    compile_c(cases, tmp_path, tool("gcc")).check()

"""Epilogues of other arithmetic profiles on the dot-product nests: the evaluator's bits at every x86 level."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qcc.ir import I8, U8, Builder, ScalarType, Value, ops
from qcc.targets.dot_product_kernels import dot_product_kernel
from qcc.targets.kernel import partition
from qcc.targets.target import Target
from qcc.targets.x86_instructions import X86_LEVELS
from tests.targets.integer_cases import codes
from tests.targets.kernel_library import host_lacks
from tests.targets.kernel_programs import Case, case, compile_llvm

RANDOM = np.random.default_rng(23)
FORMS = ("double", "double_up", "float")


def rescaled(b: Builder, x: Value, form: str, depth: int, left: bool, to: ScalarType) -> Value:
    """A rescale a channel: powers of two among the factors, so that there are ties; with `left` some of 1 and more."""
    channels = x.type.shape[-1]
    spread = np.log2(depth) / 2 + 6
    exponents = np.rint(-spread - RANDOM.integers(-2, 4, channels))
    if left:
        exponents = RANDOM.integers(-3, 3, channels).astype(np.float64)
    real = np.exp2(exponents) * RANDOM.choice([1.0, 1.0, 1.37, 1.9], channels)
    ends: dict[str, Any] = {"to": to, "minimum": to.minimum, "maximum": to.maximum - 3, "output_zero_point": 7}
    if form == "float":
        return b.emit(ops.RescaleFloat, x, b.constant(real.astype(np.float32)), **ends)
    mantissa, exponent = np.frexp(real)
    m, s = np.rint(mantissa * 2**31).astype(np.int64), 31 - exponent
    whole = m == 2**31
    m, s = np.where(whole, 2**30, m), np.where(whole, s - 1, s)
    constants = b.constant(m.astype(np.int32)), b.constant(s.astype(np.int8))
    return b.emit(ops.Rescale, x, *constants, rounding=form, **ends)


def kernels(form: str) -> Iterator[Case]:
    """Pointwise, 3×3, grouped and depthwise convolutions and dense layers, with a table or an addition behind."""
    for (inputs, outputs, k, groups), left, to in product(
        ((33, 70, 1, 1), (5, 9, 3, 1), (8, 16, 3, 2), (37, 37, 3, 37), (6, 12, 3, 6)), (False, True), (I8, U8)
    ):

        def convolved(b: Builder, x: Value, size: Any = (outputs, k, groups), left: bool = left, to: Any = to) -> Value:
            (o, k, g), small = size, 3 if left else 127
            depth = x.type.shape[3] // g
            weights = RANDOM.integers(-small, small + 1, (o, k, k, depth)).astype(np.int8)
            bias = RANDOM.integers(-500, 500, o).astype(np.int32)
            pad = (k // 2,) * 4
            operands = x, b.constant(weights), b.constant(bias)
            y = b.emit(ops.Conv2d, *operands, padding=pad, groups=g, input_zero_point=-5)
            return rescaled(b, y, form, k * k * depth, left, to)

        yield case(convolved, codes((1, 5, 6, inputs), extreme=left))

    def dense(b: Builder, x: Value) -> Value:
        y = b.emit(ops.Matmul, x, b.constant(codes((300, 35))[1]), input_zero_point=3)
        return rescaled(b, y, form, 300, False, I8)

    yield case(dense, codes((3, 300), U8))
    yield case(lambda b, x: b.emit(ops.Table, dense(b, x), b.constant(codes((256,))[1])), codes((3, 300)))


@pytest.mark.parametrize("step", [9, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", X86_LEVELS)
def test_every_form(name: str, step: int, tmp_path: Path) -> None:
    """Every ninth case; all of them in the slow run."""
    level = X86_LEVELS[name]
    reason = host_lacks(level)
    if reason:
        pytest.skip(reason)
    cases = [one for form in FORMS for one in kernels(form)][::step]
    for one in cases:
        assert all(dot_product_kernel(kernel, level) is not None for kernel in partition(one.module))
    compile_llvm(cases, tmp_path, f"x86_64-linux-gnu+{name}").check()


def test_the_largest_shift(tmp_path: Path) -> None:
    """A shift of 62 leaves 31 bits to the second rounding, whose half is 2^30."""

    def dense(form: str) -> Case:
        def build(b: Builder, x: Value) -> Value:
            operands = x, b.constant(codes((40, 9))[1]), b.constant(np.arange(-4, 5, dtype=np.int32) << 26)
            ends: dict[str, Any] = {"to": I8, "minimum": -128, "maximum": 127}
            factors = b.constant(np.full(9, 2**31 - 1, np.int32)), b.constant(np.full(9, 62, np.int8))
            return b.emit(ops.Rescale, b.emit(ops.Matmul, *operands), *factors, rounding=form, **ends)

        return case(build, codes((5, 40)))

    compile_llvm([dense(form) for form in ("half_up", "double", "double_up")], tmp_path).check()


def test_sums_without_headroom_take_the_scalar_nests() -> None:
    """|x·2^L| ≥ 2^30 leaves no room for the second rounding."""

    def dense(bias: int) -> Case:
        def build(b: Builder, x: Value) -> Value:
            operands = x, b.constant(codes((4, 3))[1]), b.constant(np.full(3, bias, np.int32))
            y = b.emit(ops.Matmul, *operands)
            return rescaled(b, y, "double", 4, False, I8)

        return case(build, codes((3, 4)))

    level = Target.parse("x86_64-linux-gnu+avx2").instructions
    for bias, taken in ((2**29, True), (2**30, False)):
        (kernel,) = partition(dense(bias).module)
        assert (dot_product_kernel(kernel, level) is not None) is taken

"""Rescales in floats, ties away from zero and 64-bit sums: compiled code against the evaluator, and no fused sums."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qcc.ir import I8, I16, I32, I64, U8, Array, Builder, ScalarType, TensorType, Value, ops
from qcc.targets.c_source import EXACT_FLOATS
from tests.targets.kernel_programs import Case, c_program, case, compile_c, compile_llvm

RANDOM = np.random.default_rng(11)
CHANNELS = 37


def sums(low: int, high: int, element: ScalarType) -> tuple[TensorType, Array]:
    """Random integers, one column a channel."""
    array = RANDOM.integers(low, high, (40, CHANNELS), endpoint=True).astype(element.dtype)
    return TensorType(array.shape, element), array


SOURCES = (
    sums(-3000, 3000, I32),
    sums(-(2**31), 2**31 - 1, I32),
    sums(-(2**50), 2**50, I64),
    sums(-128, 127, I8),
)


def float_case(source: tuple[TensorType, Array], to: ScalarType, dtype: Any, offset: bool, rounding: str) -> Case:
    """A `rescale_float` with a factor a channel: powers of two, whose products have many ties, and others."""
    factors = RANDOM.choice([2.0**-6, 2.0**-3, 0.00732, 1.0, -0.5, 2.0**-40], CHANNELS).astype(dtype)
    offsets = RANDOM.choice([0.5, 3.0, -7.25], CHANNELS).astype(dtype)
    zero_point = 7 if to.bits == 8 else 0

    def build(b: Builder, x: Value) -> Value:
        constants = [b.constant(factors), *([b.constant(offsets)] if offset else [])]
        return b.emit(
            ops.RescaleFloat,
            x,
            *constants,
            to=to,
            minimum=to.minimum,
            maximum=to.maximum,
            input_zero_point=-3,
            output_zero_point=zero_point,
            rounding=rounding,
        )

    return case(build, source)


def float_cases() -> Iterator[Case]:
    """Every combination of operand, result, type, offset and rounding."""
    for source, dtype, offset, rounding in product(
        SOURCES, (np.float32, np.float64), (False, True), ("half_even", "half_away")
    ):
        for to in (I8, U8, I16, I32) if dtype == np.float64 else (I8, U8, I16):
            yield float_case(source, to, dtype, offset, rounding)


def integer_case(source: tuple[TensorType, Array], multiplier: Any, shift: Any, rounding: str) -> Case:
    """A `rescale` to i16."""

    def build(b: Builder, x: Value) -> Value:
        m, s = b.constant(np.asarray(multiplier, np.int32)), b.constant(np.asarray(shift, np.int8))
        attributes: dict[str, Any] = {"to": I16, "minimum": -32768, "maximum": 32767, "output_zero_point": 1}
        return b.emit(ops.Rescale, x, m, s, rounding=rounding, **attributes)

    return case(build, source)


def integer_cases() -> Iterator[Case]:
    """Ties away from zero with and without shifts, and 64-bit sums with the 15-bit multipliers of TFLite's 16x8."""
    for shift in (0, 1, 6, 31, 40):
        for multiplier in (3, -1, 1):
            yield integer_case(SOURCES[0], multiplier, shift, "half_away")
            yield integer_case(SOURCES[1], multiplier, shift, "half_away")
    for rounding in ("half_up", "half_away"):
        random = RANDOM.integers(1, 2**31, CHANNELS), RANDOM.integers(0, 63, CHANNELS)
        yield integer_case(SOURCES[0], *random, rounding)
        narrow = RANDOM.integers(1, 2**13, CHANNELS), RANDOM.integers(8, 47, CHANNELS)
        yield integer_case(SOURCES[2], *narrow, rounding)


def all_cases() -> list[Case]:
    """All of them."""
    return [*float_cases(), *integer_cases()]


@pytest.mark.parametrize(("compiler", "first"), [("gcc", 0), ("clang", 1)])
def test_c(compiler: str, first: int, tmp_path: Path) -> None:
    """Each compiler takes every second case."""
    compile_c(all_cases()[first::2], tmp_path, compiler, ("-O2", "-march=native")).check()


def test_llvm(tmp_path: Path) -> None:
    compile_llvm(all_cases(), tmp_path).check()


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_no_compiler_joins_products_and_sums(compiler: str, tmp_path: Path) -> None:
    """With the prelude there is no fused multiply-add on a machine that has one; without it both make some."""
    _, source = c_program([float_case(SOURCES[0], I8, np.float32, True, "half_even")])
    assert EXACT_FLOATS in source

    def assembly(text: str) -> str:
        (tmp_path / "kernel.c").write_text(text)
        command = [compiler, "-O3", "-mfma", "-S", "-o", "-", str(tmp_path / "kernel.c")]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    assert "vfmadd" in assembly(source.replace(EXACT_FLOATS, ""))
    assert "vfmadd" not in assembly(source)


def test_fast_math_is_refused(tmp_path: Path) -> None:
    _, source = c_program([float_case(SOURCES[0], I8, np.float32, False, "half_even")])
    (tmp_path / "kernel.c").write_text(source)
    done = subprocess.run(
        ["gcc", "-ffast-math", "-fsyntax-only", str(tmp_path / "kernel.c")], capture_output=True, text=True
    )
    assert done.returncode
    assert "-ffast-math changes results" in done.stderr

"""Element-by-element kernels against the evaluator: every code of every operation, and generated groups."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from qcc.ir import I1, I8, I16, I32, I64, U8, U16, Array, Builder, ScalarType, TensorType, Value, ops
from tests.targets.integer_cases import RANDOM, codes, rescaled
from tests.targets.kernel_programs import Case, case, compile_c, compile_llvm

WHOLE: dict[str, Any] = {"to": I32, "minimum": I32.minimum, "maximum": I32.maximum}


def every_code(element: ScalarType = I8, rank: int = 1) -> tuple[TensorType, Array]:
    """All 256 codes along the last axis."""
    shape = (256,) + (1,) * (rank - 1)
    return TensorType(shape, element), np.arange(element.minimum, element.maximum + 1).astype(element.dtype).reshape(
        shape
    )


def edges(element: ScalarType = I32) -> tuple[TensorType, Array]:
    """Integers at and beside powers of two, the ends of the type, and random ones."""
    powers = [s * 2**k + d for k in range(element.bits - 1) for s in (1, -1) for d in (-1, 0, 1)]
    ends = [element.minimum, element.minimum + 1, element.maximum - 1, element.maximum]
    random = RANDOM.integers(element.minimum, element.maximum, 200, element.dtype, endpoint=True)
    array = np.concatenate([np.array([*powers, *ends], element.dtype), random])
    return TensorType(array.shape, element), array


def rescale_cases() -> Iterator[Case]:
    """Every rounding with ties, extremes, small and large shifts, negative multipliers; one or one a channel."""
    pairs = [
        (1, 0),
        (1, 1),
        (3, 2),
        (2**30, 31),
        (2**31 - 1, 31),
        (2**30, 33),
        (1518500250, 40),
        (-(2**30), 35),
        (0, 31),
        (-7, 4),
    ]
    for rounding in ("half_up", "double", "double_up"):
        for multiplier, shift in pairs:
            if rounding != "half_up" and multiplier < 0:
                continue

            def build(b: Builder, x: Value, m: int = multiplier, s: int = shift, r: str = rounding) -> Value:
                return rescaled(
                    b, x, m, s, rounding=r, output_zero_point=3, input_zero_point=int(x.type.element.storage.bits == 8)
                )

            yield case(build, every_code())
            # x·2^(31−s) has to fit 64 bits on the way: the evaluator wraps it to 32.
            yield case(build, edges())
            yield case(lambda b, x, f=build: f(b, x), edges(I16))

        def channels(b: Builder, x: Value, r: str = rounding) -> Value:
            m, s = RANDOM.integers(0, 2**31, 37), RANDOM.integers(0 if r == "half_up" else 20, 62, 37)
            return rescaled(b, x, m, s, rounding=r, **WHOLE)

        yield case(channels, codes((40, 37), I32))
        yield case(channels, codes((40, 37), I16))


def binary_cases() -> Iterator[Case]:
    """All pairs of codes of every binary operation, and 32-bit and 64-bit edges, where sums wrap."""

    def added(b: Builder, x: Value, y: Value, op: Any = ops.Add) -> Value:
        left = rescaled(b, x, 4321, 0, input_zero_point=-128, **WHOLE)
        right = rescaled(b, y, 98765, 0, input_zero_point=5, **WHOLE)
        return rescaled(b, b.emit(op, left, right), 1, 17, output_zero_point=-20)

    def multiplied(b: Builder, x: Value, y: Value) -> Value:
        left = rescaled(b, x, 1, 0, input_zero_point=-3, **WHOLE)
        right = rescaled(b, y, 1, 0, input_zero_point=127, **WHOLE)
        return rescaled(b, b.emit(ops.Mul, left, right), 1234567890, 38, output_zero_point=100)

    for first in (I8, U8):
        operands = every_code(first, 2), every_code(I8)
        yield case(added, *operands)
        yield case(lambda b, x, y: added(b, x, y, ops.Sub), *operands)
        yield case(multiplied, *operands)
    selections: tuple[Any, ...] = (ops.Minimum, ops.Maximum)
    for op in selections:
        yield case(lambda b, x, y, op=op: b.emit(op, x, y), every_code(I8, 2), every_code(I8))
        yield case(lambda b, x, y, op=op: b.emit(op, x, y), every_code(U8, 2), every_code(U8))
    for op in (ops.Add, ops.Sub, ops.Mul, *selections):
        for element in (I32, I64):
            type, array = edges(element)
            column = TensorType((array.size, 1), element), array.reshape(-1, 1)
            yield case(lambda b, x, y, op=op: b.emit(op, x, y), column, (type, array))
    yield from known_operand_cases()


def known_operand_cases() -> Iterator[Case]:
    """Differences from a number, which TVM must not take for at most that number, and negative products."""
    for element in (I32, I64):
        type, array = edges(element)
        for op, number in ((ops.Sub, 0), (ops.Sub, 5), (ops.Sub, -7), (ops.Sub, element.minimum + 1), (ops.Mul, -7)):
            known = np.array(number, element.dtype)
            yield case(lambda b, x, op=op, n=known: b.emit(op, b.constant(n), x), (type, array))


def unary_cases() -> Iterator[Case]:
    """Tables, clamps and casts over every code."""
    for element, to in product((I8, U8), (I8, U8, I16, I32)):
        yield case(lambda b, x, to=to: b.emit(ops.Table, x, b.constant(codes((256,), to)[1])), every_code(element))
    type, array = codes((3, 5, 7))
    yield case(lambda b, x: b.emit(ops.Table, x, b.constant(codes((7, 256))[1])), (type, array))
    for low, high in ((-5.0, 90.0), (float("-inf"), 3.0), (0.0, float("inf")), (-128.0, 127.0), (4.0, 4.0)):
        yield case(lambda b, x, low=low, high=high: b.emit(ops.Clamp, x, minimum=low, maximum=high), every_code())
    for to in (I8, I16):
        # codes of known bounds that the type does not hold
        yield case(
            lambda b, x, to=to: b.emit(ops.Cast, rescaled(b, x, 99, 3, to=U16, minimum=0, maximum=40000), to=to),
            edges(I16),
        )
    for source, to in product((I8, U8, I16, I32, I64), (I8, U8, I16, I32, I64, I1)):
        operand = every_code(source) if source.bits == 8 else edges(source)
        yield case(lambda b, x, to=to: b.emit(ops.Cast, x, to=to), operand)


def broadcast_cases() -> Iterator[Case]:
    """Operands that broadcast against each other in every pattern, and constants."""
    for left, right in (
        ((2, 3, 4, 5), (5,)),
        ((2, 3, 4, 5), (2, 1, 1, 5)),
        ((2, 3, 1, 5), (1, 3, 4, 1)),
        ((1, 1, 4, 5), (2, 3, 4, 5)),
        ((), (3, 4)),
        ((1,), (1, 1)),
        ((), ()),
        ((0, 3), (1, 3)),
        ((130,), (130,)),
    ):

        def build(b: Builder, x: Value, y: Value) -> Value:
            return b.emit(ops.Maximum, x, y)

        def constant(b: Builder, x: Value, right: tuple[int, ...] = right) -> Value:
            return b.emit(ops.Add, rescaled(b, x, 77, 3, **WHOLE), b.constant(codes(right, I32)[1] // 4))

        yield case(build, codes(left), codes(right))
        yield case(constant, codes(left))


def all_cases() -> list[Case]:
    """All of them."""
    return [one for f in (rescale_cases, binary_cases, unary_cases, broadcast_cases) for one in f()]


@pytest.mark.parametrize("compiler", ["gcc", pytest.param("clang", marks=pytest.mark.slow)])
def test_every_code_as_c(compiler: str, tool: Callable[[str], str], tmp_path: Path) -> None:
    compile_c(all_cases(), tmp_path, tool(compiler)).check()


@pytest.mark.slow
def test_every_code_by_llvm(tmp_path: Path) -> None:
    compile_llvm(all_cases(), tmp_path).check()


@st.composite
def group(draw: st.DrawFn) -> Case:
    """A random graph of element-by-element operations that ends in one result."""
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=3)))
    seed = np.random.default_rng(draw(st.integers(0, 2**32)))
    count = draw(st.integers(1, 3))
    steps = draw(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=7))

    def build(b: Builder, *inputs: Value) -> Value:
        values = list(inputs)
        for kind, first, second in steps:
            # The newest value is always used, so that every operation counts.
            values.append(_step(b, seed, kind, values[-1], values[second % len(values)], first))
        return values[-1]

    shapes = [shape, shape, (1,) * (len(shape) - 1) + shape[-1:]][:count]
    return case(build, *(codes(s, draw(st.sampled_from([I8, U8]))) for s in shapes))


def _step(b: Builder, seed: np.random.Generator, kind: int, x: Value, y: Value, choice: int) -> Value:
    """One operation on x, and on y where it takes two."""

    def to32(v: Value) -> Value:
        return v if v.type.element.storage.bits == 32 else b.emit(ops.Cast, v, to=I32)

    if kind < 3:
        return b.emit((ops.Add, ops.Sub, ops.Mul)[kind], to32(x), to32(y))
    if kind == 3 and x.type.element == y.type.element:
        return b.emit((ops.Minimum, ops.Maximum)[choice % 2], x, y)
    if kind == 4:
        low = int(seed.integers(-100, 50)) if x.type.element.storage.minimum else int(seed.integers(0, 200))
        return b.emit(ops.Clamp, x, minimum=float(low), maximum=float(low + seed.integers(0, 200)))
    if kind == 5 and x.type.element.storage.bits == 8:
        return b.emit(ops.Table, x, b.constant(seed.integers(-128, 128, 256).astype(np.int8)))
    channels = (x.type.shape[-1],) if choice % 2 else ()
    shift = seed.integers(0, 62, channels)
    multiplier = seed.integers(-(2**31), 2**31, channels)
    to = (I8, U8, I32)[choice % 3]
    bounds: dict[str, Any] = {"to": to, "minimum": to.minimum, "maximum": to.maximum}
    return rescaled(b, x, multiplier, shift, output_zero_point=int(seed.integers(0, 100)), **bounds)


@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],  # shrinking would compile hundreds of libraries
)
@given(st.lists(group(), min_size=4, max_size=12))
def test_generated_groups(tool: Callable[[str], str], groups: list[Case]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        compile_c(groups, Path(folder), tool("gcc"), ("-O1", "-fsanitize=undefined", "-fno-sanitize-recover")).check()

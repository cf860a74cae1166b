"""The Cortex-M tables and the nests over them, executed on emulated processors, against NumPy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qcc.ir import I8, Builder, Module, Stage, TensorType, evaluate, load_module, ops
from qcc.targets import Target, tir
from qcc.targets.cortex_m_instructions import CORTEX_M_LEVELS
from qcc.targets.dot_product_kernels import dot_product_kernel
from qcc.targets.instructions import DotInstruction, VectorLevel
from qcc.targets.kernel import partition
from qcc.targets.nests.convolution import convolution, packed_constants
from qcc.targets.nests.products import InputType
from qcc.targets.runtime import load_model
from tests.targets.bare_metal import Call, run_calls
from tests.targets.compiled import compiled, extreme_inputs
from tests.targets.convolution_cases import convolutions, matmuls, random_convolutions
from tests.targets.integer_modules import random_inputs
from tests.targets.kernel_library import Case

Tool = Callable[[str], str]
LEVELS = pytest.mark.parametrize(
    "level",
    [
        pytest.param(level, id=name, marks=pytest.mark.slow if name == "cortex-m7" else ())
        for name, level in CORTEX_M_LEVELS.items()
    ],
)
"""The Cortex-M7 has the table of the M4."""
INPUT_TYPES: tuple[InputType, ...] = ("int8", "uint8")


def target_of(level: VectorLevel) -> Target:
    triple = dict(level.llvm_target)["mtriple"]
    return Target.parse(str(triple), level.name)


def one_step(dot: DotInstruction, input_type: str) -> tir.PrimFunc:
    """`accumulator += activation · weights`, one step."""
    activation = tir.buffer("activation", dot.step, input_type)
    weights = tir.buffer("weights", dot.lanes * dot.step, "int8")
    accumulator = tir.buffer("accumulator", dot.lanes, "int32")
    body = tir.Body()
    prepared = dot.load_activation(body, activation, tir.constant(0), input_type)
    loaded = dot.load_weights(body, weights, tir.constant(0))
    columns = [(register,) for register in loaded] if dot.scalar_sums else [loaded]
    for lane, column in enumerate(columns):
        body.store(accumulator, lane, dot.accumulate(tir.load(accumulator, lane), prepared, column))
    return body.function(f"step_{input_type}", [activation, weights, accumulator])


def epilogue_pieces(dot: DotInstruction) -> tir.PrimFunc:
    """The high product, its rounding shift, and saturated results, for `dot.lanes` values."""
    names = ("value", "factor", "shift", "high", "doubled", "shifted")
    buffers = {name: tir.buffer(name, dot.lanes, "int32") for name in names}
    saturated = {kind: tir.buffer(f"saturated_{kind}", dot.lanes, "int32") for kind in INPUT_TYPES}
    body = tir.Body()
    value, factor, shift = (body.let(n, tir.load(buffers[n], 0, dot.lanes)) for n in names[:3])
    high = dot.high_product(body, value, factor)
    shifted = dot.rounding_shift(body, value, shift)
    doubled = dot.doubled_high_product(body, value, factor)
    for name, found in (("high", high), ("doubled", doubled), ("shifted", shifted)):
        body.store(buffers[name], 0, tir.splat(0, dot.lanes) if found is None else found, dot.lanes)
    for kind, buffer in saturated.items():
        found = dot.saturate(body, value, kind)
        body.store(buffer, 0, tir.splat(0, dot.lanes) if found is None else found, dot.lanes)
    return body.function("pieces", [*buffers.values(), *saturated.values()])


def step_calls(dot: DotInstruction, generator: np.random.Generator) -> list[tuple[Call, Any]]:
    """Steps with random and extreme operands, and the accumulators that they must give."""
    calls = []
    extremes = np.array([-128, -127, -1, 0, 1, 126, 127], np.int8)
    for turn in range(60):
        choice = np.array([-128, 127], np.int8) if turn > 40 else extremes
        kind = INPUT_TYPES[turn % 2]
        activation = generator.choice(extremes, dot.step).view(kind)
        weights = generator.choice(choice, (dot.lanes, dot.step))
        accumulator = generator.integers(-(2**31), 2**31, dot.lanes).astype(np.int32)
        arranged = np.ascontiguousarray(dot.arrange(weights))
        call = Call(f"step_{kind}", (activation, arranged, accumulator), shift=turn % 4)
        calls.append((call, dot.meaning(accumulator, activation, weights)))
    return calls


def piece_calls(dot: DotInstruction, generator: np.random.Generator) -> list[Call]:
    """Values and factors of all sizes, ties among them, and shifts of 1 to 31."""
    calls = []
    for turn in range(40):
        value = generator.integers(-(2**30), 2**30, dot.lanes) >> int(generator.integers(0, 30))
        shift = generator.integers(1, 31, dot.lanes)
        if turn % 2:
            value = (generator.integers(-3, 3, dot.lanes) << shift) + (1 << (shift - 1))
            value = np.clip(value, -(2**30), 2**30)
        factor = generator.integers(0, 2**31, dot.lanes)
        arrays = [a.astype(np.int32) for a in (value, factor, shift)]
        calls.append(Call("pieces", (*arrays, *(np.zeros(dot.lanes, np.int32) for _ in range(5)))))
    return calls


@LEVELS
def test_table_entries_compute_their_meaning(level: VectorLevel, tmp_path: Path, tool: Tool) -> None:
    dot, generator = level.dot, np.random.default_rng(1)
    functions = [*(one_step(dot, kind) for kind in INPUT_TYPES), epilogue_pieces(dot)]
    steps, pieces = step_calls(dot, generator), piece_calls(dot, generator)
    results = run_calls(target_of(level), functions, [*(c for c, _ in steps), *pieces], tmp_path, tool)
    for (_, expected), found in zip(steps, results, strict=False):
        np.testing.assert_array_equal(found[2], expected)
    helium = dot.lanes == 4
    for value, factor, shift, *pieces_found in results[len(steps) :]:
        wide = value.astype(np.int64)
        high, shifted = wide * factor >> 32, (wide + (1 << (shift.astype(np.int64) - 1))) >> shift
        doubled = (wide * factor + (1 << 30)) >> 31
        expected_pieces = [high, doubled, shifted, 0 * wide, 0 * wide]
        if not helium:
            expected_pieces = [0 * wide, 0 * wide, 0 * wide, np.clip(wide, -128, 127), np.clip(wide, 0, 255)]
        np.testing.assert_array_equal(pieces_found, expected_pieces)


def case_call(case: Case, level: VectorLevel, shift: int) -> Call:
    """The call of a case's function; its output is zero before."""
    constants = packed_constants(case.spec, level.dot, case.weights, case.bias, case.multiplier, case.shift)
    if case.table is not None:
        constants["table"] = case.table
    output = np.zeros(case.spec.output, case.spec.epilogue.output_type)
    return Call(case.spec.name, (case.source, *constants.values(), output), shift)


def large_sums() -> Module:
    """Dense layers whose sums, shifted left, reach almost 2^31, with shifts up to 62 and factors up to 2^31 − 1."""
    random = np.random.default_rng(5)
    b = Builder("large_sums", Stage.INTEGER)
    for number, (rounding, least) in enumerate((("double", 31), ("double_up", 31), ("double", 29))):
        x = b.input(f"x{number}", TensorType((6, 24), I8))
        weights = random.integers(-128, 128, (24, 64)).astype(np.int8)
        reach = int(np.abs(weights.astype(np.int64)).sum(axis=0).max()) * 128
        shift = np.linspace(least, 62, 64).astype(np.int8)
        limit = (2**31 - 256 >> 31 - least) - 1 - reach
        bias = (np.resize([1, -1], 64) * limit).astype(np.int32)
        sums = b.emit(ops.Matmul, x, b.constant(weights), b.constant(bias))
        factors = b.constant(random.choice([2**30, 2**31 - 1], 64).astype(np.int32)), b.constant(shift)
        ends: dict[str, Any] = {"to": I8, "minimum": -128, "maximum": 127, "output_zero_point": 100}
        b.output(f"y{number}", b.emit(ops.Rescale, sums, *factors, rounding=rounding, **ends))
    return b.build()


@pytest.mark.slow
@pytest.mark.parametrize("emit", ["", "+acle"])
def test_helium_rounds_large_sums_twice(emit: str, tmp_path: Path, tool: Tool) -> None:
    tool("qemu-system-arm")
    module, target = large_sums(), f"thumbv8.1m.main-none-eabi+mve{emit}"
    level = Target.parse(target).instructions
    compiled(module, target).save(tmp_path / "a")
    planned = load_module(tmp_path / "a" / "large_sums.qir")
    assert [dot_product_kernel(kernel, level) is not None for kernel in partition(planned)] == [True] * 3
    samples = [random_inputs(module, 0), *extreme_inputs(module)]
    for inputs, found in zip(samples, load_model(tmp_path / "a").run_many(samples), strict=True):
        for name, array in evaluate(module, inputs).items():
            np.testing.assert_array_equal(found[name], array, err_msg=name)


MAKERS = [matmuls, convolutions, random_convolutions]


@pytest.mark.slow
@pytest.mark.parametrize("make", MAKERS, ids=["matmul", "convolution", "random"])
@LEVELS
def test_nests_compute_what_numpy_computes(
    level: VectorLevel, make: Callable[[np.random.Generator], list[Case]], tmp_path: Path, tool: Tool
) -> None:
    cases = make(np.random.default_rng(7))
    calls = [case_call(case, level, number % 4) for number, case in enumerate(cases)]
    functions = [convolution(case.spec, level.dot) for case in cases]
    results = run_calls(target_of(level), functions, calls, tmp_path, tool)
    for case, arrays in zip(cases, results, strict=True):
        np.testing.assert_array_equal(arrays[-1], case.expected(), err_msg=str(case.spec))

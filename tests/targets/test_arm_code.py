"""ARM Linux: the inner loops that LLVM makes, and what the instructions of the tables compute, at the extremes."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from qcc.ir import I8, Builder, Module, Stage, TensorType, UniformType, evaluate, ops
from qcc.targets import Target
from qcc.targets.arm_instructions import ARM_LEVELS
from qcc.targets.lowering import build_assembly
from qcc.targets.nests.convolution import Convolution, convolution
from qcc.targets.nests.epilogue import Epilogue, rescale_for
from qcc.targets.runtime import load_model
from tests.targets.compiled import compiled
from tests.targets.test_foreign_code import require_tools

TARGETS = ("aarch64-linux-gnu+neon", "aarch64-linux-gnu+dotprod", "armv7-linux-gnueabihf+neon")
ALL = (*TARGETS, "aarch64-linux-gnu+i8mm")


@cache
def inner_loop(level: str, depth: int, product: str) -> list[str]:
    """Return the instructions of the innermost loop with most products, of a pointwise convolution."""
    table = ARM_LEVELS[level]
    dot = table.narrow_dot or table.dot
    epilogue = Epilogue("int8", rescale_for(np.full(64, 40), -3, -128, 127))
    spec = Convolution("pointwise", (1, 12, 12, depth), 64, "int8", epilogue)
    text = build_assembly([convolution(spec, dot)], table.target())
    loops = []
    for label, body in re.findall(r"^(\.LBB\w+):\n(.*?)(?=^\.LBB\w+:)", text, re.MULTILINE | re.DOTALL):
        lines = [line.strip() for line in body.splitlines() if re.match(r"\t[a-z]", line)]
        ends = [i for i, line in enumerate(lines) if line.startswith("b") and line.endswith(label)]
        if ends:
            loops.append(lines[: ends[0] + 1])
    return max(loops, key=lambda lines: sum(line.startswith(product) for line in lines))


@pytest.mark.parametrize("level", ARM_LEVELS)
def test_rescales_to_32_bits_are_narrowed_by_no_instruction(level: str) -> None:
    table = ARM_LEVELS[level]
    epilogue = Epilogue("int32", rescale_for(np.full(64, 40), -3, -(2**31), 2**31 - 1))
    spec = Convolution("words", (1, 3, 3, 16), 64, "int8", epilogue)
    text = build_assembly([convolution(spec, table.dot)], table.target())
    assert "words" in text
    assert not re.search("qxtu?n|qmovu?n", text)


@pytest.mark.parametrize("depth", [128, 192, 256])
def test_the_k_loop_of_dot_products_is_what_an_expert_would_write(depth: int) -> None:
    loop = inner_loop("dotprod", depth, "sdot")
    products = sum(line.startswith("sdot") for line in loop)
    assert products >= 64
    assert len(loop) <= 1.5 * products
    assert not any("[sp" in line or line.startswith(("dup", "mov")) for line in loop), "spills, or copies"


def test_the_k_loop_of_neon_multiplies_bytes() -> None:
    loop = inner_loop("neon", 128, "sadalp")
    sums = sum(line.startswith("sadalp") for line in loop)
    assert sum(line.startswith(("smull", "smlal")) for line in loop) == 2 * sums
    assert len(loop) <= 4.5 * sums


def test_the_k_loop_of_matrix_multiplies() -> None:
    loop = inner_loop("i8mm", 256, "smmla")
    products = sum(line.startswith("smmla") for line in loop)
    assert products >= 32
    assert len(loop) <= 1.75 * products
    assert not any("[sp" in line for line in loop), "spills"


def test_the_k_loop_of_armv7_multiplies_bytes() -> None:
    loop = inner_loop("armv7", 128, "vpadal")
    sums = sum(line.startswith("vpadal") for line in loop)
    assert sum(line.startswith(("vmull", "vmlal")) for line in loop) == 2 * sums
    assert not any("[sp" in line for line in loop), "spills"
    assert len(loop) <= 5.5 * sums


def test_the_tables_agree_with_the_targets() -> None:
    for text in ALL:
        target = Target.parse(text)
        assert target.instructions.target() == target.tvm_target()


def dense(weights: list[np.ndarray]) -> Module:
    """Matrix products that return their sums."""
    b = Builder("dense", Stage.INTEGER)
    for number, array in enumerate(weights):
        port = b.input(f"x{number}", TensorType((2, array.shape[0]), UniformType(I8, (0.1,), (0,))))
        x = b.emit(ops.StorageCast, port)
        b.output(f"y{number}", b.emit(ops.Matmul, x, b.constant(array, "w")))
    return b.build()


def rescales() -> Module:
    """One multiplication for each channel, whose bias leads to any sum, and a rescale with any multiplier and shift."""
    random = np.random.default_rng(0)
    b = Builder("rescales", Stage.INTEGER)
    for number, (low, high, limit) in enumerate([(33, 63, 2**31 - 2**15), (1, 63, 2**31 - 2**15), (28, 60, 2**20)]):
        x = b.emit(ops.StorageCast, b.input(f"x{number}", TensorType((1, 3, 3, 16), UniformType(I8, (0.1,), (0,)))))
        w = b.constant(random.integers(-3, 4, (64, 1, 1, 16)).astype(np.int8), "w")
        bias = random.integers(-limit, limit, 64)
        bias[:8] = [limit - 1, -limit, 0, 1, -1, 2**15, -(2**15), 3]
        sums = b.emit(ops.Conv2d, x, w, b.constant(bias.astype(np.int32), "b"))
        multiplier = random.choice([2**31 - 1, 2**30, 2**30 + 1, 1, 0, 3], 64).astype(np.int32)
        multiplier[::2] = random.integers(2**30, 2**31, 32)
        m = b.constant(multiplier, "m")
        for rounding in ("half_up", "double", "double_up"):
            s = b.constant(random.integers(low, high, 64).astype(np.int8), "s")
            y = b.emit(
                ops.Rescale, sums, m, s, to=I8, minimum=-128, maximum=127, output_zero_point=-5, rounding=rounding
            )
            b.output(f"{rounding}{number}", b.emit(ops.StorageCast, y, to=UniformType(I8, (0.1,), (-5,))))
    return b.build()


@pytest.mark.parametrize("target", [*TARGETS, pytest.param(ALL[-1], marks=pytest.mark.slow)])
def test_dot_products_at_the_extremes(target: str, tmp_path: Path, tool: Callable[[str], str]) -> None:
    require_tools(target, tool)
    random = np.random.default_rng(1)
    ends = np.array([-128, -127, 127, 0], np.int8)
    weights = [random.choice(ends[low:], (depth, 20)) for depth in (4, 16, 22, 64) for low in (0, 1)]
    weights += [np.full((48, 17), value, np.int8) for value in (-128, -127, 127)]
    module = dense(weights)
    inputs = {v.name: random.choice(ends, v.type.shape).astype(np.int8) for v in module.inputs}
    inputs["x8"][:] = -128
    compiled(module, target).save(tmp_path / "a")
    level = Target.parse(target).instructions
    for name, found in load_model(tmp_path / "a").run(inputs).items():
        array, x = weights[int(name[1:])], inputs[f"x{name[1:]}"]
        np.testing.assert_array_equal(found, x.astype(np.int32) @ array.astype(np.int32), err_msg=name)
        meaning = level.dot_for(array).meaning(np.zeros(4, np.int32), x[0, :4], array[:4, :4].T)
        np.testing.assert_array_equal(meaning, x[0, :4].astype(np.int32) @ array[:4, :4].astype(np.int32))
    assert level.dot_for(weights[0]) is level.dot


@pytest.mark.parametrize("target", [pytest.param(t, marks=[pytest.mark.slow] * ("aarch64" in t)) for t in ALL])
def test_rescales_of_any_sum(target: str, tmp_path: Path, tool: Callable[[str], str]) -> None:
    require_tools(target, tool)
    module = rescales()
    random = np.random.default_rng(2)
    inputs = {v.name: random.integers(-128, 128, v.type.shape).astype(np.int8) for v in module.inputs}
    compiled(module, target).save(tmp_path / "a")
    found, expected = load_model(tmp_path / "a").run(inputs), evaluate(module, inputs)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=f"{target} {name}")

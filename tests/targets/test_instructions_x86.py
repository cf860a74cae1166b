"""Each dot instruction computes what its NumPy meaning says, also at the extremes; the code reads unaligned."""

from __future__ import annotations

import ctypes
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from qcc.targets import tir
from qcc.targets.instructions import STEP, DotInstruction, VectorLevel
from qcc.targets.lowering import build_assembly, build_object
from qcc.targets.nests.convolution import Convolution, convolution
from qcc.targets.nests.epilogue import Epilogue, Rescale
from qcc.targets.nests.matmul import matmul
from qcc.targets.nests.products import InputType
from qcc.targets.x86_instructions import X86_LEVELS
from tests.targets.kernel_library import host_lacks, load_object

LEVELS = pytest.mark.parametrize("level", X86_LEVELS.values(), ids=X86_LEVELS)
INPUT_TYPES: tuple[InputType, ...] = ("int8", "uint8")


def _one_step(dot: DotInstruction, input_type: str) -> tir.PrimFunc:
    """`accumulator += activation · weights`, one step."""
    activation = tir.buffer("activation", STEP, input_type)
    weights = tir.buffer("weights", dot.lanes * STEP, "int8")
    accumulator = tir.buffer("accumulator", dot.lanes, "int32")
    body = tir.Body()
    word = tir.reinterpret(tir.load(activation, 0, STEP), "int32")
    prepared = dot.broadcast(body, word, input_type)
    loaded = dot.load_weights(body, weights, tir.constant(0))
    body.store(accumulator, 0, dot.accumulate(tir.load(accumulator, 0, dot.lanes), prepared, loaded), dot.lanes)
    return body.function(f"step_{input_type}", [activation, weights, accumulator])


@LEVELS
def test_an_instruction_computes_its_meaning(level: VectorLevel, tmp_path: Path) -> None:
    if reason := host_lacks(level):
        pytest.skip(reason)
    functions = [_one_step(level.dot, input_type) for input_type in INPUT_TYPES]
    library = load_object(build_object(functions, level.target()), tmp_path, level.name)
    generator = np.random.default_rng(1)
    extremes = [-128, -127, -1, 0, 1, 126, 127]
    for turn in range(300):
        input_type = INPUT_TYPES[turn % 2]
        activation = generator.choice(extremes, STEP).astype(np.int8).view(input_type)
        weights = generator.choice(extremes, (level.dot.lanes, STEP)).astype(np.int8)
        if turn > 200:
            weights = generator.choice(np.array([-128, 127]), weights.shape).astype(np.int8)
        accumulator = generator.integers(-(2**31), 2**31, level.dot.lanes).astype(np.int32)
        expected = level.dot.meaning(accumulator, activation, weights)
        arranged = np.ascontiguousarray(level.dot.arrange(weights))
        arrays = (activation, arranged, accumulator)
        getattr(library, f"step_{input_type}")(*(ctypes.c_void_p(array.ctypes.data) for array in arrays))
        np.testing.assert_array_equal(accumulator, expected)


@LEVELS
@pytest.mark.parametrize("input_type", INPUT_TYPES)
def test_the_meaning_is_a_dot_product_once_the_offset_is_taken_back(level: VectorLevel, input_type: InputType) -> None:
    generator = np.random.default_rng(2)
    activation = generator.integers(0, 256, STEP).astype(np.uint8).view(input_type)
    weights = generator.integers(-128, 128, (level.dot.lanes, STEP)).astype(np.int8)
    result = level.dot.meaning(np.zeros(level.dot.lanes, np.int32), activation, weights)
    offset = level.dot.activation_offset(input_type) * weights.sum(axis=1, dtype=np.int32)
    np.testing.assert_array_equal(result - offset, weights.astype(np.int32) @ activation.astype(np.int32))


def _functions(level: VectorLevel) -> list[tir.PrimFunc]:
    epilogue = Epilogue("int8", Rescale(3, -128, 127, "high"))
    specs: list[Convolution] = [
        matmul("dense", 49, 160, 66, "int8", epilogue),
        Convolution("taps", (1, 7, 7, 32), 64, "int8", epilogue, (3, 3), padding=(1, 1, 1, 1)),
        Convolution("depthwise", (1, 7, 7, 40), 40, "int8", epilogue, (3, 3), padding=(1, 1, 1, 1), groups=40),
        Convolution("few", (1, 9, 9, 3), 32, "int8", epilogue, (3, 3), strides=(2, 2)),
    ]
    return [convolution(spec, level.dot) for spec in specs]


@cache
def _assembly(level: VectorLevel) -> str:
    return build_assembly(_functions(level), level.target())


@LEVELS
def test_the_code_assumes_no_alignment_of_its_arguments(level: VectorLevel) -> None:
    assembly = _assembly(level)
    moves = re.findall(r"^\s*vmov(?:dqa|aps|apd)\w*\s.*\(.*$", assembly, re.MULTILINE)
    strays = [line for line in moves if not re.search(r"\(%(rsp|rip)", line)]
    assert not strays
    assert "vmovdqu" in assembly


@LEVELS
def test_the_code_uses_the_exact_instruction_and_no_saturating_one(level: VectorLevel) -> None:
    assembly = _assembly(level)
    assert level.dot.name in assembly
    assert "vpmaddubsw" not in assembly
    assert not re.search(r"\bvpmul(ld|udq|lq)\b", assembly), "a multiply that LLVM has expanded"
    assert "vpdpbusds" not in assembly
    assert ("%zmm" in assembly) == (level.name == "avx512-vnni")


@LEVELS
def test_the_same_functions_give_the_same_bytes(level: VectorLevel) -> None:
    first, second = (build_object(_functions(level)[:2], level.target()) for _ in range(2))
    assert first == second

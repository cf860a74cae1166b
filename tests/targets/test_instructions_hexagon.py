"""Each Hexagon instruction computes what its NumPy meaning says, also at the extremes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qcc.targets import tir
from qcc.targets.hexagon_instructions import HVX_V66, INSTRUCTIONS, VECTOR_BYTES, Instruction
from qcc.targets.lowering import build_object
from qcc.targets.target import Target
from tests.targets.hexagon_program import Array, Call, link, run

SIZES = {"vector": 128, "pair": 256, "word": 4, "quad": 8}
ELEMENTS = {"vector": ("int32", 32), "pair": ("int32", 64), "word": ("int32", 1), "quad": ("int64", 1)}
WORDS = (-1, -2, -4, 0, 1, 2, 3, 4, 5, 6, 7, 31, 64, 127, 128)


def _function(number: int, instruction: Instruction) -> tir.PrimFunc:
    """Loads the operands, executes the instruction, stores the result; predicates as bytes of ones."""
    body = tir.Body()
    kinds = ["word" if kind == "predicate" else kind for kind in instruction.operands]
    buffers = [tir.buffer(f"operand_{place}", ELEMENTS[k][1], ELEMENTS[k][0]) for place, k in enumerate(kinds)]
    operands = [tir.load(b, 0, ELEMENTS[k][1]) for b, k in zip(buffers, kinds, strict=True)]
    operands = [
        tir.llvm("int1x128", "llvm.hexagon.V6.pred.scalar2.128B", value) if kind == "predicate" else value
        for value, kind in zip(operands, instruction.operands, strict=True)
    ]
    value = instruction(*operands)
    if instruction.result == "predicate":
        value = tir.reinterpret(tir.cast(value, "int8x128") & tir.splat(1, 128, "int8"), "int32x32")
    kind = "vector" if instruction.result == "predicate" else instruction.result
    result = tir.buffer("result", ELEMENTS[kind][1], ELEMENTS[kind][0])
    body.store(result, 0, value, ELEMENTS[kind][1])
    return body.function(f"instruction_{number}", [*buffers, result])


def _operand(kind: str, generator: np.random.Generator) -> Array:
    if kind in ("word", "predicate"):
        wild = generator.integers(-(2**31), 2**31)
        return np.array(
            [generator.choice(WORDS) if generator.random() < 0.7 or kind == "predicate" else wild], np.int32
        )
    data = generator.integers(0, 256, SIZES[kind]).astype(np.uint8)
    if generator.random() < 0.5:
        data = generator.choice(np.array([0, 1, 127, 128, 255], np.uint8), SIZES[kind])
    return data.astype(np.uint8)


def _expected(instruction: Instruction, operands: list[Array]) -> Array:
    """The meaning on one set of operands."""
    values: list[Any] = []
    for kind, data in zip(instruction.operands, operands, strict=True):
        if kind == "word":
            values.append(int(data[0]))
        elif kind == "quad":
            values.append(int(data.view(np.int64)[0]))
        elif kind == "predicate":
            values.append((np.arange(VECTOR_BYTES) < int(data[0]) % VECTOR_BYTES).astype(np.uint8))
        else:
            values.append(data)
    result = instruction.meaning(*values)
    return np.array([result], np.int64).view(np.uint8) if instruction.result == "quad" else np.asarray(result)


def test_every_instruction_computes_its_meaning(tmp_path: Path) -> None:
    names = [f"instruction_{number}" for number in range(len(INSTRUCTIONS))]
    functions = [_function(number, instruction) for number, instruction in enumerate(INSTRUCTIONS)]
    program = link([build_object(functions, HVX_V66.target())], names, tmp_path)
    generator = np.random.default_rng(3)
    calls, expected = [], []
    for name, instruction in zip(names, INSTRUCTIONS, strict=True):
        for _ in range(24):
            operands = [_operand(kind, generator) for kind in instruction.operands]
            calls.append(Call(name, [*operands, np.zeros(SIZES.get(instruction.result, 128), np.uint8)]))
            expected.append(_expected(instruction, operands))
    for call, (found,), wanted in zip(calls, run(program, names, calls), expected, strict=True):
        title = INSTRUCTIONS[names.index(call.function)].name
        np.testing.assert_array_equal(found, wanted, err_msg=title)


@pytest.mark.parametrize("input_type", ["int8", "uint8"])
def test_a_dot_product_once_the_surplus_is_taken_back(input_type: str) -> None:
    dot, generator = HVX_V66.dot, np.random.default_rng(2)
    activation = generator.integers(0, 256, 4).astype(np.uint8).view(input_type)
    weights = generator.integers(-128, 128, (dot.lanes, 4)).astype(np.int8)
    result = dot.meaning(np.zeros(dot.lanes, np.int32), activation, weights).astype(np.int64)
    offset = dot.activation_offset(input_type)
    result -= 128 * (activation.astype(np.int64) + offset).sum() + offset * weights.sum(axis=1, dtype=np.int64)
    np.testing.assert_array_equal(result, weights.astype(np.int64) @ activation.astype(np.int64))


def test_the_target_uses_the_table() -> None:
    for feature in ("hvxv66", "hvxv68"):
        assert Target.parse(f"hexagon-unknown-linux-musl+{feature}").instructions is HVX_V66
    assert HVX_V66.target() == Target.parse("hexagon-unknown-linux-musl+hvxv66").tvm_target()

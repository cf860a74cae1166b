"""HVX convolutions against NumPy under qemu-hexagon, at the border of unmapped memory, and what LLVM makes of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qcc.targets.hexagon_instructions import HVX_V66
from qcc.targets.hvx.writer import has_epilogue, vector_table
from qcc.targets.lowering import build_assembly, build_object
from qcc.targets.nests.convolution import Convolution, convolution, packed_constants
from qcc.targets.nests.epilogue import Epilogue, rescale_for
from qcc.targets.nests.matmul import matmul
from tests.targets.convolution_cases import convolutions, matmuls, random_case, random_convolutions
from tests.targets.hexagon_program import Call, link, run
from tests.targets.kernel_library import Case


def check(cases: Sequence[Case], folder: Path) -> None:
    """Compile all cases, run each at both ends of its pages, compare with NumPy."""
    names = [case.spec.name for case in cases]
    functions = [convolution(case.spec, HVX_V66.dot) for case in cases]
    program = link([build_object(functions, HVX_V66.target())], names, folder)
    calls, expected = [], []
    for case in cases:
        arrays: dict[str, Any] = dict(
            packed_constants(case.spec, HVX_V66.dot, case.weights, case.bias, case.multiplier, case.shift)
        )
        if case.table is not None:
            arrays["table"] = vector_table(case.table)
        for at_end in (True, False):
            output = np.zeros(case.spec.output, case.spec.epilogue.output_type)
            calls.append(Call(case.spec.name, [case.source, *arrays.values(), output], at_end=at_end))
            expected.append((case.spec, case.expected()))
    for (found,), (spec, wanted) in zip(run(program, names, calls), expected, strict=True):
        np.testing.assert_array_equal(found, wanted, err_msg=str(spec))


def _swept(generator: np.random.Generator) -> list[Case]:
    """Channels 1 to 70, both types, tails everywhere; every kind of rows, with segments of long lines."""
    cases = []
    for number, channels in enumerate((1, 3, 8, 17, 31, 32, 33, 64, 70)):
        input_type: Any = ("int8", "uint8")[number % 2]
        dense = matmul(f"dense_{channels}", 7, 71 - channels, channels, input_type, Epilogue("int32"))
        size = (1, 5, 4 + number, channels)
        deep = Convolution(
            f"depthwise_{channels}",
            size,
            channels,
            input_type,
            Epilogue("int32"),
            (3, 3),
            (1 + number % 2, 1 + number // 2 % 2),
            padding=(1, 1, 1, 1),
            groups=channels,
        )
        cases += [random_case(dense, "int8", generator), random_case(deep, "uint8", generator, clamp=True)]
    wide = Convolution("wide", (1, 3, 75, 72), 40, "int8", Epilogue("int32"), (3, 3), padding=(1, 1, 1, 1))
    blocks = Convolution("blocks", (1, 6, 9, 150), 150, "int8", Epilogue("int32"), (5, 3), (1, 2), groups=150)
    stretched = Convolution(
        "stretched", (1, 2, 700, 12), 12, "int8", Epilogue("int32"), (2, 3), padding=(0, 1, 0, 1), groups=12
    )
    return cases + [random_case(spec, "int8", generator) for spec in (wide, blocks, stretched)]


def _many_columns(generator: np.random.Generator) -> list[Case]:
    """Several blocks of columns in int32, the last one with whole vectors behind the end of the row."""
    cases = []
    for columns in (193, 200, 224, 300):
        for rows in (1, 4):
            spec = matmul(f"columns_{rows}_{columns}", rows, columns, 16, "int8", Epilogue("int32"))
            cases.append(random_case(spec, "int32", generator))
    wide = Convolution("columns_wide", (1, 3, 12, 8), 224, "uint8", Epilogue("int32"), (2, 2))
    return [*cases, random_case(wide, "int32", generator)]


def _few(generator: np.random.Generator) -> list[Case]:
    """A handful of the sweep for every run of the tests."""
    cases = matmuls(generator)
    windows = convolutions(generator)
    return [cases[5], cases[8], *(windows[n] for n in (0, 2, 11)), _many_columns(generator)[2]]


@pytest.mark.parametrize(
    "make",
    [
        _few,
        pytest.param(_many_columns, marks=pytest.mark.slow),
        pytest.param(_swept, marks=pytest.mark.slow),
        pytest.param(matmuls, marks=pytest.mark.slow),
        pytest.param(convolutions, marks=pytest.mark.slow),
        pytest.param(random_convolutions, marks=pytest.mark.slow),
    ],
)
def test_compiled_nests_compute_what_numpy_computes(make: Any, tmp_path: Path) -> None:
    cases = [case for case in make(np.random.default_rng(7)) if has_epilogue(case.spec.epilogue)]
    check(cases, tmp_path)


def _loops(assembly: str) -> list[str]:
    """The bodies of innermost loops with a dot product in them: basic blocks that jump to themselves."""
    blocks = re.split(r"\n(?=\.LBB)", assembly)
    own = (re.compile(rf"endloop|jump\S* {re.escape(block.partition(':')[0])}\b") for block in blocks)
    pairs = zip(blocks, own, strict=True)
    return [block for block, jump in pairs if jump.search(block) and re.search(r"\bv\d+\.w \+= vrmpy", block)]


@pytest.mark.parametrize("depth", [128, 512])
def test_the_inner_loop_of_a_pointwise_convolution_is_dot_products(depth: int) -> None:
    epilogue = Epilogue("int8", rescale_for(np.full(128, 40), 3, -128, 127, 2**24))
    spec = Convolution("pointwise", (1, 12, 12, depth), 128, "int8", epilogue)
    loops = _loops(build_assembly([convolution(spec, HVX_V66.dot)], HVX_V66.target()))
    assert loops
    for loop in loops:
        packets = loop.count("{")
        products = len(re.findall(r"\bv\d+\.w \+= vrmpy", loop))
        assert packets <= 0.7 * products
        assert not re.search(r"vmemu?\(r(29|30)[+#]", loop), "an accumulator on the stack"

"""The C source of kernels: free of undefined behaviour and of warnings, deterministic, readable."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from qcc.ir import I8, I32, Builder, Value, ops
from tests.targets.float_cases import float_cases
from tests.targets.function_cases import function_kernel_cases
from tests.targets.integer_cases import codes, conv_cases, integer_cases, rescaled, residual_cases
from tests.targets.kernel_programs import Case, c_program, case
from tests.targets.test_elementwise_kernels import all_cases

_MAIN = """
#include <stdio.h>
#include <stdlib.h>
static void *exact(size_t size, FILE *file) {
  void *memory = malloc(size ? size : 1);
  if (memory == NULL || fread(memory, 1, size, file) != size) abort();
  return memory;
}
"""


def _driver(cases: list[Case]) -> tuple[str, bytes]:
    """A program that calls every kernel on heap blocks of exactly the right size, read from a file of their bytes."""
    kernels, source = c_program(cases)
    calls, data = [], bytearray()
    for one, group in zip(cases, kernels, strict=True):
        (kernel, lowered), blocks = group[0], []
        for argument in lowered.arguments:
            if hasattr(argument, "array"):
                content = argument.array.tobytes()
            elif argument.name in one.inputs:
                content = np.ascontiguousarray(one.inputs[argument.name]).tobytes()
            else:
                content = bytes(argument.type.size * argument.type.element.storage.dtype.itemsize)
            data += content
            blocks.append(len(content))
        names = [f"p{i}" for i in range(len(blocks))]
        lines = [f"void *{name} = exact({size}, file);" for name, size in zip(names, blocks, strict=True)]
        lines += [f"{kernel.name}({', '.join(names)});", *(f"free({name});" for name in names)]
        calls.append("  { " + " ".join(lines) + " }\n")
    main = 'int main(int count, char **words) {\n  FILE *file = count > 1 ? fopen(words[1], "rb") : NULL;\n'
    main += "  if (!file) return 3;\n"
    return source + _MAIN + main + "".join(calls) + "  fclose(file);\n  return 0;\n}\n", bytes(data)


FAMILIES: dict[str, Callable[[], list[Case]]] = {
    "integers": integer_cases,
    "elements": all_cases,
    "functions": function_kernel_cases,
    "reals": float_cases,
}


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_no_undefined_behaviour(family: str, tool: Callable[[str], str], tmp_path: Path) -> None:
    cases = FAMILIES[family]()
    single = [one for one in cases if len({op.fusion for op in one.module.ops if op.fusion}) == 1][::3]
    source, data = _driver([one for one in single if "storage_cast" not in {op.name for op in one.module.ops}])
    (tmp_path / "main.c").write_text(source)
    (tmp_path / "data").write_bytes(data)
    flags = ["-std=c99", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    subprocess.run([tool("gcc"), *flags, "-o", str(tmp_path / "main"), str(tmp_path / "main.c"), "-lm"], check=True)
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
    done = subprocess.run([tmp_path / "main", tmp_path / "data"], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[:3000]


def _sample() -> list[Case]:
    """A few kernels with fixed weights."""

    def scaled(b: Builder, x: Value) -> Value:
        return rescaled(b, x, 1 << 30, 33)

    return [case(scaled, (codes((2, 3), I8)[0], np.zeros((2, 3), np.int8)))]


def test_the_same_kernels_give_the_same_source() -> None:
    assert c_program(_sample())[1] == c_program(_sample())[1]


def test_inputs_and_constants_are_const_and_functions_commented() -> None:
    _, source = c_program([next(residual_cases()), next(conv_cases())])
    heads = re.findall(r"^void .*$", source, re.MULTILINE)
    assert heads
    for head in heads:
        *inputs, output = head[head.index("(") + 1 :].split(",")
        assert all("const " in text for text in inputs)
        assert "const" not in output
    assert "/* conv2d + rescale" in source


def test_names_do_not_come_from_the_model() -> None:
    def build(b: Builder, x: Value) -> Value:
        return b.emit(ops.Add, x, b.constant(np.arange(6, dtype=np.int32), "secret_layer"), name="secret_result")

    _, source = c_program([case(build, codes((6,), I32))])
    assert "secret" not in source


def test_importing_kernels_does_not_load_the_code_generator() -> None:
    code = "import sys, qcc.targets.kernel; sys.exit('tvm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0

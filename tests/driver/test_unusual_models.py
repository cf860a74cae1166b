"""Models that are unlike those that people train: very long, or with names that mean something elsewhere."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import qcc
from qcc.compiler import CompileOptions, compile_module
from qcc.ir import F32, I32, Builder, Module, PassError, ScalarType, TensorType, UsageError, evaluate, ops


def assert_runs_as_evaluated(module: Module, artifact: qcc.Artifact) -> None:
    """Compare one run of an artifact compiled with the recipe `float`."""
    inputs = {v.name: np.linspace(-2, 2, v.type.size, dtype=np.float32).reshape(v.type.shape) for v in module.inputs}
    expected, found = evaluate(module, inputs), artifact.run_codes(inputs)
    assert list(found) == list(expected)
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-5)


@pytest.mark.parametrize("target", ["c", "native"])
def test_a_chain_of_hundreds_of_operations(target: str) -> None:
    builder = Builder()
    value = builder.input("x", TensorType((1, 4), F32))
    for index in range(300):
        value = builder.emit(ops.Neg if index % 2 == 0 else ops.Sigmoid, value)
    builder.output("y", value)
    module = builder.build()
    assert_runs_as_evaluated(module, qcc.compile(module, target=target, recipe="float"))


# Macros and types of the headers of C, macros of compilers, names that C and C++ keep for themselves.
RESERVED_TEXT = """NULL offsetof INT8_MAX UINT8_C SIZE_MAX NAN INFINITY HUGE_VAL M_PI isnan fmaxf math_errhandling errno
EOF stdout linux unix int8_t size_t memcpy _Bool __cplusplus __LINE__ INT8_MAX_ x_Bool new int in out arena main"""


@pytest.mark.parametrize("target", ["c", "native"])
def test_names_that_mean_something_to_c(target: str, tmp_path: Path) -> None:
    builder = Builder("net")
    for name in RESERVED_TEXT.split():
        builder.output(f"{name}", builder.emit(ops.Neg, builder.input(name, TensorType((1, 4), F32))))
    module = builder.build()
    artifact = qcc.compile(module, target=target, recipe="float")
    assert_runs_as_evaluated(module, artifact)
    artifact.save(tmp_path / "net")
    headers = ["stddef", "stdint", "stdio", "stdlib", "string", "math", "limits", "errno", "assert", "ctype", "signal"]
    includes = "".join(f"#include <{name}.h>\n" for name in headers) + '#include "net.h"\nint done;\n'
    for command, file in (["cc", "-std=gnu99"], "user.c"), (["cc", "-std=c99"], "user.c"), (["g++"], "user.cpp"):
        (tmp_path / file).write_text(includes)
        flags = ["-Wall", "-Werror", "-fsyntax-only", f"-I{tmp_path / 'net'}"]
        subprocess.run([*command, *flags, str(tmp_path / file)], check=True)


def negation(shape: tuple[int, ...]) -> Module:
    """Return a module that negates one tensor."""
    builder = Builder()
    builder.output("y", builder.emit(ops.Neg, builder.input("x", TensorType(shape, F32))))
    return builder.build()


@pytest.mark.parametrize("options", [{"recipe": "float"}, {"calibration": {"x": np.zeros((1, 0), np.float32)}}])
def test_tensors_without_elements_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"input 'x' has no elements: its shape is \[1, 0\]") as caught:
        qcc.compile(negation((1, 0)), target="c", **options)
    assert "at least 1" in caught.value.help


def test_a_recipe_that_is_none_lists_all() -> None:
    with pytest.raises(PassError, match="no recipe 'INT8'") as caught:
        qcc.compile(negation((1, 4)), target="c", recipe="INT8", calibration={"x": np.ones((1, 4), np.float32)})
    assert "did you mean 'int8'?" in caught.value.help
    assert "float" in caught.value.help


def sums_of_integers(element: ScalarType = I32) -> Module:
    """Return a module without real numbers: a sum, a negation and a movement."""
    builder = Builder("sums")
    type = TensorType((1, 4), element)
    total = builder.emit(ops.Add, builder.input("a", type), builder.input("b", type))
    zero = builder.constant(np.zeros((), element.dtype))
    builder.output("total", total)
    builder.output("negative", builder.emit(ops.Sub, zero, builder.emit(ops.Transpose, total, permutation=(1, 0))))
    return builder.build()


@pytest.mark.parametrize("target", ["c", "native"])
def test_a_model_without_real_numbers_is_compiled_as_it_is(target: str) -> None:
    module = sums_of_integers()
    seen: list[str] = []
    options = CompileOptions(
        target=target, report=lambda manager, context: seen.extend(str(r) for r in context.remarks)
    )
    artifact = compile_module(module, None, options)
    assert sum("it wraps, as in the model's own integers" in text for text in seen) == 2
    ends = np.array([[2**31 - 1, -(2**31), -1, 7]], np.int32)
    inputs = {"a": ends, "b": ends[:, ::-1].copy()}
    expected = evaluate(module, inputs)
    np.testing.assert_array_equal(expected["total"], [[-(2**31) + 6, 2**31 - 1, 2**31 - 1, -(2**31) + 6]])
    for name, found in artifact.run_codes(inputs).items():
        np.testing.assert_array_equal(found, expected[name])


def test_a_model_without_real_numbers_has_nothing_to_quantize() -> None:
    samples = {name: np.ones((1, 4), np.int32) for name in ("a", "b")}
    with pytest.raises(UsageError, match="the module is quantized already: --calibration can't change it"):
        qcc.compile(sums_of_integers(), target="c", calibration=samples)

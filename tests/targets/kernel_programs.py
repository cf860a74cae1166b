"""Compiles the kernels of many modules into one library, as C or by LLVM, and holds them against the evaluator."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from qcc.ir import Array, Builder, Module, Stage, TensorType, Value, evaluate
from qcc.ir.ops import Constant, StorageCast
from qcc.targets.c_source import EXACT_FLOATS, PRELUDE
from qcc.targets.kernel import ConstantArgument, Kernel, LoweredKernel, alias_source, lower_kernel, partition
from qcc.targets.lowering import C_HEADERS, build_c_source, build_object
from qcc.targets.target import Target

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")


@dataclass
class Case:
    """A module and its inputs; all operations but constants become one kernel unless they are fused already."""

    module: Module
    inputs: Mapping[str, Array]
    rtol: float = 0.0
    atol: float = 0.0
    expected: dict[str, Array] = field(init=False)

    def __post_init__(self) -> None:
        self.expected = evaluate(self.module, self.inputs)


def fused(module: Module, name: str = "kernel") -> Module:
    """The module with all its operations in one kernel."""
    ops = tuple(op if isinstance(op, Constant | StorageCast) else replace(op, fusion=name) for op in module.ops)
    return module.replace(ops=ops)


def case(build: Any, *inputs: tuple[TensorType, Array], stage: Stage = Stage.INTEGER, **tolerance: float) -> Case:
    """A case from `build(builder, *values)`, which returns the result or a tuple of results."""
    b = Builder("net", stage)
    values = [b.input(f"in{i}", type) for i, (type, _) in enumerate(inputs)]
    results = build(b, *values)
    for i, value in enumerate(results if isinstance(results, tuple) else (results,)):
        b.output(f"out{i}", value)
    return Case(fused(b.build()), {f"in{i}": array for i, (_, array) in enumerate(inputs)}, **tolerance)


@dataclass
class Program:
    """The compiled kernels of a list of cases."""

    cases: Sequence[Case]
    kernels: list[list[tuple[Kernel, LoweredKernel]]]
    library: ctypes.CDLL

    def check(self) -> None:
        """Run every case and compare it with the evaluator."""
        for number, (one, kernels) in enumerate(zip(self.cases, self.kernels, strict=True)):
            found = self._run(one, kernels)
            for name, expected in one.expected.items():
                assert found[name].dtype == expected.dtype
                text = f"case {number}, {name}: {[op.name for k, _ in kernels for op in k.ops]}"
                if one.rtol or one.atol:
                    np.testing.assert_allclose(found[name], expected, one.rtol, one.atol, err_msg=text)
                else:
                    np.testing.assert_array_equal(found[name], expected, err_msg=text)

    def _run(self, one: Case, kernels: list[tuple[Kernel, LoweredKernel]]) -> dict[str, Array]:
        values = {name: np.ascontiguousarray(array) for name, array in one.inputs.items()}

        def of(value: Value) -> Array:
            source = alias_source(one.module, value)
            data = one.module.constant(source)
            return values[source.name] if data is None else data

        for kernel, lowered in kernels:
            arrays: list[npt.NDArray[Any]] = []
            for argument in lowered.arguments:
                if isinstance(argument, ConstantArgument):
                    arrays.append(argument.array)
                elif argument.name in {v.name for v in kernel.outputs}:
                    dtype = argument.type.element.storage.dtype
                    values[argument.name] = np.full(argument.type.shape, 77, dtype)
                    arrays.append(values[argument.name])
                else:
                    arrays.append(of(argument))
            function = getattr(self.library, str(lowered.function.attrs["global_symbol"]))
            function.restype = None
            function(*(ctypes.c_void_p(a.ctypes.data) for a in arrays))
        return {o.name: of(o.value).reshape(o.value.type.shape) for o in one.module.outputs}


def lower_all(cases: Sequence[Case], target: Target) -> list[list[tuple[Kernel, LoweredKernel]]]:
    """The kernels of every case, with names that differ over all cases."""
    lowered = []
    for number, one in enumerate(cases):
        kernels = []
        for kernel in partition(one.module):
            renamed = replace(kernel, name=f"c{number}_{kernel.name}")
            kernels.append((renamed, lower_kernel(renamed, target)))
        lowered.append(kernels)
    return lowered


def c_program(cases: Sequence[Case]) -> tuple[list[list[tuple[Kernel, LoweredKernel]]], str]:
    """The kernels as one C file."""
    kernels = lower_all(cases, Target.parse("c"))
    comments = {k.name: k.description for group in kernels for k, _ in group}
    headers = "".join(f"#include <{header}>\n" for header in (*C_HEADERS, "math.h"))
    body = build_c_source([low.function for group in kernels for _, low in group], comments)
    prototypes = "".join(line.rstrip("{ ") + ";\n" for line in body.splitlines() if line.startswith("void "))
    exact = any(op.exact_floats for one in cases for op in one.module.ops)
    return kernels, headers + PRELUDE + (EXACT_FLOATS if exact else "") + prototypes + body


def compile_c(cases: Sequence[Case], folder: Path, compiler: str, flags: Sequence[str] = ("-O2",)) -> Program:
    """Compile by a C compiler."""
    kernels, source = c_program(cases)
    (folder / "kernels.c").write_text(source)
    library = folder / "kernels.so"
    command = [compiler, *STRICT, *flags, "-shared", "-fPIC", "-o", str(library), str(folder / "kernels.c"), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:4000]
    return Program(cases, kernels, ctypes.CDLL(str(library)))


def compile_llvm(cases: Sequence[Case], folder: Path, target: str = "x86_64-linux-gnu+avx2") -> Program:
    """Compile by LLVM for the host."""
    parsed = Target.parse(target)
    kernels = lower_all(cases, parsed)
    data = build_object([low.function for group in kernels for _, low in group], parsed.tvm_target())
    (folder / "kernels.o").write_bytes(data)
    library = folder / "kernels.so"
    subprocess.run(["cc", "-shared", "-o", str(library), str(folder / "kernels.o"), "-lm"], check=True)
    return Program(cases, kernels, ctypes.CDLL(str(library)))

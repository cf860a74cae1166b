"""Lowering to plain C functions: pointer parameters, exact symbol names, C source that stands alone."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np

from qcc.targets import tir
from qcc.targets.lowering import C_HEADERS, build_c_source, build_object, build_objects
from tests.targets.kernel_library import load_object

_HOST = {"kind": "llvm", "mtriple": "x86_64-linux-gnu"}


def _scale(name: str, factor: int) -> tir.PrimFunc:
    """`output[i] = input[i] · factor`, eight times, through a local buffer."""
    source, output = tir.buffer("input", 8, "int8"), tir.buffer("output", 8, "int32")
    body = tir.Body()
    local = body.allocate("local", 8, "int32")
    with body.loop("i", 8) as i:
        body.store(local, i, tir.cast(tir.load(source, i), "int32"))
    with body.loop("j", 8) as j, body.when(tir.load(local, j) > tir.constant(-100)):
        body.store(output, j, tir.load(local, j) * tir.constant(factor))
    return body.function(name, [source, output])


def _shifted(name: str, apart: bool) -> tir.PrimFunc:
    """`output[i + 1] = input[i]`, one after the other: in one memory that spreads the first element."""
    source, output = tir.buffer("input", 64, "int8"), tir.buffer("output", 64, "int8")
    body = tir.Body()
    with body.loop("i", 63) as i:
        body.store(output, i + tir.constant(1), tir.load(source, i))
    return body.function(name, [source, output]).with_attr("tirx.noalias", apart)


def _check(library: ctypes.CDLL) -> None:
    source = np.arange(-4, 4, dtype=np.int8)
    for name, factor in (("times_three", 3), ("times_minus_seven", -7)):
        output = np.zeros(8, np.int32)
        getattr(library, name)(ctypes.c_void_p(source.ctypes.data), ctypes.c_void_p(output.ctypes.data))
        np.testing.assert_array_equal(output, source.astype(np.int32) * factor)


def _functions() -> list[tir.PrimFunc]:
    return [_scale("times_three", 3), _scale("times_minus_seven", -7)]


def test_an_object_holds_plain_functions_under_their_names(tmp_path: Path) -> None:
    _check(load_object(build_object(_functions(), _HOST), tmp_path, "plain"))


def test_an_object_needs_no_runtime(tmp_path: Path, tool: Callable[[str], str]) -> None:
    path = tmp_path / "kernels.o"
    path.write_bytes(build_object(_functions(), _HOST))
    names = subprocess.run([tool("nm"), "-u", str(path)], check=True, capture_output=True, text=True).stdout.split()
    assert [name for name in names if name not in ("U", "memset", "memcpy")] == []


def test_functions_whose_parameters_overlap_keep_their_order_of_accesses(tmp_path: Path) -> None:
    functions = [_shifted("overlapping", False), _shifted("z_apart", True)]  # TVM would take the attribute of the last
    found: dict[str, Callable[..., object]] = {}
    for number, data in enumerate(build_objects(functions, _HOST)):
        library = load_object(data, tmp_path, f"part{number}")
        found |= {name: getattr(library, name) for name in ("overlapping", "z_apart") if hasattr(library, name)}
    assert set(found) == {"overlapping", "z_apart"}
    memory = np.arange(1, 65, dtype=np.int8)
    found["overlapping"](*2 * (ctypes.c_void_p(memory.ctypes.data),))
    np.testing.assert_array_equal(memory, np.ones(64, np.int8))


def test_c_source_stands_alone(tmp_path: Path, tool: Callable[[str], str]) -> None:
    source = build_c_source(_functions())
    assert "#include" not in source
    assert "tvm" not in source.lower()
    text = "".join(f"#include <{header}>\n" for header in C_HEADERS)
    text += (
        "void times_three(const int8_t *, int32_t *);\nvoid times_minus_seven(const int8_t *, int32_t *);\n" + source
    )
    path, library = tmp_path / "kernels.c", tmp_path / "kernels.so"
    path.write_text(text)
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O1", "-fPIC", "-shared"]
    subprocess.run([tool("cc"), *flags, "-o", str(library), str(path)], check=True)
    _check(ctypes.CDLL(str(library)))


def test_the_same_functions_give_the_same_source() -> None:
    assert build_c_source(_functions()) == build_c_source(_functions())

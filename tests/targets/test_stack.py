"""`stack_bytes` of the manifest, against LLVM's own notes of each frame and against what a run writes to its stack."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from qcc.targets import Target
from qcc.targets.emission.elf import read_object
from qcc.targets.emission.figures import deepest_run
from qcc.targets.emission.program import lower_program
from qcc.targets.emission.thumb_stack import frame_sizes
from qcc.targets.lowering import build_assembly
from tests.targets.compiled import compiled_once, planned
from tests.targets.integer_modules import random_inputs, residual_net
from tests.targets.linked_program import linked_with
from tests.targets.test_foreign_code import model_of, require_tools

CORTEX_M = (
    "thumbv7em-none-eabi@cortex-m4",
    "thumbv7em-none-eabi@cortex-m7",
    "thumbv8.1m.main-none-eabi+mve@cortex-m55",
)


@pytest.mark.slow
@pytest.mark.parametrize("target", CORTEX_M)
def test_frames_are_those_that_llvm_notes_for_debuggers(target: str) -> None:
    parsed = Target.parse(target)
    program = lower_program(planned(residual_net(), parsed), parsed)
    assembly = build_assembly([f.primitive for f in program.functions], parsed.tvm_target())
    library = compiled_once(residual_net, target).files["libresidual_net.a"]
    sizes = frame_sizes(read_object(library[library.index(b"\x7fELF") :]))
    assert sizes is not None
    for function in program.functions:
        (body,) = re.findall(rf"^{function.symbol}:\n(.*?)\.fnend", assembly, re.MULTILINE | re.DOTALL)
        offsets = [int(offset) for offset in re.findall(r"\.cfi_def_cfa_offset (\d+)", body)]
        assert sizes[function.symbol] == max(offsets, default=0) > 0


PAINT = """\
#include <stddef.h>
#include <stdint.h>

enum { DEPTH = 8192 };
int __real_residual_net_run(const void *in, void *out, void *arena);

/* Leaves in the first output how many bytes below the stack of the caller a run changes. */
__attribute__((noinline)) int __wrap_residual_net_run(const void *in, void *out, void *arena) {
    register uintptr_t stack __asm__("sp");
    const uintptr_t here = stack;
    volatile uint8_t *lowest = (volatile uint8_t *)(here - DEPTH);
    for (size_t i = 0; i < DEPTH; ++i) {
        lowest[i] = 0xA5;
    }
    if (__real_residual_net_run(in, out, arena) != 0) {
        return -1;
    }
    size_t untouched = 0;
    while (untouched < DEPTH && lowest[untouched] == 0xA5) {
        ++untouched;
    }
    const uint32_t changed = (uint32_t)(DEPTH - untouched);
    for (size_t i = 0; i < sizeof changed; ++i) {
        (*(uint8_t **)out)[i] = (uint8_t)(changed >> 8 * i);
    }
    return 0;
}
"""


@pytest.mark.slow
@pytest.mark.parametrize("target", CORTEX_M)
def test_a_run_takes_what_the_manifest_says(target: str, tmp_path: Path, tool: Callable[[str], str]) -> None:
    require_tools(target, tool)
    model = model_of(residual_net, target, tmp_path / "a")
    program = linked_with(model, PAINT, tmp_path, "-O1", "-Wl,--wrap=residual_net_run")
    ((_, outputs),) = program.call([random_inputs(residual_net(), 0)])
    (measured,) = outputs["logits"].reshape(-1)[:4].view(np.int32)
    stated = model.manifest["stack_bytes"]
    assert stated - 64 <= measured <= stated  # some bytes of the deepest frame are never written


def test_the_deepest_run_has_one_entry_function_and_one_kernel() -> None:
    sizes = {"m_run": 8, "m_run_within": 16, "m_checked_run": 40, "m_k_a": 100, "m_k_b": 60, "m_check_cpu": 500}
    assert deepest_run({**sizes, "m_reset": 900}, "m") == 16 + 40 + 100
    assert deepest_run({**sizes, "m_cpu_is_able": 120}, "m") == 16 + 40 + 120
    assert deepest_run({**sizes, "m_kernels": 16}, "m") == 16 + 40 + 16 + 100
    assert deepest_run({"m_run": 24}, "m") == 24


def test_stack_is_unknown_where_the_code_does_not_tell() -> None:
    assert compiled_once(residual_net, "aarch64-linux-gnu+dotprod").manifest["stack_bytes"] is None

"""Runs single functions of a kernel's kind on an emulated Cortex-M: arrays in, arrays out, many calls in one start."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from qcc.targets import Target, tir
from qcc.targets.emulation.harness import source_text
from qcc.targets.lowering import build_object

Array = npt.NDArray[Any]

_MAIN = """\
#include "harness.h"

enum {{ GUARD = 64, MOST = 12 }};
typedef void (*function)({arguments});
{declarations}
static const function functions[] = {{ {names} }};
static uint8_t pool[1 << 20] __attribute__((aligned(16)));

int main(void) {{
    int32_t calls, head[2 + 2 * MOST];
    if (!harness_read(&calls, 4)) {{
        return 2;
    }}
    for (; calls > 0; --calls) {{
        void *arguments[MOST] = {{0}};
        size_t place = GUARD;
        if (!harness_read(head, sizeof head)) {{
            return 3;
        }}
        for (size_t i = 0; i < sizeof pool; ++i) {{
            pool[i] = 0xA5;
        }}
        for (int32_t i = 0; i < head[1]; ++i) {{
            arguments[i] = pool + place + head[3 + 2 * i];
            if (!harness_read(arguments[i], (size_t)head[2 + 2 * i])) {{
                return 4;
            }}
            place += ((size_t)(head[2 + 2 * i] + head[3 + 2 * i]) + 15u) / 16u * 16u + GUARD;
        }}
        functions[head[0]](arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5],
                           arguments[6], arguments[7], arguments[8], arguments[9], arguments[10], arguments[11]);
        if (!harness_write(pool, place)) {{
            return 5;
        }}
    }}
    return 0;
}}
"""
_GUARD, _MOST = 64, 12


@dataclass(frozen=True)
class Call:
    """A call of a function with arrays that it may change."""

    function: str
    arrays: tuple[Array, ...]
    shift: int = 0
    """Bytes by which arrays of bytes lie behind an aligned address."""

    def placed(self) -> list[tuple[int, int]]:
        """Bytes and shift of each array."""
        return [(a.nbytes, self.shift if a.dtype.itemsize == 1 else 0) for a in self.arrays]


def run_calls(
    target: Target, functions: Sequence[tir.PrimFunc], calls: Sequence[Call], folder: Path, tool: Callable[[str], str]
) -> list[tuple[Array, ...]]:
    """Return the arrays after each call; no byte around them may change."""
    assert target.link is not None
    assert target.emulator is not None
    names = [str(f.attrs["global_symbol"]) for f in functions]
    (folder / "kernels.o").write_bytes(build_object(functions, target.tvm_target()))
    arguments = ", ".join(["void *"] * _MOST)
    declarations = "\n".join(f"void {name}({arguments});" for name in names)
    (folder / "main.c").write_text(_MAIN.format(arguments=arguments, declarations=declarations, names=", ".join(names)))
    for name in ("harness.h", *target.link.sources):
        (folder / name).write_text(source_text(name))
    (folder / "program.ld").write_text(target.link.script)
    gcc = target.link.linkers[0]
    command = [tool(gcc.program), *gcc.flags, "-O1", "-ffreestanding", "-w", *gcc.link_flags, "-T", "program.ld"]
    command += ["main.c", *target.link.sources, "kernels.o", "-o", "program"]
    subprocess.run(command, cwd=folder, check=True)
    (folder / "in.bin").write_bytes(struct.pack("<i", len(calls)) + b"".join(_request(c, names) for c in calls))
    quiet = ("-display", "none", "-monitor", "none", "-serial", "none", "-nic", "none")
    emulator = [tool(target.emulator.program), *target.emulator.options, *quiet]
    emulator += ["-semihosting-config", "enable=on,target=native", "-kernel", "program"]
    subprocess.run(emulator, cwd=folder, check=True, stdin=subprocess.DEVNULL, timeout=600)
    return _results((folder / "out.bin").read_bytes(), calls)


def _request(call: Call, names: list[str]) -> bytes:
    head = [names.index(call.function), len(call.arrays), *(n for pair in call.placed() for n in pair)]
    padded = head + [0] * (2 + 2 * _MOST - len(head))
    return struct.pack(f"<{len(padded)}i", *padded) + b"".join(np.ascontiguousarray(a).tobytes() for a in call.arrays)


def _results(data: bytes, calls: Sequence[Call]) -> list[tuple[Array, ...]]:
    place, found = 0, []
    for call in calls:
        arrays, untouched = [], np.ones(0, bool)
        start = place
        offset = _GUARD
        for array, (size, shift) in zip(call.arrays, call.placed(), strict=True):
            begin = start + offset + shift
            arrays.append(np.frombuffer(data, array.dtype, array.size, begin).reshape(array.shape).copy())
            offset += (size + shift + 15) // 16 * 16 + _GUARD
            untouched = np.append(untouched, [data[i] == 0xA5 for i in range(begin + size, start + offset)])
        assert untouched.all(), f"{call.function} wrote outside its arrays"
        place += offset
        found.append(tuple(arrays))
    assert place == len(data)
    return found

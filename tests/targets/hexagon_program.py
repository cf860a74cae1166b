"""Runs compiled kernels under qemu-hexagon: many calls in one process, arguments at the border of unmapped memory."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]

CPU = "v67"
"""What QEMU 7.2 runs: everything up to v67."""

START = Path(__file__).parents[2] / "targets" / "emulation" / "hexagon_start.c"
"""Start code, and the functions that compilers call of themselves."""

_RUNNER = r"""
typedef unsigned char u8; typedef unsigned int u32;
extern void (*const functions[])();
static long sys(long n, long a, long b, long c, long d, long e, long f) {
  register long r6 asm("r6") = n; register long r0 asm("r0") = a; register long r1 asm("r1") = b;
  register long r2 asm("r2") = c; register long r3 asm("r3") = d; register long r4 asm("r4") = e;
  register long r5 asm("r5") = f;
  asm volatile("trap0(#1)" : "+r"(r0) : "r"(r6), "r"(r1), "r"(r2), "r"(r3), "r"(r4), "r"(r5) : "memory");
  return r0;
}
static int get(void *p, u32 n) {
  u8 *at = p;
  while (n) { long k = sys(63, 0, (long)at, n, 0, 0, 0); if (k <= 0) return 0; at += k; n -= k; }
  return 1;
}
static void put(void *p, u32 n) {
  u8 *at = p;
  while (n) { long k = sys(64, 1, (long)at, n, 0, 0, 0); if (k <= 0) sys(94, 2, 0, 0, 0, 0, 0); at += k; n -= k; }
}
enum { PAGE = 65536, MOST = 16 };
static u8 *room[MOST]; static u32 rooms[MOST];
static u8 *area(int i, u32 n) {
  n = (n + PAGE - 1) / PAGE * PAGE;
  if (n > rooms[i]) {
    u8 *p = (u8 *)sys(222, 0, n + 2 * PAGE, 3, 0x22, -1, 0);
    sys(226, (long)p, PAGE, 0, 0, 0, 0); sys(226, (long)(p + PAGE + n), PAGE, 0, 0, 0, 0);
    room[i] = p + PAGE; rooms[i] = n;
  }
  return room[i];
}
int main(void) {
  u32 head[4];
  while (get(head, sizeof head)) { /* function, arguments, first result, 1: at the end of its pages */
    u8 *p[MOST]; u32 sizes[MOST]; u32 failed = 0;
    for (u32 i = 0; i < head[1]; i++) {
      get(&sizes[i], 4);
      u8 *base = area(i, sizes[i] + 256); u32 whole = rooms[i];
      p[i] = head[3] ? base + whole - sizes[i] : base;
      for (u32 k = 0; k < 256; k++) (head[3] ? p[i] - 256 : p[i] + sizes[i])[k] = 0xA5;
      get(p[i], sizes[i]);
    }
    functions[head[0]](p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8], p[9], p[10], p[11], p[12], p[13]);
    for (u32 i = 0; i < head[1]; i++)
      for (u32 k = 0; k < 256; k++) if ((head[3] ? p[i] - 256 : p[i] + sizes[i])[k] != 0xA5) failed |= 1u << i;
    put(&failed, 4);
    for (u32 i = head[2]; i < head[1]; i++) put(p[i], sizes[i]);
  }
  return 0;
}
"""

_TARGET_FLAGS = ("--target=hexagon-unknown-linux-musl", "-mcpu=hexagonv66")
_COMPILER_FLAGS = (*_TARGET_FLAGS, "-O2", "-ffreestanding", "-fno-builtin", "-w")


@dataclass(frozen=True)
class Call:
    """One call: arguments in order, the last `results` of them are written; `at_end` of their pages or at the start."""

    function: str
    arguments: Sequence[Array]
    results: int = 1
    at_end: bool = True


def link(objects: Sequence[bytes], functions: Sequence[str], folder: Path) -> Path:
    """Link kernels with the runner; returns the program."""
    table = "".join(f"void {name}();\n" for name in functions)
    table += "void (*const functions[])() = {" + ", ".join(functions) + "};\n"
    (folder / "runner.c").write_text(_RUNNER + table)
    sources = {"runner": "runner.c", "start": str(START)}
    for name, source in sources.items():
        subprocess.run(["clang", *_COMPILER_FLAGS, "-c", source, "-o", f"{name}.o"], cwd=folder, check=True)
    names = [f"{name}.o" for name in sources]
    for number, data in enumerate(objects):
        names.append(f"kernels{number}.o")
        (folder / names[-1]).write_bytes(data)
    subprocess.run(["ld.lld", "-static", "-o", "program", *names], cwd=folder, check=True)
    return folder / "program"


def run(program: Path, functions: Sequence[str], calls: Sequence[Call]) -> list[list[Array]]:
    """The results of all calls; fails where a call wrote outside of its arguments, or crashed."""
    places = {name: index for index, name in enumerate(functions)}
    stream = bytearray()
    for call in calls:
        count = len(call.arguments)
        stream += struct.pack("<4I", places[call.function], count, count - call.results, call.at_end)
        for array in call.arguments:
            stream += struct.pack("<I", array.nbytes) + np.ascontiguousarray(array).tobytes()
    done = subprocess.run(
        ["qemu-hexagon", "-cpu", CPU, str(program)], input=bytes(stream), capture_output=True, check=False
    )
    data, offset, results = done.stdout, 0, []
    for number, call in enumerate(calls):
        if offset + 4 > len(data):
            raise AssertionError(
                f"call {number}, {call.function}: the program ended with {done.returncode}: {done.stderr!r}"
            )
        (outside,) = struct.unpack_from("<I", data, offset)
        if outside:
            places_hit = [place for place in range(len(call.arguments)) if outside >> place & 1]
            text = f"call {number}, {call.function}: bytes outside of arguments {places_hit} were written"
            raise AssertionError(text)
        offset += 4
        arrays = []
        for array in call.arguments[len(call.arguments) - call.results :]:
            piece = data[offset : offset + array.nbytes]
            arrays.append(np.frombuffer(piece, array.dtype).reshape(array.shape))
            offset += array.nbytes
        results.append(arrays)
    return results

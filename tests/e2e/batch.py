"""Compiles many planned modules into one shared library, so that a test of many small modules stays cheap.

Code, constants, entry functions and headers are those of the artifacts; only the building differs: one object a target,
one C file, one link. A run fills arena and outputs with garbage first and holds guards around them.
"""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import numpy as np

from qcc.ir import Array, Module
from qcc.targets import Target
from qcc.targets.emission.c_source import c_source
from qcc.targets.emission.c_text import array_lines, c_type
from qcc.targets.emission.entry import entry_text, prototypes_text
from qcc.targets.emission.header import header_text
from qcc.targets.emission.interface import Interface, interface_of
from qcc.targets.emission.program import Program, lower_program

GUARD = 64
"""Bytes before and behind each output and the arena that must not change."""

FLAGS = ("-O1", "-w", "-fPIC", "-std=c99", "-shared")

_NUMBERS = count()


@dataclass
class Batch:
    """Compiled modules, by the numbers of the list that was given."""

    modules: Sequence[Module]
    programs: Sequence[Program]
    interfaces: Sequence[Interface]
    library: ctypes.CDLL
    states: dict[int, _Guarded] = field(default_factory=dict)

    def reset(self, number: int) -> None:
        """Let the states of a module be as before its first run."""
        if self.interfaces[number].states:
            self.states[number] = _Guarded(self.interfaces[number].state_bytes, 0xA5, self.programs[number].alignment)
            reset = getattr(self.library, f"{self.programs[number].name}_reset")
            reset(ctypes.c_void_p(self.states[number].address))

    def run(self, number: int, inputs: Mapping[str, Array], garbage: int = 0xA5) -> dict[str, Array]:
        """Return the outputs of a module; `garbage` fills the memory that it gets. States are kept for the next run."""
        module, program = self.modules[number], self.programs[number]
        kept = [np.array(inputs[v.name], v.type.element.storage.dtype, order="C") for v in module.caller_inputs]
        assert [a.shape for a in kept] == [v.type.shape for v in module.caller_inputs], "inputs of other shapes"
        before = [a.copy() for a in kept]
        types = {o.name: o.value.type for o in module.caller_outputs}
        sizes = {name: t.size * t.element.storage.dtype.itemsize for name, t in types.items()}
        guarded = {name: _Guarded(size, garbage, program.alignment) for name, size in sizes.items()}
        arena = _Guarded(program.arena_bytes, garbage, program.alignment)
        if number not in self.states:
            self.reset(number)
        states = [self.states[number]] if number in self.states else []
        status = getattr(self.library, f"{program.name}_run")(
            ctypes.byref(_pointers([a.ctypes.data for a in kept])),
            ctypes.byref(_pointers([g.address for g in guarded.values()])),
            *(ctypes.c_void_p(s.address) for s in states),
            ctypes.c_void_p(arena.address),
        )
        assert status == 0
        for memory in (*guarded.values(), *states, arena):
            memory.check()
        for array, old in zip(kept, before, strict=True):
            assert array.tobytes() == old.tobytes(), "an input was overwritten"
        return {n: guarded[n].content.view(t.element.storage.dtype).reshape(t.shape) for n, t in types.items()}


class _Guarded:
    """Aligned memory full of garbage, between guards."""

    def __init__(self, size: int, garbage: int, alignment: int) -> None:
        self.memory = np.full(size + 2 * GUARD + alignment, garbage, np.uint8)
        self.garbage = garbage
        self.start = GUARD + -(self.memory.ctypes.data + GUARD) % alignment
        self.content = self.memory[self.start : self.start + size]

    @property
    def address(self) -> int:
        return self.memory.ctypes.data + self.start

    def check(self) -> None:
        end = self.start + self.content.size
        assert (self.memory[: self.start] == self.garbage).all(), "written before the memory given"
        assert (self.memory[end:] == self.garbage).all(), "written behind the memory given"


def _pointers(addresses: Sequence[int]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * max(len(addresses), 1))(*addresses)


def compile_batch(planned: Sequence[tuple[Module, Target]], folder: Path) -> Batch:
    """Return modules, each behind the passes of its target, compiled and loaded."""
    from qcc.targets.lowering import build_objects

    folder.mkdir(parents=True, exist_ok=True)
    programs, interfaces = [], []
    objects: dict[Target, list[Program]] = {}
    source = "#include <stddef.h>\n#include <string.h>\n"
    for module, target in planned:
        named = module.replace(name=f"m{next(_NUMBERS)}")
        interface, program = interface_of(named), lower_program(named, target)
        programs.append(program)
        interfaces.append(interface)
        (folder / f"{program.name}.h").write_text(header_text(interface, program))
        if target.emits_c:
            source += c_source(interface, program).text
        else:
            objects.setdefault(target, []).append(program)
            source += f'#include "{program.name}.h"\n' + prototypes_text(program)
            source += "".join(_constant_text(c.symbol, c.array) for c in program.constants)
            source += entry_text(interface, program)
    files = ["batch.c"]
    (folder / "batch.c").write_text(source)
    for number, (target, group) in enumerate(objects.items()):
        functions = [f.primitive for program in group for f in program.functions]
        for part, data in enumerate(build_objects(functions, target.tvm_target())):
            files.append(f"kernels{number}_{part}.o")
            (folder / files[-1]).write_bytes(data)
    name = f"libbatch{next(_NUMBERS)}.so"  # a library of a name that is loaded already would not be loaded
    done = subprocess.run(["cc", *FLAGS, "-o", name, *files, "-lm"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:4000]
    return Batch([module for module, _ in planned], programs, interfaces, ctypes.CDLL(str(folder / name)))


def _constant_text(symbol: str, array: Array) -> str:
    values = array if array.size else np.zeros(1, array.dtype)
    head = f"const {c_type(array.dtype)} {symbol}[{values.size}] __attribute__((aligned(64))) = "
    return head + "{\n" + "\n".join(array_lines(values)) + "\n};\n"

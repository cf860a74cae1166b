"""Builds the program that runs a compiled model: the harness, what is generated for the model, and its library."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from qcc.ir import ToolError
from qcc.targets.cross import LinkRecipe
from qcc.targets.emission.cross_tools import FoundCompiler, find_compiler
from qcc.targets.emission.figures import C_FLAGS
from qcc.targets.emission.interface import Interface
from qcc.targets.emission.toolchain import run_tool

FOLDER = "harness"
"""Where the harness lies beside the artifact, so that no name of a model is one of its files."""
PROGRAM = "program"
"""The file name of the program."""
FRESH = 0xA5
"""Each byte of arena and outputs before a call; `harness.h` has it, and the statuses below, too."""
OUTSIDE, DESPITE_ERROR = 0x10000, 0x20000
"""Plus the number of a memory: the status of a call that wrote around it, or wrote it and returned an error."""

KERNELS_APART = (
    "-fno-inline-functions",
    "-fno-inline-functions-called-once",
    "-fno-inline-small-functions",
    "-fno-partial-inlining",
    "-fno-ipa-icf",
)
"""Flags for C source of a model: each kernel stays one function of its own, so that its instructions can be counted."""

FLAGS = ("-std=c99", "-O2", "-ffreestanding", "-fno-builtin", "-fno-stack-protector", "-g0", "-w")

_MODEL = """\
/* What the harness knows of the model {name}. */
#include "harness.h"
#include "../{name}.h"

#define MEMORY(bytes) [(bytes) + 2 * HARNESS_ROOM] __attribute__((aligned(HARNESS_ROOM)))

{declared}

const harness_tensor harness_input_tensors[] = {{{inputs}}};
const harness_tensor harness_output_tensors[] = {{{outputs}}};
const harness_memory harness_memories[] = {{{memories}}};
const size_t harness_input_count = {input_count}, harness_output_count = {output_count};
const size_t harness_memory_count = sizeof harness_memories / sizeof harness_memories[0];

int harness_call(size_t shift, size_t arena_shift, int32_t arena_bytes) {{
    const size_t place = HARNESS_ROOM + shift;
    uint8_t *working = arena + HARNESS_ROOM + arena_shift;
    {name}_inputs in;
    {name}_outputs out;
{assignments}
    if (arena_bytes < 0) {{
        return {name}_run(&in, &out, {state}working);
    }}
    return {name}_run_within(&in, &out, {state}working, (size_t)arena_bytes);
}}
"""


@dataclass(frozen=True)
class Harness:
    """What a program is built of.

    Attributes:
        interface: of the model.
        folder: that holds `NAME.h` and `libNAME.a` or `NAME.c`; the program is made in a folder of it.
        recipe: how code of the chip is linked.
        needs_math: the model calls libm.
    """

    interface: Interface
    folder: Path
    recipe: LinkRecipe
    needs_math: bool = False

    def build(self) -> Path:
        """Return the program; a ToolError names a compiler that is missing, or says why it failed."""
        choices = [c for c in self.recipe.linkers if c.has_libc or not self.needs_math]
        compiler = find_compiler(choices)
        start = [self.recipe.start] if self.recipe.start and not compiler.recipe.has_libc else []
        sources = ["harness.c", *self.recipe.sources, *start]
        work = self.folder / FOLDER
        work.mkdir(exist_ok=True)
        for name in ("harness.h", *sources):
            (work / name).write_text(source_text(name), encoding="utf-8")
        (work / "model.c").write_text(model_text(self.interface), encoding="utf-8")
        script = []
        if self.recipe.script:
            (work / "program.ld").write_text(self.recipe.script, encoding="utf-8")
            script = ["-T", "program.ld"]
        objects = []
        for source in ("model.c", *sources):
            objects.append(f"{Path(source).stem}.o")
            run_tool([*compiler.baseline, *FLAGS, "-c", source, "-o", objects[-1]], work, objects[-1])
        linking = [*compiler.command, *compiler.recipe.link_flags, *script, "-o", PROGRAM, *objects]
        library = f"../{self._library(compiler)}"
        try:
            run_tool([*linking, library, *(["-lm"] if compiler.recipe.has_libc else [])], work, PROGRAM)
        except ToolError as error:
            raise does_not_fit(error) or error from None
        return work / PROGRAM

    def _library(self, compiler: FoundCompiler) -> str:
        """The file to link: the artifact's library, or what its C source is compiled to."""
        name = self.interface.name
        if not (self.folder / f"{name}.c").exists():
            return f"lib{name}.a"
        command = [*compiler.command, *C_FLAGS, *KERNELS_APART, "-c", f"{name}.c", "-o", f"{name}.o"]
        run_tool(command, self.folder, f"{name}.o")
        return f"{name}.o"


def does_not_fit(error: ToolError) -> ToolError | None:
    """Return what a linker's message means where a region of the board's memory is too small, else None."""
    missing = re.findall(r"region `(\w+)' overflowed by (\d+) bytes", error.message)
    lacks = [f"{region} lacks {int(count):,} bytes" for region, count in missing]
    lacks += re.findall(r"no room for a stack of .* in RAM", error.message) if not lacks else []
    if not lacks:
        return None
    regions = ", ".join(lacks)
    help = (
        "the artifact is whole, only this board can't run it; that of another processor may have more: docs/targets.md"
    )
    return ToolError(f"the model does not fit the memory of the emulated board: {regions}", help=help)


def source_text(name: str) -> str:
    """Return a C file of this package."""
    file = resources.files(__package__) / name
    if not file.is_file():
        raise ToolError(f"there is no {name} in {__package__}", help="the link recipe of the target names it wrongly")
    return file.read_text(encoding="utf-8")


def model_text(interface: Interface) -> str:
    """Return the C file with the memory of a model's tensors and the call of the model.

    Names of its own have no underscore: all that a model defines begins with its name and one.
    """
    name, found = interface.name, memories(interface)
    declared = [(m.symbol, m.size) for m in found]
    tensors = [f"{{{symbol}, {size}}}" for symbol, size in declared]
    inputs, outputs = interface.inputs, interface.outputs
    read, written = tensors[: len(inputs)], tensors[len(inputs) : len(inputs) + len(outputs)]
    lines = [f"    in.{p.identifier} = (const {p.c_type} *)(input{i} + place);" for i, p in enumerate(inputs)]
    lines += [f"    out.{p.identifier} = ({p.c_type} *)(output{i} + place);" for i, p in enumerate(outputs)]
    if interface.states:  # they are what the runs of one start leave to the next, and outputs too
        offsets = interface.state_offsets
        written += [f"{{states + {offsets[p.name]}, {name}_STATE_{p.identifier}_BYTES}}" for p in interface.states]
        lines += ["    static int initialised;", "    if (!initialised) {"]
        lines += [f"        {name}_reset(({name}_state *)(states + place));", "        initialised = 1;", "    }"]
        # Read behind the inputs: a byte for each state that tells whether a sample gives it, then all states.
        given = [("given", f"{len(interface.states)}")]
        given += [(f"state{i}", f"{name}_STATE_{p.identifier}_BYTES") for i, p in enumerate(interface.states)]
        for i, (port, (symbol, size)) in enumerate(zip(interface.states, given[1:], strict=True)):
            lines += [f"    for (size_t i = 0; given[place + {i}] && i < {size}; ++i) {{"]
            lines += [f"        states[place + {offsets[port.name]} + i] = {symbol}[place + i];", "    }"]
        declared += given
        read += [f"{{{symbol}, {size}}}" for symbol, size in given]
    return _MODEL.format(
        name=name,
        declared="\n".join(f"static uint8_t {symbol} MEMORY({size});" for symbol, size in declared),
        inputs=", ".join(read) or "{0, 0}",
        outputs=", ".join(written),
        memories=", ".join(f"{{{m.symbol}, {m.size}, {m.kind}}}" for m in found),
        input_count=len(read),
        output_count=len(written),
        state=f"({name}_state *)(states + place), " if interface.states else "",
        assignments="\n".join(lines),
    )


@dataclass(frozen=True)
class Memory:
    """What the harness gives a model to work in, and watches.

    Attributes:
        what: for messages.
        symbol, size: C expressions: its name, and its bytes without the room around it.
        kind: of `harness_memory`.
    """

    what: str
    symbol: str
    size: str
    kind: str


def memories(interface: Interface) -> tuple[Memory, ...]:
    """Return all memories of a model, in the order of their numbers in statuses."""
    name, found = interface.name, []
    for i, port in enumerate(interface.inputs):
        size = f"{name}_INPUT_{port.identifier}_BYTES"
        found.append(Memory(f"input {port.name!r}", f"input{i}", size, "HARNESS_KEPT"))
    for i, port in enumerate(interface.outputs):
        size = f"{name}_OUTPUT_{port.identifier}_BYTES"
        found.append(Memory(f"output {port.name!r}", f"output{i}", size, "HARNESS_OUTPUT"))
    if interface.states:
        found.append(Memory("the states", "states", f"{name}_STATE_BYTES", "HARNESS_KEPT"))
    return (*found, Memory("the arena", "arena", f"{name}_ARENA_BYTES", "HARNESS_ARENA"))

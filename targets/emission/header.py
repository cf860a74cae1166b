"""NAME.h: the C API of a compiled module."""

from __future__ import annotations

import math

from .c_text import comment, float_literal
from .interface import Interface, Port
from .program import Program

OK, ERROR_NULL, ERROR_ALIGNMENT, ERROR_ARENA_SIZE, ERROR_BUFFER_ALIGNMENT, ERROR_CPU = range(6)
"""What NAME_run returns."""

ERROR_MEANINGS = {
    ERROR_NULL: "a pointer was NULL",
    ERROR_ALIGNMENT: "the arena was not aligned",
    ERROR_ARENA_SIZE: "the arena was too small",
    ERROR_BUFFER_ALIGNMENT: "an input, an output or the state was not aligned to its elements",
    ERROR_CPU: "the processor lacks instructions that the code needs, or has them switched off",
}
"""The errors in words."""

_TEMPLATE = """\
/*
 * {name}: a neural network compiled to a C library.
 *
 * Fill {name}_inputs and {name}_outputs with pointers to tensors, give {name}_ARENA_BYTES bytes of working
 * memory, and call {name}_run. The library allocates nothing and {keeps}
 * may run at the same time. Inputs, outputs and arena must not overlap. Tensors are dense, the last dimension varies
 * fastest. A quantized element stands for the real number SCALE * (code - ZERO_POINT).{link_note}
 */
#ifndef {name}_H
#define {name}_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

/* Working memory: its size in bytes, and what its address must be a multiple of. */
{arena}

/* What {name}_run returns. */
#define {name}_OK {ok}
#define {name}_ERROR_NULL_POINTER {null} /* a pointer is NULL (the arena may be where it has 0 bytes) */
#define {name}_ERROR_ARENA_ALIGNMENT {align_error} /* the arena's address is not a multiple of the alignment */
#define {name}_ERROR_ARENA_SIZE {size_error} /* the arena has fewer than {name}_ARENA_BYTES bytes */
#define {name}_ERROR_BUFFER_ALIGNMENT {buffer_error} /* a tensor or the state is not aligned to its elements */
#define {name}_ERROR_CPU {cpu_error} /* the processor lacks instructions that the code needs, or they are off */
{macros}
typedef struct {{
{inputs}
}} {name}_inputs;

typedef struct {{
{outputs}
}} {name}_outputs;
{state}
/*
 * Compute the outputs from the inputs. Returns {name}_OK, or an error before anything is written.
 */
int {name}_run(const {name}_inputs *in, {name}_outputs *out, {state_parameter}void *arena);

/* The same for an arena of arena_bytes bytes, which is checked. */
int {name}_run_within({within});

/*
 * Returns {name}_OK where the processor can run the code, else {name}_ERROR_CPU, as {name}_run would.{cpu_note}
 */
int {name}_check_cpu(void);
{cpu_declarations}
#ifdef __cplusplus
}}
#endif

#endif
"""


_STATE = """
/*
 * What the network keeps from one run to the next, in memory of the caller: {name}_reset makes it what it is before the
 * first run, {name}_run reads it and leaves what it becomes, or what it was where it returns an error.{alignment}
 */
typedef struct {{
{members}
}} {name}_state;

void {name}_reset({name}_state *state);
"""


def header_text(interface: Interface, program: Program) -> str:
    """Return the text of NAME.h."""
    macros = [_macros(interface.name, "INPUT", port) for port in interface.inputs]
    macros += [_macros(interface.name, "OUTPUT", port) for port in interface.outputs]
    macros += [_macros(interface.name, "STATE", port) for port in interface.states]
    inputs = [_member(port, "const ") for port in interface.inputs]
    name, states = interface.name, interface.states
    if states:
        macros.insert(0, "\n/* The size of what it keeps, in bytes. */\n" + "\n".join(state_macros(interface)) + "\n")
    parameter = f"{name}_state *state, " if states else ""
    whole = f"const {name}_inputs *in, {name}_outputs *out, {parameter}void *arena, size_t arena_bytes"
    return _TEMPLATE.format(
        name=interface.name,
        arena="\n".join(arena_macros(interface.name, program.arena_bytes, program.alignment)),
        ok=OK,
        null=ERROR_NULL,
        align_error=ERROR_ALIGNMENT,
        size_error=ERROR_ARENA_SIZE,
        buffer_error=ERROR_BUFFER_ALIGNMENT,
        cpu_error=ERROR_CPU,
        cpu_note=_cpu_note(program),
        cpu_declarations=f"\n{program.cpu_declarations}" if program.cpu_declarations else "",
        link_note="\n * Parts of the network compute in floating point: link with -lm." if program.has_float else "",
        macros="".join(macros),
        inputs="\n".join(inputs or ["    char unused; /* the network has no inputs */"]),
        outputs="\n".join(_member(port, "") for port in interface.outputs),
        state=_state_text(interface) if states else "",
        state_parameter=parameter,
        within=whole,
        keeps=f"keeps nothing\n * but what {name}_state holds: calls with different states, outputs and arenas"
        if states
        else "has no state: calls with different outputs and arenas",
    )


def _state_text(interface: Interface) -> str:
    """Return the structure of the states and the function that initialises it."""
    widest = interface.states[0].dtype.itemsize
    alignment = f"\n * Its address must be a multiple of {widest}." if widest > 1 else ""
    members = "\n".join(map(_state_member, interface.states))
    return _STATE.format(name=interface.name, members=members, alignment=alignment)


def _cpu_note(program: Program) -> str:
    """Return what follows in the comment of NAME_check_cpu."""
    if not program.cpu_check:
        return f" Here it can't tell: always {program.name}_OK."
    return "".join(f"\n * {line}" for line in program.cpu_note.format(name=program.name).splitlines())


def arena_macros(name: str, size: int, alignment: int) -> list[str]:
    """Return the lines that define how much working memory the caller gives."""
    return [f"#define {name}_ARENA_BYTES {size}", f"#define {name}_ARENA_ALIGNMENT {alignment}"]


def state_macros(interface: Interface) -> list[str]:
    """Return the lines that define how much memory of the caller the states take."""
    return [f"#define {interface.name}_STATE_BYTES {interface.state_bytes}"]


def port_macros(name: str, direction: str, port: Port) -> list[str]:
    """Return the lines that define shape, size and scale of an `INPUT` or `OUTPUT`."""
    prefix = f"{name}_{direction}_{port.identifier}"
    size = math.prod(port.type.shape)
    lines = [
        f"#define {prefix}_RANK {port.type.rank}",
        f"#define {prefix}_SHAPE {{{', '.join(map(str, port.type.shape)) or '1'}}}",
        f"#define {prefix}_SIZE {size}",
        f"#define {prefix}_BYTES {size * port.dtype.itemsize}",
    ]
    if port.quantization is not None:
        zero = port.quantization.zero_point
        lines.append(f"#define {prefix}_SCALE {float_literal(port.quantization.scale)}")
        lines.append(f"#define {prefix}_ZERO_POINT {f'({zero})' if zero < 0 else zero}")
    return lines


def _macros(name: str, direction: str, port: Port) -> str:
    described = comment(f"{direction.capitalize()} {port.name}: {port.type}")
    return "\n".join(["", described, *port_macros(name, direction, port)]) + "\n"


def _state_member(port: Port) -> str:
    shape = " x ".join(map(str, port.type.shape)) or "one element"
    return f"    {port.c_type} {port.identifier}[{max(port.type.size, 1)}]; {comment(shape)}"


def _member(port: Port, qualifier: str) -> str:
    shape = " x ".join(map(str, port.type.shape)) or "one element"
    return f"    {qualifier}{port.c_type} *{port.identifier}; {comment(shape)}"

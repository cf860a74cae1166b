"""NAME.h: the C API of a compiled module."""

from __future__ import annotations

import math

from .c_text import comment, float_literal
from .interface import Interface, Port
from .program import Program

OK, ERROR_NULL, ERROR_ALIGNMENT = 0, 1, 2
"""What NAME_run returns."""

_TEMPLATE = """\
/*
 * {name}: a neural network compiled to a C library.
 *
 * Fill {name}_inputs and {name}_outputs with pointers to tensors, give {name}_ARENA_BYTES bytes of working
 * memory, and call {name}_run. The library allocates nothing and has no state: calls with different outputs and arenas
 * may run at the same time. Inputs, outputs and arena must not overlap. Tensors are dense, the last dimension varies
 * fastest. A quantized element stands for the real number SCALE * (code - ZERO_POINT).{link_note}
 */
#ifndef {name}_H
#define {name}_H

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
{macros}
typedef struct {{
{inputs}
}} {name}_inputs;

typedef struct {{
{outputs}
}} {name}_outputs;

/*
 * Compute the outputs from the inputs. Returns {name}_OK, or an error before anything is written.
 */
int {name}_run(const {name}_inputs *in, {name}_outputs *out, void *arena);

#ifdef __cplusplus
}}
#endif

#endif
"""


def header_text(interface: Interface, program: Program) -> str:
    """Return the text of NAME.h."""
    macros = [_macros(interface.name, "INPUT", port) for port in interface.inputs]
    macros += [_macros(interface.name, "OUTPUT", port) for port in interface.outputs]
    inputs = [_member(port, "const ") for port in interface.inputs]
    return _TEMPLATE.format(
        name=interface.name,
        arena="\n".join(arena_macros(interface.name, program.arena_bytes, program.alignment)),
        ok=OK,
        null=ERROR_NULL,
        align_error=ERROR_ALIGNMENT,
        link_note="\n * Parts of the network compute in floating point: link with -lm." if program.has_float else "",
        macros="".join(macros),
        inputs="\n".join(inputs or ["    char unused; /* the network has no inputs */"]),
        outputs="\n".join(_member(port, "") for port in interface.outputs),
    )


def arena_macros(name: str, size: int, alignment: int) -> list[str]:
    """Return the lines that define how much working memory the caller gives."""
    return [f"#define {name}_ARENA_BYTES {size}", f"#define {name}_ARENA_ALIGNMENT {alignment}"]


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


def _member(port: Port, qualifier: str) -> str:
    shape = " x ".join(map(str, port.type.shape)) or "one element"
    return f"    {qualifier}{port.c_type} *{port.identifier}; {comment(shape)}"

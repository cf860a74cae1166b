"""NAME.c: a compiled module as one C99 file."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from qcc.ir import Array, TargetError

from .c_text import array_lines, c_type, comment
from .entry import entry_text
from .interface import Interface
from .program import Call, Constant, Function, Program

_PRELUDE = """\
/* {name}: the code and the weights of a compiled neural network. See {name}.h for its use. */
#include "{name}.h"

#include <stddef.h>
#include <string.h>
{headers}
#if defined(__GNUC__)
#define QCC_ALIGNED __attribute__((aligned({alignment})))
#else
#define QCC_ALIGNED
#endif

"""


_APART = """\
/* The kernels are not inlined into the checks, which come first and run on processors that lack what kernels need. */
#if defined(__GNUC__)
#define QCC_APART __attribute__((noinline))
#elif defined(__ICCARM__)
#define QCC_APART _Pragma("inline=never")
#else
#define QCC_APART
#endif

"""

_ACLE = """\
#if !defined(__ARM_FEATURE_DSP)
#error "no DSP extension: compile for a Cortex-M4, M7 or M55, with gcc and clang by -mcpu=cortex-m4"
#endif
#include <arm_acle.h>
"""

_LOAD_WORD = """
/* Four bytes from any address. */
static inline int32_t qcc_load_word(const void *place) {
    int32_t word;
    memcpy(&word, place, sizeof word);
    return word;
}
"""

_ROTATE_RIGHT = """
/* The bits of a word, rotated; not every <arm_acle.h> has __ror. */
static inline uint32_t qcc_rotate_right(uint32_t word, int bits) {
    return word >> bits | word << (32 - bits);
}
"""

_MVE = """\
#if !defined(__ARM_FEATURE_MVE)
#error "no Helium: compile for a Cortex-M55, with gcc and clang by -mcpu=cortex-m55 and -mfloat-abi=softfp or hard"
#else
#include <arm_mve.h>
#endif
"""

_LANES = """
/* Four lanes as a vector; some compilers exchange the halves that vcreateq_s32 is given (gcc 12). */
static inline int32x4_t qcc_lanes(int32_t a, int32_t b, int32_t c, int32_t d) {
    return vsetq_lane_s32(d, vsetq_lane_s32(c, vsetq_lane_s32(b, vdupq_n_s32(a), 1), 2), 3);
}
"""

_NEEDS = (
    (re.compile(r"\b__[su](?:mlad|sat|xtb16)\("), _ACLE),
    (re.compile(r"\bu?int\d+x\d+_t\b"), _MVE),
    (re.compile(r"\bqcc_load_word\("), _LOAD_WORD),
    (re.compile(r"\bqcc_rotate_right\("), _ROTATE_RIGHT),
    (re.compile(r"\bqcc_lanes\("), _LANES),
)
"""What code is looked for, and what stands before it where it is there."""

LARGE = 4096
"""Elements above which a constant's values have no influence on the code that a compiler makes."""


@dataclass(frozen=True)
class CSource:
    """NAME.c.

    Attributes:
        text: the file.
        outline: the same without the values of large constants, which compiles to as many bytes of code and of
            constants, in a fraction of the time.
    """

    text: str
    outline: str


def c_source(interface: Interface, program: Program) -> CSource:
    """Return NAME.c: constants, kernels, entry function; loads the code generator."""
    kernels = kernels_text(program)
    headers = "#include <math.h>\n" if program.has_float else ""
    headers += "".join(text for use, text in _NEEDS if use.search(kernels))
    prelude = _PRELUDE.format(name=program.name, alignment=program.alignment, headers=headers)
    apart = "QCC_APART" if program.cpu_check else ""
    prelude += _APART if apart else ""
    code = kernels + "\n" + entry_text(interface, program, apart)
    full = "".join(_constant_text(c, c.array) for c in program.constants)
    outline = "".join(_constant_text(c, _outline(c.array)) for c in program.constants)
    return CSource(prelude + full + code, prelude + outline + code)


def kernels_text(program: Program) -> str:
    """Return the definitions of all kernels, each visible in its file only, what they read marked const."""
    from qcc.targets.c_source import EXACT_FLOATS, PRELUDE
    from qcc.targets.lowering import build_c_source

    if not program.functions:
        return ""
    users: dict[str, list[str]] = {}
    for step in program.steps:
        if isinstance(step, Call):
            users.setdefault(step.symbol, []).append(step.comment)
    comments = {symbol: comment("; ".join(uses))[3:-3] for symbol, uses in users.items()}
    prelude = PRELUDE + (EXACT_FLOATS if program.exact_floats else "")
    text = prelude + "\n" + build_c_source([f.primitive for f in program.functions], comments)
    for function in program.functions:
        text = _with_signature(text, function)
    return text


def _with_signature(text: str, function: Function) -> str:
    """Return `text` with the definition of a function made static and its parameters typed as its callers know."""
    head = re.compile(rf"^(?:static )?void {re.escape(function.symbol)}\(([^)]*)\)", re.MULTILINE)
    found = head.search(text)
    names = [re.findall(r"\w+", p)[-1] for p in found[1].split(",")] if found and found[1].strip() else []
    if found is None or len(names) != len(function.parameters):
        raise TargetError(
            f"the code generator gave no function {function.symbol} of {len(function.parameters)} pointers"
        )
    alias = "restrict " if "restrict " in found[1] else ""
    parameters = [
        f"{'' if written else 'const '}{kind} *{alias}{name}"
        for name, (kind, written) in zip(names, function.parameters, strict=True)
    ]
    line = f"static void {function.symbol}({', '.join(parameters)})"
    if len(line) > 116:
        line = f"static void {function.symbol}(\n    " + ",\n    ".join(parameters) + ")"
    return text[: found.start()] + line + text[found.end() :]


def _outline(array: Array) -> Array:
    """Return the values of a small array, and of a large one a first that is not zero."""
    return array if array.size <= LARGE else np.ones(1, array.dtype)


def _constant_text(constant: Constant, values: Array) -> str:
    """Return the definition of a constant that begins with `values` and is zero behind them."""
    dtype, size = constant.array.dtype, max(constant.array.size, 1)
    values = values if values.size else np.zeros(1, dtype)
    head = f"static const {c_type(dtype)} {constant.symbol}[{size}] QCC_ALIGNED = {{\n"
    note = comment(constant.comment) + "\n" if constant.comment else ""
    return note + head + "\n".join(array_lines(values)) + "\n};\n\n"

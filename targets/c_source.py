"""C99 from TIR: TVM's C code generator, its output made free-standing, const-correct, exact and readable.

What TVM prints is kept statement by statement; the rest is replaced: includes and export macros go, signatures get
`const` and `restrict`, floats are printed with all their digits, generated names say what they are.

Right shifts of negative numbers are implementation-defined in C99; the code relies on the arithmetic shift that every
compiler of these targets has, and `PRELUDE` refuses to compile elsewhere.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

from qcc.targets import tir
from qcc.targets.tir import PrimFunc

PRELUDE = """/* Right shifts of negative numbers must be arithmetic (implementation-defined in C99). */
typedef char qcc_arithmetic_shift[((-1) >> 1) == -1 ? 1 : -1];
"""
"""What stands once before the functions of a file."""

EXACT_FLOATS = """/* Products and sums of floats promise bits: each is rounded to its type, none are joined. */
#if defined(__FAST_MATH__)
#error "-ffast-math changes results: compile this file without it"
#endif
#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ != 0 && __FLT_EVAL_METHOD__ != 16 /* 16: half floats alone */
#error "floats are computed in a wider type: compile for SSE2 (-msse2 -mfpmath=sse), not for the x87"
#endif
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("fp-contract=off")
#else
#pragma STDC FP_CONTRACT OFF
#endif
"""
"""What stands before the functions of a file with floats that promise bits; gcc does not honour the STDC pragma."""

WIDTH = 112
"""Characters of a comment's line."""

_FLOAT_CALL = re.compile(tir.FLOAT_LITERAL + r"(32|64)_([0-9a-f]+)\(\)")
_SIGNATURE = re.compile(r"^void (\w+)\(([^)]*)\) \{", re.MULTILINE)
_GENERATED = (
    (re.compile(r"\bcse_v(\d+)\b"), r"shared_\1"),
    (re.compile(r"\bv__(\d+)\b"), r"bound_\1"),
    (re.compile(r"\bv_\b"), "bound"),
)
_POINTER = re.compile(r"\b(\w+?)_ptr((?:_\d+)?)\b")


def float_literal(bits: str, pattern: str) -> str:
    """The C text of the float with the bit pattern given in hexadecimal."""
    number = np.array(int(pattern, 16), f"u{int(bits) // 8}").view(f"f{int(bits) // 8}")[()]
    if math.isnan(number):
        return "NAN"
    if math.isinf(number):
        return "INFINITY" if number > 0 else "(-INFINITY)"
    text = str(number)
    text = text if any(c in text for c in ".e") else text + ".0"
    text += "f" if bits == "32" else ""
    return f"({text})" if number < 0 or math.copysign(1, number) < 0 else text


def is_written(body: str, parameter: str) -> bool:
    """Whether a function's body, as printed, stores to a parameter: stores are statements of their own."""
    return re.search(rf"^\s*(?:{parameter}\[|vstr\w+\(\(&\({parameter}\[)", body, re.MULTILINE) is not None


def _comment(text: str) -> str:
    """A C comment, in lines of at most `WIDTH` characters."""
    lines = textwrap.wrap(text.replace("*/", "* /").replace("/*", "/ *"), WIDTH, break_on_hyphens=False)
    return "/* " + "\n   ".join(lines) + " */\n"


_VECTOR = re.compile(r"\b(u?int(?:8|16|32)_t)(4|8|16)\b")
_POINTER_TYPE = re.compile(r"\buint32_t2 ")
_ADDRESS = re.compile(r"\(&\((\w+\[(?:[^][()]|\([^()]*\)|\((?:[^()]|\([^()]*\))*\))*\])\)\)")
"""An address in two pairs of brackets that it does not need: every use is an argument or a cast's."""
_VIEW = re.compile(rf"^( *)(u?int8_t)\* (\w+) = \(\2\*\)\(\(\2\*\){tir.POINTER_AT}\((.*)\)\);$", re.MULTILINE)


def _typed(text: str) -> str:
    """The text with the names that C has for vectors and for pointers to constant data."""
    text = _VIEW.sub(r"\1const \2 *\3 = \4;", text)
    text = _POINTER_TYPE.sub("const void *", text).replace(f"{tir.POINTER_TO}(", "(const void *)(")
    text = _ADDRESS.sub(r"&\1", text)
    return _VECTOR.sub(lambda m: f"{m[1].removesuffix('_t')}x{m[2]}_t", text)


def clean(source: str, functions: Iterable[PrimFunc], comments: Mapping[str, str]) -> str:
    """Return the definitions in `source` as free-standing C.

    Args:
        source: definitions as the code generator prints them, without preprocessor lines.
        functions: what was compiled.
        comments: a comment for each function, by its name; those not named get none.
    """
    known = {str(f.attrs["global_symbol"]): f for f in functions}

    def signature(match: re.Match[str]) -> str:
        name, parameters = match.groups()
        body = source[match.end() : source.find("\n}", match.end())]
        restrict = "restrict " if bool(known[name].attrs["tirx.noalias"]) else ""
        texts = []
        for parameter in (p.strip() for p in parameters.split(",") if p.strip()):
            kind, _, identifier = parameter.partition("* ")
            constant = "" if is_written(body, identifier) else "const "
            texts.append(f"{constant}{kind} *{restrict}{identifier}")
        comment = _comment(comments[name]) if comments.get(name) else ""
        return f"{comment}void {name}({', '.join(texts)}) {{"

    text = _SIGNATURE.sub(signature, source)
    text = _typed(text)
    text = _FLOAT_CALL.sub(lambda m: float_literal(*m.groups()), text)
    for pattern, name in _GENERATED:
        text = pattern.sub(name, text)
    return "\n\n".join(_tidy(function) for function in text.strip().split("\n\n")) + "\n"


_SINGLE = re.compile(r"^\s*\w+ (\w+)\[1\];$", re.MULTILINE)
_DECLARATION = re.compile(
    r"^\s*(?:u?int\d+(?:x\d+)?_t|float|double|_Bool|const u?int8_t) \*?(\w+) = [^\n]*;\n", re.MULTILINE
)
_FIRST_STORE = re.compile(r"^( *\w+ (\w+));\n *\2 = ", re.MULTILINE)
_PLAIN = re.compile(r"^ *(?:u?int\d+_t|float|double) (\w+);$", re.MULTILINE)


def _tidy(function: str) -> str:
    """One function with arrays of one element as plain variables, and without variables that nothing reads."""
    for name in dict.fromkeys(_SINGLE.findall(function)):
        function = re.sub(rf"\b{name}\[[01]\];", lambda m: m.group().replace("[1]", "").replace("[0]", ""), function)
        function = function.replace(f"{name}[0]", name)
    shorter = _without_unused(function)
    while shorter != function:
        function, shorter = shorter, _without_unused(shorter)
    for match in {m.group(): m for m in _POINTER.finditer(function)}.values():
        shorter = match.group(1) + match.group(2)
        if not re.search(rf"\b{shorter}\b", function):
            function = re.sub(rf"\b{match.group()}\b", shorter, function)
    function = _FIRST_STORE.sub(r"\1 = ", function)
    start = function.index(") {\n") + 4
    parameters = re.findall(r"(\w+)[,)]", function[function.rindex("void ", 0, start) : start])
    unused = (f"  (void){p};\n" for p in parameters if not re.search(rf"\b{p}\b", function[start:]))
    return function[:start] + "".join(unused) + function[start:]


def _without_unused(function: str) -> str:
    """One function without the variables that nothing reads."""
    words = Counter(re.findall(r"\b[A-Za-z_]\w*", function))
    function = _DECLARATION.sub(lambda m: "" if words[m.group(1)] == 1 else m.group(), function)
    for name in _PLAIN.findall(function):
        assignment = re.compile(rf"^ *(?:\w+ {name}|{name} = [^\n]*);\n", re.MULTILINE)
        if words[name] == len(assignment.findall(function)):
            function = assignment.sub("", function)
    return function

"""How names, types, numbers and comments are written in C99."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator

import numpy as np

from qcc.ir import Array, ScalarType, TargetError, c_identifier, free_name, printable

_KEYWORDS_TEXT = """
auto break case char const continue default do double else enum extern float for goto if inline int long register
restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
alignas alignof and asm bool catch class compl concept constexpr decltype delete explicit export false friend mutable
namespace new noexcept not nullptr operator or private protected public requires template this throw true try typeid
typename using virtual xor
"""
KEYWORDS = frozenset(_KEYWORDS_TEXT.split())
"""The keywords of C99, and those of C++, since the header is for both."""

_RESERVED = re.compile(r"[A-Z0-9_]*[A-Z][A-Z0-9_]+|.*_t")
"""Names that headers may define: as macros (`NULL`, `INT8_MAX`, `UINT8_C`), or as types."""

_MACROS = frozenset(["errno", "i386", "linux", "math_errhandling", "offsetof", "stderr", "stdin", "stdout", "unix"])
"""Macros that look like plain names, of headers of C and of compilers."""

LINE = 116
"""Longest line of an array's initializer."""

_TYPES = {
    "b1": "uint8_t",
    "i1": "int8_t",
    "i2": "int16_t",
    "i4": "int32_t",
    "i8": "int64_t",
    "u1": "uint8_t",
    "u2": "uint16_t",
    "u4": "uint32_t",
    "u8": "uint64_t",
    "f4": "float",
    "f8": "double",
}


def c_type(dtype: np.dtype[np.generic]) -> str:
    """Return the C type of the elements of an array; a TargetError where C has none."""
    key = f"{dtype.kind}{dtype.itemsize}"
    if key not in _TYPES:
        raise TargetError(f"C has no type for elements {dtype}", help="keep such values out of the compiled module")
    return _TYPES[key]


def c_type_of(element: ScalarType) -> str:
    """Return the C type that stores a scalar."""
    return c_type(element.dtype)


def identifiers(names: Iterable[str]) -> dict[str, str]:
    """Return a C identifier for each name: all different, none a keyword, or a name that headers may define."""
    found: dict[str, str] = {}
    for name in names:
        base = c_identifier(name)
        base = "x" + base if re.match("_[_A-Z]", base) else base  # those names are the implementation's
        taken = base in KEYWORDS or base in _MACROS or _RESERVED.fullmatch(base)
        found[name] = free_name(base + "_" if taken else base, found.values())
    return found


def comment(text: str) -> str:
    """Return a block comment of one line; `text` may hold anything."""
    plain = printable(" ".join(text.split())).encode("ascii", "replace").decode("ascii")
    plain = plain.replace("/*", "/ *").replace("*/", "* /").replace("??", "?").rstrip("\\")
    return f"/* {plain} */"


def float_literal(value: float, single: bool = True) -> str:
    """Return a decimal constant that reads back as the same number; infinities and NaN as <math.h> writes them."""
    if math.isnan(value):
        return "NAN"
    if math.isinf(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    text = str(np.float32(value)) if single else repr(float(value))
    text = text if any(c in text for c in ".en") else text + ".0"
    return text + "f" if single else text


def integer_literal(value: int, bits: int, signed: bool) -> str:
    """Return an integer constant of a type of so many bits; the lowest of 32 and 64 bits need an expression."""
    if bits == 64:
        if signed and value == -(1 << 63):
            return "(-INT64_C(9223372036854775807) - 1)"
        return f"INT64_C({value})" if signed else f"UINT64_C({value})"
    if bits == 32 and signed and value == -(1 << 31):
        return "(-2147483647 - 1)"
    return f"{value}" if signed or bits < 32 else f"{value}u"


def array_lines(array: Array) -> Iterator[str]:
    """Yield the lines of an array's initializer, elements in row-major order."""
    flat = array.reshape(-1)
    if flat.dtype.kind == "f":
        single = flat.dtype.itemsize == 4
        literals = [float_literal(v, single) for v in flat.tolist()]
    elif flat.dtype.itemsize < 4 or flat.dtype.kind == "b":
        literals = list(map(str, flat.astype(np.int64).tolist()))
    else:
        bits, signed = 8 * flat.dtype.itemsize, flat.dtype.kind == "i"
        literals = [integer_literal(v, bits, signed) for v in flat.tolist()]
    width = max(map(len, literals), default=1) + 2
    count = max(1, LINE // width)
    for start in range(0, len(literals), count):
        yield "    " + ", ".join(literals[start : start + count]) + ","

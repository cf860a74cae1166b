"""Lanes of vectors: how many there are, and pairs of 32-bit lanes as 64-bit ones."""

from __future__ import annotations

from qcc.targets import tir
from qcc.targets.tir import Body, Expr


def lanes_of(vector: Expr) -> int:
    """The lanes of an expression, 1 for a scalar."""
    return int(vector.ty.dtype.lanes)


def vector_type(dtype: str, lanes: int) -> str:
    """TIR's name of a vector type."""
    return dtype if lanes == 1 else f"{dtype}x{lanes}"


def halves(body: Body, name: str, vector: Expr) -> tuple[Expr, Expr]:
    """The even and the odd int32 lanes, each sign-extended in place to int64: what `vpmuldq` reads.

    The odd lanes are moved by a shuffle. An arithmetic shift of 64-bit lanes would not do: AVX2 has none, and LLVM no
    longer sees the 32-bit factors behind its replacement.
    """
    lanes = lanes_of(vector)
    known = body.let(name, vector)
    by = tir.splat(32, lanes // 2, "int64")
    odd = tir.extract(known, [lane | 1 for lane in range(lanes)])
    even_pairs, odd_pairs = (tir.reinterpret(value, f"int64x{lanes // 2}") for value in (known, odd))
    return (even_pairs << by) >> by, (odd_pairs << by) >> by


def interleave(even: Expr, odd: Expr) -> Expr:
    """Int32 lanes from int64 lanes: the low halves of `even`, the high halves of `odd`."""
    lanes = lanes_of(even)
    mask = tir.splat(0xFFFFFFFF, lanes, "int64")
    return tir.reinterpret((even & mask) | (odd & ~mask), f"int32x{lanes * 2}")

"""Dimensions in blocks, whose results are kept in local memory while they are computed."""

from __future__ import annotations

from collections.abc import Callable

from qcc.targets import tir
from qcc.targets.tir import Body, Expr

#: Elements of a block.
BLOCK = 64


def in_blocks(body: Body, length: int, visit: Callable[[Expr, int], None], name: str = "block") -> None:
    """A loop, its variable called `name`, over whole blocks of a dimension, and the rest of it.

    `visit` writes a block: of its first element, and how many it has.
    """
    full, rest = divmod(length, BLOCK)
    if full:
        with body.loop(name, full) as block:
            visit(block * tir.constant(BLOCK), BLOCK)
    if rest:
        visit(tir.constant(full * BLOCK), rest)

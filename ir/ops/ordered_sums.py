"""Sums of products of binary32 numbers in an order that is part of their meaning, as in blocked matrix products."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..float_rounding import fused_multiply_add
from ..types import Array

#: Output elements that are summed at a time, so that they stay in the cache.
ELEMENTS = 1 << 15


def blocked_sums(columns: Sequence[Array], weights: Array, block: int) -> Array:
    """Return the sums over k of columns[k]·weights[:, k] in binary32, N×O.

    The products of a block are added in order by fused multiply-adds that start from zero; the sums of the blocks are
    added one to another.

    Args:
        columns: K vectors of N elements.
        weights: O×K.
        block: products of a block, at least 1.
    """
    rows = np.ascontiguousarray(weights.T)
    outputs, count = weights.shape[0], columns[0].size
    y = np.empty((count, outputs), np.float32)
    step = max(1, ELEMENTS // max(1, outputs))
    for first in range(0, count, step):
        part = slice(first, first + step)
        y[part] = _sums([c[part, None] for c in columns], rows, block)
    return y


def _sums(columns: Sequence[Array], rows: Array, block: int) -> Array:
    """As `blocked_sums`, all elements at once; columns are N×1, rows K×O."""
    total: Array | None = None
    for start in range(0, len(columns), block):
        part = np.zeros((len(columns[0]), rows.shape[1]), np.float32)
        for k in range(start, min(start + block, len(columns))):
            part = fused_multiply_add(columns[k], rows[k], part)
        total = part if total is None else total + part
    return np.zeros((len(columns[0]), rows.shape[1]), np.float32) if total is None else total

"""Sliding windows: which taps of a window lie inside the image, so that inner loops need no test."""

from __future__ import annotations

from dataclasses import dataclass

from qcc.ir.ops import SlidingWindow
from qcc.targets import tir
from qcc.targets.tir import Body, Expr


@dataclass(frozen=True)
class Span:
    """The taps of one axis that lie inside the image: `first … first + count − 1`, and where tap 0 reads.

    Attributes:
        origin: the input position under tap 0, outside the image where it is padding.
        first: the first tap inside.
        count: how many are inside; not positive where none is. An int where it is always the same.
    """

    origin: Expr
    first: Expr
    count: Expr | int


def span(body: Body, op: SlidingWindow, axis: int, taps: int, place: Expr, size: int, result: int) -> Span:
    """The taps of output position `place` along `axis` (0 rows, 1 columns), of an image of `size` positions.

    Args:
        body: where the bounds are computed.
        op: strides, padding and dilation.
        axis: 0 or 1.
        taps: kernel size.
        place: the output position, one of `result`.
        size: the image's extent.
        result: the output's extent.
    """
    stride, dilation, before = op.strides[axis], op.dilation[axis], op.padding[2 * axis]
    reach = (result - 1) * stride - before + (taps - 1) * dilation
    origin = place * tir.constant(stride) - tir.constant(before)
    if before == 0 and reach < size:
        return Span(origin, tir.constant(0), taps)
    name = ("row", "column")[axis]
    zero, one_less = tir.constant(0), tir.constant(dilation - 1)
    first: Expr = tir.constant(0)
    if before:
        first = body.let(f"first_{name}", tir.divide(tir.maximum(zero - origin, zero) + one_less, dilation))
    end: Expr = tir.constant(taps)
    if reach >= size:
        inside = tir.divide(tir.maximum(tir.constant(size) - origin, zero) + one_less, dilation)
        end = tir.minimum(end, inside)
    return Span(origin, first, body.let(f"{name}s", end - first))

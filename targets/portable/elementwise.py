"""Element-by-element kernels: one loop over the fewest dimensions, any expression inside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from qcc.targets import tir
from qcc.targets.kernel import Kernel, LoweredKernel
from qcc.targets.portable.blocks import BLOCK, in_blocks
from qcc.targets.portable.elements import Collapse, Place, element_shapes, flat_offset, store_outputs, stored
from qcc.targets.portable.parameters import Parameters, storage_dtype
from qcc.targets.tir import Body, Expr


def walk(body: Body, shape: Sequence[int], visit: Callable[[tuple[Expr, ...]], None], names: str = "ijklmnop") -> None:
    """Loops over every index of `shape`, outermost first; `visit` writes the innermost body."""
    with ExitStack() as stack:
        known = [*names, *(f"i{d}" for d in range(len(names), len(shape)))]
        index = [stack.enter_context(body.loop(name, size)) for name, size in zip(known, shape, strict=False)]
        visit(tuple(index))


def elementwise(kernel: Kernel, blocked: bool) -> LoweredKernel:
    """A kernel of element-by-element operations alone.

    Args:
        kernel: what to compute.
        blocked: with an input whose memory the output may share, compute into a local block first: vectorisers can't
            take a loop that reads and writes what may be the same memory. Who places the two so has to clear the
            function's `tirx.noalias`.
    """
    parameters = Parameters(kernel)
    elementwise_body(parameters, blocked)
    return parameters.finish()


def elementwise_body(parameters: Parameters, blocked: bool) -> None:
    """Write the loops of an element-by-element kernel."""
    kernel = parameters.kernel
    shape = max((v.type.shape for v in kernel.outputs), key=lambda s: (len(s), s))
    shapes = [s for op in kernel.ops for s in (*element_shapes(op), op.result.type.shape)]
    collapse = Collapse.of(shape, shapes)
    extents = collapse.shape(shape)
    if blocked and kernel.in_place_inputs and extents and extents[-1] >= BLOCK:
        _in_blocks(parameters, collapse, extents)
    else:
        walk(parameters.body, extents, lambda index: store_outputs(Place(parameters, collapse, index)))


def _in_blocks(parameters: Parameters, collapse: Collapse, extents: tuple[int, ...]) -> None:
    """Rows of the last dimension in blocks: all elements of a block are read before one is written."""
    body, output = parameters.body, parameters.kernel.outputs[0]
    dtype = storage_dtype(output.type)
    local = body.allocate("block", BLOCK, dtype)

    def piece(outer: tuple[Expr, ...], start: Expr, count: int) -> None:
        with body.loop("lane", count) as lane:
            place = Place(parameters, collapse, (*outer, start + lane))
            body.store(local, lane, stored(place.operand(output), dtype))
        with body.loop("lane", count) as lane:
            index = (*outer, start + lane)
            target = flat_offset(collapse.shape(output.type.shape), index)
            body.store(parameters.output(output), target, tir.load(local, lane))

    def row(outer: tuple[Expr, ...]) -> None:
        in_blocks(body, extents[-1], lambda start, count: piece(outer, start, count), "block_index")

    walk(body, extents[:-1], row)

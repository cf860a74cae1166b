"""Chooses the loop nest of a kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qcc.ir import Op, TargetError, print_op
from qcc.ir.ops import (
    ArgMax,
    BatchNorm,
    Conv2d,
    ConvTranspose2d,
    Dequantize,
    Interpolate,
    L2Normalize,
    L2NormalizeFixedPoint,
    Matmul,
    Pool,
    Quantize,
    Reduction,
    Resize,
    Softmax,
    SoftmaxFixedPoint,
    SoftmaxFloatTable,
    SoftmaxInterpolated,
    SoftmaxTable,
)
from qcc.targets.kernel import Kernel, LoweredKernel


def select_nest(kernel: Kernel, target: Any) -> LoweredKernel:
    """Return `kernel` lowered by the nest of its anchor; a TargetError if no nest computes that."""
    from qcc.targets import tir

    instructions = target.instructions
    if instructions is not None:
        from qcc.targets.dot_product_kernels import dot_product_kernel

        with tir.spelled_floats(target.emits_c), tir.dialect(instructions.dot.dialect):
            lowered = dot_product_kernel(kernel, instructions)
        if lowered is not None:
            return lowered
        if instructions.dot.staged:
            from qcc.targets.hvx.kernels import vector_kernel

            lowered = vector_kernel(kernel)
            if lowered is not None:
                return lowered
    fences = not target.triple.startswith("hexagon")
    with tir.spelled_floats(target.emits_c), tir.arithmetic_fences(fences):
        return _scalar_nest(kernel, target)


def weight_packing(kernel: Kernel, target: Any) -> str:
    """Return the name of the order in which `select_nest` stores the anchor's weights; empty without a dot product."""
    instructions = target.instructions
    if instructions is None:
        return ""
    from qcc.targets.dot_product_kernels import packing

    return packing(kernel, instructions)


def _scalar_nest(kernel: Kernel, target: Any) -> LoweredKernel:
    """The nests of `targets/portable`."""
    from qcc.targets.portable.elementwise import elementwise
    from qcc.targets.portable.movement import can_move, movement
    from qcc.targets.portable.ordered_convolution import ordered_convolution

    anchor = kernel.anchor
    if isinstance(anchor, Conv2d) and anchor.sum_block:
        return ordered_convolution(kernel)
    if anchor.elementwise or isinstance(anchor, (BatchNorm, Quantize, Dequantize)):
        return elementwise(kernel, blocked=not target.emits_c)
    if can_move(anchor):
        return movement(kernel)
    for kind, nest in _nests().items():
        if isinstance(anchor, kind):
            return nest(kernel)
    message, help = f"there is no code for {anchor.name}", "see `qcc ops` for operations that do the same"
    raise TargetError(message, place=anchor.location.node, op=print_op(anchor), help=help)


def _nests() -> dict[type[Op], Callable[[Kernel], LoweredKernel]]:
    """The nest of each kind of anchor."""
    from qcc.targets.portable.convolution import convolution
    from qcc.targets.portable.interpolation import interpolate
    from qcc.targets.portable.kernel_softmax import softmax_fixed_point, softmax_float_table, softmax_interpolated
    from qcc.targets.portable.l2_normalization import l2_normalize, l2_normalize_fixed_point
    from qcc.targets.portable.matmul import matmul
    from qcc.targets.portable.pool import pool
    from qcc.targets.portable.reduction import argmax, reduction
    from qcc.targets.portable.resize import resize_linear
    from qcc.targets.portable.softmax import softmax, softmax_table

    return {
        Conv2d: convolution,
        ConvTranspose2d: convolution,
        Matmul: matmul,
        Pool: pool,
        Reduction: reduction,
        ArgMax: argmax,
        Softmax: softmax,
        L2Normalize: l2_normalize,
        L2NormalizeFixedPoint: l2_normalize_fixed_point,
        Interpolate: interpolate,
        SoftmaxFixedPoint: softmax_fixed_point,
        SoftmaxFloatTable: softmax_float_table,
        SoftmaxInterpolated: softmax_interpolated,
        SoftmaxTable: softmax_table,
        Resize: resize_linear,
    }

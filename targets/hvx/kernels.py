"""Kernels without a dot product that HVX computes in vectors."""

from __future__ import annotations

from qcc.ir.ops import MaxPool2d, ReduceSum, SumPool2d
from qcc.targets.hvx.elementwise import elementwise
from qcc.targets.hvx.pool import pool
from qcc.targets.kernel import Kernel, LoweredKernel
from qcc.targets.portable.parameters import Parameters


def vector_kernel(kernel: Kernel) -> LoweredKernel | None:
    """Return `kernel` lowered by the vector nest of its anchor; None where there is none."""
    if all(op.elementwise for op in kernel.ops):
        return elementwise(Parameters(kernel))
    if isinstance(kernel.anchor, MaxPool2d | SumPool2d | ReduceSum):
        return pool(Parameters(kernel))
    return None

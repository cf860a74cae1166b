"""Chooses the loop nest of a kernel."""

from __future__ import annotations

from typing import Any

from qcc.ir import TargetError, print_op
from qcc.targets.kernel import Kernel, LoweredKernel


def select_nest(kernel: Kernel, target: Any) -> LoweredKernel:
    """Return `kernel` lowered by the nest of its anchor; a TargetError if no nest computes that."""
    anchor = kernel.anchor
    raise TargetError(f"{target} can't compute {anchor.name}", place=anchor.location.node, op=print_op(anchor))

"""ADD and SUB of 16-bit codes whose scales are all powers of two: LiteRT's kernel without multipliers."""

from __future__ import annotations

import numpy as np

from qcc.ir import I16, PassError, Value, ops

from ...operands import KERNEL, POWERS_OF_TWO
from ..operands import Codes
from ..realizer import Realizer
from ..rescales import WHOLE, Into, fixed_point
from .functions import power_of_two

#: Bits by which the kernel can shift a 16-bit code.
_LARGEST_SHIFT = 15
_HELP = "its flag pot_scale_int16 asks for that kernel; --arithmetic tflm ignores it as TensorFlow Lite Micro does"


def is_shifted(op: ops.Add | ops.Sub, a: Codes, b: Codes) -> bool:
    """Return whether LiteRT takes its kernel for powers of two.

    Raises:
        PassError: where the file asks for it with zero points, which it refuses.
    """
    types = (a.type, b.type, op.result.type.uniform())
    if not op.note(KERNEL).endswith(POWERS_OF_TWO) or any(t.storage_type != I16 for t in types):
        return False
    if any(t.zero_point for t in types):
        raise PassError("LiteRT's sum of 16-bit codes by powers of two takes no zero points", help=_HELP)
    return all(power_of_two(t.scale) is not None for t in types)


def shifted_codes(r: Realizer, op: ops.Add | ops.Sub, a: Codes, b: Codes, into: Into) -> None:
    """Define the result as `clamp(RHA(a / 2^n) ± b)` or `clamp(a ± RHA(b / 2^n))`, n the difference of exponents.

    One operand must have the result's scale, the other that or a smaller one. The sum saturates, which is within the
    bounds. ADD does not broadcast, SUB does.

    Raises:
        PassError: for what LiteRT refuses, or whose meaning is undefined there.
    """
    first, second, to = (power_of_two(t.scale) or 0 for t in (a.type, b.type, op.result.type.uniform()))
    left, right = to - first, to - second
    if min(left, right) != 0 or max(left, right) > _LARGEST_SHIFT:
        raise PassError(
            "LiteRT's sum of 16-bit codes by powers of two needs one operand of the result's scale, the other of the "
            f"same or one up to 2^{_LARGEST_SHIFT} smaller; here they are 2^{-left} and 2^{-right} of the result's",
            help=_HELP,
        )
    if isinstance(op, ops.Add) and not op.a.type.size == op.b.type.size == op.result.type.size:
        raise PassError("LiteRT's sum of 16-bit codes by powers of two does not broadcast", help=_HELP)
    name = op.result.name
    parts = [_divided(r, x.value, n, f"{name}_{side}") for x, n, side in ((a, left, "left"), (b, right, "right"))]
    total = r.emit(ops.Sub if isinstance(op, ops.Sub) else ops.Add, *parts, name=f"{name}_sum")
    fixed_point(r, total, np.array(1), np.array(0), into, "half_up", result=op.result)


def _divided(r: Realizer, x: Value, exponent: int, name: str) -> Value:
    """Append RHA(x / 2^exponent) in 32 bits."""
    return fixed_point(r, x, np.array(1), np.array(exponent), WHOLE, "half_away", name=name)

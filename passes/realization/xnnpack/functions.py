"""LOGISTIC, TANH and ELU in the profile `litert-xnn`."""

from __future__ import annotations

import numpy as np

from qcc.ir import FLOAT_ROUNDINGS, I16, Array, ops

from ..realizer import Realizer, realizes
from ..tflite.codes import table_of_codes
from ..tflite.functions import Sigmoids, power_of_two, require_8_bits, sigmoid_by_table, whole_codes


@realizes(ops.Sigmoid, ops.Tanh, ops.Elu, profiles=("litert-xnn",))
def table_of_function(r: Realizer, op: Sigmoids | ops.Elu) -> None:
    """Realize a function as XNNPACK's table: `RHE(f32(f32(f(x) · f32(1 / s_y)) + z_y))`, clamped, x and f in binary32.

    Of 16-bit codes LOGISTIC and TANH are LiteRT's: in 16-bit fixed point where a step is 2^−12, for TANH 2^−11 too,
    else interpolated.
    """
    own, to = op.x.type.uniform(), op.result.type.uniform()
    if own.storage_type == I16 and isinstance(op, Sigmoids):
        _sigmoid_of_16_bits(r, op)
        return
    require_8_bits(op)

    def entries(q: Array) -> Array:
        x = (q - own.zero_point).astype(np.float32) * np.float32(own.scale)
        steps = op.evaluate(x) * (np.float32(1) / np.float32(to.scale)) + np.float32(to.zero_point)
        return whole_codes(np.asarray(FLOAT_ROUNDINGS["half_even"](steps)))

    table_of_codes(r, op.result, op.x, entries)


def _sigmoid_of_16_bits(r: Realizer, op: Sigmoids) -> None:
    """Define LOGISTIC or TANH of 16-bit codes as LiteRT's optimized kernels do."""
    exponent = power_of_two(op.x.type.uniform().scale)
    allowed = (0,) if isinstance(op, ops.Sigmoid) else (0, 1)
    if exponent is None or 12 + exponent not in allowed:
        sigmoid_by_table(r, op)
        return
    r.define(op.result, ops.SigmoidFixedPoint, r.codes(op.x), function=op.name, left_shift=12 + exponent)

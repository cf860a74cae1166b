"""SOFTMAX in the profile `litert-xnn`: LiteRT's optimized kernel, since XNNPACK does not take it."""

from __future__ import annotations

import numpy as np

from qcc.ir import I16, ops

from ..realizer import Realizer, realizes
from ..tflite.softmax import check_result, require_8_bits, softmax_of_litert


@realizes(ops.Softmax, profiles=("litert-xnn",))
def softmax(r: Realizer, op: ops.Softmax) -> None:
    """Realize SOFTMAX of 8-bit codes by a table of binary32 exponentials, `expf(f32(−s·β)·k)`."""
    own, to = op.x.type.uniform(), op.result.type.uniform()
    if own.storage_type == to.storage_type == I16:
        softmax_of_litert(r, op)
        return
    require_8_bits(op, own)
    check_result(op, 2.0**-to.storage_type.bits, to.storage_type.minimum)
    step = np.float32(-np.float32(own.scale) * np.float32(op.beta))
    exponents = (step * np.arange(256).astype(np.float32)).astype(np.float64)
    r.define(
        op.result,
        ops.SoftmaxFloatTable,
        r.codes(op.x),
        r.integers(np.exp(exponents).astype(np.float32), f"{op.result.name}_exponentials"),
        axis=op.axis,
        to=to.storage_type,
        output_scale=float(np.float32(to.scale)),
        output_zero_point=to.zero_point,
    )

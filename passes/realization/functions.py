"""Functions of one number as tables, clamps, and softmax."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from qcc.ir import Array, PassError, Value, ops

from .realizer import Realizer, clamp_codes, realizes

#: Largest entry of a table of exponentials.
_LARGEST_EXPONENTIAL = 2**24


def define_table(r: Realizer, result: Value, x: Value, function: Callable[[Array], Array]) -> None:
    """Define `result` as the table of `function`, which gets the 256 real numbers of x, binary32.

    The function may return one row a channel. NaN (a logarithm of a negative number) becomes the code of 0.
    """
    own, to = x.type.uniform(), result.type.uniform()
    if own.storage_type.bits != 8:
        help = "keep it in float (--keep-float), or use 8-bit activations"
        raise PassError(f"a function of {own.storage_type.bits}-bit codes has no table", help=help)
    with np.errstate(all="ignore"):
        real = np.asarray(function(own.dequantize(own.storage_type.codes)), np.float32)
    table = to.quantize(np.where(np.isnan(real), np.float32(0), real))
    r.define(result, ops.Table, r.codes(x), r.integers(table, f"{result.name}_table"))


@realizes(ops.Unary)
def unary(r: Realizer, op: ops.Unary) -> None:
    """Realize a function by its table, entry by entry what the evaluator gives in the quantized stage."""
    define_table(r, op.result, op.x, op.evaluate)


@realizes(ops.Pow)
def power(r: Realizer, op: ops.Pow) -> None:
    """Realize a constant power by its table."""
    exponent = r.constant(op.b)
    if exponent is None or exponent.size != 1:
        raise PassError("only a constant number as exponent has an integer form", help="keep it in float")
    define_table(r, op.result, op.a, lambda a: op.evaluate(a, exponent.reshape(())))


@realizes(ops.Clamp)
def clamp(r: Realizer, op: ops.Clamp) -> None:
    """Realize a clamp on codes where the parameters stay, else a rescale with bounds."""
    own, to = op.x.type.uniform(), op.result.type.uniform()
    bounds = (op.minimum, op.maximum)
    if own == to:
        low, high = clamp_codes(to, bounds)
        r.define(op.result, ops.Clamp, r.codes(op.x), minimum=low, maximum=high)
    else:
        r.define_rescale(op.result, r.codes(op.x), own.scale / to.scale, own.zero_point, bounds)


@realizes(ops.Softmax)
def softmax(r: Realizer, op: ops.Softmax) -> None:
    """Realize softmax: exponentials T·exp(−β·s·d) of the distance d to the maximum, then their share of the sum.

    T is at most 2^24 and (2^31 − 1) / n for n terms, so that the sum fits 31 bits. A probability is off by at most
    (n + 1) / (2·T) before rounding. A result of other parameters than 1/levels is rescaled.
    """
    own, to = op.x.type.uniform(), op.result.type.uniform()
    if own.storage_type.bits != 8 or own.storage_type != to.storage_type:
        raise PassError("softmax takes and gives 8-bit codes", help="keep it in float: --keep-float softmax")
    count = op.x.type.shape[op.axis]
    if count > 2**20:
        raise PassError(f"a softmax over {count} elements has no integer form", help="--keep-float softmax")
    top = min(_LARGEST_EXPONENTIAL, (2**31 - 1) // max(count, 1))
    table = np.rint(top * np.exp(-op.beta * np.float64(own.scale) * np.arange(256))).astype(np.int32)
    operands = r.codes(op.x), r.integers(table, f"{op.result.name}_exponentials")
    levels = 1 / to.scale
    if levels == int(levels) and levels <= 2**16:
        r.define(
            op.result, ops.SoftmaxTable, *operands, axis=op.axis, levels=int(levels), output_zero_point=to.zero_point
        )
        return
    lowest = to.storage_type.minimum
    shares = r.emit(
        ops.SoftmaxTable,
        *operands,
        axis=op.axis,
        levels=256,
        output_zero_point=lowest,
        name=f"{op.result.name}_probabilities",
    )
    r.define_rescale(op.result, shares, 2.0**-8 / to.scale, lowest)

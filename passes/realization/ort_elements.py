"""Profile `ort`: sums, products, means and functions as ONNX Runtime's kernels for codes of 8 bits compute them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from qcc.ir import Array, PassError, UniformType, Value, ops

from ..operands import KERNEL
from .movement import one_operand
from .operands import real_constant
from .ort_products import NAME, ORT, define_rescale_float, narrow_codes
from .realizer import Realizer, clamp_codes, realizes
from .sums import count_of, total_of

#: Codes that can stand for the probability 1.
LARGEST_LEVELS = 1 << 16


@realizes(ops.Add, profiles=ORT)
def add(r: Realizer, op: ops.Add) -> None:
    """Realize QLinearAdd: `RHE(fma(a, A, fma(b, B, k)))`.

    A = f32(s_a / s_y), B = f32(s_b / s_y), k = f32(z_y − fma(A, z_a, f32(B·z_b))): the AVX2 kernels
    are compiled with this product and sum joined.
    """
    if any(not v.type.is_quantized for v in op.operands):
        _with_constant(r, op)
        return
    a, b, to = (narrow_codes(v, "a sum") for v in (op.a, op.b, op.result))
    scale = np.float32(to.scale)
    factor_a, factor_b = np.float32(a.scale) / scale, np.float32(b.scale) / scale
    zero_a, zero_b = (np.asarray(t.zero_point, np.float32) for t in (a, b))
    offset = np.float32(to.zero_point) - ops.fused_multiply_add(np.asarray(factor_a), zero_a, factor_b * zero_b)
    low, high = clamp_codes(to, op.clamp)
    named = (("factor_a", factor_a), ("factor_b", factor_b), ("offset", offset))
    constants = [r.floats(np.asarray(number, np.float32), f"{op.result.name}_{name}") for name, number in named]
    r.define(
        op.result, ops.SumFloat, r.codes(op.a), r.codes(op.b), *constants, to=to.storage_type, minimum=low, maximum=high
    )


@realizes(ops.Mul, profiles=ORT)
def multiply(r: Realizer, op: ops.Mul) -> None:
    """Realize QLinearMul: `RHE(f32(f32((a − z_a)(b − z_b)·S) + z_y))`, S = f32(f32(s_a·s_b) / s_y).

    The square of a Pow is a float function there, a table.
    """
    if any(not v.type.is_quantized for v in op.operands):
        _with_constant(r, op)
        return
    if op.note(KERNEL) == "Pow" and op.a == op.b and op.a.type.uniform().storage_type.bits == 8:
        define_table(r, op.result, op.a, lambda x: np.asarray(op.evaluate(x, x)))
        return
    a, b, to = (narrow_codes(v, "a product") for v in (op.a, op.b, op.result))
    one = np.array(1)
    left = r.scaled(r.codes(op.a), a.zero_point, one, f"{op.result.name}_left")
    right = r.scaled(r.codes(op.b), b.zero_point, one, f"{op.result.name}_right")
    product = r.emit(ops.Mul, left, right, name=f"{op.result.name}_product")
    factor = np.asarray(np.float32(a.scale) * np.float32(b.scale) / np.float32(to.scale))
    define_rescale_float(r, op.result, product, factor, op.clamp, np.asarray(to.zero_point, np.float32))


@realizes(ops.Sub, ops.Div, profiles=ORT)
def _with_constant(r: Realizer, op: ops.Binary) -> None:
    """Realize arithmetic with a constant as a table of what it gives in binary32; there is no other kernel for it."""
    reals = [real_constant(r, v) for v in op.operands]
    found = [(x, c) for x, c in zip(op.operands, reversed(reals), strict=True) if c is not None]
    if len(found) != 1 or not found[0][0].type.is_quantized:
        raise PassError(f"{NAME} has no kernel for {op.name} of codes: it computes it in float")
    x, constant = found[0]
    if x.type.shape != op.result.type.shape:
        raise PassError("its constant broadcasts the other operand")
    rows = _channel_rows(constant, x)
    first = x is op.operands[0]

    def function(real: Array) -> Array:
        return np.asarray(op.evaluate(real, rows) if first else op.evaluate(rows, real))

    define_table(r, op.result, x, function)


def _channel_rows(constant: Array, x: Value) -> Array:
    """Return a constant as one number, or as a column of one number a channel; a PassError for other shapes."""
    real = constant.astype(np.float32)
    if real.size == 1:
        return real.reshape(())
    while real.ndim > 1 and real.shape[0] == 1:
        real = real[0]
    if x.type.rank and real.shape == x.type.shape[-1:]:
        return real.reshape(-1, 1)
    raise PassError("its constant is neither one number nor one a channel")


def define_table(r: Realizer, result: Value, x: Value, function: Callable[[Array], Array]) -> None:
    """Define `result` as the table of a function of the real numbers of x, in binary32 and then quantized."""
    own, to = narrow_codes(x, "a function"), narrow_codes(result, "a function")
    if own.storage_type.bits != 8:
        raise PassError(f"a function of {own.storage_type.bits}-bit codes has no table")
    with np.errstate(all="ignore"):
        real = np.asarray(function(own.dequantize(own.storage_type.codes)), np.float32)
    r.define(result, ops.Table, r.codes(x), r.integers(to.quantize(real), f"{result.name}_table"))


@realizes(ops.Unary, profiles=ORT)
def unary(r: Realizer, op: ops.Unary) -> None:
    """Realize a function by its table, as QLinearSigmoid and QLinearLeakyRelu do."""
    define_table(r, op.result, op.x, op.evaluate)


@realizes(ops.HardSwish, profiles=ORT)
def hard_swish(r: Realizer, op: ops.HardSwish) -> None:
    """Realize HardSwish by the table of what it expands to: `f32(x · clamp(f32(f32(x·f32(1/6)) + 1/2), 0, 1))`."""
    sixth, half = np.float32(1 / 6), np.float32(0.5)
    define_table(r, op.result, op.x, lambda x: np.asarray(x * np.clip(x * sixth + half, np.float32(0), np.float32(1))))


@realizes(ops.Pow, profiles=ORT)
def power(r: Realizer, op: ops.Pow) -> None:
    """Realize a constant power by its table."""
    exponent = real_constant(r, op.b)
    if exponent is None or exponent.size != 1:
        raise PassError("its exponent is not a constant number")
    define_table(r, op.result, op.a, lambda a: op.evaluate(a, exponent.reshape(())))


@realizes(ops.Prelu, profiles=ORT)
def prelu(r: Realizer, op: ops.Prelu) -> None:
    """Realize PReLU by a table, one a channel."""
    slope = real_constant(r, op.slope)
    if slope is None:
        raise PassError("its slope is not a constant")
    rows = _channel_rows(slope, op.x)
    define_table(r, op.result, op.x, lambda x: op.evaluate(x, rows))


@realizes(ops.BatchNorm, profiles=ORT)
def batch_norm(r: Realizer, op: ops.BatchNorm) -> None:
    """Realize a batch norm that stands alone: `f32(f32(x·m) + c)` a channel, then quantized.

    As one rescale where factors are found that give the same codes for all 256 of each channel, else as tables.
    """
    parameters = [real_constant(r, v) for v in op.operands[1:]]
    if any(p is None for p in parameters) or op.axis % op.x.type.rank != op.x.type.rank - 1:
        raise PassError("its parameters are not constants of the last axis")
    scale, offset, mean, variance = (np.asarray(p, np.float32) for p in parameters)
    factor = (scale / np.sqrt(variance + np.float32(op.epsilon))).astype(np.float32)
    shift = (offset - mean * factor).astype(np.float32)
    own, to = narrow_codes(op.x, "a batch norm"), narrow_codes(op.result, "a batch norm")
    codes = own.storage_type.codes
    wanted = to.quantize(own.dequantize(codes) * factor[:, None] + shift[:, None])
    steps = np.float32(to.scale)
    found = affine_codes(own, to, np.float32(own.scale) * factor / steps, shift / steps, wanted)
    if found is None:
        r.define(op.result, ops.Table, r.codes(op.x), r.integers(wanted, f"{op.result.name}_table"))
        return
    low, high = clamp_codes(to, None)
    named = zip(("factor", "offset"), found, strict=True)
    r.define(
        op.result,
        ops.RescaleFloat,
        r.codes(op.x),
        *(r.floats(array, f"{op.result.name}_{name}") for name, array in named),
        to=to.storage_type,
        minimum=low,
        maximum=high,
        input_zero_point=own.zero_point,
        output_zero_point=to.zero_point,
    )


#: How many units in the last place factors and offsets are moved to meet the codes wanted.
_NUDGES = 6


def affine_codes(
    own: UniformType, to: UniformType, factor: Array, offset: Array, wanted: Array
) -> tuple[Array, Array] | None:
    """Return binary32 factors and offsets near those given whose rescale gives the codes `wanted`, channels × codes.

    Near a tie the codes depend on the last bits; moving these a little meets all of a channel, or else there are none.
    """
    factor, offset = factor.astype(np.float32), offset.astype(np.float32)
    distance = (own.storage_type.codes.astype(np.int64) - own.zero_point).astype(np.float32)
    low, high = to.minimum - to.zero_point, to.maximum - to.zero_point
    goal = wanted.astype(np.int64) - to.zero_point
    for channel in range(len(factor)):
        near = np.arange(-_NUDGES, _NUDGES + 1, dtype=np.float32)
        near = near[np.argsort(np.abs(near), kind="stable")]
        factors = factor[channel] + near * np.spacing(factor[channel])
        offsets = offset[channel] + near * np.spacing(np.maximum(np.abs(offset[channel]), np.float32(1)))
        for first in (1, len(near)):
            sums = distance * factors[:first, None, None] + offsets[None, :first, None]
            met = np.all(np.clip(np.rint(sums), low, high) == goal[channel], axis=-1)
            if met.any():
                i, j = np.unravel_index(int(np.argmax(met)), met.shape)
                factor[channel], offset[channel] = factors[i], offsets[j]
                break
        else:
            return None
    return factor, offset


@realizes(ops.Clamp, profiles=ORT)
def clamp(r: Realizer, op: ops.Clamp) -> None:
    """Realize a clamp on codes where the parameters stay, else a table."""
    own, to = op.x.type.uniform(), op.result.type.uniform()
    if own == to:
        low, high = clamp_codes(to, (op.minimum, op.maximum))
        r.define(op.result, ops.Clamp, r.codes(op.x), minimum=low, maximum=high)
        return
    define_table(r, op.result, op.x, op.evaluate)


@realizes(ops.Requantize, profiles=ORT)
def requantize(r: Realizer, op: ops.Requantize) -> None:
    """Realize a change of parameters as a table: dequantize, then quantize, as QLinearConcat does."""
    define_table(r, op.result, op.x, lambda x: x)


@realizes(ops.AvgPool2d, profiles=ORT)
def average_pool(r: Realizer, op: ops.AvgPool2d) -> None:
    """Realize QLinearAveragePool: the mean of dequantized codes, summed in binary32; of whole images `reduce_mean`."""
    own, to = narrow_codes(op.x, "a mean"), narrow_codes(op.result, "a mean")
    if op.kernel == op.x.type.shape[1:3] and not any(op.padding):
        total = r.emit(
            ops.ReduceSum,
            r.codes(op.x),
            name=f"{op.result.name}_accumulator",
            axes=(1, 2),
            keep_dims=True,
            input_zero_point=own.zero_point,
        )
        define_rescale_float(r, op.result, total, mean_factor(own, to, op.kernel[0] * op.kernel[1]), op.clamp)
        return
    low, high = clamp_codes(to, op.clamp)
    r.define(
        op.result,
        ops.AvgPoolFloat,
        r.codes(op.x),
        kernel=op.kernel,
        strides=op.strides,
        padding=op.padding,
        dilation=op.dilation,
        count_include_pad=op.count_include_pad,
        source=own,
        to=to,
        minimum=low,
        maximum=high,
    )


@realizes(ops.ReduceMean, profiles=ORT)
def reduce_mean(r: Realizer, op: ops.ReduceMean) -> None:
    """Realize QLinearGlobalAveragePool: the exact sum, times S = f32(s_x / f32(s_y·n))."""
    own, to = narrow_codes(op.x, "a mean"), narrow_codes(op.result, "a mean")
    define_rescale_float(r, op.result, total_of(r, op, own.zero_point), mean_factor(own, to, count_of(op)))


def mean_factor(own: UniformType, to: UniformType, count: int) -> Array:
    """Return S = f32(s_x / f32(s_y·n))."""
    return np.asarray(np.float32(own.scale) / (np.float32(to.scale) * np.float32(count)))


@realizes(ops.Softmax, profiles=ORT)
def softmax(r: Realizer, op: ops.Softmax) -> None:
    """Realize QLinearSoftmax: shares of integer exponentials, `⌊exp(−s_x·d)·T⌋` of the distance d to the maximum.

    T is the smaller of 2^23 − 1 and (2^32 − 1) / n for n terms; ⌊f32(1 / s_y)⌋ codes stand for the probability 1.
    """
    own, to = narrow_codes(op.x, "a softmax"), narrow_codes(op.result, "a softmax")
    levels = float(np.floor(np.float32(1) / np.float32(to.scale)))
    if own.storage_type != to.storage_type or own.storage_type.bits != 8 or not 1 <= levels <= LARGEST_LEVELS:
        raise PassError(f"{NAME} has no softmax from {own} to {to}")
    top = min((2.0**32 - 1) / op.x.type.shape[op.axis], 2.0**23 - 1)
    table = np.trunc(np.exp(-np.float64(own.scale) * np.arange(256)) * top).astype(np.int32)
    r.define(
        op.result,
        ops.SoftmaxTable,
        r.codes(op.x),
        r.integers(table, f"{op.result.name}_exponentials"),
        axis=op.axis,
        levels=int(levels),
        output_zero_point=to.zero_point,
    )


@realizes(ops.Resize, profiles=ORT)
def resize(r: Realizer, op: ops.Resize) -> None:
    """Realize a nearest resize on codes."""
    if op.mode != "nearest":
        raise PassError(f"{NAME} has no kernel for resize of codes: it computes it in float")
    one_operand(r, op)

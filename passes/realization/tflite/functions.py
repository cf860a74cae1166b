"""Functions of one number in the profiles `tflm` and `litert-ref`: tables of 8-bit codes, formulas of 16-bit ones."""

from __future__ import annotations

import math

import numpy as np

from qcc.ir import (
    ARRAYS,
    FLOAT_ROUNDINGS,
    I16,
    Array,
    FixedPoint,
    PassError,
    UniformType,
    ops,
    rescale,
    rounding_divide_by_pot,
    sigmoid_table,
)

from ..multipliers import multiplier_of
from ..realizer import Realizer, realizes
from ..rescales import Into
from .codes import halves, scaled, table_of_codes
from .rescales import DOUBLE, twice_rounded

Sigmoids = ops.Sigmoid | ops.Tanh


def require_8_bits(op: ops.Unary) -> None:
    """Raise PassError unless the codes of operand and result have 8 bits."""
    own, to = op.x.type.uniform(), op.result.type.uniform()
    bits = max(own.storage_type.bits, to.storage_type.bits)
    if bits > 8:
        help = f"keep it in float: --keep-float {op.name}"
        raise PassError(f"TFLite has no {op.name} of {bits}-bit codes", help=help)


@realizes(ops.Elu, ops.Exp, ops.Gelu, ops.Log, profiles=("tflm",))
def table_of_function(r: Realizer, op: ops.Unary) -> None:
    """Realize a function as TFLite's table: `trunc(RHA(f32(f(x) · f32(1 / s_y))) + z_y)`, x and f in binary32."""
    require_8_bits(op)
    own, to = op.x.type.uniform(), op.result.type.uniform()

    def entries(q: Array) -> Array:
        x = np.float32(own.scale) * (q - own.zero_point).astype(np.float32)
        y = narrow_logistic(x) if isinstance(op, ops.Sigmoid) else op.evaluate(x)
        steps = y * (np.float32(1) / np.float32(to.scale))
        return whole_codes(np.asarray(FLOAT_ROUNDINGS["half_away"](steps)) + np.float32(to.zero_point))

    table_of_codes(r, op.result, op.x, entries)


def narrow_logistic(x: Array) -> Array:
    """Return `f32(1 / f32(1 + expf(−x)))`: three roundings, which near a tie are not the function's nearest number."""
    with np.errstate(over="ignore"):  # 1/∞ is 0
        exponential = np.exp(-x.astype(np.float64)).astype(np.float32)
    return np.asarray(np.float32(1) / (np.float32(1) + exponential))


def whole_codes(real: Array) -> Array:
    """Return floats as integers, toward zero, those that are no 32-bit numbers at its ends; NaN as the lowest."""
    limited = np.where(np.isnan(real), -np.inf, real).astype(np.float64)
    return np.trunc(np.clip(limited, -(2.0**31), 2.0**31 - 1)).astype(np.int64)


@realizes(ops.Sigmoid, ops.Tanh, profiles=("litert-ref",))
def sigmoid_by_table(r: Realizer, op: Sigmoids) -> None:
    """Realize LOGISTIC or TANH: of 8-bit codes as the look-up table, of 16-bit ones interpolated."""
    if op.x.type.uniform().storage_type == I16:
        sigmoid_of_16_bits(r, op)
    else:
        table_of_function(r, op)


@realizes(ops.Sigmoid, ops.Tanh, profiles=("tflm",))
def sigmoid_in_fixed_point(r: Realizer, op: Sigmoids) -> None:
    """Realize LOGISTIC or TANH as TensorFlow Lite Micro: of signed 8-bit codes in gemmlowp's Q4.27.

    With `x = MBQM(q − z, s·2^27)`: logistic `RDPOT(logistic(x), 23) − 128`, tanh `RDPOT(tanh(x), 24)`; from 15 on, the
    ends of the range. The result has scale 1/256 and zero point −128, or 1/128 and 0; one of other parameters, and
    unsigned codes, which TensorFlow Lite Micro does not have, are those of the table of `litert-ref`.
    """
    own, to = op.x.type.uniform(), op.result.type.uniform()
    scale, zero_point = (1 / 256, -128) if isinstance(op, ops.Sigmoid) else (1 / 128, 0)
    fits = own.storage_type.kind == "i" and to.zero_point == zero_point and abs(to.scale - scale) <= 0.001 * scale
    if not fits or own.storage_type == I16:
        sigmoid_by_table(r, op)
        return
    require_8_bits(op)
    m, s = multiplier_of(float(np.float32(own.scale)) * 2.0**27, 31)
    if m == 0:
        message = f"an input scale of {own.scale:g} is too small for {op.name}"
        raise PassError(message, help="check the model's quantization")
    radius = math.floor(math.ldexp(15.0 * 2.0**27, s - 31))

    def entries(q: Array) -> Array:
        x = q - own.zero_point
        inside = np.where(np.abs(x) < radius, x, 0)
        argument = rescale(inside, np.array(m), np.array(s), DOUBLE)
        found = _fixed_point_codes(op, argument)
        return np.where(x <= -radius, -128, np.where(x >= radius, 127, found))

    table_of_codes(r, op.result, op.x, entries)


def _fixed_point_codes(op: Sigmoids, argument: Array) -> Array:
    """Return the 8-bit codes of the function of numbers in Q4.27."""
    numbers = FixedPoint(32, ARRAYS)
    if isinstance(op, ops.Sigmoid):
        return rounding_divide_by_pot(numbers.logistic(argument, 4), np.array(23)) - 128
    return rounding_divide_by_pot(numbers.tanh(argument, 4), np.array(24))


def power_of_two(scale: float) -> int | None:
    """Return the exponent of a scale that the kernels take for a power of two: log2 within 10^−3, in binary32."""
    log = math.log2(np.float32(scale))
    nearest = math.floor(abs(log) + 0.5) * (1 if log > 0 else -1)
    return nearest if abs(np.float32(log) - np.float32(nearest)) < np.float32(1e-3) else None


def sigmoid_of_16_bits(r: Realizer, op: Sigmoids) -> None:
    """Define LOGISTIC or TANH of 16-bit codes by straight lines between 256 values of the logistic function.

    The argument is `x·multiplier / 2^shift` in units of 1/(3·4096): a power of two times 3, or 15 bits of the scale.
    """
    own = op.x.type.uniform()
    exponent = power_of_two(own.scale)
    exact = (0,) if isinstance(op, ops.Sigmoid) else (0, 1)
    if exponent is not None and 12 + exponent in exact:
        multiplier, shift = 3 << (12 + exponent), 0
    else:
        real, shift = float(np.float32(own.scale)) * 4096.0 * 3.0, 0
        while real <= 32767.0 / 2.0 and shift <= 30:
            real, shift = real * 2.0, shift + 1
        multiplier = int(real)
    if multiplier >= 1 << 16:
        message = f"an input scale of {own.scale:g} is too large for {op.name} of 16-bit codes"
        raise PassError(message, help="it saturates almost everywhere: check the model's quantization")
    table = r.integers(sigmoid_table(), f"{op.result.name}_sigmoids")
    r.define(
        op.result,
        ops.SigmoidInterpolated,
        r.codes(op.x),
        table,
        function=op.name,
        multiplier=multiplier,
        shift=shift,
    )


@realizes(ops.HardSwish, profiles=("tflm",))
def hard_swish(r: Realizer, op: ops.HardSwish) -> None:
    """Realize HARD_SWISH in 16-bit fixed point, as a table; factors are formed in binary32.

    With h = (q − z_x)·2^7, `p = SRDHM16(h, s_x/128/s_y)` and r the value `h·s_x/128` in Q0.15 of [−3, 3], saturated, as
    `(r + 1) / 2`: `y = RDPOT(trunc(r·p), −e_o) + z_y`.
    """
    require_8_bits(op)
    own, to = op.x.type.uniform(), op.result.type.uniform()
    fine = np.float32(own.scale) / np.float32(128)
    (m_o, s_o), (m_r, s_r) = (
        multiplier_of(float(fine / np.float32(unit))) for unit in (to.scale, np.float32(3.0 / 32768))
    )
    if s_o < 31:
        help = "its operand's and its result's scales differ too much: check the model's quantization"
        raise PassError("the scale ratio of a hard swish is 1 or more after 7 fraction bits", help=help)

    def entries(q: Array) -> Array:
        return _hard_swish_codes(q - own.zero_point, (_upper(m_o), s_o - 31), (_upper(m_r), 31 - s_r)) + to.zero_point

    table_of_codes(r, op.result, op.x, entries)


def _upper(multiplier: int) -> int:
    """Return the multiplier in 15 bits, rounded, saturated."""
    return 32767 if multiplier >= 2**31 - 1 - 2**15 else (multiplier + 2**15) >> 16


def _hard_swish_codes(x: Array, output: tuple[int, int], relu: tuple[int, int]) -> Array:
    """Return the steps of the result; `output` is multiplier and right shift, `relu` multiplier and left exponent."""
    numbers = FixedPoint(16)
    fine = (x * 128).astype(np.int16).astype(np.int64)
    product = numbers.high(fine, np.int64(output[0]))
    left = max(relu[1], 0)
    share = numbers.saturated(fine << max(left - 1, 0)) if left else fine
    share = numbers.high(share, np.int64(relu[0]))
    share = numbers.saturated(share * 2) if left else _divided_in_16_bits(share, -relu[1])
    share = (share + 32768) >> 1
    scaled_product = np.abs(share * product) >> 15
    value = np.minimum(np.where(share * product < 0, -scaled_product, scaled_product), 32767)
    return _divided_in_16_bits(value, output[1])


def _divided_in_16_bits(x: Array, exponent: int) -> Array:
    """Return x / 2^exponent, ties away from zero; from 2^16 on 1 or −1 by the sign of x.

    gemmlowp's rounding division keeps its mask in the 16 bits of x, where it is −1 then.
    """
    return rounding_divide_by_pot(x, np.array(exponent)) if exponent < 16 else np.where(x < 0, -1, 1)


@realizes(ops.Abs, profiles=("tflm",))
def absolute(r: Realizer, op: ops.Abs) -> None:
    """Realize ABS: `MBQM(|q − z_x|, f32(s_x / s_y)) + z_y`, without the rescale where the scales are equal."""
    own, to = op.x.type.uniform(), op.result.type.uniform()
    factor = float(np.float32(own.scale) / np.float32(to.scale))
    if own.storage_type.bits == 8:
        table_of_codes(r, op.result, op.x, lambda q: _magnitude(np.abs(q - own.zero_point), own, to, factor))
        return
    positive, negative = halves(r, op.result, op.x, own)
    magnitude = r.emit(ops.Sub, positive, negative, name=f"{op.result.name}_magnitude")
    twice_rounded(r, magnitude, factor, Into.of(to), result=op.result)


def _magnitude(magnitude: Array, own: UniformType, to: UniformType, factor: float) -> Array:
    return (magnitude if own.scale == to.scale else scaled(magnitude, factor)) + to.zero_point

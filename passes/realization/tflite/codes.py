"""QUANTIZE, CONCATENATION and the RELU family of the profiles `tflm` and `litert-ref`: functions of one code."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from qcc.ir import I32, U8, Array, UniformType, Value, ops, rescale

from ...operands import KERNEL
from ..movement import attributes_of, several_operands
from ..multipliers import multiplier_of
from ..operands import operand_codes
from ..realizer import Realizer, realizes
from ..rescales import WHOLE, Into, fixed_point, in_floats
from .bounds import activation_bounds
from .rescales import DOUBLE, twice_rounded

RELU6 = (0.0, 6.0)


def table_of_codes(r: Realizer, result: Value, x: Value, function: Callable[[Array], Array]) -> None:
    """Define `result` as the table of an integer function of all 256 codes of x, or of one a channel."""
    codes = x.type.element.storage.codes.astype(np.int64)
    to = result.type.uniform()
    entries = np.clip(function(codes), to.minimum, to.maximum).astype(to.storage_type.dtype)
    r.define(result, ops.Table, r.codes(x), r.integers(entries, f"{result.name}_table"))


def scaled(x: Array, real: float) -> Array:
    """Return MultiplyByQuantizedMultiplier(x, real) for a real of any sign: −MBQM(x, |real|) for a negative one."""
    m, s = multiplier_of(abs(real))
    y = rescale(x, np.array(m), np.array(s), DOUBLE)
    return -y if real < 0 else y


@realizes(ops.Requantize, profiles=("tflm",))
def requantize(r: Realizer, op: ops.Requantize) -> None:
    """Realize QUANTIZE of codes: `MBQM(q − z_x, f64(s_x) / f64(s_y)) + z_y`."""
    own, to = op.x.type.uniform(), op.result.type.uniform()
    factor = np.float64(own.scale) / np.float64(to.scale)
    twice_rounded(r, r.codes(op.x), factor, Into.of(to), input_zero_point=own.zero_point, result=op.result)


@realizes(ops.Quantize, profiles=("tflm",))
def quantize(r: Realizer, op: ops.Quantize) -> None:
    """Realize QUANTIZE of real numbers: `RHA(f32(x / s)) + z`."""
    attributes = {**op.attributes(), "rounding": "half_away", "notes": op.notes}
    codes = r.emit(ops.Quantize, r.as_quantized(op.x), name=f"{op.result.name}_quantized", **attributes)
    r.define(op.result, ops.StorageCast, codes)


def limited_codes(r: Realizer, op: ops.Clamp, bounds: tuple[int, int]) -> None:
    """Define the result of `op` as codes of x within bounds."""
    r.define(op.result, ops.Clamp, r.codes(op.x), minimum=bounds[0], maximum=bounds[1])


@realizes(ops.Clamp, profiles=("litert-ref",))
def clamp(r: Realizer, op: ops.Clamp) -> None:
    """Realize RELU, RELU6, RELU_N1_TO_1: `MBQM(q − z_x, f32(s_x / s_y)) + z_y` within the activation's bounds."""
    own, to = op.x.type.uniform(), op.result.type.uniform()
    bounds = activation_bounds(to, (op.minimum, op.maximum))
    if own == to:  # a factor of 1 is exact in two roundings too
        limited_codes(r, op, bounds)
        return
    factor = np.float64(np.float32(own.scale) / np.float32(to.scale))
    twice_rounded(r, r.codes(op.x), factor, Into.of(to, bounds), input_zero_point=own.zero_point, result=op.result)


@realizes(ops.Clamp, profiles=("tflm",))
def clamp_without_rescale(r: Realizer, op: ops.Clamp) -> None:
    """Realize the RELU6 of a .tflite file as TensorFlow Lite Micro: codes of x between z_x and z_x + RHA(6 / s_x).

    They are never rescaled, though the file may say so. All else is as in LiteRT.
    """
    own, to = op.x.type.uniform(), op.result.type.uniform()
    if op.note(KERNEL) != "RELU6" or own.storage_type != to.storage_type:
        clamp(r, op)
        return
    limited_codes(r, op, activation_bounds(own, RELU6))


@realizes(ops.LeakyRelu, profiles=("tflm",))
def leaky_relu(r: Realizer, op: ops.LeakyRelu) -> None:
    """Realize `MBQM(x, s_x / s_y)` above zero, `MBQM(x, α·s_x / s_y)` below; both factors in binary32."""
    own, to = op.x.type.uniform(), op.result.type.uniform()
    if own.storage_type.bits > 8:
        leaky_relu_of_16_bits(r, op, signed=False)
        return
    above, below = _leaky_factors(op)

    def function(q: Array) -> Array:
        x = q - own.zero_point
        return np.where(x >= 0, scaled(x, above), scaled(x, below)) + to.zero_point

    table_of_codes(r, op.result, op.x, function)


def _leaky_factors(op: ops.LeakyRelu) -> tuple[float, float]:
    """Return s_x / s_y and α·s_x / s_y in binary32."""
    s_x, s_y = (np.float32(v.type.uniform().scale) for v in (op.x, op.result))
    return float(s_x / s_y), float(s_x * np.float32(op.alpha) / s_y)


def leaky_relu_of_16_bits(r: Realizer, op: ops.LeakyRelu, signed: bool) -> None:
    """Realize LEAKY_RELU without a table; `signed` says where the sign of a negative α goes.

    Signed, it is the multiplier's, so that the first rounding's ties go up in the result; else the product's.
    """
    own, to, name = op.x.type.uniform(), op.result.type.uniform(), op.result.name
    above, below = _leaky_factors(op)
    positive, negative = halves(r, op.result, op.x, own)
    left = twice_rounded(r, positive, above, WHOLE, name=f"{name}_above")
    right = twice_rounded(r, negative, below if signed else abs(below), WHOLE, name=f"{name}_below")
    combine = ops.Sub if below < 0 and not signed else ops.Add
    total = r.emit(combine, left, right, name=f"{name}_sum")
    fixed_point(r, total, np.array(1), np.array(0), Into.of(to), "half_up", result=op.result)


def halves(r: Realizer, result: Value, x: Value, own: UniformType) -> tuple[Value, Value]:
    """Append max(x − z, 0) and min(x − z, 0) in 32 bits."""
    one, none, zero = np.array(1), np.array(0), own.zero_point
    above, below = Into(I32, 0, 0, I32.maximum), Into(I32, 0, I32.minimum, 0)
    made = (
        fixed_point(r, r.codes(x), one, none, into, "half_up", input_zero_point=zero, name=f"{result.name}_{part}")
        for into, part in ((above, "positive"), (below, "negative"))
    )
    positive, negative = made
    return positive, negative


@realizes(ops.Prelu, profiles=("tflm",))
def prelu(r: Realizer, op: ops.Prelu) -> None:
    """Realize PRELU whose factors are formed in binary64."""
    _prelu(r, op, np.float64)


@realizes(ops.Prelu, profiles=("litert-ref",))
def prelu_narrow(r: Realizer, op: ops.Prelu) -> None:
    """Realize PRELU whose factors LiteRT forms in binary32."""
    _prelu(r, op, np.float32)


def _prelu(r: Realizer, op: ops.Prelu, real: type[np.floating]) -> None:
    """Define `MBQM(x, s_x / s_y)` above zero, `MBQM(x·(α − z_α), s_x·s_α / s_y)` below; one of the two is zero."""
    own, to = op.x.type.uniform(), op.result.type.uniform()
    slope = operand_codes(r, op.slope, own.storage_type, symmetric=True)
    s_x, s_a, s_y = (real(t.scale) for t in (own, slope.type, to))
    above, below = float(s_x / s_y), float(s_x * s_a / s_y)
    known = None if slope.known is None else slope.known.astype(np.int64) - slope.type.zero_point
    row = known is not None and known.shape[-1:] == op.x.type.shape[-1:] and known.size == known.shape[-1]
    if own.storage_type.bits == 8 and known is not None and (known.size == 1 or row):
        slopes = known.reshape(-1, 1) if row else known.reshape(())

        def function(q: Array) -> Array:
            x = q - own.zero_point
            return np.where(x >= 0, scaled(x, above), scaled(x * slopes, below)) + to.zero_point

        table_of_codes(r, op.result, op.x, function)
        return
    name = op.result.name
    positive, negative = halves(r, op.result, op.x, own)
    one, none = np.array(1), np.array(0)
    factor = fixed_point(
        r, slope.value, one, none, WHOLE, "half_up", input_zero_point=slope.type.zero_point, name=f"{name}_slope"
    )
    product = r.emit(ops.Mul, negative, factor, name=f"{name}_product")
    left = twice_rounded(r, positive, above, WHOLE, name=f"{name}_above")
    right = twice_rounded(r, product, below, WHOLE, name=f"{name}_below")
    total = r.emit(ops.Add, left, right, name=f"{name}_sum")
    fixed_point(r, total, one, none, Into.of(to), "half_up", result=op.result)


@realizes(ops.Concat, profiles=("tflm",))
def concatenate(r: Realizer, op: ops.Concat) -> None:
    """Realize the CONCATENATION of a .tflite file as TensorFlow Lite Micro: it copies codes, whatever they mean."""
    if not op.note(KERNEL):
        several_operands(r, op)
        return
    r.define(op.result, ops.Concat, *(r.codes(v) for v in op.operands), **attributes_of(op))


@realizes(ops.Concat, profiles=("litert-ref",))
def concatenate_rescaled(r: Realizer, op: ops.Concat) -> None:
    """Realize CONCATENATION as LiteRT: unsigned codes of other parameters are rescaled in binary32.

    With c = f32(s_i·f32(1 / s_y)): `RHA(f32(f32(x·c) + f32(−z_i·c))) + z_y`.
    """
    to = op.result.type.uniform()
    parts = [_in_parameters(r, v, to) for v in op.operands]
    r.define(op.result, ops.Concat, *parts, **attributes_of(op))


def _in_parameters(r: Realizer, value: Value, to: UniformType) -> Value:
    own = value.type.uniform()
    if own == to or own.storage_type != U8:
        return r.codes_as(value, to)
    factor = np.asarray(np.float32(own.scale) * (np.float32(1) / np.float32(to.scale)), np.float32)
    offset = np.asarray(np.float32(-own.zero_point) * factor, np.float32)
    result = Value(r.builder.unique(f"{value.name}_rescaled"), value.type.with_element(to))
    return in_floats(r, r.codes(value), factor, Into.of(to), "half_away", offset=offset, result=result)

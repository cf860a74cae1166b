"""Interval arithmetic over integer modules: what every value can be at most, by channel where that is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qcc.ir import Array, Op, ScalarType, UniformType, Value, ops, rescale


@dataclass(frozen=True)
class Interval:
    """Bounds of a value: Python integers in arrays of shape (1,), or (channels,) for the last axis."""

    low: Array
    high: Array

    @classmethod
    def of(cls, low: object, high: object) -> Interval:
        """Return the interval between two integers or arrays of integers."""
        return cls(np.atleast_1d(np.array(low, object)), np.atleast_1d(np.array(high, object)))

    @classmethod
    def of_type(cls, type: ScalarType) -> Interval:
        """Return all that an integer type holds."""
        return cls.of(type.minimum, type.maximum)

    @property
    def ends(self) -> tuple[int, int]:
        """The bounds over all channels."""
        return int(np.min(self.low)), int(np.max(self.high))

    def collapsed(self) -> Interval:
        """Return the interval over all channels."""
        return Interval.of(*self.ends)

    def __str__(self) -> str:
        return "{}..{}".format(*self.ends)


def union(*intervals: Interval) -> Interval:
    """Return the smallest interval that holds all, over all channels."""
    return Interval.of(min(i.ends[0] for i in intervals), max(i.ends[1] for i in intervals))


def interval_of(op: Op, operands: list[Interval], constants: list[Array | None]) -> Interval:
    """Return what the results of an integer operation can be, before they are cut to the result's type.

    Args:
        operands: an interval each.
        constants: the data of constant operands.
    """
    if op.results[0].type.is_float:
        return Interval.of(0, 0)  # a region kept in float has no integers
    match op:
        case ops.Constant():
            return _of_data(op.value.array)
        case ops.StorageCast() | ops.Quantize():
            return _of_element(op.result)
        case ops.Conv2d() | ops.ConvTranspose2d() | ops.Matmul():
            return _of_products(op, operands, constants)
        case ops.Rescale():
            return clamped(rescaled(op, operands[0], constants), op.minimum, op.maximum)
        case ops.RescaleFloat() | ops.SumFloat() | ops.AvgPoolFloat():
            return Interval.of(op.minimum, op.maximum)
        case ops.Add():
            return Interval(operands[0].low + operands[1].low, operands[0].high + operands[1].high)
        case ops.Sub():
            return Interval(operands[0].low - operands[1].high, operands[0].high - operands[1].low)
        case ops.Mul():
            return _of_ends(operands[0], operands[1])
        case ops.SumPool2d():
            return _of_sum(operands[0], op.input_zero_point, op.kernel[0] * op.kernel[1])
        case ops.ReduceSum():
            count = op.x.type.size // max(op.result.type.size, 1)
            return _of_sum(operands[0].collapsed(), op.input_zero_point, count)
        case ops.Table():
            return _of_table(op, operands[0], constants[1])
        case ops.Clamp():
            storage = op.result.type.element.storage
            low, high = max(op.minimum, storage.minimum), min(op.maximum, storage.maximum)
            return clamped(operands[0], int(low), int(high))
        case ops.Pad() if op.mode == "constant":
            return union(operands[0], Interval.of(int(op.value), int(op.value)))
        case ops.Minimum() | ops.Maximum():
            return union(*operands)
        case ops.Cast() if op.x.type.element.expressed.is_integer:
            low, high = operands[0].ends
            return operands[0] if op.to.minimum <= low and high <= op.to.maximum else _of_element(op.result)
        case _ if op.shares_parameters:
            return union(*operands)
        case _:
            return _of_element(op.results[0])


def clamped(interval: Interval, low: int, high: int) -> Interval:
    """Return the interval cut at both ends."""
    return Interval(np.minimum(np.maximum(interval.low, low), high), np.minimum(np.maximum(interval.high, low), high))


def rescaled(op: ops.Rescale, x: Interval, constants: list[Array | None]) -> Interval:
    """Return the result of a rescale before its clamp; by channel where multipliers are."""
    multiplier, shift = constants[1], constants[2]
    if multiplier is None or shift is None:
        return Interval.of_type(op.to)
    if op.rounding.startswith("double") and _wraps(op, x, shift):
        return Interval.of_type(op.to)
    ends = [_rounded(op, end, multiplier, shift) + op.output_zero_point for end in (x.low, x.high)]
    low, high = np.minimum(*ends), np.maximum(*ends)
    while low.ndim > 1:
        low, high = low.min(axis=0), high.max(axis=0)
    return Interval.of(low.tolist(), high.tolist())


def _wraps(op: ops.Rescale, x: Interval, shift: Array) -> bool:
    """Return whether (x − z)·2^L leaves the 32 bits that the double roundings keep of it, L = max(31 − s, 0)."""
    left = 2 ** np.maximum(31 - shift.astype(object), 0)
    low, high = ((end - op.input_zero_point) * left for end in (x.low, x.high))
    return bool(np.min(low) < -(2**31) or np.max(high) >= 2**31)


def _rounded(op: ops.Rescale, x: Array, multiplier: Array, shift: Array) -> Array:
    if op.rounding == "half_away":
        product, s = (x - op.input_zero_point) * multiplier.astype(object), shift.astype(object)
        nearest = (2 * np.abs(product) + 2**s) // 2 ** (s + 1)
        return np.asarray(np.where(product < 0, -nearest, nearest), object)
    if op.rounding != "half_up":
        return rescale((x - op.input_zero_point).astype(np.int64), multiplier, shift, op.rounding).astype(object)
    s = shift.astype(object)
    half = np.where(shift > 0, 2 ** np.maximum(s - 1, 0), 0)
    return np.asarray(((x - op.input_zero_point) * multiplier.astype(object) + half) // 2**s, object)


def product_magnitude(op: ops.Rescale, x: Interval, constants: list[Array | None]) -> int:
    """Return the largest |(x − z)·m| + 2^(s−1) that a rescale forms; the double roundings keep to 64 bits."""
    if op.rounding.startswith("double"):
        return 0
    if constants[1] is None or constants[2] is None:
        return 0
    span = np.maximum(np.abs(x.low - op.input_zero_point), np.abs(x.high - op.input_zero_point))
    s = constants[2].astype(object)
    return int(np.max(span * np.abs(constants[1].astype(object)) + 2 ** np.maximum(s - 1, 0)))


def _of_element(value: Value) -> Interval:
    element = value.type.element
    if isinstance(element, UniformType):
        return Interval.of_type(element.storage_type)
    return Interval.of_type(element.storage) if element.expressed.is_integer else Interval.of(0, 0)


def _of_data(array: Array) -> Interval:
    if array.dtype.kind not in "iu" or array.size == 0:
        return Interval.of(0, 0)
    rows = array.reshape(-1, array.shape[-1] if array.ndim else 1)
    return Interval.of(rows.min(axis=0).tolist(), rows.max(axis=0).tolist())


def _of_ends(a: Interval, b: Interval) -> Interval:
    products = [x * y for x in (a.low, a.high) for y in (b.low, b.high)]
    return Interval(np.minimum.reduce(products), np.maximum.reduce(products))


def _of_sum(x: Interval, zero_point: int, count: int) -> Interval:
    """Return the interval of any partial sum of up to `count` terms."""
    return Interval(np.minimum((x.low - zero_point) * count, 0), np.maximum((x.high - zero_point) * count, 0))


def _of_products(op: Op, operands: list[Interval], constants: list[Array | None]) -> Interval:
    """Return the interval of any partial sum, bias included: terms may be added in any order, or be padding."""
    if not isinstance(op, ops.Conv2d | ops.ConvTranspose2d | ops.Matmul):
        return Interval.of(0, 0)
    low, high = (end - op.input_zero_point for end in operands[0].ends)
    weight = constants[1]
    if weight is None or not weight.size:
        weight_low, weight_high = (end - op.weight_zero_point for end in operands[1].ends)
        depth = op.x.type.shape[-1] if isinstance(op, ops.Matmul) else op.weight.type.size // op.weight.type.shape[0]
        ends = [x * w for x in (low, high) for w in (weight_low, weight_high)]
        found = Interval.of(depth * min(*ends, 0), depth * max(*ends, 0))
    else:
        w = weight.astype(np.int64) - op.weight_zero_point
        rows = np.moveaxis(w, -2, 0).reshape(w.shape[-2], -1).T if isinstance(op, ops.Matmul) else w
        rows = rows.reshape(rows.shape[0], -1)
        most, least = np.maximum(rows * low, rows * high), np.minimum(rows * low, rows * high)
        totals_low, totals_high = np.minimum(least, 0).sum(axis=1), np.maximum(most, 0).sum(axis=1)
        if isinstance(op, ops.Matmul):
            totals_low = totals_low.reshape(-1, w.shape[-1]).min(axis=0)
            totals_high = totals_high.reshape(-1, w.shape[-1]).max(axis=0)
        found = Interval.of(totals_low.tolist(), totals_high.tolist())
    if len(operands) < 3:
        return found
    bias = operands[2]
    return Interval(found.low + np.minimum(bias.low, 0), found.high + np.maximum(bias.high, 0))


def _of_table(op: ops.Table, x: Interval, table: Array | None) -> Interval:
    if table is None:
        return _of_element(op.result)
    smallest = op.x.type.element.storage.minimum
    low, high = x.ends
    reached = table[..., low - smallest : high - smallest + 1]
    return Interval.of(int(reached.min()), int(reached.max()))

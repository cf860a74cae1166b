"""Ranges of real operations: what an operation can produce at all, and what it makes of its operands' ranges."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product

import numpy as np

from qcc.ir import Module, Op, Value, ops

Range = tuple[float, float]

#: Points at which a function of one number is sampled to find the range of its results.
_SAMPLES = 4097


def fixed_range(op: Op, bits: int) -> Range | None:
    """Return the range that results of `op` always get: TFLite's for sigmoid, softmax and tanh, else None.

    With 8-bit codes it makes the scale 1/256 and the zero point −128, or for tanh 1/128 and 0.
    """
    if isinstance(op, ops.Sigmoid | ops.HardSigmoid | ops.Softmax):
        return 0.0, 1.0 - 2.0**-bits
    if isinstance(op, ops.Tanh):
        return -1.0, 1.0 - 2.0 ** (1 - bits)
    return None


def possible_range(op: Op) -> Range:
    """Return bounds of what `op` can produce for any operands, infinite where there are none."""
    low, high = _function_bounds(op)
    clamp = (op.minimum, op.maximum) if isinstance(op, ops.Clamp) else getattr(op, "clamp", None)
    if clamp is None or isinstance(op, ops.Minimum | ops.Maximum):
        return low, high
    return max(low, clamp[0]), min(high, clamp[1])


def _function_bounds(op: Op) -> Range:
    match op:
        case ops.Sigmoid() | ops.HardSigmoid() | ops.Softmax():
            return 0.0, 1.0
        case ops.Tanh() | ops.Erf():
            return -1.0, 1.0
        case ops.Exp() | ops.Abs() | ops.Sqrt():
            return 0.0, math.inf
        case ops.Elu() if op.alpha >= 0:
            return -op.alpha, math.inf
        case ops.HardSwish():
            return -0.375, math.inf
        case ops.Silu():
            return -0.2784646, math.inf
        case ops.Gelu():
            return -0.1700410, math.inf
        case _:
            return -math.inf, math.inf


def narrow(found: Range, bounds: Range) -> Range:
    """Return the part of `found` within `bounds`; the nearest bound where they do not meet."""
    low, high = (min(max(end, bounds[0]), bounds[1]) for end in found)
    return low, high


def inferred_range(op: Op, ranges: Mapping[str, Range], module: Module) -> Range | None:
    """Return the range of the results of `op` for operands in `ranges`, None where that says too little.

    Sums of products are not inferred: their worst case is far from what data does.
    """
    known = [_range_of(v, ranges, module) for v in op.operands]
    found = None
    if all(r is not None for r in known):
        found = _transfer(op, [r for r in known if r is not None])
    bounds = possible_range(op)
    if found is not None:
        return narrow(found, bounds)
    return bounds if all(map(math.isfinite, bounds)) else None


def constant_range(value: Value, module: Module) -> Range | None:
    """Return the extremes of a constant, None where `value` is none."""
    array = module.constant(value)
    if array is None or array.size == 0:
        return None
    return float(array.min()), float(array.max())


def _range_of(value: Value, ranges: Mapping[str, Range], module: Module) -> Range | None:
    return ranges.get(value.name) or constant_range(value, module)


def _transfer(op: Op, operands: list[Range]) -> Range | None:
    match op:
        case ops.Unary():
            grid = np.linspace(*operands[0], _SAMPLES)
            with np.errstate(all="ignore"):
                y = op.function(grid)
            y = y[np.isfinite(y)]
            return (float(y.min()), float(y.max())) if y.size else None
        case ops.Add():
            return operands[0][0] + operands[1][0], operands[0][1] + operands[1][1]
        case ops.Sub():
            return operands[0][0] - operands[1][1], operands[0][1] - operands[1][0]
        case ops.Mul():
            products = [a * b for a, b in product(*operands)]
            return min(products), max(products)
        case ops.Prelu():  # max(x, 0) + slope · min(x, 0), one of which is 0
            ends = [max(x, 0.0) for x in operands[0]] + [min(x, 0.0) * slope for x, slope in product(*operands)]
            return min(ends), max(ends)
        case ops.Div() if operands[1][0] > 0 or operands[1][1] < 0:
            quotients = [a / b for a, b in product(*operands)]
            return min(quotients), max(quotients)
        case ops.ReduceSum():
            count = op.x.type.size // max(op.result.type.size, 1)
            return operands[0][0] * count, operands[0][1] * count
        case ops.Clamp() | ops.ReduceMean():
            return operands[0]
        case ops.AvgPool2d():
            return min(operands[0][0], 0.0), max(operands[0][1], 0.0)
        case _ if op.shares_parameters:
            return min(r[0] for r in operands), max(r[1] for r in operands)
        case _:
            return None

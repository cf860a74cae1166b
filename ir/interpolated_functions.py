"""Functions of 16-bit codes by tables and straight lines between their entries, as TFLite's kernels compute them.

The tables are made in NumPy where a module is compiled; the look-ups are written once, for NumPy arrays and for
expressions (`Arithmetic`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .fixed_point_functions import Arithmetic, Number
from .float_rounding import FLOAT_ROUNDINGS
from .types import Array

LookUp = Callable[[Number], Number]
"""The table's entry at an index."""

SIGMOID_ENTRIES = 256
"""Entries of the table of logistic values."""

INTERPOLATED_ENTRIES = 513
"""Entries of a table of a function of 16 bits: the ends of 512 straight lines, 128 codes wide."""


def sigmoid_table() -> Array:
    """Return 65536/(1 + exp(−t/24)) for t = 0 … 255 as u16, each entry moved halfway to where its line fits best."""
    t = np.arange(SIGMOID_ENTRIES, dtype=np.float64)

    def logistic(t: Array) -> Array:
        return np.asarray(65536 / (1 + np.exp(-t / 24)))

    middle = logistic(t + 0.5) - (logistic(t) + logistic(t + 1)) / 2
    table = np.floor(logistic(t) + middle / 2 + 0.5)
    table[-1] = 65535
    return table.astype(np.uint16)


def interpolated_sigmoid(
    arithmetic: Arithmetic, table: LookUp, x: Number, multiplier: int, shift: int, function: str
) -> Number:
    """Return `sigmoid` or `tanh` of the 16-bit code x in units of 2^−15, from `sigmoid_table`.

    d = ⌊(x·multiplier + 2^(shift−1)) / 2^shift⌋ is the argument in units of 2^−9/24 (sigmoid) or 2^−8/48 (tanh);
    between two entries of the table the function is a straight line.
    """
    bind, select = arithmetic.bind, arithmetic.select
    wide = x * multiplier + ((1 << shift) >> 1)
    d = bind("argument", wide >> shift if shift else wide)
    magnitude = bind("magnitude", select(d < 0, 0 - d, d))
    bits = 9 if function == "sigmoid" else 8
    place = bind("place", magnitude >> bits)
    last = SIGMOID_ENTRIES - 1
    within = bind("within", arithmetic.minimum(place, last - 1))
    low, high = bind("low_end", table(within)), bind("high_end", table(within + 1))
    line = (low << bits) + (magnitude & ((1 << bits) - 1)) * (high - low)
    top = 0x7FFF << 10 if function == "sigmoid" else 0xFFFF << 8
    value = bind("value", select(place >= last, top, line))
    half = 1 << bits if function == "sigmoid" else 1 << 7
    if function == "sigmoid":
        return select(d < 0, (1 << 25) - value + half - 1, value + half) >> 10
    return select(d < 0, (1 << 23) - value + half - 1, value - (1 << 23) + half) >> 8


def interpolated_table(
    function: Callable[[Array], Array],
    input_scale: float,
    input_zero_point: int,
    output_range: Sequence[float],
    dtype: type[np.floating] = np.float64,
) -> Array:
    """Return the 513 entries, i16, of a function of 16-bit codes.

    Each entry is moved by half of what the straight line to the next one errs in its middle.

    Args:
        function: of real numbers.
        input_scale, input_zero_point: what the codes mean: scale · (code − zero point).
        output_range: the real numbers that −32768 and 32768 stand for.
        dtype: precision in which the entries are formed.
    """
    first, last = (dtype(input_scale * (code - input_zero_point)) for code in (-32768, 32767))
    step = dtype((last - first) / dtype(512))
    half = dtype(step / dtype(2))
    per_unit = dtype(65536) / dtype(output_range[1] - output_range[0])
    ends = np.array([first + dtype(i) * step for i in range(512)], dtype)
    left, middle, right = (np.asarray(function(ends + dtype(offset)), dtype) * per_unit for offset in (0, half, step))
    rounded = FLOAT_ROUNDINGS["half_away"]
    line = rounded((right + rounded(left)) / dtype(2))
    error = line - rounded(middle)
    entries = rounded(left) - rounded(error / dtype(2))
    end = rounded(np.asarray(function(np.array([last], dtype)), dtype) * per_unit)
    return np.asarray(np.clip(np.concatenate([entries, end]), -32768, 32767).astype(np.int16))


def interpolated(arithmetic: Arithmetic, table: LookUp, x: Number) -> Number:
    """Return the 16-bit code that an `interpolated_table` gives for the 16-bit code x."""
    bind = arithmetic.bind
    place = bind("place", (x >> 7) + 256)
    low, high = bind("low_end", table(place)), bind("high_end", table(place + 1))
    step = ((high - low) * (x & 127) + 64) >> 7
    return bind("interpolated", low + step)

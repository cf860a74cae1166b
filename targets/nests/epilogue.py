"""What happens to an int32 accumulator before it is stored: bias, rescale, clamp, table.

The rescale is exact: `y = clamp(⌊(x · m + 2^(s−1)) / 2^s⌋ + z, low, high)` with the 64-bit product, one multiplier `m`
(int32, not negative) and one total shift `s` (1 … 62) for each column.

Two forms compute it. `high` keeps only the upper halves of the products: with `s = 32 + t` and `t ≥ 1` the rounding
constant is a multiple of 2³², so `⌊(⌊x·m / 2³²⌋ + 2^(t−1)) / 2^t⌋` is the same number, in 32-bit lanes. A column with
`s < 33` joins in when its accumulator has bits to spare: `x · 2^l` with `s + l = 33`. `wide` works for everything.

Other arithmetic profiles have forms of their own (`rounding_forms`): `double`, `double_up`, and `float`, whose factors
take the place of multipliers and shifts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from qcc.ir import IrError
from qcc.targets import tir
from qcc.targets.folded_bias import folded_bias
from qcc.targets.instructions import DotInstruction
from qcc.targets.nests.lanes import halves, interleave, lanes_of
from qcc.targets.nests.rounding_forms import doubled_high_product, in_float, rounding_division
from qcc.targets.tir import Body, Buffer, Expr

OutputType: TypeAlias = Literal["int8", "uint8", "int32"]
Form: TypeAlias = Literal["high", "wide", "double", "double_up", "float"]
Int32Array: TypeAlias = npt.NDArray[np.int32]

HIGH_SHIFT = 33
"""The smallest total shift of the `high` form."""


@dataclass(frozen=True)
class Rescale:
    """The part of a rescale that is compiled into the code; `rescale_for` chooses form and pre-shift."""

    zero_point: int
    low: int
    high: int
    form: Form = "wide"
    pre_shift: bool = False


@dataclass(frozen=True)
class Epilogue:
    """From accumulator to output element.

    Without `rescale` the accumulator itself (plus bias) is stored and `output_type` must be int32. With `table` the
    rescaled value `q` is replaced by `table[q − q_min]`, a table of 256 elements of the output type.
    """

    output_type: OutputType
    rescale: Rescale | None = None
    table: bool = False

    def constants(self) -> tuple[tuple[str, str], ...]:
        """Names and element types of the constant arrays, in the order of the parameters."""
        names = [("bias", "int32")]
        if self.rescale is not None and self.rescale.form == "float":
            names += [("factor", "float32")]
        elif self.rescale is not None:
            names += [("multiplier", "int32"), ("shift", "int32")]
            names += [("pre_shift", "int32")] if self.rescale.pre_shift else []
        return (*names, ("table", self.output_type)) if self.table else tuple(names)


def rescale_for(
    shift: npt.NDArray[np.integer],
    zero_point: int,
    low: int,
    high: int,
    accumulator_limit: int = 2**31,
) -> Rescale:
    """The fastest exact `Rescale` for total shifts `shift`, given that `|accumulator| ≤ accumulator_limit`."""
    need = HIGH_SHIFT - int(np.min(shift))
    form: Form = "high" if need <= 0 or max(accumulator_limit, 1) << need < 2**31 else "wide"
    return Rescale(zero_point, low, high, form, pre_shift=form == "high" and need > 0)


def twice_rounded(form: Form, shift: npt.NDArray[np.integer], zero_point: int, low: int, high: int) -> Rescale:
    """The `Rescale` of the form `double` or `double_up`, for |x·2^(31 − s)| below the instructions' `sum_limit`."""
    return Rescale(zero_point, low, high, form, pre_shift=int(np.min(shift)) < 31)


def packed_rescale(
    rescale: Rescale, multiplier: npt.NDArray[np.generic], shift: npt.NDArray[np.integer], columns: npt.NDArray[np.intp]
) -> dict[str, npt.NDArray[np.generic]]:
    """Multipliers and shifts in the order of the code's lanes: `columns[i]` is the column of lane `i`, −1 is unused.

    Scalars or arrays of one element stand for every column. Of the form `float`, `multiplier` holds the factors.
    """
    count = int(columns.max()) + 1
    if rescale.form == "float":
        reals = np.broadcast_to(np.asarray(multiplier, np.float32).reshape(-1), count)
        return {"factor": np.where(columns < 0, np.float32(0), reals[columns])}
    factors = np.broadcast_to(np.asarray(multiplier, np.int64).reshape(-1), count)
    shifts = np.broadcast_to(np.asarray(shift, np.int64).reshape(-1), count)
    if rescale.form in ("high", "wide"):
        shifts = used_shifts(factors, shifts)
    own = {"high": HIGH_SHIFT, "double": 31, "double_up": 31}.get(rescale.form, 0)
    left = np.maximum(own - shifts, 0)
    packed = shifts + left - (32 if rescale.form == "high" else own)
    arrays: dict[str, npt.NDArray[np.generic]]
    arrays = {"multiplier": _in_lane_order(factors, columns, 0), "shift": _in_lane_order(packed, columns, 1)}
    if rescale.pre_shift:
        arrays["pre_shift"] = _in_lane_order(left, columns, 0)
    return arrays


def used_shifts(multiplier: npt.NDArray[np.integer], shift: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """Shifts of the rounding half up, of which those that multipliers of 0 leave without effect become harmless.

    `⌊(x·0 + 2^(s−1)) / 2^s⌋ = 0` for every s: channels without weights need no left shift.
    """
    factors, shifts = np.broadcast_arrays(np.asarray(multiplier, np.int64), np.asarray(shift, np.int64))
    return np.where(factors == 0, HIGH_SHIFT, shifts)


def _in_lane_order(values: npt.NDArray[np.int64], columns: npt.NDArray[np.intp], unused: int) -> Int32Array:
    """`values[columns]`, with `unused` where the lane has no column."""
    return np.where(columns < 0, unused, values[columns]).astype(np.int32)


def wrapped_bias(
    bias: npt.NDArray[np.integer], weights: npt.NDArray[np.int8], input_zero_point: int, activation_offset: int = 0
) -> Int32Array:
    """The bias with the zero point folded in, modulo 2³² as all sums of these nests, for weights `[columns, …]`.

    `activation_offset` is what the dot instruction adds to each activation.
    """
    return folded_bias(bias, weights, input_zero_point + activation_offset).astype(np.int32)


@dataclass(frozen=True)
class EpilogueEmitter:
    """Emits an epilogue for vectors of `lanes` accumulators; `buffers` are the constants by name."""

    epilogue: Epilogue
    lanes: int
    buffers: dict[str, Buffer]
    dot: DotInstruction

    def column_constants(self, body: Body, offset: Expr) -> dict[str, Expr]:
        """The rescale's constants of one vector, loaded once for all rows of a tile."""
        names = [name for name, _ in self.epilogue.constants() if name not in ("bias", "table")]
        return {name: body.let(name, tir.load(self.buffers[name], offset, self.lanes)) for name in names}

    def rescaled(self, body: Body, accumulator: Expr, constants: dict[str, Expr]) -> Expr:
        """The rescaled int32 value with the zero point added, for `result` or `packed` to clamp."""
        rescale = self.epilogue.rescale
        if rescale is None:
            return accumulator
        return body.let("rescaled", _FORMS[rescale.form](self, body, accumulator, constants))

    def result(self, body: Body, value: Expr) -> Expr:
        """The vector to store, in the output type (before the table)."""
        rescale = self.epilogue.rescale
        if rescale is None:
            return value
        clamped = value if rescale.form == "float" else self._saturated(body, value, rescale)
        if clamped is None:
            clamped = _clamp(value, rescale, "int32")
        return tir.cast(clamped, f"{self.epilogue.output_type}x{self.lanes}")

    def _saturated(self, body: Body, value: Expr, rescale: Rescale) -> Expr | None:
        """The value within the whole range of the output type, where that is what the rescale wants."""
        info = np.iinfo(self.epilogue.output_type)
        whole = (rescale.low, rescale.high) == (info.min, info.max)
        return self.dot.saturate(body, value, self.epilogue.output_type) if whole else None

    def packed(self, body: Body, values: list[Expr]) -> Expr | None:
        """The results of several vectors as one, where the machine narrows them together with saturation."""
        rescale = self.epilogue.rescale
        if rescale is None or self.epilogue.output_type not in ("int8", "uint8"):
            return None
        narrow = self.dot.narrow(body, values, self.epilogue.output_type)
        info = np.iinfo(self.epilogue.output_type)
        whole = rescale.form == "float" or (rescale.low, rescale.high) == (info.min, info.max)
        if narrow is None or whole:
            return narrow
        return _clamp(body.let("narrow", narrow), rescale, self.epilogue.output_type)


def _rescale(emitter: EpilogueEmitter) -> Rescale:
    """The rescale of an epilogue that has one."""
    if emitter.epilogue.rescale is None:
        raise IrError("an epilogue without a rescale has no form of it")
    return emitter.epilogue.rescale


def _offset(value: Expr, rescale: Rescale, dtype: str) -> Expr:
    """Add the zero point."""
    return value + tir.splat(rescale.zero_point, lanes_of(value), dtype) if rescale.zero_point else value


def _clamp(value: Expr, rescale: Rescale, dtype: str) -> Expr:
    """Clamp to the range of the rescale."""
    below = tir.minimum(value, tir.splat(rescale.high, lanes_of(value), dtype))
    return tir.maximum(below, tir.splat(rescale.low, lanes_of(value), dtype))


def _high(emitter: EpilogueEmitter, body: Body, accumulator: Expr, constants: dict[str, Expr]) -> Expr:
    """The `high` form: one high product, and the rest in 32-bit lanes."""
    rescale, dot, shift = _rescale(emitter), emitter.dot, constants["shift"]
    if rescale.pre_shift:
        accumulator = body.let("shifted", _shifted_left(accumulator, constants["pre_shift"]))
    rounded = dot.rounded_product(body, accumulator, constants["multiplier"], shift)
    if rounded is not None:
        return _offset(rounded, rescale, "int32")
    upper = dot.high_product(body, accumulator, constants["multiplier"])
    if upper is None:
        upper = _high_product(body, accumulator, constants["multiplier"])
    upper = body.let("upper", upper)
    rounded = dot.rounding_shift(body, upper, shift)
    if rounded is None:
        one = tir.splat(1, lanes_of(shift))
        rounded = (upper + (one << (shift - one))) >> shift
    return _offset(rounded, rescale, "int32")


def _shifted_left(value: Expr, by: Expr) -> Expr:
    """`value · 2^by`, which fits; a product for scalars, as C has no left shift of negative numbers."""
    return value << by if lanes_of(value) > 1 else value * (tir.constant(1) << by)


def _high_product(body: Body, value: Expr, factor: Expr) -> Expr:
    """`⌊value · factor / 2³²⌋` in int32 lanes: two widening multiplies and one blend."""
    lanes = lanes_of(value)
    if lanes == 1:
        product = tir.cast(value, "int64") * tir.cast(factor, "int64")
        return tir.cast(product >> tir.constant(32, "int64"), "int32")
    (even, odd), (even_factor, odd_factor) = (halves(body, n, v) for n, v in (("pairs", value), ("factors", factor)))
    return interleave((even * even_factor) >> tir.splat(32, lanes // 2, "int64"), odd * odd_factor)


def _wide(emitter: EpilogueEmitter, body: Body, accumulator: Expr, constants: dict[str, Expr]) -> Expr:
    """The `wide` form: 64-bit lanes up to the clamp, for every shift and every accumulator."""
    rescale = _rescale(emitter)
    vectors = (accumulator, constants["multiplier"], constants["shift"])
    if lanes_of(accumulator) == 1 or not emitter.dot.long_lanes:
        lanes = range(lanes_of(accumulator))
        values = ([tir.cast(tir.extract(v, [lane]), "int64") for v in vectors] for lane in lanes)
        return tir.join([tir.cast(_wide_lanes(body, rescale, *lane), "int32") for lane in values])
    pairs = [halves(body, n, v) for n, v in zip(("pairs", "factors", "shifts"), vectors, strict=True)]
    even, odd = (_wide_lanes(body, rescale, *lanes) for lanes in zip(*pairs, strict=True))
    return interleave(even, odd << tir.splat(32, lanes_of(odd), "int64"))


def _wide_lanes(body: Body, rescale: Rescale, value: Expr, factor: Expr, shift: Expr) -> Expr:
    """The rescale in int64 lanes."""
    one = tir.splat(1, lanes_of(value), "int64")
    rounded = (value * factor + (one << (shift - one))) >> shift
    return body.let("clamped", _clamp(_offset(rounded, rescale, "int64"), rescale, "int64"))


def _double(emitter: EpilogueEmitter, body: Body, accumulator: Expr, constants: dict[str, Expr]) -> Expr:
    """The forms `double` and `double_up`: two roundings, in 32-bit lanes but for the product."""
    rescale, dot = _rescale(emitter), emitter.dot
    if rescale.pre_shift:
        accumulator = body.let("shifted", _shifted_left(accumulator, constants["pre_shift"]))
    doubled = dot.doubled_high_product(body, accumulator, constants["multiplier"])
    if doubled is None:
        doubled = doubled_high_product(body, accumulator, constants["multiplier"])
    upper = body.let("doubled", doubled)
    return _offset(rounding_division(dot, body, upper, constants["shift"], rescale.form == "double"), rescale, "int32")


def _float(emitter: EpilogueEmitter, body: Body, accumulator: Expr, constants: dict[str, Expr]) -> Expr:
    """The form `float`: one product in binary32, clamped and rounded to even."""
    rescale = _rescale(emitter)
    return in_float(body, accumulator, constants["factor"], rescale.zero_point, rescale.low, rescale.high)


_FORMS: dict[Form, Callable[[EpilogueEmitter, Body, Expr, dict[str, Expr]], Expr]] = {
    "high": _high,
    "wide": _wide,
    "double": _double,
    "double_up": _double,
    "float": _float,
}
"""One entry for each way to compute a rescale; another rounding is another entry."""

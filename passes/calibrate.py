"""The pass `calibrate`: runs data through the evaluator and attaches the ranges observed."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from qcc.ir import (
    Array,
    CalibratedType,
    CalibrationError,
    EvaluationError,
    Module,
    PassError,
    ScalarType,
    Stage,
    TensorType,
    Value,
    evaluate,
    ops,
    retype,
)

from .base import Pass, PassContext
from .nudging import SMALLEST_SCALE
from .observers import MeanExtremes, MinMax, MovingAverage, Percentile, RangeObserver, SignalToNoise
from .registry import register_pass

LISTED = 5
"""How many values a warning names."""

OBSERVERS = ("sqnr", "min-max", "percentile", "moving-average")


@register_pass
@dataclass(frozen=True)
class Calibrate(Pass):
    """Run the calibration data through the evaluator and attach the range of each value to its type.

    Streams: one sample at a time, memory independent of their number. The ranges do not depend on the order of the
    samples, but for `moving-average` with a momentum.

    Before:
        module @m stage float {
          input %x : tensor<3xf32>
          %y = exp(%x) : tensor<3xf32>
          output %y as "y"
        }

    After:
        module @m stage float {
          input %x : tensor<3x!quant.calibrated<f32<-1.0:2.0>>>
          %y = exp(%x) : tensor<3x!quant.calibrated<f32<0.36787945:7.389056>>>
          output %y as "y"
        }

    Options:
        observer: `sqnr`: the range of the best mean signal-to-noise ratio over the samples; `min-max`;
            `percentile`; `moving-average`: the mean of each sample's extremes. `sqnr` and `percentile` cut off nothing
            of inputs, outputs, and what softmax and argmax compare: there the largest element is what matters.
        percentile: how much of all elements the range keeps, in percent (observer `percentile`).
        momentum: observer `moving-average`: 0 takes the plain mean, which no order of the samples changes; above 0 the
            exponential moving average of Jacob et al. 2018 with that weight for a new sample, which the order does.
    """

    name: ClassVar[str] = "calibrate"
    accepts: ClassVar[frozenset[Stage]] = frozenset({Stage.FLOAT})
    observer: Literal["sqnr", "min-max", "percentile", "moving-average"] = "sqnr"
    percentile: float = 99.999
    momentum: float = 0.0

    def run(self, module: Module, context: PassContext) -> Module:
        """Return the module with calibrated types."""
        self._check_options()
        whole = compared_values(module) if self.observer in ("sqnr", "percentile") else set()
        levels = 2**context.hardware.activation_type.bits - 1
        observed = {
            v.name: MinMax() if v.name in whole else self.new_observer(levels)
            for v in module.values.values()
            if _observable(module, v)
        }
        count = self._observe(module, context, observed)
        types: dict[str, TensorType] = {}
        zero: list[str] = []
        tiny: list[str] = []
        for name, observer in observed.items():
            low, high = observer.range()
            if low == high == 0.0:
                zero.append(name)
            elif max(high, 0.0) - min(low, 0.0) < levels * SMALLEST_SCALE:
                tiny.append(name)
            kind = module.values[name].type
            types[name] = kind.with_element(CalibratedType(low, high, kind.element.expressed))
        end = f"in all {count} calibration samples; what is quantized holds little else"
        self._warn(context, zero, f"0 {end}")
        self._warn(context, tiny, f"below {levels * SMALLEST_SCALE:.1g}, too small for codes, {end}")
        return retype(module, types)

    def _warn(self, context: PassContext, names: Sequence[str], what: str) -> None:
        """Record one warning about all values of which `what` is true."""
        if names:
            more = f" and {len(names) - LISTED} more values" if len(names) > LISTED else ""
            verb = "are" if len(names) > 1 else "is"
            context.remark(self.name, ", ".join(names[:LISTED]) + more, f"{verb} {what}", "warning")

    def new_observer(self, levels: int = 255) -> RangeObserver:
        """Return a fresh observer as the options say, for codes of which the highest is `levels` above the lowest."""
        if self.observer == "sqnr":
            return SignalToNoise(levels)
        if self.observer == "percentile":
            return Percentile(self.percentile)
        if self.observer == "moving-average":
            return MovingAverage(self.momentum) if self.momentum else MeanExtremes()
        return MinMax()

    def _check_options(self) -> None:
        if self.observer not in OBSERVERS:
            help = "one of: " + ", ".join(OBSERVERS)
            raise PassError(f"there is no observer {self.observer!r}", help=help)
        if not 50 < self.percentile <= 100:
            raise PassError(f"a percentile of {self.percentile} is outside (50, 100]", help="try percentile=99.99")
        if not 0 <= self.momentum <= 1:
            raise PassError(f"a momentum of {self.momentum} is outside [0, 1]", help="try momentum=0.01")

    def _observe(self, module: Module, context: PassContext, observed: dict[str, RangeObserver]) -> int:
        """Run all samples; return how many there were."""
        if context.calibration is None:
            help = "give some typical inputs: --calibration FILE.npz, or calibration= in Python"
            raise CalibrationError("there is no calibration data", help=help)
        samples = context.calibration()
        total = operator.length_hint(samples, 0) or None
        count = 0
        states: Mapping[str, Array] = {}
        for sample in samples:
            if context.progress is not None:
                context.progress(self.name, count, total)
            outputs = observe_sample(module, {**states, **sample}, count, observed)
            states = {s.name: outputs[s.name] for s in module.states}
            count += 1
        if count == 0:
            raise CalibrationError("the calibration data holds no sample", help="give at least one, better a hundred")
        if context.progress is not None:
            context.progress(self.name, count, count)
        return count


def observe_sample(
    module: Module, sample: Mapping[str, Array], index: int, observed: Mapping[str, RangeObserver]
) -> dict[str, Array]:
    """Run one sample and show each value to its observer; return the outputs.

    Raises:
        CalibrationError: names what does not fit, or the value that is not finite, and the sample.
    """
    place = f"calibration sample {index}"

    def observe(value: Value, array: Array) -> None:
        observer = observed.get(value.name)
        if observer is None or array.size == 0:
            return
        low, high = float(array.min()), float(array.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise _not_finite(module, value, array, place)
        observer.see(array, low, high)

    try:
        return evaluate(module, sample, observe)
    except EvaluationError as error:
        raise CalibrationError(error.message, place=place, op=error.op, help=error.help) from error


def compared_values(module: Module) -> set[str]:
    """Return names of the values whose largest element matters most.

    These are inputs, outputs, and what softmax and argmax read, also through operations that only move elements.
    """
    found = {v.name for v in module.inputs} | set(module.output_names)
    for op in reversed(module.ops):
        moved = op.moves_data and any(v.name in found for v in op.results)
        if moved or isinstance(op, ops.Softmax | ops.ArgMax):
            found.update(v.name for v in op.operands)
    return found


def _observable(module: Module, value: Value) -> bool:
    element = value.type.element
    is_float = value.type.is_float and isinstance(element, ScalarType | CalibratedType)
    return is_float and value.type.size > 0 and not isinstance(module.definition(value), ops.Constant)


def _not_finite(module: Module, value: Value, array: Array, place: str) -> CalibrationError:
    what = "NaN" if np.isnan(array).any() else "infinity"
    definition = module.definition(value)
    if definition is None:
        help = "remove the sample, or correct how it was made"
        return CalibrationError(f"input {value.name!r} holds {what}", place=place, help=help)
    help = "the float model itself overflows on this sample: correct its weights, or remove the sample"
    return CalibrationError(f"%{value.name} ({definition.name}) becomes {what}", place=place, help=help)

"""The state of one translation from quantized to integer operations, and the registry of its rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from qcc.ir import (
    I32,
    Array,
    Builder,
    Location,
    Module,
    Op,
    Output,
    PassError,
    QccError,
    Stage,
    UniformType,
    Value,
    ops,
    print_op,
    replace_op,
)

from ..hardware import HardwareSpec
from ..operands import MAY_WRAP
from ..profiles import SINGLE, lineage, registered_profiles
from .multipliers import FAR_APART, multipliers_into

Rule = Callable[["Realizer", Any], None]

_RULES: dict[tuple[type[Op], str], Rule] = {}


def realizes(*op_classes: type[Op], profiles: tuple[str, ...] = (SINGLE,)) -> Callable[[Rule], Rule]:
    """Decorator: the function realizes operations of these classes (and of subclasses without a rule of their own).

    Args:
        op_classes: the operations.
        profiles: names of the arithmetic profiles whose bits it gives; `("common",)` for every profile.
    """

    def add(rule: Rule) -> Rule:
        _RULES.update(((op_class, profile), rule) for op_class in op_classes for profile in profiles)
        return rule

    return add


def realization_of(op: Op, profile: str) -> Rule | None:
    """Return the rule for `op` in a profile, None where there is none.

    A rule for the operation's own class goes before one for a base class, the profile's own before its base's.
    """
    names = list(lineage(profile))
    keys = ((base, name) for base in type(op).__mro__ for name in names)
    return next((_RULES[key] for key in keys if key in _RULES), None)


def profiles_with(op: Op) -> list[str]:
    """Return the names of the profiles that have a rule for `op`."""
    return [name for name in registered_profiles() if realization_of(op, name) is not None]


def _own_integers(op: Op) -> Op:
    """Return an operation of the model's own; where it computes with integers it wraps, as in NumPy and in ONNX."""
    if isinstance(op, ops.Add | ops.Sub | ops.Mul | ops.ReduceSum) and op.result.type.element.expressed.is_integer:
        return op.with_note(MAY_WRAP, "the model's own integers")
    return op


class Realizer:
    """Builds the integer module beside the quantized one.

    Each quantized value has an integer value of its storage type and, where it can, of its name; `define` says which.
    """

    def __init__(self, module: Module, hardware: HardwareSpec, pass_name: str, profile: str = SINGLE) -> None:
        self.module, self.hardware, self.pass_name, self.profile = module, hardware, pass_name, profile
        self.builder = Builder(module.name, Stage.INTEGER)
        for name in module.values:
            self.builder.unique(name)
        self._values: dict[str, Value] = {}
        self._requantized: dict[tuple[str, UniformType], Value] = {}
        self._casts: dict[str, Value] = {}
        self._op: Op | None = None

    def run(self) -> Module:
        """Return the integer module."""
        for value in self.module.inputs:
            self._casts[value.name] = self._values[value.name] = value
            if value.type.is_quantized:
                self._values[value.name] = self.emit(ops.StorageCast, value, name=f"{value.name}_codes")
        for op in self.module.ops:
            self._op = op
            self._realize(op)
        self._op = None
        outputs = tuple(Output(o.name, self.as_quantized(o.value)) for o in self.module.outputs)
        return self.module.replace(stage=Stage.INTEGER, ops=tuple(self.builder.ops), outputs=outputs)

    def _realize(self, op: Op) -> None:
        quantized = any(v.type.is_quantized for v in (*op.operands, *op.results))
        rule = realization_of(op, self.profile) if quantized else None
        if quantized and rule is None:
            raise no_rule(op, self.profile)
        if rule is None:
            self.append(_own_integers(replace_op(op, operands=tuple(self._values[v.name] for v in op.operands))))
            return
        try:
            with np.errstate(all="ignore"):  # rules refuse ratios that are not finite
                rule(self, op)
        except QccError as error:
            error.place = error.place or op.location.node
            error.op = error.op or print_op(op)
            raise

    def codes(self, value: Value) -> Value:
        """Return the integer value of a quantized value."""
        return self._values[value.name]

    def codes_as(self, value: Value, type: UniformType) -> Value:
        """Return the codes of a quantized value in the parameters of `type`, rescaled where they differ."""
        own = value.type.uniform()
        if own == type:
            return self.codes(value)
        key = value.name, type
        if key not in self._requantized:
            result = Value(self.builder.unique(f"{value.name}_rescaled"), value.type.with_element(type))
            self.requantize(value, result)
            self._requantized[key] = self.codes(result)
        return self._requantized[key]

    def requantize(self, value: Value, result: Value) -> None:
        """Define `result` as the same real numbers as `value`, by the profile's rule for `requantize`."""
        location = Location() if self._op is None else self._op.location
        op = ops.Requantize(operands=(value,), results=(result,), location=location)
        rule = realization_of(op, self.profile)
        if rule is None:
            raise no_rule(op, self.profile)
        rule(self, op)

    def as_quantized(self, value: Value) -> Value:
        """Return the codes of a value under its quantized type again; any other value as it is."""
        if not value.type.is_quantized:
            return self._values[value.name]
        if value.name not in self._casts:
            to = value.type.uniform()
            self._casts[value.name] = self.emit(
                ops.StorageCast, self.codes(value), to=to, name=f"{value.name}_quantized"
            )
        return self._casts[value.name]

    def constant(self, value: Value) -> Array | None:
        """Return the real data of a constant that is not quantized, else None."""
        return None if value.type.is_quantized else self.module.constant(value)

    def integers(self, array: Array, name: str) -> Value:
        """Append a constant."""
        return self.builder.constant(array, name, **self._provenance({}))

    def floats(self, array: Array, name: str) -> Value:
        """Append a constant of factors or offsets, of which a PassError says where one is not finite."""
        if not np.all(np.isfinite(array)):
            raise PassError("a ratio of its scales is no finite float", help=FAR_APART)
        return self.integers(array, name)

    def emit(self, op_class: type[Op], *operands: Value, name: str, **attributes: Any) -> Value:
        """Append an intermediate operation with one result of a fresh name."""
        return self.builder.emit(op_class, *operands, name=name, **self._provenance(attributes))

    def append(self, op: Op) -> None:
        """Append an operation as it is; its results stand for the values of their names."""
        self.builder.append(op)
        self._values.update((v.name, v) for v in op.results)

    def define(self, result: Value, op_class: type[Op], *operands: Value, **attributes: Any) -> None:
        """Append the operation whose result is the integer value of the quantized value `result`."""
        op = op_class(operands=operands, **self._provenance(attributes))
        (type,) = op.infer()
        self.append(replace_op(op, results=(Value(result.name, type),)))

    def alias(self, result: Value, value: Value) -> None:
        """Let an integer value stand for the quantized value `result`."""
        self._values[result.name] = value

    def rescale(self, x: Value, real: Array | float, to: UniformType, zero_point: int = 0, *, name: str) -> Value:
        """Append the codes of `to` for `(x − zero_point)·real` steps, rounded once."""
        operands, attributes = self._rescale(x, real, to, zero_point, None, name)
        return self.emit(ops.Rescale, *operands, name=name, **attributes)

    def define_rescale(
        self,
        result: Value,
        x: Value,
        real: Array | float,
        zero_point: int = 0,
        clamp: tuple[float, float] | None = None,
    ) -> None:
        """As `rescale`, for the codes of the quantized value `result`, within the codes of `clamp`."""
        to = result.type.uniform()
        operands, attributes = self._rescale(x, real, to, zero_point, clamp, result.name)
        self.define(result, ops.Rescale, *operands, **attributes)

    def _rescale(
        self, x: Value, real: Array | float, to: UniformType, zero: int, clamp: tuple[float, float] | None, name: str
    ) -> tuple[tuple[Value, ...], dict[str, Any]]:
        m, s = multipliers_into(to.storage_type, compact(np.asarray(real, np.float64)), self.hardware.multiplier_bits)
        low, high = clamp_codes(to, clamp)
        attributes = {"input_zero_point": zero, "output_zero_point": to.zero_point, "minimum": low, "maximum": high}
        operands = (x, self.integers(m, f"{name}_multiplier"), self.integers(s, f"{name}_shift"))
        return operands, {**attributes, "to": to.storage_type, "rounding": self.hardware.rounding}

    def scaled(self, x: Value, zero_point: int, multiplier: Array, name: str) -> Value:
        """Append the exact product `(x − zero_point)·multiplier` in i32."""
        m = self.integers(np.asarray(multiplier, np.int32), f"{name}_multiplier")
        s = self.integers(np.zeros(np.shape(multiplier), np.int8), f"{name}_shift")
        return self.emit(
            ops.Rescale,
            x,
            m,
            s,
            name=name,
            to=I32,
            input_zero_point=zero_point,
            minimum=I32.minimum,
            maximum=I32.maximum,
            rounding=self.hardware.rounding,
        )

    def halved(self, result: Value, x: Value, shift: int, clamp: tuple[float, float] | None) -> None:
        """Define `result` as `x / 2^shift` rounded, plus its zero point."""
        to = result.type.uniform()
        low, high = clamp_codes(to, clamp)
        m = self.integers(np.array(1, np.int32), f"{result.name}_multiplier")
        s = self.integers(np.array(shift, np.int8), f"{result.name}_shift")
        self.define(
            result,
            ops.Rescale,
            x,
            m,
            s,
            to=to.storage_type,
            output_zero_point=to.zero_point,
            minimum=low,
            maximum=high,
            rounding=self.hardware.rounding,
        )

    def _provenance(self, attributes: dict[str, Any]) -> dict[str, Any]:
        if self._op is not None:
            attributes.setdefault("location", self._op.location.by(self.pass_name))
        return attributes


def no_rule(op: Op, profile: str) -> PassError:
    """Return the error for an operation without a rule in a profile, which names the profiles that have one."""
    others = profiles_with(op)
    if not others:
        help = f"keep it in float: --keep-float {op.name}"
        return PassError(f"{op.name} has no integer form", place=op.location.node, op=print_op(op), help=help)
    message = f"{op.name} has no integer form in the arithmetic profile {profile!r}"
    help = f"these have one, with other bits: --arithmetic {', '.join(others)}"
    return PassError(message, place=op.location.node, op=print_op(op), help=help)


def clamp_codes(to: UniformType, clamp: tuple[float, float] | None) -> tuple[int, int]:
    """Return the codes of a clamp's bounds, the type's own without one.

    Quantizing is monotone, so limiting codes to the codes of the bounds is limiting the real numbers, then quantizing.
    """
    if clamp is None:
        return to.minimum, to.maximum
    low, high = to.quantize(np.array(clamp, np.float32))
    return int(low), int(high)


def compact(array: Array) -> Array:
    """Return an array that broadcasts alike with as few elements and dimensions: a number where all are equal."""
    if array.size and np.all(array == array.flat[0]):
        return array.reshape(-1)[:1].reshape(())
    while array.ndim > 1 and array.shape[0] == 1:
        array = array[0]
    return array

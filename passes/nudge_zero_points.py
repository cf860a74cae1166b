"""The pass `nudge-zero-points`: gives every value its quantized type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from qcc.ir import (
    Builder,
    CalibratedType,
    Dense,
    Location,
    Module,
    Op,
    Output,
    PassError,
    ScalarType,
    Stage,
    State,
    TensorType,
    UniformType,
    Value,
    ops,
    replace_op,
)

from .base import Pass, PassContext
from .integer_forms import is_quantizable, is_real, no_integer_form, quantized_operands
from .nudging import activation_type
from .ranges import constant_range
from .registry import register_pass


@register_pass
@dataclass(frozen=True)
class NudgeZeroPoints(Pass):
    """Give each value scale and zero point so that the real number 0 has an exact code (TensorFlow's FakeQuant rule).

    Operations kept in float (note `keep-float`) stay real between `dequantize` and `quantize`. Weights, biases and the
    constants of arithmetic stay real until `quantize-weights` and `insert-rescale`.

    Before:
        module @m stage float {
          input %x : tensor<4x!quant.calibrated<f32<-1.0:1.55>>>
          %y = abs(%x) : tensor<4x!quant.calibrated<f32<0.0:1.55>>>
          %z = exp(%y) : tensor<4xf32> note {"keep-float" = "asked for by ops=exp"}
          output %z as "z"
        }

    After:
        module @m stage quantized {
          input %x : tensor<4x!quant.uniform<i8:f32, 0.01:-28>>
          %y = abs(%x) : tensor<4x!quant.uniform<i8:f32, 0.0060784314:-128>>
          %y_dequantized = dequantize(%y) : tensor<4xf32>
          %z = exp(%y_dequantized) : tensor<4xf32> note {"keep-float" = "asked for by ops=exp"}
          output %z as "z"
        }

    Options (None takes what the target's hardware specification says):
        storage: bits of an activation's code, 8 or 16.
        symmetric: zero points are 0.
        power_of_two: scales are powers of two.
    """

    name: ClassVar[str] = "nudge-zero-points"
    accepts: ClassVar[frozenset[Stage]] = frozenset({Stage.FLOAT})
    produces: ClassVar[Stage] = Stage.QUANTIZED
    storage: int | None = None
    symmetric: bool | None = None
    power_of_two: bool | None = None

    def run(self, module: Module, context: PassContext) -> Module:
        """Return the module in the quantized stage."""
        hardware = context.hardware
        storage = hardware.activation_type if self.storage is None else ScalarType("i", self.storage)
        if storage.bits not in (8, 16):
            raise PassError(f"activations of {storage.bits} bits are not supported", help="give storage=8")
        symmetric = hardware.symmetric_activations if self.symmetric is None else self.symmetric
        power_of_two = hardware.power_of_two_scales if self.power_of_two is None else self.power_of_two
        check_integer_forms(module)
        return _Quantizer(module, _Scheme(storage, symmetric, power_of_two), self.name).run()


def check_integer_forms(module: Module) -> None:
    """Raise one PassError that lists all operations which can't become integers and are not kept in float."""
    reasons = [(op, no_integer_form(op, module)) for op in module.ops if is_quantizable(op)]
    failed = [(op, reason) for op, reason in reasons if reason]
    if not failed:
        return
    lines = "; ".join(f"{op.name} %{op.results[0].name}{_node(op)}: {reason}" for op, reason in failed)
    names = " ".join(f"--keep-float {name}" for name in dict.fromkeys(op.name for op, _ in failed))
    raise PassError(f"{len(failed)} operations have no integer form: {lines}", help=f"keep them in float: {names}")


def _node(op: Op) -> str:
    return f" (node {op.location.node})" if op.location.node else ""


@dataclass(frozen=True)
class _Scheme:
    """How activations are quantized."""

    storage: ScalarType
    symmetric: bool
    power_of_two: bool

    def type(self, minimum: float, maximum: float) -> UniformType:
        return activation_type(minimum, maximum, self.storage, self.symmetric, self.power_of_two)


class _Quantizer:
    """One run over a module: quantized versions and real versions of its values, conversions made when first needed."""

    def __init__(self, module: Module, scheme: _Scheme, pass_name: str) -> None:
        self.module, self.scheme, self.pass_name = module, scheme, pass_name
        self.builder = Builder(module.name, Stage.QUANTIZED)
        for name in module.values:
            self.builder.unique(name)
        self.quantized: dict[str, Value] = {}
        self.real: dict[str, Value] = {}
        self.unranged: list[str] = []

    def run(self) -> Module:
        inputs = tuple(self._define(v, self._input_is_quantized(v)) for v in self.module.inputs)
        for op in self.module.ops:
            if is_quantizable(op):
                self._quantize_op(op)
            else:
                self._keep_op(op)
        states = tuple(self._state(s) for s in self.module.states)
        outputs = tuple(Output(o.name, self._output(o)) for o in self.module.outputs)
        if self.unranged:
            names = ", ".join(f"%{name}" for name in dict.fromkeys(self.unranged))
            raise PassError(f"values without a range: {names}", help="run calibrate and propagate-ranges before")
        ops_made = tuple(self.builder.ops)
        return self.module.replace(stage=Stage.QUANTIZED, inputs=inputs, ops=ops_made, outputs=outputs, states=states)

    def _input_is_quantized(self, value: Value) -> bool:
        users = self.module.users.get(value.name, ())
        return is_real(value) and any(
            is_quantizable(op) and any(v == value for _, v in quantized_operands(op, self.module)) for op in users
        )

    def _define(self, value: Value, quantize: bool) -> Value:
        """Return the value as it is defined: of quantized type, or real without a range."""
        if not is_real(value):
            self.real[value.name] = value
            return value
        new = value.with_type(self._type(value) if quantize else plain(value.type))
        (self.quantized if quantize else self.real)[value.name] = new
        return new

    def _type(self, value: Value) -> TensorType:
        element = value.type.element
        if isinstance(element, CalibratedType):
            return value.type.with_element(self.scheme.type(element.minimum, element.maximum))
        self.unranged.append(value.name)
        return value.type.with_element(self.scheme.type(0.0, 0.0))

    def _state(self, state: State) -> State:
        """Return the state with its initial data in the type in which it is read."""
        read = self.quantized.get(state.name)
        return state if read is None else State(state.name, Dense(read.type.uniform().quantize(state.initial.array)))

    def _output(self, output: Output) -> Value:
        """Return what is given back: codes where there are some, a state in the type in which it is read."""
        value = output.value
        if output.name in self.module.initial_states:
            return self._codes(value) if output.name in self.quantized else self._real(value)
        return self.quantized.get(value.name) or self.real[value.name]

    def _real(self, value: Value) -> Value:
        """Return the real version of a value, dequantized where needed."""
        if value.name not in self.real:
            codes = self.quantized[value.name]
            self.real[value.name] = self.builder.emit(
                ops.Dequantize, codes, name=f"{value.name}_dequantized", location=self._location(value)
            )
        return self.real[value.name]

    def _codes(self, value: Value) -> Value:
        """Return the quantized version of a value, quantized where needed."""
        if value.type.is_quantized:
            return value
        if value.name not in self.quantized:
            to = self._type(value).uniform()
            self.quantized[value.name] = self.builder.emit(
                ops.Quantize,
                self.real[value.name],
                to=to,
                name=f"{value.name}_quantized",
                location=self._location(value),
            )
        return self.quantized[value.name]

    def _location(self, value: Value) -> Location:
        """Return the provenance of a conversion of `value`."""
        definition = self.module.definition(value)
        return (Location() if definition is None else definition.location).by(self.pass_name)

    def _keep_op(self, op: Op) -> None:
        """Append an operation that works on real numbers, or on none."""
        operands = tuple(v if v.type.is_quantized else self._real(v) for v in op.operands)
        results = tuple(self._define(v, False) for v in op.results)
        self.builder.append(replace_op(op, operands=operands, results=results))

    def _quantize_op(self, op: Op) -> None:
        """Append an operation with quantized operands and results."""
        shared = self._type(op.results[0]).uniform() if op.shares_parameters and is_real(op.results[0]) else None
        coded = {position for position, _ in quantized_operands(op, self.module)}
        operands = []
        for position, value in enumerate(op.operands):
            if position not in coded:
                operands.append(self._real(value))
            elif self.module.constant(value) is not None:
                operands.append(self._constant(value, shared))
            else:
                operands.append(self._codes(value))
        results = tuple(self._define(v, True) for v in op.results)
        location = op.location.by(self.pass_name)
        self.builder.append(replace_op(op, operands=tuple(operands), results=results, location=location))

    def _constant(self, value: Value, shared: UniformType | None) -> Value:
        """Return a quantized copy of a constant, in the parameters that it must share or those of its own range."""
        array = self.module.constant(value)
        found = constant_range(value, self.module)
        to = shared or self.scheme.type(*(found or (0.0, 0.0)))
        return self.builder.constant(
            to.quantize(np.asarray(array)),
            f"{value.name}_quantized",
            value.type.with_element(to),
            location=self._location(value),
        )


def plain(type: TensorType) -> TensorType:
    """Return a real type without its range."""
    return type.with_element(type.element.expressed)

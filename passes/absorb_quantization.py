"""The pass `absorb-quantization`: dequantize → operation → quantize becomes an operation on quantized values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from qcc.ir import (
    Array,
    Dense,
    IrError,
    Mismatch,
    Module,
    Op,
    Output,
    PassError,
    Pattern,
    Rewriter,
    Stage,
    UniformType,
    Value,
    drop_dead,
    ops,
    replace_op,
    retype,
    rewrite,
)

from .base import Pass, PassContext
from .hardware import HardwareSpec
from .insert_rescale import ARITHMETIC
from .operands import KEEP_FLOAT
from .profiles import profile_named
from .quantization_rules import CONVERSION_RULES, divides_to_even, merge_equal_conversions, per_tensor
from .realization import Realizer
from .reason_summary import reason_summary
from .registry import register_pass

Weighted = ops.Conv2d | ops.ConvTranspose2d | ops.Matmul

#: Relative difference between a bias's scale and s_x·s_w that is rounding.
BIAS_TOLERANCE = 1e-6

#: Rounds of merging and moving conversions; exporters' models need two or three.
ROUNDS = 40


@register_pass
@dataclass(frozen=True)
class AbsorbQuantization(Pass):
    """Turn the conversions of a quantized model into quantized types.

    `quantize(op(dequantize(a), …))` becomes `op(a, …)` on quantized values; weights and biases that are dequantized
    constants become constants of quantized type. Conversions first move through what only moves elements. Inputs that
    are only quantized, and outputs that are only dequantized, get quantized types themselves. What has no integer form
    in the profile, or no quantized result, stays in float, with the note `keep-float` and a remark.

    Before:
        module @m stage float {
          input %x : tensor<1x2xf32>
          %xq = quantize(%x) {to = !quant.uniform<u8:f32, 0.01:3>} : tensor<1x2x!quant.uniform<u8:f32, 0.01:3>>
          %xd = dequantize(%xq) : tensor<1x2xf32>
          %w = constant() {value = dense<[[127, -50], [-50, 127]]>} : tensor<2x2x!quant.uniform<i8:f32, 0.02>>
          %wd = dequantize(%w) : tensor<2x2xf32>
          %y = matmul(%xd, %wd) : tensor<1x2xf32>
          %yq = quantize(%y) {to = !quant.uniform<u8:f32, 0.05>} : tensor<1x2x!quant.uniform<u8:f32, 0.05>>
          %z = dequantize(%yq) : tensor<1x2xf32>
          output %z as "z"
        }

    After:
        module @m stage quantized {
          attribute "arithmetic" = "ort"
          input %x : tensor<1x2x!quant.uniform<u8:f32, 0.01:3>>
          %w = constant() {value = dense<[[127, -50], [-50, 127]]>} : tensor<2x2x!quant.uniform<i8:f32, 0.02>>
          %yq = matmul(%x, %w) : tensor<1x2x!quant.uniform<u8:f32, 0.05>>
          output %yq as "z"
        }

    Options:
        profile: the arithmetic profile whose integer forms count, and which the module then names.
        interface: inputs and outputs get quantized types where they are only quantized or dequantized.
    """

    name: ClassVar[str] = "absorb-quantization"
    accepts: ClassVar[frozenset[Stage]] = frozenset({Stage.FLOAT})
    produces: ClassVar[Stage] = Stage.QUANTIZED
    profile: str = "ort"
    interface: bool = True

    def run(self, module: Module, context: PassContext) -> Module:
        """Return the module in the quantized stage."""
        profile_named(self.profile)
        module = self._gathered(module.replace(stage=Stage.QUANTIZED), context)
        absorb = AbsorbGroup(context.hardware, self.profile)
        module, _ = rewrite(module, [absorb, *(rule() for rule in CONVERSION_RULES)], self.name)
        if self.interface:
            module = quantized_interface(module)
        module = self._explained(drop_dead(module), absorb.reasons, context)
        return module.with_attribute(ARITHMETIC, self.profile)

    def _gathered(self, module: Module, context: PassContext) -> Module:
        """Return the module with its conversions next to its arithmetic, one for all uses.

        Merging lets conversions move that were several, moving brings others together: until nothing moves.
        """
        for _ in range(ROUNDS):
            rules = [rule() for rule in CONVERSION_RULES]
            module, report = rewrite(merge_equal_conversions(module), rules, self.name)
            if not report.changed:
                return module
        message = f"conversions still move after {ROUNDS} rounds; some may stay away from the arithmetic"
        context.remark(self.name, module.name, message, "warning")
        return module

    def _explained(self, module: Module, reasons: dict[str, str], context: PassContext) -> Module:
        """Return the module with a note on each operation on real numbers that says why it stays in float."""
        made, stays = [], list[tuple[str, str]]()
        for op in module.ops:
            types = [v.type for v in (*op.operands, *op.results)]
            real = any(t.is_float for t in types) and not any(t.is_quantized for t in types)
            if not op.boundary and real and not op.note(KEEP_FLOAT):
                reason = reasons.get(op.results[0].name) or unabsorbed_reason(op, module)
                context.remark(self.name, op.results[0].name, f"{op.name} stays in float: {reason}")
                stays.append((f"{op.name} %{op.results[0].name}", reason))
                op = op.with_note(KEEP_FLOAT, reason)
            made.append(op)
        if stays:
            count = "1 operation stays" if len(stays) == 1 else f"{len(stays)} operations stay"
            context.remark(self.name, module.name, f"{count} in float: {reason_summary(stays)}", "warning")
        return module.replace(ops=tuple(made))


def unabsorbed_reason(op: Op, module: Module) -> str:
    """Return why an operation on real numbers was never the middle of dequantize → operation → quantize."""
    users = [user for v in op.results for user in module.users.get(v.name, ())]
    if any(v.name in module.output_names for v in op.results) and not users:
        return "its result is an output of real numbers"
    if not users or any(not isinstance(user, ops.Quantize) for user in users):
        return "its result is not quantized"
    return "its operands are not quantized" if len(users) == 1 else "its result is quantized in several ways"


# quantize(op(dequantize(a), dequantize(b), …)) = op(a, b, …) in the type of the quantize
class AbsorbGroup(Pattern):
    """An operation between dequantize and quantize works on quantized values, where the profile has its integer form.

    Whether it has is asked of the profile's own rule, on a module of this one operation.

    Attributes:
        reasons: why operations stay in float, by name of their first result.
    """

    root = ops.Quantize

    def __init__(self, hardware: HardwareSpec, profile: str) -> None:
        self.hardware = hardware
        self.profile = profile
        self.reasons: dict[str, str] = {}

    def apply(self, op: Op, rewriter: Rewriter) -> Value | Mismatch | None:
        """Take the conversions away."""
        inner = rewriter.definition(op.operands[0])
        if inner is None or inner.boundary or len(inner.results) != 1 or not isinstance(op, ops.Quantize):
            return None
        found = self._absorbed(inner, op, rewriter)
        if isinstance(found, str):
            self.reasons[inner.result.name] = found
            return Mismatch(found)
        self.reasons.pop(inner.result.name, None)
        operands, constants = found
        for constant in constants:
            rewriter.builder.append(constant)
        location = inner.location.by(rewriter.name)
        (value,) = rewriter.emit_op(inner, operands=operands, types=(op.result.type,), location=location)
        return value

    def _absorbed(self, inner: Op, op: ops.Quantize, rewriter: Rewriter) -> tuple[tuple[Value, ...], list[Op]] | str:
        """Return the operands of `inner` on quantized values and new constants among them, or why there are none."""
        if inner.note(KEEP_FLOAT):
            return inner.note(KEEP_FLOAT)
        if not divides_to_even(op):
            return "its result is quantized by another rounding than that of integer forms"
        if rewriter.use_count(inner.result) != 1:
            return "its result is also read without quantization"
        if per_tensor(op.result.type) is None or not any(v.type.is_float for v in inner.operands):
            return "its result has one scale a channel" if op.to.per_axis else "it does not work on real numbers"
        operands = []
        for value in inner.operands:
            definition = rewriter.definition(value)
            if isinstance(definition, ops.Dequantize):
                operands.append(definition.x)
            elif rewriter.constant(value) is not None:
                operands.append(value)
            else:
                return f"its operand %{value.name} is not quantized"
        return self._checked(inner, op, tuple(operands), rewriter)

    def _checked(
        self, inner: Op, op: ops.Quantize, operands: tuple[Value, ...], rewriter: Rewriter
    ) -> tuple[tuple[Value, ...], list[Op]] | str:
        """As `_absorbed`, once the operands are known: hold them against the profile's rule."""
        constants: list[Op] = []
        if isinstance(inner, Weighted) and len(operands) == 3:
            bias = _bias(operands, rewriter)
            if bias is not None:
                name = rewriter.builder.unique(f"{operands[2].name}_real")
                made = ops.Constant(value=Dense(bias), location=inner.location.by(rewriter.name))
                constants.append(replace_op(made, results=(Value(name, made.infer()[0]),)))
                operands = (*operands[:2], constants[0].result)
        reason = self._no_form(inner, op, operands, constants, rewriter)
        return reason or (operands, constants)

    def _no_form(
        self, inner: Op, op: ops.Quantize, operands: tuple[Value, ...], constants: list[Op], rewriter: Rewriter
    ) -> str:
        """Return why the profile has no integer form of `inner` on these operands, or an empty string."""
        known = {v.name: rewriter.definition(v) for v in operands}
        defined = [d for d in known.values() if isinstance(d, ops.Constant)] + constants
        names = {d.result.name for d in defined}
        inputs = tuple({v.name: v for v in operands if v.name not in names}.values())
        result = Value(f"{inner.result.name}_absorbed", op.result.type)
        absorbed = replace_op(inner, operands=operands, results=(result,))
        unique = {d.result.name: d for d in defined}
        made = (*unique.values(), absorbed)
        module = Module("absorbed", Stage.QUANTIZED, inputs, made, (Output("y", result),))
        try:
            Realizer(module, self.hardware, AbsorbQuantization.name, self.profile).run()
        except (PassError, IrError) as error:
            return error.message
        return ""


def _bias(operands: tuple[Value, ...], rewriter: Rewriter) -> Array | None:
    """Return the real numbers of a quantized bias that is not in units of s_x·s_w, None where its codes are right."""
    x, w, bias = (v.type.element for v in operands)
    codes = rewriter.constant(operands[2])
    if codes is None or not all(isinstance(t, UniformType) for t in (x, w, bias)):
        return None
    if not isinstance(x, UniformType) or not isinstance(w, UniformType) or not isinstance(bias, UniformType):
        return None
    units = np.float64(x.scales[0]) * np.asarray(w.scales, np.float64)
    own, zero = np.asarray(bias.scales, np.float64), np.asarray(bias.zero_points)
    if units.size != own.size and 1 not in (units.size, own.size):  # the rule says what is wrong with the weights
        return None
    if np.all(np.abs(own / units - 1) <= BIAS_TOLERANCE) and not zero.any():
        return None
    return np.asarray(bias.dequantize(codes))


def quantized_interface(module: Module) -> Module:
    """Return the module whose inputs and outputs have quantized types where they are converted and nothing else."""
    types = {}
    replaced: dict[str, Value] = {}
    for value in module.inputs:
        users = module.users.get(value.name, ())
        if len(users) != 1 or value.name in module.output_names:
            continue
        (user,) = users
        if not isinstance(user, ops.Quantize | ops.StorageCast) or not _computes(user, module):
            continue
        if isinstance(user, ops.Quantize) and not divides_to_even(user):
            continue
        element = per_tensor(user.result.type)
        if element is None or element.storage_type.bits not in (8, 16):
            continue
        types[value.name] = user.result.type
        replaced[user.result.name] = value.with_type(user.result.type)
    made = [op for op in module.ops if not (op.results and op.results[0].name in replaced)]
    module = retype(
        module.replace(
            ops=tuple(replace_op(op, operands=tuple(replaced.get(v.name, v) for v in op.operands)) for op in made),
        ),
        types,
    )
    outputs = tuple(Output(o.name, _quantized_output(o.value, module)) for o in module.outputs)
    return module.replace(outputs=outputs)


def _computes(conversion: Op, module: Module) -> bool:
    """True where arithmetic on quantized values reads what `conversion` gives."""
    users = module.users.get(conversion.results[0].name, ())
    returned = conversion.results[0].name in module.output_names
    return not returned and any(not user.boundary for user in users)


def _quantized_output(value: Value, module: Module) -> Value:
    """Return the quantized value that an output is dequantized from, where it is one of the model's own results."""
    definition = module.definition(value)
    if not isinstance(definition, ops.Dequantize):
        return value
    source = module.definition(definition.x)
    element = per_tensor(definition.x.type)
    computed = source is not None and not isinstance(source, ops.Constant)
    return definition.x if computed and element is not None and element.storage_type.bits in (8, 16) else value

"""The pass `propagate-ranges`: makes the ranges of all values agree with what the operations do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from qcc.ir import CalibratedType, Module, Op, PassError, Stage, TensorType, Value, ops, retype

from .base import Pass, PassContext
from .integer_forms import is_quantizable, is_real, quantized_operands
from .ranges import Range, constant_range, fixed_range, inferred_range, narrow, possible_range
from .registry import register_pass
from .sharing import ParameterGroups, shares


@register_pass
@dataclass(frozen=True)
class PropagateRanges(Pass):
    """Make the ranges of all values agree with what the operations do.

    Ranges are narrowed to what an operation can produce; values that no data reached get what follows from their
    operands; values that share scale and zero point (concat, pools, pad, reshape, …) get one range, that of all values
    that flow into the group; sigmoid, softmax and tanh get the fixed range of their function, unless they share
    with others.

    Before:
        module @m stage float {
          input %x : tensor<2x!quant.calibrated<f32<-1.0:3.0>>>
          %s = sigmoid(%x) : tensor<2x!quant.calibrated<f32<0.3:0.9>>>
          %r = clamp(%x) {minimum = 0.0, maximum = 6.0} : tensor<2xf32>
          %y = concat(%x, %r) {axis = 0} : tensor<4xf32>
          output %s as "s"
          output %y as "y"
        }

    After:
        module @m stage float {
          input %x : tensor<2x!quant.calibrated<f32<-1.0:3.0>>>
          %s = sigmoid(%x) : tensor<2x!quant.calibrated<f32<0.0:0.99609375>>>
          %r = clamp(%x) {minimum = 0.0, maximum = 6.0} : tensor<2x!quant.calibrated<f32<-1.0:3.0>>>
          %y = concat(%x, %r) {axis = 0} : tensor<4x!quant.calibrated<f32<-1.0:3.0>>>
          output %s as "s"
          output %y as "y"
        }
    """

    name: ClassVar[str] = "propagate-ranges"
    accepts: ClassVar[frozenset[Stage]] = frozenset({Stage.FLOAT})

    def run(self, module: Module, context: PassContext) -> Module:
        """Return the module with every value that will be quantized calibrated."""
        wanted = values_to_quantize(module)
        ranges = self._first_ranges(module, context, wanted)
        groups = ParameterGroups(module)
        bits = context.hardware.activation_type.bits
        missing: list[Value] = []
        types: dict[str, TensorType] = {}
        sources = _sources_by_group(module, groups, ranges, bits)
        for value in wanted:
            found = _group_range(sources.get(groups.of(value.name), []))
            if found is None:
                missing.append(value)
                continue
            types[value.name] = value.type.with_element(CalibratedType(*found, value.type.element.expressed))
        if missing:
            raise _missing_error(module, missing)
        return retype(module, types)

    def _first_ranges(self, module: Module, context: PassContext, wanted: list[Value]) -> dict[str, Range]:
        """Return observed ranges narrowed to the possible, and inferred ones where nothing was observed."""
        names = {v.name for v in wanted}
        ranges = {v.name: observed for v in module.inputs if (observed := _observed(v)) is not None}
        for op in module.ops:
            for value in op.results:
                observed = _observed(value)
                if observed is not None:
                    ranges[value.name] = narrow(observed, possible_range(op))
                    continue
                inferred = inferred_range(op, ranges, module) if is_real(value) and not op.boundary else None
                if inferred is not None:
                    ranges[value.name] = inferred
                    if value.name in names and not shares(op):
                        message = f"no data reached it; [{inferred[0]:g}, {inferred[1]:g}] follows from its operands"
                        context.remark(self.name, value.name, message)
        return ranges


def values_to_quantize(module: Module) -> list[Value]:
    """Return the real values, constants excepted, that an operation not kept in float defines or reads as codes."""
    found: dict[str, Value] = {}
    for op in module.ops:
        if is_quantizable(op):
            values = [*(v for _, v in quantized_operands(op, module)), *op.results]
            found.update((v.name, v) for v in values if is_real(v) and module.constant(v) is None)
    return list(found.values())


def _observed(value: Value) -> Range | None:
    element = value.type.element
    return (element.minimum, element.maximum) if isinstance(element, CalibratedType) else None


@dataclass(frozen=True)
class _Source:
    """A value that brings its range into a group, and the fixed range that it could have."""

    range: Range
    fixed: Range | None = None


def _sources_by_group(
    module: Module, groups: ParameterGroups, ranges: dict[str, Range], bits: int
) -> dict[str, list[_Source]]:
    """Return, for each group, what flows into it: inputs, results of operations that do not share, constants."""
    found: dict[str, list[_Source]] = {}
    flowing: list[tuple[str, _Source]] = [(v.name, _Source(ranges[v.name])) for v in module.inputs if v.name in ranges]
    for op in module.ops:
        if not shares(op):
            fixed = fixed_range(op, bits) if is_quantizable(op) else None
            sources = [(v.name, ranges[v.name]) for v in op.results if v.name in ranges]
            flowing += [(name, _Source(r, fixed)) for name, r in sources if not isinstance(op, ops.Constant)]
            continue
        flowing += [(op.results[0].name, _Source(r)) for r in _own_ranges(op, module, ranges)]
    for name, source in flowing:
        found.setdefault(groups.of(name), []).append(source)
    for name in ranges:  # a group of results alone whose operands have no range
        if groups.of(name) not in found and module.constant(module.values[name]) is None:
            found[groups.of(name)] = [_Source(ranges[name])]
    return found


def _own_ranges(op: Op, module: Module, ranges: dict[str, Range]) -> list[Range]:
    """Return what a sharing operation itself brings: constant operands and the value of a pad."""
    own = []
    for value in op.operands:
        constant = constant_range(value, module)
        if constant is None:
            continue
        others = [ranges[v.name] for v in op.operands if v.name in ranges]
        if isinstance(op, ops.Maximum) and others:  # what lies below the other operand never wins
            constant = narrow(constant, (others[0][0], math.inf))
        if isinstance(op, ops.Minimum) and others:
            constant = narrow(constant, (-math.inf, others[0][1]))
        own.append(constant)
    if isinstance(op, ops.Pad) and op.mode == "constant" and math.isfinite(op.value):
        own.append((op.value, op.value))
    return own


def _group_range(sources: list[_Source]) -> Range | None:
    """Return the fixed range where all sources agree on one, else the union of their ranges."""
    if not sources:
        return None
    fixed = {s.fixed for s in sources}
    if len(fixed) == 1 and sources[0].fixed is not None:
        return sources[0].fixed
    return min(s.range[0] for s in sources), max(s.range[1] for s in sources)


def _missing_error(module: Module, missing: list[Value]) -> PassError:
    names = ", ".join(f"%{v.name} ({_maker(module, v)})" for v in missing)
    return PassError(
        f"{len(missing)} values have no range, by data or by inference: {names}",
        help="run calibrate with data before propagate-ranges, or keep these operations in float (--keep-float NAME)",
    )


def _maker(module: Module, value: Value) -> str:
    op = module.definition(value)
    return "input" if op is None else op.name

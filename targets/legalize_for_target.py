"""`legalize-for-target`: whether a target can run a module, and every reason why not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from qcc.ir import ANY_STAGE, F32, Module, Op, PassError, Stage, TargetError, Value, ops, print_op
from qcc.passes import HardwareSpec, Pass, PassContext, register_pass

from .kernel import constant_data

PRODUCTS = (ops.Conv2d, ops.ConvTranspose2d, ops.Matmul)
"""Operations that sum products of activations and weights."""

TABLED = (
    ops.SoftmaxFixedPoint, ops.SoftmaxFloatTable, ops.SoftmaxInterpolated, ops.SigmoidInterpolated, ops.Interpolate
)  # fmt: skip
"""Operations whose operands are tables, but for the first."""


@register_pass
@dataclass(frozen=True)
class LegalizeForTarget(Pass):
    """Check that the target can run the module; the module stays as it is.

    Integer operations must keep to the target's hardware specification: storage types, symmetric zero points, narrow
    range of weights, accumulator width, rounding and size of multipliers; multipliers, shifts and tables must be
    constants. No tensor may have a type that the target's
    code can't store. A TargetError lists all operations that can't be run, each with its reason.

    Before:
        module @m stage integer {
          input %x : tensor<1x4xi8>
          %w = constant() {value = dense<[[1, 2], [3, 4], [5, 6], [7, 8]]>} : tensor<4x2xi8>
          %y = matmul(%x, %w) : tensor<1x2xi32>
          output %y as "y"
        }

    After:
        module @m stage integer {
          input %x : tensor<1x4xi8>
          %w = constant() {value = dense<[[1, 2], [3, 4], [5, 6], [7, 8]]>} : tensor<4x2xi8>
          %y = matmul(%x, %w) : tensor<1x2xi32>
          output %y as "y"
        }
    """

    name: ClassVar[str] = "legalize-for-target"
    accepts: ClassVar[frozenset[Stage]] = ANY_STAGE

    def run(self, module: Module, context: PassContext) -> Module:
        """Return the module unchanged, or raise a TargetError."""
        if module.stage is Stage.QUANTIZED:
            message = "a quantized module has no integer arithmetic yet, nothing can run it"
            raise PassError(message, place=self.name, help="put insert-rescale before this pass")
        hardware = context.hardware if context.target is None else context.target.hardware
        target = "the target" if context.target is None else str(context.target)
        found = [(op, reason) for op in module.ops for reason in _reasons(module, op, hardware)]
        if found:
            lines = [f"{_place(op)}{reason}\n    in: {print_op(op)}" for op, reason in found]
            raise TargetError(
                f"{target} can't run {len(found)} operation{'s' if len(found) > 1 else ''}:\n  " + "\n  ".join(lines),
                help="choose a recipe that fits the target, keep the operations in float (--keep-float), or choose "
                "another target",
            )
        return module


def _place(op: Op) -> str:
    return f"{op.location.node}: " if op.location.node else ""


def _reasons(module: Module, op: Op, hardware: HardwareSpec) -> Iterator[str]:
    """Yield why the target can't run `op`."""
    yield from _types(op)
    if isinstance(op, ops.Rescale):
        yield from _code_rescale(module, op)
    elif isinstance(op, ops.SumFloat | ops.AvgPoolFloat | ops.RescaleFloat):
        yield from _exact_floats(module, op, hardware)
    elif isinstance(op, ops.Conv2d | ops.Add | ops.Mul) and op.exact_floats:
        yield from _exact_reals(module, op, hardware)
    elif isinstance(op, ops.Table | ops.SoftmaxTable):
        yield from _table(module, op)
    elif isinstance(op, TABLED) and any(constant_data(module, v) is None for v in op.operands[1:]):
        yield "tables must be constants"
    if not hardware.programmable:
        yield from _limits(module, op, hardware)


def _limits(module: Module, op: Op, hardware: HardwareSpec) -> Iterator[str]:
    """Yield what a unit that does nothing but its own arithmetic can't do."""
    if isinstance(op, PRODUCTS) and not op.x.type.is_float:
        yield from _product(module, op, hardware)
    elif isinstance(op, ops.Rescale):
        yield from _rescale(module, op, hardware)
    elif isinstance(op, ops.Quantize | ops.StorageCast) and op.to is not None:
        symmetric = not any(op.to.zero_points)
        if hardware.symmetric_activations and not symmetric:
            yield f"activations must be symmetric, the zero point is {op.to.zero_points[0]}"


def _types(op: Op) -> Iterator[str]:
    """Yield types of tensors that generated code has no storage for."""
    for value in (*op.operands, *op.results):
        storage = value.type.element.storage
        if storage.is_float and storage.bits == 16:
            yield f"%{value.name} has elements {storage}, which C has no type for"


def _product(
    module: Module, op: ops.Conv2d | ops.ConvTranspose2d | ops.Matmul, hardware: HardwareSpec
) -> Iterator[str]:
    weights = op.weight.type.element.storage
    if module.constant(op.weight) is not None:
        if weights != hardware.weight_type:
            yield f"weights must be {hardware.weight_type}, they are {weights}"
        elif hardware.narrow_range_weights and _lowest(module, op.weight) < -hardware.weight_type.maximum:
            yield f"weights must keep to {-hardware.weight_type.maximum} … {hardware.weight_type.maximum}"
        if hardware.symmetric_weights and op.weight_zero_point:
            yield f"weights must be symmetric, their zero point is {op.weight_zero_point}"
    if op.accumulator != hardware.accumulator:
        yield f"sums are {op.accumulator}, the target accumulates in {hardware.accumulator}"
    if hardware.symmetric_activations and op.input_zero_point:
        yield f"activations must be symmetric, their zero point is {op.input_zero_point}"


def _lowest(module: Module, value: Value) -> int:
    data = module.constant(value)
    return int(data.min()) if data is not None and data.size else 0


def _code_rescale(module: Module, op: ops.Rescale) -> Iterator[str]:
    """Yield what no generated code computes."""
    data, shift = constant_data(module, op.multiplier), constant_data(module, op.shift)
    if data is None or shift is None:
        yield "multipliers and shifts must be constants"
    elif np.any((shift < 0) | (shift > ops.LARGEST_SHIFT)):
        yield f"shifts must lie within 0 … {ops.LARGEST_SHIFT}, they are {int(shift.min())} … {int(shift.max())}"


def _exact_floats(
    module: Module, op: ops.SumFloat | ops.AvgPoolFloat | ops.RescaleFloat, hardware: HardwareSpec
) -> Iterator[str]:
    """Yield what stands against floats that promise bits."""
    floats = [v for v in op.operands if v.type.is_float]
    data = [constant_data(module, v) for v in floats]
    if any(d is None for d in data):
        yield "factors and offsets must be constants"
    elif not all(np.all(np.isfinite(d)) for d in data if d is not None):
        yield "factors and offsets must be finite"
    element = floats[0].type.element if floats else F32
    if element not in hardware.ieee_floats:
        yield f"the target does not compute in IEEE {element}"


def _exact_reals(module: Module, op: ops.Conv2d | ops.Add | ops.Mul, hardware: HardwareSpec) -> Iterator[str]:
    """Yield what stands against sums and products of real numbers that promise bits."""
    if isinstance(op, ops.Conv2d) and constant_data(module, op.weight) is None:
        yield "the weights of sums in an order must be constants"
    element = op.result.type.element.expressed
    if element.is_float and element not in hardware.ieee_floats:
        yield f"the target does not compute in IEEE {element}"


def _rescale(module: Module, op: ops.Rescale, hardware: HardwareSpec) -> Iterator[str]:
    if op.rounding != hardware.rounding:
        yield f"the target rounds {hardware.rounding}, not {op.rounding}"
    data = constant_data(module, op.multiplier)
    if data is None:
        return
    magnitude = np.abs(data.astype(np.int64))
    if magnitude.size and int(magnitude.max()) >= 1 << hardware.multiplier_bits:
        yield f"multipliers must be below 2^{hardware.multiplier_bits}, one is {int(magnitude.max())}"
    if hardware.power_of_two_scales and bool(np.any(magnitude & (magnitude - 1))):
        yield "multipliers must be powers of two"


def _table(module: Module, op: ops.Table | ops.SoftmaxTable) -> Iterator[str]:
    data = constant_data(module, op.table)
    if data is None:
        yield "tables must be constants"
    elif isinstance(op, ops.SoftmaxTable) and (data[0] < 1 or int(data.min()) < 0):
        yield "exponentials must not be negative, and the first at least 1"

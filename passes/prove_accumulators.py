"""The pass `prove-accumulators`: proves that no sum, product or rescale overflows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from qcc.ir import I16, Array, Module, Op, PassError, ScalarType, Stage, Value, ops, print_op

from .base import Pass, PassContext
from .intervals import Interval, interval_of, product_magnitude, rescaled
from .operands import KEEP_FLOAT, MAY_WRAP
from .registry import register_pass

Accumulating = (
    ops.Conv2d, ops.ConvTranspose2d, ops.Matmul, ops.SumPool2d, ops.ReduceSum, ops.Add, ops.Sub, ops.Mul
)  # fmt: skip


@register_pass
@dataclass(frozen=True)
class ProveAccumulators(Pass):
    """Prove by interval arithmetic over the actual weights that no accumulator or 64-bit product overflows.

    Sums are bounded with their terms added in any order, channel by channel. Notes the bounds on each operation that
    accumulates (`accumulator`: "-12345..67890"), and `narrow-accumulator`: "i16" where 16 bits are enough.
    A sum with the note `may-wrap` wraps as that of the kernels whose bits it keeps, or as the model's own integers do:
    it is reported, and taken for anything that its type holds.

    Before:
        module @m stage integer {
          input %x : tensor<1x2xi8>
          %w = constant() {value = dense<[[127, -50], [-50, 127]]>} : tensor<2x2xi8>
          %y = matmul(%x, %w) {input_zero_point = -3} : tensor<1x2xi32>
          output %y as "y"
        }

    After:
        module @m stage integer {
          input %x : tensor<1x2xi8>
          %w = constant() {value = dense<[[127, -50], [-50, 127]]>} : tensor<2x2xi8>
          %y = matmul(%x, %w) {input_zero_point = -3} : tensor<1x2xi32>
            note {"accumulator" = "-22375..22760", "narrow-accumulator" = "i16"}
          output %y as "y"
        }
    """

    name: ClassVar[str] = "prove-accumulators"
    accepts: ClassVar[frozenset[Stage]] = frozenset({Stage.INTEGER})

    def run(self, module: Module, context: PassContext) -> Module:
        """Return the module with notes; a PassError names the operation, channel and bound that overflow."""
        known = {v.name: _of_input(v) for v in module.inputs}
        made: list[Op] = []
        for op in module.ops:
            operands = [known[v.name] for v in op.operands]
            constants = [module.constant(v) for v in op.operands]
            found = interval_of(op, operands, constants)
            if isinstance(op, Accumulating) and _is_integer(op.result):
                found = self._sum(op, found, context)
                op = noted(op, found)
            if isinstance(op, ops.Rescale):
                check_rescale(op, operands[0], constants)
            if isinstance(op, ops.SoftmaxTable):
                check_softmax(op, constants[1])
            known.update((v.name, found) for v in op.results)
            made.append(op)
        return module.replace(ops=tuple(made))

    def _sum(self, op: Op, found: Interval, context: PassContext) -> Interval:
        """Return the interval of a sum, that of its type where it may wrap; a PassError where it must not."""
        type = op.result.type.element.storage
        try:
            check(op, found, type, "its sum")
        except PassError as error:
            if not op.note(MAY_WRAP):
                raise
            context.remark(
                self.name, op.result.name, f"{error.message}: it wraps, as in {op.note(MAY_WRAP)}", "warning"
            )
            return Interval.of_type(type)
        return found


def noted(op: Op, found: Interval) -> Op:
    """Return the operation with its proven bounds noted."""
    op = op.with_note("accumulator", str(found))
    low, high = found.ends
    return op.with_note("narrow-accumulator", "i16") if I16.minimum <= low and high <= I16.maximum else op


def check(op: Op, found: Interval, type: ScalarType, what: str) -> None:
    """Raise a PassError where an interval leaves an integer type."""
    low, high = found.ends
    if type.minimum <= low and high <= type.maximum:
        return
    outside = (found.low < type.minimum) | (found.high > type.maximum)
    channel = int(np.flatnonzero(outside)[0])
    worst = f"{found.low[channel]}..{found.high[channel]}"
    where = f" in channel {channel}" if found.low.size > 1 else ""
    raise PassError(
        f"{op.name} %{op.result.name}: {what} can be {worst}{where}, which overflows {type}",
        place=op.location.node,
        op=print_op(op),
        help=_help(op),
    )


def _help(op: Op) -> str:
    if op.result.type.element.storage.bits == 64 or op.note(KEEP_FLOAT):
        return "the model itself computes with integers here: let it compute with floats, or give --recipe float"
    return f"keep it in float (--keep-float {op.name}), or split the sum into shorter ones"


def check_rescale(op: ops.Rescale, x: Interval, constants: list[Array | None]) -> None:
    """Raise a PassError where a rescale's product leaves 64 bits, or an i32 result would be cut."""
    if op.to.bits >= 32:
        check(op, rescaled(op, x, constants), ScalarType("i", 32), "its result")
    magnitude = product_magnitude(op, x, constants)
    if magnitude >= 2**63:
        raise PassError(
            f"rescale %{op.result.name}: its product can reach {magnitude}, which overflows 64 bits",
            place=op.location.node,
            op=print_op(op),
            help="check the ranges of its operands: the scales differ too much",
        )


def check_softmax(op: ops.SoftmaxTable, table: Array | None) -> None:
    """Raise a PassError where the sum of exponentials can leave 32 bits."""
    largest = int(np.max(table, initial=0)) if table is not None else 0
    total = largest * op.x.type.shape[op.axis]
    check(op, Interval.of(0, total), ScalarType("u", 32), "its sum of exponentials")


def _of_input(value: Value) -> Interval:
    element = value.type.element
    if not value.type.is_quantized and not element.expressed.is_integer:
        return Interval.of(0, 0)
    return Interval.of_type(element.storage)


def _is_integer(value: Value) -> bool:
    return value.type.element.expressed.is_integer

"""The pass `fuse-tables`: chains of functions of one 8-bit code become one table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from qcc.ir import Array, Mismatch, Module, Op, Pattern, Rewriter, Stage, Value, ops, rewrite

from .base import Pass, PassContext
from .registry import register_pass

#: Operations that may be a function of one 8-bit code.
CodeFunction = ops.Table | ops.Clamp | ops.Rescale | ops.RescaleFloat


@register_pass
@dataclass(frozen=True)
class FuseTables(Pass):
    """Make one table of a table and the table, clamp or rescale before or behind it, where nothing else reads between.

    The new table holds what the evaluator gives for the two operations on all 256 codes.

    Before:
        module @m stage integer {
          input %x : tensor<4xi8>
          %m = constant() {value = dense<1073741824>} : tensor<i32>
          %s = constant() {value = dense<31>} : tensor<i8>
          %half = rescale(%x, %m, %s) {to = i8, minimum = -128, maximum = 127} : tensor<4xi8>
          %low = clamp(%half) {minimum = -10.0, maximum = 10.0} : tensor<4xi8>
          %y = clamp(%low) {minimum = -128.0, maximum = 127.0} : tensor<4xi8>
          output %y as "y"
        }

    After:
        module @m stage integer {
          input %x : tensor<4xi8>
          %m = constant() {value = dense<1073741824>} : tensor<i32>
          %s = constant() {value = dense<31>} : tensor<i8>
          %half = rescale(%x, %m, %s) {to = i8, minimum = -128, maximum = 127} : tensor<4xi8>
          %low = clamp(%half) {minimum = -10.0, maximum = 10.0} : tensor<4xi8>
          output %low as "y"
        }
    """

    name: ClassVar[str] = "fuse-tables"
    accepts: ClassVar[frozenset[Stage]] = frozenset({Stage.INTEGER})

    def run(self, module: Module, context: PassContext) -> Module:
        """Return the module with fewer tables."""
        fused, report = rewrite(module, [ComposeTables(), DropWholeClamp()], self.name)
        context.remark_mismatches(self.name, report)
        return fused


class ComposeTables(Pattern):
    """g(f(x)) = (g∘f)(x) for functions f and g of one 8-bit code, at least one of them a table."""

    root = (ops.Table, ops.Clamp, ops.Rescale, ops.RescaleFloat)

    def apply(self, op: Op, rewriter: Rewriter) -> Value | Mismatch | None:
        """Compose `op` with the operation that defines its operand."""
        if not isinstance(op, CodeFunction) or not is_code_function(op, rewriter):
            return None
        inner = rewriter.definition(op.x)
        if not isinstance(inner, CodeFunction) or not is_code_function(inner, rewriter):
            return None
        if not isinstance(op, ops.Table) and not isinstance(inner, ops.Table):
            return None
        if rewriter.use_count(op.x) > 1:
            return Mismatch(f"%{op.x.name} is read elsewhere too")
        channels = inner.x.type.shape[-1] if inner.x.type.rank else 1
        entries = apply_to_codes(op, apply_to_codes(inner, all_codes(inner.x, channels), rewriter), rewriter)
        rows = entries.T if np.any(entries != entries[:, :1]) else entries[:, 0]
        table = rewriter.constant_like(np.ascontiguousarray(rows), op.result)
        return rewriter.emit(ops.Table, inner.x, table)


class DropWholeClamp(Pattern):
    """clamp(x, lo, hi) = x where every code of x lies within lo … hi."""

    root = ops.Clamp

    def apply(self, op: Op, rewriter: Rewriter) -> Value | None:
        """Replace a clamp that changes no code by its operand."""
        element = op.operands[0].type.element
        if not isinstance(op, ops.Clamp) or not element.expressed.is_integer:
            return None
        storage = element.storage
        return op.x if op.minimum <= storage.minimum and op.maximum >= storage.maximum else None


def is_code_function(op: CodeFunction, rewriter: Rewriter) -> bool:
    """True where `op` maps 8-bit codes to 8-bit codes, alike at every position of a channel."""
    if any(v.type.element.storage.bits != 8 or not v.type.element.expressed.is_integer for v in (op.x, op.result)):
        return False
    constants = [rewriter.constant(v) for v in op.operands[1:]]
    channels = op.x.type.shape[-1] if op.x.type.rank else 1
    if isinstance(op, ops.Rescale | ops.RescaleFloat):
        return all(c is not None and (c.size == 1 or c.shape == (channels,)) for c in constants)
    return all(c is not None for c in constants)


def all_codes(x: Value, channels: int) -> Array:
    """Return every code of x's type as 256×channels."""
    return np.repeat(x.type.element.storage.codes[:, None], channels, axis=1)


def apply_to_codes(op: CodeFunction, codes: Array, rewriter: Rewriter) -> Array:
    """Return what `op` makes of 256×channels codes."""
    constants = [np.asarray(rewriter.constant(v)) for v in op.operands[1:]]
    return np.asarray(op.evaluate(codes, *constants))

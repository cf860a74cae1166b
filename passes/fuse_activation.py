"""Pass `fuse-activation`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from qcc.ir import Mismatch, Module, Op, Rewriter, Stage, Value, rewrite
from qcc.ir.ops import Clamp, Concat, MaxPool2d, Reshape, Transpose

from .base import Pass, PassContext
from .movement_rules import MergeClamps, intersect
from .operands import FloatPattern, inner_op
from .registry import register_pass


# clamp(op(x)) = op(x, clamp): `clamp` of an operation limits its result; clamp(op(x, c)) = op(x, c ∩ clamp)
class FuseClamp(FloatPattern):
    """A clamp becomes the `clamp` of the operation in front of it."""

    root = Clamp

    def apply_real(self, op: Op, rewriter: Rewriter) -> Value | Mismatch | None:
        """Move the bounds."""
        inner = inner_op(op, op.operands[0], rewriter)
        if isinstance(inner, Mismatch):
            return inner
        if not inner.fusable_clamp or not isinstance(op, Clamp):
            return Mismatch(f"{inner.name} has no clamp")
        bounds = intersect(getattr(inner, "clamp", None), (op.minimum, op.maximum))
        location = inner.location.by(rewriter.name)
        notes = tuple({**dict(op.notes), **dict(inner.notes)}.items())
        (value,) = rewriter.emit_op(inner, clamp=bounds, location=location, notes=notes, types=(op.result.type,))
        return value


# clamp(move(x)) = move(clamp(x)); clamp(max_pool(x)) = max_pool(clamp(x)), clamp is monotonic
class HoistClamp(FloatPattern):
    """A clamp moves in front of a reshape, a transpose or a max pool, nearer to an operation that can take it."""

    root = Clamp

    def apply_real(self, op: Op, rewriter: Rewriter) -> Value | Mismatch | None:
        """Swap the two where the clamp can then be fused."""
        inner = inner_op(op, op.operands[0], rewriter)
        if isinstance(inner, Mismatch) or not isinstance(inner, Reshape | Transpose | MaxPool2d):
            return None
        if not leads_to_fusable(inner, rewriter):
            return Mismatch(f"nothing in front of {inner.name} takes a clamp")
        if isinstance(inner, MaxPool2d) and inner.tap_counts(include_pad=False).min() < 1:
            return Mismatch("a window of the pool lies outside the image")
        if not isinstance(op, Clamp):
            return None
        clamped = rewriter.emit(Clamp, inner.x, minimum=op.minimum, maximum=op.maximum)
        (value,) = rewriter.emit_op(inner, operands=(clamped,), location=inner.location.by(rewriter.name))
        return value


# clamp(concat(a, b, …)) = concat(clamp(a), clamp(b), …)
class HoistClampAboveConcat(FloatPattern):
    """A clamp moves in front of a concat where every operand comes from an operation that can take it."""

    root = Clamp

    def apply_real(self, op: Op, rewriter: Rewriter) -> Value | Mismatch | None:
        """Clamp each operand."""
        concat = inner_op(op, op.operands[0], rewriter)
        if not isinstance(concat, Concat) or not isinstance(op, Clamp):
            return None
        for value in concat.inputs:
            inner = inner_op(concat, value, rewriter)
            if isinstance(inner, Mismatch):
                return inner
            if not leads_to_fusable(inner, rewriter):
                return Mismatch(f"{inner.name} in front of {concat.name} takes no clamp")
        clamped = tuple(rewriter.emit(Clamp, v, minimum=op.minimum, maximum=op.maximum) for v in concat.inputs)
        (value,) = rewriter.emit_op(concat, operands=clamped, location=concat.location.by(rewriter.name))
        return value


def leads_to_fusable(op: Op, rewriter: Rewriter) -> bool:
    """True where, through movements and pools with one user each, an operation that takes a clamp feeds `op`."""
    while isinstance(op, Reshape | Transpose | MaxPool2d):
        inner = inner_op(op, op.x, rewriter)
        if isinstance(inner, Mismatch):
            return False
        op = inner
    return op.fusable_clamp or isinstance(op, Clamp)


@register_pass
@dataclass(frozen=True)
class FuseActivation(Pass):
    """Make ReLU, ReLU6 and Clip the `clamp` of the operation in front of them.

    Before:
        module @m stage float {
          input %x : tensor<4xf32>
          input %z : tensor<4xf32>
          %a = add(%x, %z) : tensor<4xf32>
          %y = clamp(%a) {minimum = 0.0, maximum = inf} : tensor<4xf32>
          output %y as "y"
        }

    After:
        module @m stage float {
          input %x : tensor<4xf32>
          input %z : tensor<4xf32>
          %y = add(%x, %z) {clamp = [0.0, inf]} : tensor<4xf32>
          output %y as "y"
        }
    """

    name: ClassVar[str] = "fuse-activation"
    accepts: ClassVar[frozenset[Stage]] = frozenset({Stage.FLOAT})

    def run(self, module: Module, context: PassContext) -> Module:
        """Fuse; remark on the clamps that stay alone."""
        module, report = rewrite(module, [MergeClamps(), HoistClamp(), HoistClampAboveConcat(), FuseClamp()], self.name)
        context.remark_mismatches(self.name, report)
        return module

"""Pass `fold-constants`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from qcc.ir import Mismatch, Module, Op, Pattern, Rewriter, Value, evaluate_op, rewrite
from qcc.ir.ops import Constant, Dequantize

from .base import Pass, PassContext
from .registry import register_pass


# op(constants) = the constant that the evaluator gives
class FoldConstant(Pattern):
    """An operation on constants is its result."""

    root = Op

    def __init__(self, max_bytes: int, max_macs: int) -> None:
        self.max_bytes = max_bytes
        self.max_macs = max_macs

    def apply(self, op: Op, rewriter: Rewriter) -> tuple[Value, ...] | Mismatch | None:
        """Evaluate the operation."""
        if isinstance(op, Constant) or not op.operands:
            return None
        arrays = [rewriter.constant(v) for v in op.operands]
        known = [a for a in arrays if a is not None]
        if len(known) != len(arrays):
            return None
        if isinstance(op, Dequantize):
            return Mismatch("the constant is kept as codes")
        result_bytes = sum(v.type.bytes for v in op.results)
        if result_bytes > max(self.max_bytes, sum(v.type.bytes for v in op.operands)):
            return Mismatch(f"the result would have {result_bytes} bytes, more than max_bytes={self.max_bytes}")
        macs = op.cost().macs
        if macs > self.max_macs:
            return Mismatch(f"it takes {macs} multiply-accumulates, more than max_macs={self.max_macs}")
        results = evaluate_op(op, known)
        pairs = zip(op.results, results, strict=True)
        return tuple(rewriter.constant_like(array, value, value.type) for value, array in pairs)


@register_pass
@dataclass(frozen=True)
class FoldConstants(Pass):
    """Evaluate operations whose operands are all constants.

    A dequantize of constant codes stays, so that weights given as codes stay small. An operation whose result is
    larger than its operands and than `max_bytes` stays, with a remark; so does one that takes more than `max_macs`.

    Before:
        module @m stage float {
          input %x : tensor<2xf32>
          %a = constant() {value = dense<[1.0, 2.0]>} : tensor<2xf32>
          %b = neg(%a) : tensor<2xf32>
          %y = add(%x, %b) : tensor<2xf32>
          output %y as "y"
        }

    After:
        module @m stage float {
          input %x : tensor<2xf32>
          %b = constant() {value = dense<[-1.0, -2.0]>} : tensor<2xf32>
          %y = add(%x, %b) : tensor<2xf32>
          output %y as "y"
        }

    Attributes:
        max_bytes: largest result that may be larger than the operands together.
        max_macs: multiply-accumulates that an operation may take.
    """

    name: ClassVar[str] = "fold-constants"

    max_bytes: int = 1 << 22
    max_macs: int = 1 << 24

    def run(self, module: Module, context: PassContext) -> Module:
        """Fold in sweeps; each sweep folds whole chains."""
        module, report = rewrite(module, [FoldConstant(self.max_bytes, self.max_macs)], self.name)
        context.remark_mismatches(self.name, report)
        return module

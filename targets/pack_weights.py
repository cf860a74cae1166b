"""`pack-weights`: which constants are stored in the order of the target's dot-product instruction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from qcc.ir import ANY_STAGE, I8, Module, Op, Stage, ops, replace_op
from qcc.passes import Pass, PassContext, register_pass


@register_pass
@dataclass(frozen=True)
class PackWeights(Pass):
    """Record in `constant {packing = …}` how weights are ordered in flash; their value stays logical.

    Weights of convolutions and matrix products that a dot-product instruction computes are stored as its operands:
    `vpdpbusd.16x4` means registers of 16 lanes with four weights each. Without such an instruction, and for weights
    that other operations read too, the order stays row-major. The bytes themselves are ordered where code is generated.

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
          %w = constant() {value = dense<[[1, 2], [3, 4], [5, 6], [7, 8]]>, packing = "vpdpbusd.16x4"} : tensor<4x2xi8>
          %y = matmul(%x, %w) : tensor<1x2xi32>
          output %y as "y"
        }
    """

    name: ClassVar[str] = "pack-weights"
    accepts: ClassVar[frozenset[Stage]] = ANY_STAGE

    def run(self, module: Module, context: PassContext) -> Module:
        """Return the module with packing names."""
        packing = "" if context.target is None else context.target.packing
        packed = {
            op.weight.name for op in module.ops if isinstance(op, ops.Conv2d | ops.Matmul) and _is_dot(module, op)
        }
        return module.replace(
            ops=tuple(
                replace_op(op, packing=packing if op.result.name in packed else "")
                if isinstance(op, ops.Constant)
                else op
                for op in module.ops
            )
        )


def _is_dot(module: Module, op: Op) -> bool:
    """True where `op` multiplies 8-bit activations with constant 8-bit weights that nothing else reads."""
    if not isinstance(op, ops.Conv2d | ops.Matmul) or module.constant(op.weight) is None:
        return False
    depthwise = isinstance(op, ops.Conv2d) and op.is_depthwise
    eight_bits = op.weight.type.element == I8 and op.x.type.element.storage.bits == 8
    return eight_bits and not depthwise and module.use_count(op.weight) == 1

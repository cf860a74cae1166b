"""`pack-weights`: which constants are stored in the order of a dot-product nest, and in which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from qcc.ir import ANY_STAGE, Module, Stage, ops, replace_op
from qcc.passes import Pass, PassContext, register_pass

from .kernel import alias_source, partition
from .select_nest import weight_packing


@register_pass
@dataclass(frozen=True)
class PackWeights(Pass):
    """Record in `constant {packing = …}` how weights are ordered in flash; their value stays logical.

    The name is that of the order in which the kernel's dot-product nest reads the weights, `vpdpbusd.9x2x16x4` say:
    for each group and block of vectors 9 runs (kernel taps; 1 where they are read as one, kernel rows for depthwise),
    the steps of a run, 2 vectors, 16 lanes (output channels), 4 weights; the instruction orders the last two.
    `channels` stands before the numbers of depthwise convolutions. Without a name the order is row-major; the scalar
    nests, which the target `c` has alone, may transpose that and say so in the comment of the array. The same holds for
    weights that an operation of another kind reads too, or that kernels read in different orders: each kernel then has
    a copy of its own. Code generation makes the same choice from the same kernels, so `fuse-epilogue` goes first.

    Before:
        module @m stage integer {
          input %x : tensor<1x4xi8>
          %w = constant() {value = dense<[[1], [2], [3], [4]]>} : tensor<4x1xi8>
          %y = matmul(%x, %w) : tensor<1x1xi32>
          output %y as "y"
        }

    After:
        module @m stage integer {
          input %x : tensor<1x4xi8>
          %w = constant() {value = dense<[[1], [2], [3], [4]]>, packing = "vpdpbusd.1x1x16x4"} : tensor<4x1xi8>
          %y = matmul(%x, %w) : tensor<1x1xi32>
          output %y as "y"
        }
    """

    name: ClassVar[str] = "pack-weights"
    accepts: ClassVar[frozenset[Stage]] = ANY_STAGE

    def run(self, module: Module, context: PassContext) -> Module:
        """Return the module with packing names."""
        orders = {} if context.target is None or module.stage is Stage.QUANTIZED else _orders(module, context.target)
        return module.replace(
            ops=tuple(
                replace_op(op, packing=_only(orders.get(op.result.name, set()))) if isinstance(op, ops.Constant) else op
                for op in module.ops
            )
        )


def _orders(module: Module, target: Any) -> dict[str, set[str]]:
    """Return the orders in which each value is read, by its name; the empty one stands for row-major."""
    orders: dict[str, set[str]] = {alias_source(module, output.value).name: {""} for output in module.outputs}
    for kernel in partition(module):
        anchor = kernel.anchor
        for op in kernel.ops:
            for value in op.operands:
                is_weight = op is anchor and isinstance(op, ops.Conv2d | ops.Matmul) and value == op.weight
                order = weight_packing(kernel, target) if is_weight else ""
                orders.setdefault(alias_source(module, value).name, set()).add(order)
    return orders


def _only(orders: set[str]) -> str:
    """Return the order where there is one, else the empty name."""
    return next(iter(orders)) if len(orders) == 1 else ""

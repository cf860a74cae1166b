"""Pass `canonicalize`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from qcc.ir import Module, Pattern, TensorType, Value, replace_op, rewrite
from qcc.ir.ops import Constant

from .activation_rules import ACTIVATION_RULES
from .arithmetic_rules import ARITHMETIC_RULES
from .base import Pass, PassContext
from .movement_rules import MOVEMENT_RULES
from .registry import register_pass


@register_pass
@dataclass(frozen=True)
class Canonicalize(Pass):
    """Bring equal meanings to one form: identities go, chains merge, functions written out get their names.

    In every stage: reshapes, transposes, pads and clamps that do nothing go, two in a row become one, pads become the
    padding of the convolution or pool behind them, equal constants are one. In the float stage also: constants stand
    on the right, x − c and x / c become a sum and a product, limits become clamps, and SiLU, hard swish, GELU and
    softmax written out as arithmetic become one operation.

    Before:
        module @m stage float {
          input %x : tensor<4xf32>
          %zero = constant() {value = dense<0.0>} : tensor<f32>
          %six = constant() {value = dense<6.0>} : tensor<f32>
          %a = maximum(%zero, %x) : tensor<4xf32>
          %b = minimum(%a, %six) : tensor<4xf32>
          %c = sigmoid(%b) : tensor<4xf32>
          %y = mul(%c, %b) : tensor<4xf32>
          output %y as "y"
        }

    After:
        module @m stage float {
          input %x : tensor<4xf32>
          %b = clamp(%x) {minimum = 0.0, maximum = 6.0} : tensor<4xf32>
          %y = silu(%b) : tensor<4xf32>
          output %y as "y"
        }
    """

    name: ClassVar[str] = "canonicalize"

    def run(self, module: Module, context: PassContext) -> Module:
        """Apply all rules until nothing changes, then merge equal constants."""
        rules: list[Pattern] = [r() for r in (*MOVEMENT_RULES, *ARITHMETIC_RULES, *ACTIVATION_RULES)]
        module, _ = rewrite(module, rules, self.name)
        return merge_equal_constants(module)


def merge_equal_constants(module: Module) -> Module:
    """Return the module with one constant for all of equal type, data and packing."""
    first: dict[tuple[TensorType, str, str], Value] = {}
    replaced: dict[str, Value] = {}
    ops = []
    for op in module.ops:
        if isinstance(op, Constant):
            kept = first.setdefault((op.result.type, op.value.digest, op.packing), op.result)
            if kept is not op.result and op.result.name not in module.output_names:
                replaced[op.result.name] = kept
                continue
        elif any(v.name in replaced for v in op.operands):
            op = replace_op(op, operands=tuple(replaced.get(v.name, v) for v in op.operands))
        ops.append(op)
    return module.replace(ops=tuple(ops)) if replaced else module

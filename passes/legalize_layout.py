"""Pass `legalize-layout`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from qcc.ir import REAL_STAGES, Module, Stage, rewrite
from qcc.ir.ops import Transpose

from .base import Pass, PassContext
from .layout_assignment import LayoutAssignment
from .layout_rewriting import apply_layouts
from .layout_rules import HoistAboveMerge, KeepReducedAxes, SinkBelowSplit
from .movement_rules import DropIdentity, MergeReshapes, MergeTransposes, ShuffleToGather, TransposeToReshape
from .registry import register_pass

#: A round may make the next one find more; nets of interest need one or two.
ROUNDS = 4


@register_pass
@dataclass(frozen=True)
class LegalizeLayout(Pass):
    """Cancel transposes: between convolutions everything becomes N×H×W×C.

    Operations without a layout of their own (arithmetic, functions, concat, pad, slice, softmax, reductions, …) work
    in the layout that makes the transposes around them cheapest; a flatten in front of a matmul leaves the order to
    the weights. What stays is reported in remarks.

    Before:
        module @m stage float {
          input %x : tensor<1x2x2x3xf32>
          %a = max_pool2d(%x) {kernel = [2, 2]} : tensor<1x1x1x3xf32>
          %b = avg_pool2d(%x) {padding = [0, 1, 0, 1], kernel = [2, 2]} : tensor<1x2x2x3xf32>
          %n = transpose(%b) {permutation = [0, 3, 1, 2]} : tensor<1x3x2x2xf32>
          %s = softmax(%n) {axis = 1} : tensor<1x3x2x2xf32>
          %t = transpose(%s) {permutation = [0, 2, 3, 1]} : tensor<1x2x2x3xf32>
          %y = add(%t, %a) : tensor<1x2x2x3xf32>
          output %y as "y"
        }

    After:
        module @m stage float {
          input %x : tensor<1x2x2x3xf32>
          %a = max_pool2d(%x) {kernel = [2, 2]} : tensor<1x1x1x3xf32>
          %b = avg_pool2d(%x) {padding = [0, 1, 0, 1], kernel = [2, 2]} : tensor<1x2x2x3xf32>
          %s = softmax(%b) {axis = 3} : tensor<1x2x2x3xf32>
          %y = add(%s, %a) : tensor<1x2x2x3xf32>
          output %y as "y"
        }
    """

    name: ClassVar[str] = "legalize-layout"
    accepts: ClassVar[frozenset[Stage]] = REAL_STAGES

    def run(self, module: Module, context: PassContext) -> Module:
        """Prepare, choose layouts and rewrite, as long as fewer bytes are transposed."""
        if not any(isinstance(op, Transpose) for op in module.ops):
            return module
        module = self._merge(module)
        for _ in range(ROUNDS):
            prepared, _ = rewrite(module, [ShuffleToGather(), *self._merging()], self.name)
            prepared, _ = rewrite(prepared, [*self._merging(), *self._gathering()], self.name)
            changed = self._merge(apply_layouts(prepared, LayoutAssignment(prepared), self.name))
            if transposed_bytes(changed) >= transposed_bytes(module):
                break
            module = changed
        self._report(module, context)
        return module

    def _merging(self) -> list[DropIdentity | MergeTransposes | TransposeToReshape | MergeReshapes]:
        return [DropIdentity(), MergeTransposes(), TransposeToReshape(), MergeReshapes()]

    def _gathering(self) -> list[ShuffleToGather | KeepReducedAxes | SinkBelowSplit | HoistAboveMerge]:
        return [ShuffleToGather(), KeepReducedAxes(), SinkBelowSplit(), HoistAboveMerge()]

    def _merge(self, module: Module) -> Module:
        return rewrite(module, self._merging(), self.name)[0]

    def _report(self, module: Module, context: PassContext) -> None:
        """Remark on each transpose that is not at an input or output of the module."""
        for op in module.ops:
            if not isinstance(op, Transpose) or at_interface(module, op):
                continue
            users = ", ".join(sorted({user.name for user in module.users.get(op.result.name, ())}))
            before = module.definition(op.x)
            between = f"between {before.name if before else 'an input'} and {users}"
            context.remark(self.name, op.result.name, f"a transpose of {op.result.type.bytes} bytes stays {between}")


def transposed_bytes(module: Module) -> int:
    """Return how many bytes the transposes of a module move, those at its interface counted half."""
    moved = ((op, op.result.type.bytes) for op in module.ops if isinstance(op, Transpose))
    return sum(size // 2 if at_interface(module, op) else size for op, size in moved)


def at_interface(module: Module, op: Transpose) -> bool:
    """True where a transpose reads an input of the module, or only an output of the module reads it."""
    only_returned = op.result.name in module.output_names and op.result.name not in module.users
    return module.definition(op.x) is None or only_returned

"""Pass `keep-float`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from qcc.ir import Module, Op, PassError, Stage, nearest, registered_ops
from qcc.ir.ops import Constant

from .base import Pass, PassContext
from .operands import KEEP_FLOAT
from .registry import register_pass


@register_pass
@dataclass(frozen=True)
class KeepFloat(Pass):
    """Mark operations that stay in floating point, by operation name or by a regular expression on their names.

    `keep-float{ops=[softmax,exp]}` marks operations of these kinds, `keep-float{pattern="head/.*"}` those whose result
    or model node has a name that the whole expression matches. Both take one or several.

    Before:
        module @m stage float {
          input %x : tensor<4xf32>
          %y = softmax(%x) : tensor<4xf32>
          output %y as "y"
        }

    After:
        module @m stage float {
          input %x : tensor<4xf32>
          %y = softmax(%x) : tensor<4xf32> note {"keep-float" = "asked for by ops=softmax"}
          output %y as "y"
        }

    Attributes:
        ops: names of operations.
        pattern: regular expressions (Python's), matched against whole value and node names.
    """

    name: ClassVar[str] = "keep-float"
    accepts: ClassVar[frozenset[Stage]] = frozenset({Stage.FLOAT})

    ops: tuple[str, ...] = ()
    pattern: tuple[str, ...] = ()

    def run(self, module: Module, context: PassContext) -> Module:
        """Set the note; a PassError says which argument matches nothing."""
        marked: dict[str, str] = {}
        for kind in self.ops:
            found = [op for op in module.ops if op.name == kind]
            if not found:
                raise self._no_such_operation(kind, module)
            marked.update((name_of(op), f"asked for by ops={kind}") for op in found)
        for pattern in self.pattern:
            marked.update((name_of(op), f"asked for by pattern={pattern}") for op in self._matching(pattern, module))
        ops = tuple(op.with_note(KEEP_FLOAT, marked[name_of(op)]) if name_of(op) in marked else op for op in module.ops)
        return module.replace(ops=ops)

    def _no_such_operation(self, kind: str, module: Module) -> PassError:
        if kind not in registered_ops():
            return PassError(
                f"there is no operation {kind!r} to keep in float", help=nearest(kind, [*registered_ops()])
            )
        present = sorted({op.name for op in module.ops if not isinstance(op, Constant)})
        return PassError(f"the model has no operation {kind!r} to keep in float", help="it has: " + ", ".join(present))

    def _matching(self, pattern: str, module: Module) -> list[Op]:
        try:
            expression = re.compile(pattern)
        except re.error as error:
            message = f"{pattern!r} is not a regular expression: {error}"
            raise PassError(message, help=f"for the literal text write {re.escape(pattern)}") from error
        candidates = [op for op in module.ops if not isinstance(op, Constant)]
        found = [op for op in candidates if any(expression.fullmatch(name) for name in names_of(op))]
        if not found:
            names = [name for op in candidates for name in names_of(op)]
            message = f"no value or node has a name that {pattern!r} matches as a whole"
            raise PassError(message, help=nearest(pattern, names) if names else "the model has no operations")
        return found


def name_of(op: Op) -> str:
    """Return the name of the first result, which is unique in the module."""
    return op.results[0].name if op.results else ""


def names_of(op: Op) -> list[str]:
    """Return the names by which the user may know an operation: those of its results, and of the model's node."""
    return [*(v.name for v in op.results), *([op.location.node] if op.location.node else [])]

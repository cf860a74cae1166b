"""Pass `eliminate-dead-code`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from qcc.ir import Module, drop_dead

from .base import Pass, PassContext
from .registry import register_pass


@register_pass
@dataclass(frozen=True)
class EliminateDeadCode(Pass):
    """Remove operations whose results nothing reads.

    Before:
        module @m stage float {
          input %x : tensor<2xf32>
          %unused = exp(%x) : tensor<2xf32>
          %y = neg(%x) : tensor<2xf32>
          output %y as "y"
        }

    After:
        module @m stage float {
          input %x : tensor<2xf32>
          %y = neg(%x) : tensor<2xf32>
          output %y as "y"
        }
    """

    name: ClassVar[str] = "eliminate-dead-code"

    def run(self, module: Module, context: PassContext) -> Module:
        """Return the module without dead operations."""
        return drop_dead(module)

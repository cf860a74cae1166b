"""The pass `insert-rescale`: chooses the integer arithmetic that realizes quantized operations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from qcc.ir import Module, Stage, drop_dead

from .base import Pass, PassContext
from .profiles import check_floats, profile_named
from .realization import Realizer
from .registry import register_pass

#: The module attribute that names the profile whose bits a model's users validated, or that was applied.
ARITHMETIC = "arithmetic"


@register_pass
@dataclass(frozen=True)
class InsertRescale(Pass):
    """Turn operations on quantized values into integer operations with explicit rescales and tables.

    Before:
        module @m stage quantized {
          input %x : tensor<1x2x!quant.uniform<i8:f32, 0.01:-3>>
          %w = constant() {value = dense<[[127, -50], [-50, 127]]>}
            : tensor<2x2x!quant.uniform<i8<-127:127>:f32:1, {0.001, 0.02}>>
          %b = constant() {value = dense<[0.5, -0.25]>} : tensor<2xf32>
          %y = matmul(%x, %w, %b) : tensor<1x2x!quant.uniform<i8:f32, 0.02>>
          output %y as "y"
        }

    After:
        module @m stage integer {
          input %x : tensor<1x2x!quant.uniform<i8:f32, 0.01:-3>>
          %x_codes = storage_cast(%x) : tensor<1x2xi8>
          %w = constant() {value = dense<[[127, -50], [-50, 127]]>} : tensor<2x2xi8>
          %b_1 = constant() {value = dense<[50000, -1250]>} : tensor<2xi32>
          %y_accumulator = matmul(%x_codes, %w, %b_1) {input_zero_point = -3} : tensor<1x2xi32>
          %y_multiplier = constant() {value = dense<[1099511680, 1374389504]>} : tensor<2xi32>
          %y_shift = constant() {value = dense<[41, 37]>} : tensor<2xi8>
          %y = rescale(%y_accumulator, %y_multiplier, %y_shift) {to = i8, minimum = -128, maximum = 127}
            : tensor<1x2xi8>
          %y_quantized = storage_cast(%y) {to = !quant.uniform<i8:f32, 0.02>}
            : tensor<1x2x!quant.uniform<i8:f32, 0.02>>
          output %y_quantized as "y"
        }

    Options:
        profile: the arithmetic profile; None takes the module's attribute `arithmetic`, else the target's default.
    """

    name: ClassVar[str] = "insert-rescale"
    accepts: ClassVar[frozenset[Stage]] = frozenset({Stage.QUANTIZED})
    produces: ClassVar[Stage] = Stage.INTEGER
    profile: str | None = None

    def run(self, module: Module, context: PassContext) -> Module:
        """Return the integer module."""
        default = context.hardware.profile
        name = self.profile or module.attribute(ARITHMETIC, default)
        profile = profile_named(name)
        check_floats(profile, context.hardware, context.target)
        integer = drop_dead(Realizer(module, context.hardware, self.name, profile.name).run())
        unsaid = profile.name == default and not module.attribute(ARITHMETIC)
        return integer if unsaid else integer.with_attribute(ARITHMETIC, profile.name)

"""What a target's integer unit wants of a quantized model. Targets fill it in, passes consult it."""

from __future__ import annotations

from dataclasses import dataclass

from qcc.ir import F32, F64, I8, I32, ScalarType


@dataclass(frozen=True)
class HardwareSpec:
    """The hardware specification; the defaults are those of the recipe `int8`.

    Attributes:
        activation_type: storage of activations.
        weight_type: storage of weights.
        accumulator: type of sums of products, and of biases.
        symmetric_activations: zero points of activations must be 0.
        symmetric_weights: zero points of weights must be 0.
        per_channel_weights: weights may have one scale an output channel.
        narrow_range_weights: the lowest code of weights is not used (−127 … 127).
        power_of_two_scales: every scale must be a power of two.
        multiplier_bits: magnitude bits of a rescale multiplier (31: a positive i32).
        rounding: of the rescale unit, a name of `qcc.ir.ROUNDINGS`.
        profile: arithmetic profile by which real operations become integer ones.
        programmable: a processor that runs any integer program: what is above are then wishes for how qcc quantizes,
            and models that others quantized may differ. False: an integer unit that can do nothing else.
        ieee_floats: types in which it computes as IEEE 754 says, in hardware or by its compiler's library.
    """

    activation_type: ScalarType = I8
    weight_type: ScalarType = I8
    accumulator: ScalarType = I32
    symmetric_activations: bool = False
    symmetric_weights: bool = True
    per_channel_weights: bool = True
    narrow_range_weights: bool = True
    power_of_two_scales: bool = False
    multiplier_bits: int = 31
    rounding: str = "half_up"
    profile: str = "single"
    programmable: bool = True
    ieee_floats: tuple[ScalarType, ...] = (F32, F64)

"""Generated small networks: the integer form of each operation is within one code of its quantized form."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qcc.ir import Array, Builder, Module, Value, ops, parse_module, print_module
from tests.passes.quantization import f32, quantized, random_samples, run, steps_by_value

CHOICES = (
    "conv", "depthwise", "transposed", "add", "sub", "mul", "scale", "offset", "sigmoid", "gelu", "clamp", "prelu",
    "max_pool", "avg_pool", "concat", "pad", "resize", "maximum", "softmax", "division",
)  # fmt: skip


class Grower:
    """Grows a network of 1×H×W×4 tensors, one choice at a time, on values that it has."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.builder = Builder("net")
        self.values = [self.builder.input("x", f32(1, 6, 6, 4))]

    def constant(self, *shape: int) -> Value:
        scale = 10 ** self.rng.uniform(-1, 0.5)
        return self.builder.constant(np.asarray(self.rng.normal(size=shape) * scale, np.float32), "k")

    def pick(self) -> Value:
        return self.values[int(self.rng.integers(len(self.values)))]

    def partner(self, x: Value) -> Value:
        """Return a value of the shape of x."""
        alike = [v for v in self.values if v.type.shape == x.type.shape]
        return alike[int(self.rng.integers(len(alike)))]

    def grow(self, choice: str) -> None:
        """Append one operation."""
        x, emit = self.pick(), self.builder.emit
        around = (1, 1, 1, 1)
        match choice:
            case "conv":
                y = emit(ops.Conv2d, x, self.constant(4, 3, 3, 4), self.constant(4), padding=around, clamp=(-4.0, 5.0))
            case "depthwise":
                y = emit(ops.Conv2d, x, self.constant(4, 3, 3, 1), padding=around, groups=4)
            case "transposed":
                y = emit(ops.ConvTranspose2d, x, self.constant(4, 2, 2, 4), self.constant(4), strides=(2, 2))
            case "add" | "sub" | "mul" | "maximum":
                classes = {"add": ops.Add, "sub": ops.Sub, "mul": ops.Mul, "maximum": ops.Maximum}
                y = emit(classes[choice], x, self.partner(x))
            case "division":
                y = emit(ops.Div, self.partner(x), emit(ops.Exp, emit(ops.Tanh, x)))
            case "scale":
                y = emit(ops.Mul, x, self.constant(4))
            case "offset":
                y = emit(ops.Sub, self.constant(1, 1, 4), x)
            case "sigmoid" | "gelu" | "softmax":
                y = emit({"sigmoid": ops.Sigmoid, "gelu": ops.Gelu, "softmax": ops.Softmax}[choice], x)
            case "clamp":
                y = emit(ops.Clamp, x, minimum=0.0, maximum=float("inf"))
            case "prelu":
                y = emit(ops.Prelu, x, self.constant(4))
            case "max_pool":
                y = emit(ops.MaxPool2d, x, kernel=(2, 2), padding=around)
            case "avg_pool":
                y = emit(ops.AvgPool2d, x, kernel=(3, 3), padding=around)
            case "concat":
                y = emit(ops.Concat, x, self.partner(x), axis=1)
            case "pad":
                y = emit(ops.Pad, x, low=(0, 1, 0, 0), high=(0, 0, 1, 0), value=0.5)
            case _:
                shape = (1, x.type.shape[1] + 2, x.type.shape[2], 4)
                y = emit(ops.Resize, x, shape=shape, scales=(1.0, shape[1] / x.type.shape[1], 1.0, 1.0), mode="linear")
        self.values.append(y)

    def finish(self) -> Module:
        """Return the module; what nothing reads is returned."""
        read = {v.name for op in self.builder.ops for v in op.operands}
        for index, value in enumerate(v for v in self.values if v.name not in read):
            self.builder.output(f"y{index}", value)
        return self.builder.build()


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(CHOICES), min_size=1, max_size=9), st.integers(0, 2**32 - 1))
def test_each_operation_is_within_a_code_of_its_real_meaning(choices: list[str], seed: int) -> None:
    grower = Grower(np.random.default_rng(seed))
    for choice in choices:
        grower.grow(choice)
    module = grower.finish()
    samples = random_samples(module, 3, seed)
    quantized_module = quantized(module, samples)
    integer = run(quantized_module, "insert-rescale")
    proven = run(integer, "prove-accumulators")
    assert parse_module(print_module(proven)) == proven
    differences: list[Array] = []
    for sample in samples:
        steps = steps_by_value(quantized_module, integer, sample)
        differences += [s.reshape(-1) for s in steps.values()]
    everything = np.concatenate(differences)
    assert everything.max() <= 1
    assert np.mean(everything != 0) < 0.05  # ties, and numbers next to them

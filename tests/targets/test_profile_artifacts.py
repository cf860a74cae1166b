"""The arithmetic of other profiles in artifacts: one network with every rounding, here and on foreign chips."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qcc.ir import I8, I32, I64, Builder, Module, Stage, TensorType, UniformType, evaluate, ops
from qcc.targets import Target
from qcc.targets.c_source import EXACT_FLOATS
from qcc.targets.dot_product_kernels import dot_product_kernel
from qcc.targets.kernel import partition
from tests.targets.compiled import assert_same_bits, extreme_inputs, planned
from tests.targets.integer_modules import random_inputs
from tests.targets.test_foreign_code import TARGETS, model_of, require_tools

FEW = ("aarch64-linux-gnu+dotprod", "thumbv8.1m.main-none-eabi+mve@cortex-m55")
MOST = [pytest.param(t, marks=[] if t in FEW else pytest.mark.slow) for t in TARGETS]
FORMS = ("double", "double_up", "float", "wide")


def profiles_net() -> Module:
    """3×3, depthwise and pointwise convolutions, each rescaled in every way; factors of 2^−n meet many ties."""
    random = np.random.default_rng(5)
    b = Builder("profiles_net", Stage.INTEGER)
    type = UniformType(I8, (0.5,), (-3,))
    image = b.input("image", TensorType((1, 6, 5, 9), type))
    x = b.emit(ops.StorageCast, image)
    for outputs, k, groups in ((9, 3, 1), (9, 3, 9), (13, 1, 1)):
        for form in FORMS:
            depth = 9 // groups
            weights = b.constant(random.integers(-127, 128, (outputs, k, k, depth)).astype(np.int8))
            bias = random.integers(-500, 500, outputs)
            sums = I64 if form == "wide" else I32
            operands = x, weights, b.constant(bias.astype(sums.dtype))
            y = b.emit(
                ops.Conv2d,
                *operands,
                padding=(k // 2,) * 4,
                groups=groups,
                input_zero_point=-3,
                accumulator=sums,
            )
            exponents = random.integers(7, 11, outputs)
            if form == "float":
                factor = b.constant(np.ldexp(1.0, -exponents).astype(np.float32))
                y = b.emit(ops.RescaleFloat, y, factor, to=I8, minimum=-128, maximum=100, output_zero_point=3)
            else:
                m = np.where(np.arange(outputs) % 2, 2**30, 1518500250) >> (16 if form == "wide" else 0)
                shift = exponents + (14 if form == "wide" else 30)
                constants = b.constant(m.astype(np.int32)), b.constant(shift.astype(np.int8))
                rounding = "half_up" if form == "wide" else form
                ends: dict[str, Any] = {"to": I8, "minimum": -128, "maximum": 100, "output_zero_point": 3}
                y = b.emit(ops.Rescale, y, *constants, rounding=rounding, **ends)
            b.output(f"{form}_{outputs}_{k}_{groups}", b.emit(ops.StorageCast, y, to=UniformType(I8, (0.5,), (3,))))
    return b.build()


@pytest.mark.parametrize("target", MOST)
def test_every_bit_is_the_evaluators(target: str, tmp_path: Path, tool: Callable[[str], str]) -> None:
    require_tools(target, tool)
    module = profiles_net()
    model = model_of(profiles_net, target, tmp_path / module.name)
    samples = [random_inputs(module, 0), *extreme_inputs(module)]
    for inputs, found in zip(samples, model.run_many(samples), strict=True):
        for name, array in evaluate(module, inputs).items():
            np.testing.assert_array_equal(found[name], array, err_msg=f"{target} {name}")


@pytest.mark.parametrize("target", ["c", "x86_64-linux-gnu"])
def test_every_bit_on_this_machine(target: str, tmp_path: Path) -> None:
    assert_same_bits(profiles_net(), target, tmp_path)
    source = tmp_path / "profiles_net.c"
    assert not source.exists() or EXACT_FLOATS in source.read_text()


@pytest.mark.parametrize("target", MOST)
def test_the_nests_take_the_roundings_of_the_table(target: str) -> None:
    parsed = Target.parse(target)
    level = parsed.instructions
    for kernel in partition(planned(profiles_net(), parsed)):
        rescale = kernel.ops[1]
        form = rescale.rounding if isinstance(rescale, ops.Rescale) else "float"
        wide = kernel.ops[0].results[0].type.element.storage == I64
        taken = level is not None and dot_product_kernel(kernel, level) is not None
        assert taken is (level is not None and not wide and form in level.dot.roundings)

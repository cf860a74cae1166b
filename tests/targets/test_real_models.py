"""Real models, quantized: an arena as small as it can be, and kernels that write codes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from qcc.frontends import load
from qcc.ir import Array, Module
from qcc.passes import Part, PassContext, PassManager, default_pipeline
from qcc.targets import FuseEpilogue, PlanMemory, Target, arena_bytes, partition

#: Model files, and the bytes of tensors that must be alive together in their int8 form.
MODELS = {
    "resnet8_cifar10": 3 * 32 * 32 * 16,
    "mobilenet_v1_025_vww": 48 * 48 * 16 + 48 * 48 * 8,
    "mobilenet_v2_float": 112 * 112 * 96 + 56 * 56 * 96,
}


@cache
def quantized(path: Path) -> Module:
    """Return the integer module of a model file, calibrated on seeded noise."""
    module = load(path)

    def samples() -> Iterator[Mapping[str, Array]]:
        random = np.random.default_rng(0)
        for _ in range(2):
            yield {v.name: random.normal(0, 1, v.type.shape).astype(np.float32) for v in module.inputs}

    context = PassContext(calibration=samples)
    return PassManager(default_pipeline((Part.FLOAT, Part.QUANTIZE))).run(module, context)


@pytest.mark.parametrize("name", MODELS)
def test_the_arena_holds_what_must_be_alive_together_and_no_more(name: str, shared_models: Path) -> None:
    context = PassContext(target=Target.parse("c"))
    module = FuseEpilogue().run(quantized(shared_models / f"{name}.onnx"), context)
    planned = PlanMemory().run(module, context)
    assert planned.attribute("arena.lower-bound") == str(MODELS[name])
    assert arena_bytes(planned) <= 1.3 * MODELS[name]


def test_each_kernel_of_mobilenet_v2_has_one_anchor_and_writes_eight_bits(shared_models: Path) -> None:
    context = PassContext()
    module = FuseEpilogue().run(quantized(shared_models / "mobilenet_v2_float.onnx"), context)
    kernels = partition(module)
    assert len(kernels) == 55
    assert all(value.type.element.storage.bits == 8 for kernel in kernels for value in kernel.outputs)

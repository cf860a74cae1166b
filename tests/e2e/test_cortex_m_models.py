"""Real models on Cortex-M: memory, and a model that another tool quantized."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import qcc
from qcc.samples import example_samples
from qcc.verification import verify
from tests.e2e.test_real_models import compiled

M4, M55 = "thumbv7em-none-eabi@cortex-m4", "thumbv8.1m.main-none-eabi+mve@cortex-m55"


@pytest.mark.slow
@pytest.mark.parametrize("target", [M4, M55])
def test_visual_wake_words_of_a_tflite_file(target: str, shared_models: Path, tool: Callable[[str], str]) -> None:
    for name in ("arm-none-eabi-gcc", "qemu-system-arm"):
        tool(name)
    artifact = qcc.compile(shared_models / "mobilenet_v1_025_vww_int8.tflite", target=target)
    assert artifact.manifest["arena_bytes"] <= 60_000
    assert not artifact.manifest["has_float"]
    report = verify(artifact.module, artifact.run_many, example_samples(artifact.module.inputs, seed=1))
    assert report.passed, str(report.difference)
    assert report.approximate == ()


@pytest.mark.slow
def test_visual_wake_words_of_an_onnx_file_fit_60_kilobytes(shared_models: Path, shared_data: Path) -> None:
    artifact = compiled(shared_models, shared_data, "mobilenet_v1_025_vww", M4, 2)
    assert artifact.manifest["arena_bytes"] <= 60_000
    assert not artifact.manifest["has_float"]

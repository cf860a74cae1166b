"""C source with ACLE intrinsics for Cortex-M: built by arm-none-eabi-gcc, run under QEMU, the evaluator's bits."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from qcc.artifact import Artifact
from qcc.cli import main
from qcc.instruction_costs import instruction_costs
from qcc.ir import Module, TargetError, evaluate, load_module, print_module
from qcc.targets import Target, with_emission
from qcc.targets.emulation.emulated_model import EmulatedModel
from qcc.targets.runtime import load_model
from tests.targets.compiled import compiled, extreme_inputs
from tests.targets.integer_modules import random_inputs, residual_net
from tests.targets.single_layers import convolution_layer, depthwise, pointwise

Tool = Callable[[str], str]
M4 = "thumbv7em-none-eabi+acle@cortex-m4"
M55 = "thumbv8.1m.main-none-eabi+mve+acle@cortex-m55"


def padded() -> Module:
    """A convolution with padding, whose rows are gathered."""
    return convolution_layer("padded", (1, 9, 7, 17), (10, 3, 3, 17), padding=(1, 1, 1, 1), strides=(2, 1))


CASES = [(M4, padded)]
SLOW = [(t, b) for t in (M4, M55) for b in (residual_net, padded, pointwise, depthwise) if (t, b) not in CASES]


@pytest.mark.parametrize(("target", "build"), [*CASES, *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW)])
def test_the_source_is_clean_and_computes_the_evaluators_bits(
    target: str, build: Callable[[], Module], tmp_path: Path, tool: Tool
) -> None:
    tool("qemu-system-arm")
    module = build()
    compiled(module, target).save(tmp_path / "a")
    source = (tmp_path / "a" / f"{module.name}.c").read_text()
    uses_products = build is not depthwise
    assert ("__smlad(" in source) == ("__sxtb16(" in source) == ("<arm_acle.h>" in source) == uses_products
    flags = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-O2", "-c", "-o", str(tmp_path / "a.o")]
    cpu = Target.parse(target).cpu
    command = [tool("arm-none-eabi-gcc"), f"-mcpu={cpu}", "-mthumb", *flags, f"{module.name}.c"]
    subprocess.run(command, cwd=tmp_path / "a", check=True)
    model = load_model(tmp_path / "a")
    assert isinstance(model, EmulatedModel)
    samples = [random_inputs(module, 0), *extreme_inputs(module)]
    for inputs, found in zip(samples, model.run_many(samples), strict=True):
        for name, array in evaluate(module, inputs).items():
            np.testing.assert_array_equal(found[name], array, err_msg=name)


@pytest.mark.slow
def test_a_compiler_needs_fewer_instructions_for_it_than_for_plain_c(tmp_path: Path, tool: Tool) -> None:
    tool("qemu-system-arm")
    tool("arm-none-eabi-gcc")
    module = pointwise()
    compiled(module, M4).save(tmp_path / "a")
    model = load_model(tmp_path / "a")
    assert isinstance(model, EmulatedModel)
    assert model.count(random_inputs(module, 0)).total < 1.9 * 12 * 12 * 64 * 64


def test_each_kernel_of_the_source_is_counted(tmp_path: Path, tool: Tool) -> None:
    tool("qemu-system-arm")
    tool("arm-none-eabi-gcc")
    module = residual_net()  # some kernels are called once and small: compilers would put them into NAME_run
    compiled(module, M4).save(tmp_path / "a")
    artifact = Artifact.load(tmp_path / "a")
    costs = instruction_costs(artifact)
    assert len(costs.kernels) == artifact.manifest["kernels"]
    between = costs.total.instructions - sum(kernel.instructions for kernel in costs.kernels)
    assert 0 < between < 100  # the checks of NAME_run


def test_emit_names_the_form_of_the_code() -> None:
    assert with_emission("thumbv7em-none-eabi@cortex-m7", "c") == "thumbv7em-none-eabi+acle@cortex-m7"
    assert Target.parse(with_emission("thumbv8.1m.main-none-eabi", "c")).emits_c
    assert with_emission("c", "c") == "c"
    assert with_emission("x86_64-linux-gnu", "library") == "x86_64-linux-gnu"
    with pytest.raises(
        TargetError, match=r"there is no C source for x86_64-linux-gnu\+avx2, only machine code"
    ) as caught:
        with_emission("x86_64-linux-gnu+avx2", "c")
    assert "--target c" in caught.value.help
    with pytest.raises(TargetError, match="c is C source"):
        with_emission("c", "library")


def test_emit_c_on_the_command_line(tmp_path: Path, tool: Tool, capsys: pytest.CaptureFixture[str]) -> None:
    tool("arm-none-eabi-gcc")
    (tmp_path / "m.qir").write_text(print_module(padded()))
    command = ["compile", str(tmp_path / "m.qir"), "-o", str(tmp_path / "a"), "--emit", "c", "--target"]
    assert main([*command, "thumbv7em-none-eabi", "-mcpu=cortex-m4"]) == 0
    assert {p.name for p in (tmp_path / "a").iterdir()} >= {"padded.c", "padded.h", "CMakeLists.txt", "padded.mk"}
    assert load_module(tmp_path / "a" / "padded.qir").name == "padded"
    assert main([*command, "x86_64-linux-gnu"]) == 2
    assert "there is no C source for x86_64-linux-gnu" in capsys.readouterr().err

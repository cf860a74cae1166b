"""C source with ACLE and Helium intrinsics for Cortex-M: built by arm-none-eabi-gcc and clang, run under QEMU."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import qcc
from qcc.artifact import Artifact
from qcc.cli import main
from qcc.instruction_costs import instruction_costs
from qcc.ir import F32, Builder, Module, Stage, TargetError, TensorType, evaluate, load_module, ops, print_module
from qcc.targets import Target, tir, with_emission
from qcc.targets.emulation.emulated_model import EmulatedModel
from qcc.targets.lowering import build_c_source
from qcc.targets.runtime import load_model
from tests.targets.compiled import compiled, compiled_once, extreme_inputs
from tests.targets.integer_modules import random_inputs, residual_net
from tests.targets.single_layers import convolution_layer, depthwise, pointwise, products

INTRINSICS = ("__smlad", "__sxtb16", "vmladavaq_s8", "vmulhq_s32", "vrshlq_s32", "vstrbq_s32")
Tool = Callable[[str], str]
NEWLIB = ("-isystem", "/usr/lib/arm-none-eabi/include")
M4 = "thumbv7em-none-eabi+acle@cortex-m4"
M55 = "thumbv8.1m.main-none-eabi+mve+acle@cortex-m55"
CLANG = {
    M4: ("--target=thumbv7em-none-eabi", "-mcpu=cortex-m4", "-mfloat-abi=soft", *NEWLIB),
    M55: ("--target=thumbv8.1m.main-none-eabi", "-mcpu=cortex-m55", "-mfloat-abi=softfp", *NEWLIB),
}
"""Flags of a second compiler, of whose kind Arm's own is."""


def padded() -> Module:
    """A convolution with padding, whose rows are gathered."""
    return convolution_layer("padded", (1, 9, 7, 17), (10, 3, 3, 17), padding=(1, 1, 1, 1), strides=(2, 1))


def grouped() -> Module:
    """A depthwise convolution with two outputs for each channel, in an odd number."""
    return convolution_layer("grouped", (1, 6, 5, 7), (14, 3, 3, 1), groups=7, padding=(1, 1, 1, 1), strides=(1, 2))


CASES = [(M4, padded), (M55, padded)]
BUILDS = (residual_net, padded, pointwise, depthwise, grouped)
SLOW = [(t, b) for t in (M4, M55) for b in BUILDS if (t, b) not in CASES]


@pytest.mark.parametrize(("target", "build"), [*CASES, *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW)])
def test_the_source_is_clean_and_computes_the_evaluators_bits(
    target: str, build: Callable[[], Module], tmp_path: Path, tool: Tool
) -> None:
    tool("qemu-system-arm")
    module = build()
    compiled(module, target).save(tmp_path / "a")
    source = (tmp_path / "a" / f"{module.name}.c").read_text()
    uses_products = build not in (depthwise, grouped)
    used = {name for name in INTRINSICS if re.search(rf"\b{name}\(", source)}
    if target == M4:
        assert ("__smlad" in used) == ("__sxtb16" in used) == uses_products
        assert "arm_mve.h" not in source
    else:
        assert ("vmladavaq_s8" in used) == uses_products
        assert {"vmulhq_s32", "vrshlq_s32", "vstrbq_s32"} <= used
        assert "arm_acle.h" not in source
    for line in source.splitlines():  # no operator has a vector beside it: compilers differ in that
        assert not re.search(r"[-+*&|^<>] ?v\w+q_|v\w+q_\w+\([^()]*\) ?[-+*&|^<>]", line), line
    check_compilers(source, target, tmp_path / "a" / f"{module.name}.c", tool)
    model = load_model(tmp_path / "a")
    assert isinstance(model, EmulatedModel)
    samples = [random_inputs(module, 0), *extreme_inputs(module)]
    for inputs, found in zip(samples, model.run_many(samples), strict=True):
        for name, array in evaluate(module, inputs).items():
            np.testing.assert_array_equal(found[name], array, err_msg=name)


def wave() -> Module:
    """A sigmoid in binary32."""
    b = Builder("wave", Stage.INTEGER)
    b.output("y", b.emit(ops.Sigmoid, b.input("x", TensorType((1, 64), F32))))
    return b.build()


FLAGS = {
    M4: ("-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"),
    M55: ("-mcpu=cortex-m55", "-mfloat-abi=hard"),
}
"""Flags of a firmware that has floating point, with GCC's own dialect of C."""
PLACES = {M4: (residual_net, wave), M55: (residual_net, depthwise, wave)}


@pytest.mark.parametrize("level", ["-O1", *(pytest.param(f"-O{n}", marks=pytest.mark.slow) for n in (2, 3, "s"))])
@pytest.mark.parametrize("target", [M4, M55])
def test_the_checks_come_before_the_vector_unit_is_used(target: str, level: str, tmp_path: Path, tool: Tool) -> None:
    for build in PLACES[target]:
        module = build()
        compiled_once(build, target).save(tmp_path / module.name)
        source = tmp_path / module.name / f"{module.name}.c"
        command = [tool("arm-none-eabi-gcc"), *FLAGS[target], "-mthumb", level, "-c", str(source), "-o", "model.o"]
        subprocess.run(command, cwd=tmp_path, check=True)
        dump = [tool("arm-none-eabi-objdump"), "-d", "model.o"]
        listing = subprocess.run(dump, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        blocks = dict(re.findall(r"^[0-9a-f]+ <(\S+)>:\n((?:.+\n)+)", listing, re.MULTILINE))
        kernels = {f for f in blocks if f.startswith((f"{module.name}_k_", f"{module.name}_kernels", "qcc_"))}
        checks = set(blocks) - kernels
        assert {f"{module.name}_run", f"{module.name}_check_cpu"} <= checks
        assert any(re.search(r"\tv\w", blocks[f]) for f in kernels) or (target, build) == (M4, residual_net)
        for function in checks:
            assert not re.search(r"\tv\w", blocks[function]), f"{function} at {level}:\n{blocks[function]}"


def test_flags_without_what_the_source_needs_are_one_error(tmp_path: Path, tool: Tool) -> None:
    for target, cpu, message in ((M4, "cortex-m3", "no DSP extension"), (M55, "cortex-m4", "no Helium")):
        compiled_once(residual_net, target).save(tmp_path / cpu)
        command = [tool("arm-none-eabi-gcc"), f"-mcpu={cpu}", "-mthumb", "-c", "residual_net.c", "-o", "x.o"]
        done = subprocess.run(command, cwd=tmp_path / cpu, capture_output=True, text=True, check=False)
        assert done.returncode
        assert message in done.stderr.splitlines()[0] + done.stderr.splitlines()[1]


@pytest.mark.slow
@pytest.mark.parametrize("target", [M4, M55])
def test_the_same_module_gives_the_same_source(target: str) -> None:
    first, second = (compiled(residual_net(), target).files["residual_net.c"] for _ in range(2))
    assert first == second


@pytest.mark.slow
def test_helium_in_c_is_near_the_machine_code(shared_models: Path, tool: Tool) -> None:
    tool("qemu-system-arm")
    model = shared_models / "mobilenet_v1_025_vww_int8.tflite"
    in_c, machine_code = (
        instruction_costs(qcc.compile(model, target=target)).total.instructions
        for target in (M55, M55.replace("+acle", ""))
    )
    assert machine_code < 3_500_000
    assert in_c < 1.3 * machine_code


def check_compilers(source: str, target: str, file: Path, tool: Tool) -> None:
    """The source, with every warning that concerns it, for gcc and clang."""
    flags = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-O2", "-c", "-o", "a.o"]
    if "__ssat(" in source:
        flags.append("-Wno-sign-conversion")  # gcc's own macro converts
    parsed = Target.parse(target)
    assert parsed.link is not None
    gcc = parsed.link.linkers[0]
    for program, own in ((gcc.program, gcc.flags), ("clang", CLANG[target])):
        subprocess.run([tool(program), *own, *flags, file.name], cwd=file.parent, check=True)
    if target == M55:  # flags that switch Helium off are named as the reason
        command = [tool(gcc.program), "-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=soft", "-fsyntax-only", file.name]
        done = subprocess.run(command, cwd=file.parent, capture_output=True, text=True, check=False)
        assert done.returncode
        assert "no Helium: compile for a Cortex-M55" in done.stderr


LAYERS = [(M4, pointwise, 1.8), (M4, depthwise, 4.5), (M55, pointwise, 0.28), (M55, depthwise, 2.0)]


@pytest.mark.slow
@pytest.mark.parametrize(("target", "build", "most"), LAYERS, ids=lambda value: getattr(value, "__name__", str(value)))
def test_executed_instructions_for_each_multiply_accumulate(
    target: str, build: Callable[[], Module], most: float, tmp_path: Path, tool: Tool
) -> None:
    tool("qemu-system-arm")
    tool("arm-none-eabi-gcc")
    module = build()
    compiled(module, target).save(tmp_path / "a")
    model = load_model(tmp_path / "a")
    assert isinstance(model, EmulatedModel)
    assert model.count(random_inputs(module, 0)).total <= most * products(module)


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


def test_what_has_no_spelling_in_c_is_an_error() -> None:
    with (
        tir.dialect("mve"),
        pytest.raises(TargetError, match=r"no function of C stands for llvm\.arm\.mve\.vabd\.v4i32"),
    ):
        tir.llvm("int32x4", "llvm.arm.mve.vabd.v4i32", tir.splat(0, 4), tir.splat(0, 4))
    with tir.dialect("mve"):
        body, values = tir.Body(), tir.buffer("values", 4, "int32")
        body.store(values, 0, tir.extract(tir.load(values, 0, 4), [3, 2, 1, 0]), 4)
        function = body.function("reversed", [values])
    with pytest.raises(TargetError, match=r"no intrinsic of Helium does the choice of lanes \[3, 2, 1, 0\]"):
        build_c_source([function])

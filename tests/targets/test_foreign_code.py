"""Artifacts for foreign chips: bits under an emulator, figures, determinism, error codes, executed instructions."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from qcc.ir import (
    F32,
    I8,
    I32,
    Array,
    Builder,
    EvaluationError,
    Module,
    Stage,
    TargetError,
    TensorType,
    ToolError,
    UniformType,
    evaluate,
    ops,
)
from qcc.targets import CrossCompiler, Emulator, Target, with_cpu
from qcc.targets.emission import cross_tools
from qcc.targets.emission.elf import read_object
from qcc.targets.emission.header import (
    ERROR_ALIGNMENT,
    ERROR_ARENA_SIZE,
    ERROR_BUFFER_ALIGNMENT,
    OK,
)
from qcc.targets.emulation import FRESH, EmulatedModel, Request
from qcc.targets.runtime import load_model
from tests.targets.compiled import compiled, compiled_once, extreme_inputs
from tests.targets.integer_modules import random_inputs, residual_net
from tests.targets.single_layers import convolution_layer
from tests.targets.test_artifact_bits import several_outputs

TARGETS = (
    "aarch64-linux-gnu",
    "aarch64-linux-gnu+dotprod",
    "aarch64-linux-gnu+i8mm",
    "armv7-linux-gnueabihf+neon",
    "hexagon-unknown-linux-musl+hvxv66",
    "hexagon-unknown-linux-musl+hvxv68",
    "thumbv7em-none-eabi@cortex-m4",
    "thumbv7em-none-eabi@cortex-m7",
    "thumbv8.1m.main-none-eabi+mve@cortex-m55",
)
ONE_EACH = tuple(TARGETS[i] for i in (1, 3, 4, 6, 8))
FEW = tuple(TARGETS[i] for i in (1, 6))
"""The targets of the tests that are not slow: one of Linux, one of bare metal."""
MOST = [pytest.param(t, marks=[] if t in FEW else pytest.mark.slow) for t in TARGETS]
EACH = [pytest.param(t, marks=[] if t in FEW else pytest.mark.slow) for t in ONE_EACH]


def require_tools(target: str, tool: Callable[[str], str]) -> None:
    """Skip the test where a compiler or the emulator of the target is missing."""
    parsed = Target.parse(target)
    assert parsed.link is not None
    assert parsed.emulator is not None
    for name in (parsed.link.compilers[0].program, parsed.link.linkers[0].program, parsed.emulator.program):
        tool(name)


def model_of(build: Callable[[], Module], target: str, folder: Path) -> EmulatedModel:
    compiled_once(build, target).save(folder)
    model = load_model(folder)
    assert isinstance(model, EmulatedModel)
    return model


def untouched(outputs: Mapping[str, Array]) -> bool:
    """Whether the model wrote none of its outputs."""
    return all(set(array.tobytes()) == {FRESH} for array in outputs.values())


def wide_ports() -> Module:
    """A module whose input and output have elements of four bytes."""
    b = Builder("wide", Stage.INTEGER)
    x = b.input("x", TensorType((1, 6), I32))
    doubled = b.emit(ops.Add, x, x)
    b.output("y", b.emit(ops.Add, doubled, x))
    return b.build()


@pytest.mark.parametrize("target", MOST)
def test_every_bit_is_the_evaluators(target: str, tmp_path: Path, tool: Callable[[str], str]) -> None:
    require_tools(target, tool)
    for build in (residual_net, several_outputs):
        module = build()
        model = model_of(build, target, tmp_path / module.name)
        samples = [random_inputs(module, 0), random_inputs(module, 1), *extreme_inputs(module)]
        for inputs, found in zip(samples, model.run_many(samples), strict=True):
            for name, array in evaluate(module, inputs).items():
                assert found[name].dtype == array.dtype
                np.testing.assert_array_equal(found[name], array, err_msg=f"{target} {name}")


@pytest.mark.parametrize("target", EACH)
def test_the_same_module_gives_the_same_bytes_and_true_figures(
    target: str, tmp_path: Path, tool: Callable[[str], str]
) -> None:
    require_tools(target, tool)
    artifact = compiled_once(residual_net, target)
    assert compiled(residual_net(), target).files == artifact.files
    artifact.save(tmp_path / "a")
    archive = tmp_path / "a" / "libresidual_net.a"
    sections = subprocess.run([tool("readelf"), "-SW", str(archive)], capture_output=True, text=True, check=True).stdout
    rows = re.findall(r"\] (\S+)\s+\S+\s+[0-9a-f]+ [0-9a-f]+ ([0-9a-f]+) \w+ +([A-Zolpxy]*) ", sections)
    loaded = [(int(size, 16), flags) for _, size, flags in rows if "A" in flags]
    assert artifact.manifest["flash_bytes"] == sum(size for size, _ in loaded)
    assert artifact.manifest["code_bytes"] == sum(size for size, flags in loaded if "X" in flags)
    assert not any("W" in flags for _, flags in loaded)
    assert artifact.manifest["ram_bytes"] == artifact.manifest["arena_bytes"]
    assert artifact.manifest["measured_with"]["compiler"]
    symbols = subprocess.run([tool("readelf"), "-sW", str(archive)], capture_output=True, text=True, check=True).stdout
    visible = set(re.findall(r" (?:GLOBAL|WEAK) +\w+ +\d+ (\S+)", symbols))
    assert visible == {"residual_net_check_cpu", "residual_net_run", "residual_net_run_within"}
    weights = re.findall(r" (\d+) OBJECT +LOCAL +\w+ +\d+ residual_net_c_", symbols)
    assert artifact.manifest["weight_bytes"] == sum(map(int, weights))


@pytest.mark.parametrize("target", EACH)
def test_misuse_is_an_error_code_and_odd_addresses_are_none(
    target: str, tmp_path: Path, tool: Callable[[str], str]
) -> None:
    require_tools(target, tool)
    module = residual_net()
    model = model_of(residual_net, target, tmp_path / "a")
    inputs, arena = random_inputs(module, 0), int(model.manifest["arena_bytes"])
    expected = evaluate(module, inputs)
    for shift in (1, 3):
        ((status, outputs),) = model.call([inputs], Request(shift=shift, arena_bytes=arena))
        assert status == OK
        assert all(np.array_equal(outputs[name], array) for name, array in expected.items())
    cases = {
        Request(arena_bytes=arena - 1): ERROR_ARENA_SIZE,
        Request(arena_bytes=0): ERROR_ARENA_SIZE,
        Request(arena_shift=1): ERROR_ALIGNMENT,
    }
    for request, error in cases.items():
        ((status, outputs),) = model.call([inputs], request)
        assert status == error
        assert untouched(outputs)
    wide = model_of(wide_ports, target, tmp_path / "wide")
    for shift, error in ((4, OK), (2, ERROR_BUFFER_ALIGNMENT), (1, ERROR_BUFFER_ALIGNMENT)):
        ((status, outputs),) = wide.call([{"x": np.arange(6, dtype=np.int32)[None]}], Request(shift=shift))
        assert status == error
        assert untouched(outputs) if error else outputs["y"].tolist() == [[0, 3, 6, 9, 12, 15]]


@pytest.mark.parametrize("target", EACH)
def test_executed_instructions_are_counted_step_by_step(
    target: str, tmp_path: Path, tool: Callable[[str], str]
) -> None:
    require_tools(target, tool)
    model = model_of(residual_net, target, tmp_path / "a")
    inputs = random_inputs(residual_net(), 0)
    count = model.count(inputs)
    assert count == model.count(inputs)
    assert count.unit == ("packets" if "hexagon" in target else "instructions")
    assert len(count.steps) == model.manifest["kernels"]
    steps = sum(step.instructions for step in count.steps)
    assert all(step.instructions > 20 for step in count.steps)
    assert steps < count.total < steps + 200  # what is left is the check of the arguments


def test_a_missing_tool_is_named_with_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    target = Target.parse("aarch64-linux-gnu")
    assert target.link is not None
    with pytest.raises(ToolError, match="no clang or aarch64-linux-gnu-gcc or zig") as caught:
        cross_tools.find_compiler(target.link.compilers)
    assert "apt-get install clang lld" in caught.value.help
    assert "pip install 'qcc[cross]'" in caught.value.help
    with pytest.raises(ToolError, match="no qemu-aarch64") as caught:
        cross_tools.find_emulator(Emulator("qemu-aarch64", (), "apt-get install qemu-user"))
    assert caught.value.help == "install it: apt-get install qemu-user"
    with pytest.raises(ToolError, match="no some-gcc"):
        cross_tools.find_compiler((CrossCompiler("some-gcc", (), (), "apt-get install some-gcc"),))


def test_a_program_that_dies_is_an_error(tmp_path: Path, tool: Callable[[str], str]) -> None:
    require_tools("aarch64-linux-gnu", tool)
    model = model_of(residual_net, "aarch64-linux-gnu", tmp_path / "a")
    model.program.write_bytes(b"no program")
    with pytest.raises(EvaluationError, match="ended with status") as caught:
        model.run(random_inputs(residual_net(), 0))
    assert not caught.value.help


@pytest.mark.slow
def test_an_instruction_that_qemu_does_not_know_is_an_error_with_a_way_out(
    tmp_path: Path, tool: Callable[[str], str]
) -> None:
    target = "hexagon-unknown-linux-musl+hvxv73"
    require_tools(target, tool)
    model = model_of(residual_net, target, tmp_path / "a")
    program = model.program.read_bytes()
    (entry,) = (s for s in read_object(program).symbols if s.name == "main")
    code = next(s for s in read_object(program).sections if s.flags & 4)
    place = program.index(code.data) + entry.value % 4096 - (program.index(code.data) % 4096)
    model.program.write_bytes(program[:place] + b"\xff" * 4 + program[place + 4 :])
    with pytest.raises(EvaluationError, match="stopped by signal") as caught:
        model.run(random_inputs(residual_net(), 0))
    assert "compile it for +hvxv67 to run it here" in caught.value.help


@pytest.mark.slow
@pytest.mark.parametrize("target", [t for t in ONE_EACH if "thumb" not in t])
def test_zig_serves_where_there_is_no_other_compiler(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: Callable[[str], str]
) -> None:
    require_tools(target, tool)
    pytest.importorskip("ziglang", reason="needs tool: ziglang (pip install 'qcc[cross]')")
    found = shutil.which
    others = ("clang", "aarch64-linux-gnu-gcc", "arm-linux-gnueabihf-gcc")
    monkeypatch.setattr("shutil.which", lambda name: None if name in others else found(name))
    artifact = compiled(residual_net(), target)
    assert artifact.manifest["measured_with"]["flags"][0] == "-target"
    artifact.save(tmp_path)
    inputs = random_inputs(residual_net(), 0)
    outputs = load_model(tmp_path).run(inputs)
    assert all(np.array_equal(outputs[name], array) for name, array in evaluate(residual_net(), inputs).items())


def named(name: str, port: str = "x") -> Module:
    """A module of that name that adds its input to itself."""
    b = Builder(name, Stage.INTEGER)
    x = b.input(port, TensorType((1, 6), I32))
    b.output("outputs", b.emit(ops.Add, x, x))
    return b.build()


NAMES = (("harness", "x"), ("main", "x"), ("reset", "x"), ("QCC_HARNESS", "x"), ("input", "inputs"), ("output", "in"))


@pytest.mark.parametrize(
    ("target", "name", "port"),
    [
        ("aarch64-linux-gnu", "model", "x"),
        ("thumbv7em-none-eabi+acle", "harness", "x"),
        *(
            pytest.param(target, name, port, marks=pytest.mark.slow)
            for target in ("aarch64-linux-gnu", "thumbv7em-none-eabi@cortex-m4", "hexagon-unknown-linux-musl")
            for name, port in NAMES
        ),
    ],
)
def test_a_module_may_have_any_name_of_the_harness(
    target: str, name: str, port: str, tmp_path: Path, tool: Callable[[str], str]
) -> None:
    require_tools(target, tool)
    compiled(named(name, port), target).save(tmp_path)
    model = load_model(tmp_path)
    assert isinstance(model, EmulatedModel)
    sample = {port: np.arange(6, dtype=np.int32)[None]}
    assert model.run(sample)["outputs"].tolist() == [[0, 2, 4, 6, 8, 10]]
    assert len(model.count(sample).steps) == 1


def test_float_regions_run_where_there_is_a_libm(tmp_path: Path, tool: Callable[[str], str]) -> None:
    b = Builder("wave", Stage.INTEGER)
    b.output("y", b.emit(ops.Sigmoid, b.input("x", TensorType((1, 9), F32))))
    module = b.build()
    inputs = {"x": np.linspace(-4, 4, 9, dtype=np.float32)[None]}
    for target in ("aarch64-linux-gnu", "armv7-linux-gnueabihf", "thumbv7em-none-eabi@cortex-m4"):
        require_tools(target, tool)
        compiled(module, target).save(tmp_path / target)
        found = load_model(tmp_path / target).run(inputs)["y"]
        np.testing.assert_allclose(found, evaluate(module, inputs)["y"], rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "cpu", "found"),
    [
        ("aarch64-linux-gnu", "", "aarch64-linux-gnu+neon"),
        ("aarch64-unknown-linux-gnu+neon+i8mm", "", "aarch64-linux-gnu+i8mm"),
        ("aarch64-linux-gnu", "cortex-a53", "aarch64-linux-gnu+neon@cortex-a53"),
        ("aarch64-linux-gnu@neoverse-n1", "neoverse-n1", "aarch64-linux-gnu+dotprod@neoverse-n1"),
        ("armv7-linux-gnueabihf@cortex-a9", "", "armv7-linux-gnueabihf+neon@cortex-a9"),
        ("thumbv7em-none-eabi", "", "thumbv7em-none-eabi@cortex-m4"),
        ("thumbv7em-none-eabi", "cortex-m7", "thumbv7em-none-eabi@cortex-m7"),
        ("thumbv8.1m.main-none-eabi", "", "thumbv8.1m.main-none-eabi+mve@cortex-m55"),
        ("hexagon-unknown-linux-musl", "hexagonv68", "hexagon-unknown-linux-musl+hvxv68@hexagonv68"),
        ("x86_64-linux-gnu@sapphirerapids", "", "x86_64-linux-gnu+avx512-vnni@sapphirerapids"),
        ("x86_64-linux-gnu+avx2@znver4", "", "x86_64-linux-gnu+avx2@znver4"),
        ("thumbv7em-none-eabi -mcpu=cortex-m7", "", "thumbv7em-none-eabi@cortex-m7"),
        (" aarch64-linux-gnu+dotprod  -mcpu=cortex-a76 ", "", "aarch64-linux-gnu+dotprod@cortex-a76"),
    ],
)
def test_triples_features_and_processors(text: str, cpu: str, found: str) -> None:
    target = Target.parse(text, cpu)
    assert str(target) == found
    assert Target.parse(found) == target


@pytest.mark.parametrize(
    ("text", "cpu", "message"),
    [
        ("armv7-linux-gnueabihf+dotprod", "", "no feature 'dotprod'"),
        ("armv7-linux-gnueabihf", "cortex-a53", "no cpu 'cortex-a53'"),
        ("x86_64-linux-gnu+avx512-vnni@haswell", "", "the processor 'haswell' has no 'avx512-vnni'"),
        ("x86_64-linux-gnu+avx-vnni", "cascadelake", "the processor 'cascadelake' has no 'avx-vnni'"),
        ("x86_64-linux-gnu+avx-vnni@znver2", "", "the processor 'znver2' has no 'avx-vnni'"),
        (
            "aarch64-linux-gnu -mcpu=cortex-a53",
            "cortex-a57",
            "names the processor 'cortex-a53', beside it 'cortex-a57'",
        ),
        ("aarch64-linux-gnu@cortex-a9", "", "no cpu 'cortex-a9'"),
        ("thumbv7em-none-eabi@cortex-m55", "", "no cpu 'cortex-m55'"),
        ("thumbv7em-none-eabi+mve", "", "no feature 'mve'"),
        ("thumbv7em-none-eabi@cortex-m4", "cortex-m7", "names the processor 'cortex-m4', beside it 'cortex-m7'"),
        ("aarch64-linux-gnu+dotprod", "cortex-a53", "the processor 'cortex-a53' has no 'dotprod'"),
        ("hexagon-unknown-linux-musl+hvxv73@hexagonv66", "", "the processor 'hexagonv66' has no 'hvxv73'"),
        ("aarch64-linux-gnu@", "", "no processor behind the @"),
        ("native", "cortex-m7", "native takes no features and no cpu"),
    ],
)
def test_what_does_not_belong_together_is_refused(text: str, cpu: str, message: str) -> None:
    with pytest.raises(TargetError, match=re.escape(message)):
        Target.parse(text, cpu)


@pytest.mark.parametrize(
    ("text", "better"),
    [
        ("aarch64-linux-gnu@cortex-a9", "armv7-linux-gnueabihf@cortex-a9"),
        ("armv7-linux-gnueabihf@cortex-a53", "aarch64-linux-gnu@cortex-a53"),
        ("thumbv7em-none-eabi@cortex-m55", "thumbv8.1m.main-none-eabi@cortex-m55"),
        ("c@haswell", "x86_64-linux-gnu@haswell"),
    ],
)
def test_a_processor_of_another_triple_is_named_with_that_triple(text: str, better: str) -> None:
    with pytest.raises(TargetError) as caught:
        Target.parse(text)
    assert f"did you mean {better!r}?" in caught.value.help
    Target.parse(better)


def test_a_processor_given_beside_the_target() -> None:
    assert with_cpu("a-b-c", "") == "a-b-c"
    assert with_cpu("a-b-c+f", "x") == "a-b-c+f@x"


def test_joined_objects_read_back(tool: Callable[[str], str]) -> None:
    require_tools("thumbv7em-none-eabi", tool)
    built = compiled_once(residual_net, "thumbv7em-none-eabi").files["libresidual_net.a"]
    file = read_object(built[built.index(b"\x7fELF") :])
    functions = {s.name for s in file.symbols if s.kind == "function"}
    assert "residual_net_run" in functions
    assert any(name.startswith("residual_net_k_") for name in functions)


def test_a_model_that_is_too_big_for_the_emulated_board_is_named_so(tmp_path: Path, tool: Callable[[str], str]) -> None:
    require_tools("thumbv7em-none-eabi@cortex-m4", tool)
    module = convolution_layer("large", (1, 1, 1, 4096), (1100, 1, 1, 4096))
    compiled(module, "thumbv7em-none-eabi@cortex-m4").save(tmp_path / "a")
    with pytest.raises(ToolError, match=r"does not fit the memory of the emulated board: FLASH lacks [\d,]+ bytes"):
        load_model(tmp_path / "a").run(random_inputs(module, 0))


def test_a_board_without_room_for_the_stack_is_named_so(tmp_path: Path, tool: Callable[[str], str]) -> None:
    require_tools("thumbv7em-none-eabi@cortex-m4", tool)
    b = Builder("negated", Stage.INTEGER)
    codes = UniformType(I8, (0.5,), (0,))
    x = b.emit(ops.StorageCast, b.input("x", TensorType(((16 << 20) // 2 - 20_000,), codes)))
    y = b.emit(ops.Maximum, x, b.constant(np.array(3, np.int8), "least"))  # input and output leave 40 kB of 16 MiB
    b.output("y", b.emit(ops.StorageCast, y, to=codes))
    module = b.build()
    compiled(module, "thumbv7em-none-eabi@cortex-m4").save(tmp_path / "a")
    with pytest.raises(ToolError, match="emulated board: no room for a stack of 64 KiB in RAM"):
        load_model(tmp_path / "a").run(random_inputs(module, 0))

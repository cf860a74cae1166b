"""`examples/cortex_m`: the image is built by Make and by CMake, runs under QEMU, and has the sizes of the manifest."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import qcc
from qcc.demo import load_demo
from qcc.ir import evaluate, parse_module
from tests.conftest import REPOSITORY

EXAMPLE = REPOSITORY / "examples" / "cortex_m"
Tool = Callable[[str], str]

M4 = ("cortex-m4", "thumbv7em-none-eabi")
OTHERS = [("cortex-m7", "thumbv7em-none-eabi"), ("cortex-m55", "thumbv8.1m.main-none-eabi")]
PROCESSORS = pytest.mark.parametrize(
    ("cpu", "triple"), [M4, *(pytest.param(*o, marks=pytest.mark.slow) for o in OTHERS)]
)


@cache
def digits(target: str) -> qcc.Artifact:
    """The demo model, compiled."""
    demo = load_demo()
    return qcc.compile(demo.model, target=target, calibration=demo.calibration)


def expected_logits(artifact: qcc.Artifact) -> list[int]:
    """What the evaluator computes of the image in the example."""
    pixels = np.array([int(p) for p in re.findall(r"\d+", (EXAMPLE / "image.inc").read_text())])
    codes = ((pixels * 255 + 8) // 16 - 128).astype(np.int8).reshape(1, 1, 8, 8)
    module = parse_module(artifact.files["digits.qir"].decode())
    return [int(value) for value in evaluate(module, {"image": codes})["logits"].reshape(-1)]


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def emulator(cpu: str, tool: Tool) -> list[str]:
    """The beginning of a command that runs an image."""
    machine = {"cortex-m4": "mps2-an386", "cortex-m7": "mps2-an500", "cortex-m55": "mps3-an547"}[cpu]
    quiet = ["-display", "none", "-monitor", "none", "-serial", "none"]
    semihosting = ["-semihosting-config", "enable=on,target=native"]
    return [tool("qemu-system-arm"), "-machine", machine, *quiet, *semihosting]


def assert_classified(said: str, artifact: qcc.Artifact) -> None:
    assert [int(value) for value in re.findall(r"^logit (-?\d+)$", said, re.MULTILINE)] == expected_logits(artifact)
    assert "digit 8\n" in said


@PROCESSORS
def test_the_image_of_make_runs_and_has_the_sizes_of_the_manifest(
    cpu: str, triple: str, tmp_path: Path, tool: Tool
) -> None:
    for name in ("arm-none-eabi-gcc", "qemu-system-arm"):
        tool(name)
    artifact = digits(f"{triple}@{cpu}")
    artifact.save(tmp_path / "digits")
    build = tmp_path / "build"
    options = [f"CPU={cpu}", f"MODEL={tmp_path / 'digits'}", f"BUILD={build}"]
    assert_classified(run([tool("make"), "-C", str(EXAMPLE), *options, "run"], tmp_path), artifact)
    placed = re.findall(
        r"^ (\.\S+)\s+0x[0-9a-f]+\s+0x([0-9a-f]+) \S*libdigits\.a", (build / "image.map").read_text(), re.MULTILINE
    )
    sizes = {
        name: sum(int(size, 16) for found, size in placed if found == name) for name in (".text", ".rodata", ".bss")
    }
    assert sizes[".text"] + sizes[".rodata"] == artifact.manifest["flash_bytes"]
    assert sizes[".text"] == artifact.manifest["code_bytes"]
    assert {name for name, _ in placed} <= {".text", ".rodata", ".ARM.attributes", ".note.GNU-stack"}
    symbols = run([tool("arm-none-eabi-nm"), "-S", str(build / "image.elf")], tmp_path)
    arena = re.search(r"^\S+ (\S+) b arena$", symbols, re.MULTILINE)
    assert arena is not None
    assert int(arena[1], 16) == artifact.manifest["ram_bytes"] == artifact.manifest["arena_bytes"]


@pytest.mark.slow
@pytest.mark.parametrize(("cpu", "triple"), [M4, *OTHERS])
def test_the_image_of_cmake_runs(cpu: str, triple: str, tmp_path: Path, tool: Tool) -> None:
    tool("arm-none-eabi-gcc")
    artifact = digits(f"{triple}@{cpu}")
    artifact.save(tmp_path / "digits")
    configure = ["-S", str(EXAMPLE), "-B", "build", f"-DCPU={cpu}", f"-DMODEL={tmp_path / 'digits'}"]
    run([tool("cmake"), *configure, f"-DCMAKE_TOOLCHAIN_FILE={EXAMPLE / 'toolchain.cmake'}"], tmp_path)
    run([tool("cmake"), "--build", "build"], tmp_path)
    assert_classified(run([*emulator(cpu, tool), "-kernel", "build/image.elf"], tmp_path), artifact)


@pytest.mark.slow
@pytest.mark.parametrize(("cpu", "triple"), [M4, OTHERS[1]])
def test_images_of_c_source_are_built_and_run(cpu: str, triple: str, tmp_path: Path, tool: Tool) -> None:
    for name in ("arm-none-eabi-gcc", "qemu-system-arm"):
        tool(name)
    artifact = digits(f"{triple}+acle@{cpu}")
    artifact.save(tmp_path / "digits")
    options = [f"CPU={cpu}", f"MODEL={tmp_path / 'digits'}", f"BUILD={tmp_path / 'build-make'}"]
    assert_classified(run([tool("make"), "-C", str(EXAMPLE), *options, "run"], tmp_path), artifact)
    configure = ["-S", str(EXAMPLE), "-B", "build", f"-DCPU={cpu}", f"-DMODEL={tmp_path / 'digits'}"]
    run([tool("cmake"), *configure, f"-DCMAKE_TOOLCHAIN_FILE={EXAMPLE / 'toolchain.cmake'}"], tmp_path)
    run([tool("cmake"), "--build", "build"], tmp_path)
    assert_classified(run([*emulator(cpu, tool), "-kernel", "build/image.elf"], tmp_path), artifact)


@pytest.mark.parametrize("options", ["-mcpu=cortex-m4 -mfpu=fpv4-sp-d16", "-mcpu=cortex-m55"])
def test_firmware_of_hardware_floats_takes_the_library(options: str, tmp_path: Path, tool: Tool) -> None:
    cpu = options.split()[0].removeprefix("-mcpu=")
    artifact = digits(f"{dict([M4, *OTHERS])[cpu]}@{cpu}")
    artifact.save(tmp_path)
    sources = [str(EXAMPLE / name) for name in ("startup.c", "semihosting.c", "main.c")]
    places = {"FLASH_ORIGIN": "0", "FLASH_LENGTH": "512K", "RAM_ORIGIN": "0x20000000", "RAM_LENGTH": "512K"}
    link = ["-nostartfiles", "-T", str(EXAMPLE / "cortex_m.ld"), *(f"-Wl,--defsym={n}={v}" for n, v in places.items())]
    flags = [*options.split(), "-mthumb", "-mfloat-abi=hard", "-O2", "-std=c11", "-I."]
    run([tool("arm-none-eabi-gcc"), *flags, *sources, "libdigits.a", *link, "-o", "image.elf"], tmp_path)
    assert_classified(run([*emulator(cpu, tool), "-kernel", "image.elf"], tmp_path), artifact)

"""What the Cortex-M code is made of: innermost loops, executed instructions a layer, no floating point."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

import qcc
from qcc.ir import Module, evaluate
from qcc.targets.cortex_m_instructions import CORTEX_M_LEVELS
from qcc.targets.emulation.emulated_model import EmulatedModel
from qcc.targets.lowering import build_assembly
from qcc.targets.nests.convolution import Convolution, convolution
from qcc.targets.nests.epilogue import Epilogue, Rescale
from qcc.targets.runtime import load_model
from tests.targets.compiled import compiled
from tests.targets.innermost_loop import busiest_loop
from tests.targets.integer_modules import random_inputs, residual_net
from tests.targets.outside_names import outside_names
from tests.targets.single_layers import depthwise, pointwise, products

Tool = Callable[[str], str]
M4, M55 = "thumbv7em-none-eabi@cortex-m4", "thumbv8.1m.main-none-eabi@cortex-m55"
WHOLE_RANGE = Epilogue("int8", Rescale(3, -128, 127, "high"))


@pytest.mark.parametrize("depth", [128, 200, 512])
@pytest.mark.parametrize(("cpu", "product", "most"), [("cortex-m4", "smlad", 2.75), ("cortex-m55", "vmlava", 2.5)])
def test_the_loop_over_the_depth_is_what_an_expert_writes(cpu: str, product: str, most: float, depth: int) -> None:
    level = CORTEX_M_LEVELS[cpu]
    spec = Convolution("pointwise", (1, 12, 12, depth), 64, "int8", WHOLE_RANGE)
    loop = busiest_loop(build_assembly([convolution(spec, level.dot)], level.target()), rf"\b{product}\b|\b{product}\.")
    assert loop.count(product) >= 8
    assert len(loop.lines) <= most * loop.count(product)
    assert loop.count(r"\bv?str\w*(\.\w+)?\s") == 0, "an accumulator is spilled"


LAYERS = [(M4, pointwise, 1.5), (M4, depthwise, 3.4), (M55, pointwise, 0.2), (M55, depthwise, 1.3)]


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
    inputs = random_inputs(module, 0)
    np.testing.assert_array_equal(model.run(inputs)["y"], evaluate(module, inputs)["y"])
    assert model.count(inputs).total <= most * products(module)


@pytest.mark.parametrize("target", [M4, M55])
def test_an_integer_module_has_no_floating_point_instruction(target: str, tmp_path: Path, tool: Tool) -> None:
    check_integers(compiled(residual_net(), target).files, target, tmp_path, tool)


@pytest.mark.slow
@pytest.mark.parametrize("target", [M4, M55])
def test_a_real_integer_model_has_no_floating_point_instruction(
    target: str, shared_models: Path, tmp_path: Path, tool: Tool
) -> None:
    artifact = qcc.compile(shared_models / "mobilenet_v1_025_vww_int8.tflite", target=target)
    check_integers(artifact.files, target, tmp_path, tool)


OUTSIDE = frozenset({"memcpy", "memset", "memmove", "__aeabi_memcpy", "__aeabi_memset", "__aeabi_memmove"})
OUTSIDE |= {"__aeabi_ldivmod", "__aeabi_uldivmod", "__aeabi_memcpy4", "__aeabi_memclr", "__aeabi_memclr4"}
OUTSIDE |= {f"__aeabi_{name}" for name in ("memcpy8", "memset4", "memset8", "memmove4", "memmove8", "memclr8")}
"""What integer code may call that is not in the library: none of it computes in floats."""


def check_integers(files: Mapping[str, bytes], target: str, folder: Path, tool: Tool) -> None:
    """Disassemble the library and look for instructions of floats."""
    (library,) = (data for name, data in files.items() if name.endswith(".a"))
    (folder / "a.a").write_bytes(library)
    command = [tool("arm-none-eabi-objdump"), "-d", "--no-show-raw-insn", str(folder / "a.a")]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    instructions = re.findall(r"^\s+[0-9a-f]+:\t(\S+)(.*)$", text, re.MULTILINE)
    assert len(instructions) > 500
    floats = [name + rest for name, rest in instructions if re.search(r"\.f(16|32|64)", name)]
    floats += [name + rest for name, rest in instructions if re.match(r"v(ldr|str|mov)\S*\s+s\d", name + rest)]
    assert not floats
    assert outside_names(library, OUTSIDE) == set()
    if target == M4:
        assert not [name for name, _ in instructions if name.startswith("v")]

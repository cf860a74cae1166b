"""Compiled modules compute the evaluator's bits on every target that the host can run."""

import ctypes
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from qcc.ir import F32, I8, Builder, Module, Stage, TensorType, UniformType, evaluate, ops
from qcc.targets.runtime import load_library
from tests.targets.compiled import TARGETS, assert_same_bits, compiled, require_host
from tests.targets.integer_modules import NetBuilder, chain, random_inputs, residual_net
from tests.targets.kernel_library import GuardedArray


def several_outputs() -> Module:
    """Outputs that are an input, a constant, the same value twice, a reshape, and a value that is read on."""
    net = NetBuilder("several")
    x = net.input("x", 1, 4, 4, 3)
    y = net.conv(x, "y", 6)
    net.output("same", x, scale=0.05, zero_point=-3)
    net.output("fixed", net.b.constant(np.arange(5, dtype=np.int8), "five"))
    net.output("first", y)
    net.output("second", y, scale=0.2, zero_point=0)
    net.output("flat", net.b.emit(ops.Reshape, y, name="flattened", shape=(1, 96)))
    net.output("last", net.table(net.conv(y, "z", 2), "t"))
    return net.build()


def in_place() -> Module:
    """A chain of element-by-element kernels that write over their operands, and one that may not."""
    net = NetBuilder("in_place")
    one = net.conv(net.input("x", 1, 5, 7, 3), "one", 5)
    pool = net.b.emit(ops.MaxPool2d, one, name="pool", kernel=(2, 2))
    wide = net.b.emit(ops.Pad, pool, name="wide", low=(0, 0, 0, 0), high=(0, 1, 1, 0))
    total = net.residual_add(one, wide, "total")
    again = net.residual_add(total, net.table(total, "t"), "again")
    net.output("y", net.conv(again, "last", 3, kernel=1))
    return net.build()


def odd_names() -> Module:
    """Names that are no C identifiers, keywords, or equal once they are made identifiers."""
    net = NetBuilder("class")
    a, b, c = (net.input(name, 1, 6) for name in ("double", "x:0", "x/0"))
    net.output("int", net.residual_add(net.residual_add(a, b, "*/ evil /*"), c, "a??/b"))
    net.output("run", net.table(a, "run"))
    return net.build()


def float_region() -> Module:
    """A sigmoid that stays in float between dequantize and quantize."""
    net = NetBuilder("float_region")
    x = net.conv(net.input("x", 1, 4, 4, 3), "conv", 4)
    wide = net.rescale(x, "wide", 1.0)
    element = UniformType(I8, (0.05,), (3,))
    real = net.b.emit(ops.Dequantize, net.b.emit(ops.StorageCast, wide, name="q", to=element), name="real")
    back = net.b.emit(ops.Quantize, net.b.emit(ops.Tanh, real, name="tanh"), name="back", to=element)
    net.b.output("y", back)
    return net.build()


def float_module() -> Module:
    """A module without any integer."""
    b = Builder("float_module", Stage.FLOAT)
    x = b.input("x", TensorType((2, 3), F32))
    w = b.constant(np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4), "w")
    b.output("y", b.emit(ops.Clamp, b.emit(ops.Matmul, x, w, name="product"), name="y", minimum=0.0, maximum=1.5))
    return b.build()


INTEGER_MODULES = {
    "residual": residual_net,
    "several": several_outputs,
    "in_place": in_place,
    "names": odd_names,
    "tables": lambda: chain("table", "pool", "table", "conv"),
    "scalar_sized": lambda: residual_net(2),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("build", INTEGER_MODULES.values(), ids=INTEGER_MODULES)
def test_every_bit(
    build: Callable[[], Module], target: str, tmp_path: Path, cpu_feature: Callable[[str], None]
) -> None:
    require_host(target, cpu_feature)
    assert_same_bits(build(), target, tmp_path / "artifact")


@pytest.mark.parametrize("target", TARGETS)
def test_a_float_region_compiles(target: str, tmp_path: Path, cpu_feature: Callable[[str], None]) -> None:
    require_host(target, cpu_feature)
    assert_same_bits(float_region(), target, tmp_path / "artifact")


@pytest.mark.parametrize("target", TARGETS)
def test_a_float_module_compiles(target: str, tmp_path: Path, cpu_feature: Callable[[str], None]) -> None:
    require_host(target, cpu_feature)
    artifact = compiled(float_module(), target)
    assert artifact.manifest["has_float"]
    assert artifact.manifest["inputs"] == [
        {"name": "x", "c_name": "x", "shape": [2, 3], "type": "float32", "scale": None, "zero_point": None}
    ]
    artifact.save(tmp_path / "artifact")
    x = np.array([[0.5, -1, 2], [1e-3, 7, -0.25]], np.float32)
    found = load_library(tmp_path / "artifact").run({"x": x})["y"]
    np.testing.assert_allclose(found, evaluate(float_module(), {"x": x})["y"], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("at_end", [True, False])
def test_no_access_beside_inputs_outputs_and_arena(
    target: str, at_end: bool, tmp_path: Path, cpu_feature: Callable[[str], None]
) -> None:
    """Memory that is not mapped lies directly behind, or before, each tensor and the arena: a stray access crashes."""
    require_host(target, cpu_feature)
    module = residual_net()
    compiled(module, target).save(tmp_path / "artifact")
    model = load_library(tmp_path / "artifact")
    inputs = random_inputs(module)
    image = GuardedArray(inputs["image"], at_end)
    logits = GuardedArray(np.zeros(module.outputs[0].value.type.shape, np.int8), at_end)
    arena = GuardedArray(np.zeros(model.arena_bytes, np.uint8), at_end)
    pointers = [(ctypes.c_void_p * 1)(array.address) for array in (image, logits)]
    assert model.entry.function(*map(ctypes.byref, pointers), arena.address) == 0
    np.testing.assert_array_equal(logits.view, evaluate(module, inputs)["logits"])


def test_equal_kernels_are_shared() -> None:
    artifact = compiled(chain("conv", "conv", "conv", "pool", "pool"), "c")
    assert artifact.manifest["kernels"] == 5
    assert artifact.manifest["functions"] == 3
    source = artifact.files["chain.c"].decode()
    assert source.count("static void chain_k_") == 3
    assert source.count("    chain_k_conv0_acc(") == 2  # the third has one shift for all channels
    assert source.count("    chain_k_pool3(") == 2

"""What `pack-weights` records is what lowering does, byte for byte."""

import subprocess
import sys

import numpy as np
import numpy.typing as npt
import pytest

from qcc.ir import I16, Array, Module, Value, ops, parse_module, print_module
from qcc.passes import PassContext
from qcc.targets import ConstantArgument, FuseEpilogue, Kernel, PackWeights, Target, lower_kernel, partition
from tests.targets.compiled import TARGETS
from tests.targets.integer_modules import NetBuilder, residual_net

LEVELS = tuple(target for target in TARGETS if target != "c")


def packed(module: Module, target: str) -> Module:
    """The module as the target's passes leave it."""
    context = PassContext(target=Target.parse(target))
    return PackWeights().run(FuseEpilogue().run(module, context), context)


def recorded(module: Module) -> dict[str, str]:
    """The packing of each constant that has one."""
    return {op.result.name: op.packing for op in module.ops if isinstance(op, ops.Constant) and op.packing}


def in_order(packing: str, weights: npt.NDArray[np.int8], groups: int) -> bytes:
    """The bytes of `weights`, O×KH×KW×I, in the order that the name means, by its description alone."""
    arrangement, _, numbers = packing.partition(".")
    runs, vectors, lanes, step = map(int, numbers.split("x"))
    flat = weights.reshape(groups, weights.shape[0] // groups, runs, -1)
    columns, length = flat.shape[1], flat.shape[3]
    steps = -(-length // step)
    blocks = -(-columns // (lanes * vectors))
    found = []
    for group, block, run, at in np.ndindex(groups, blocks, runs, steps):
        for vector in range(block * vectors, (block + 1) * vectors):
            register = np.zeros((lanes, step), np.int8)
            for lane, i in np.ndindex(lanes, step):
                # The last vector and the last step begin early: they overlap the ones before.
                column = min(vector * lanes, max(columns - lanes, 0)) + lane
                depth = at * step + i if (at + 1) * step <= length or length < step else length - step + i
                again = depth < at * step and length >= step
                if column < columns and depth < length and not again:
                    register[lane, i] = flat[group, column, run, depth]
            if arrangement == "vpmaddwd":
                register = np.concatenate([register[:, :2], register[:, 2:]])
            found.append(register.tobytes())
    return b"".join(found)


def layers() -> Module:
    """Pointwise, 3×3, few channels, grouped, depthwise with and without whole vectors, and a matrix product."""
    net = NetBuilder("layers")
    x = net.conv(net.input("x", 1, 7, 6, 3), "few", 24, stride=2)
    x = net.conv(net.conv(x, "pointwise", 40, kernel=1), "wide", 36)
    x = net.conv(net.conv(x, "depthwise", 36, groups=36), "grouped", 40, groups=2)
    x = net.conv(net.conv(x, "odd", 19), "uneven", 19, groups=19)
    flat = net.b.emit(ops.Reshape, x, name="flat", shape=(1, x.type.size))
    net.output("y", net.dense(flat, "dense", 21))
    return net.build()


def weights_argument(kernel: Kernel, target: str) -> Array:
    """What the kernel's function gets as its weights."""
    arguments = lower_kernel(kernel, Target.parse(target)).arguments
    (found,) = [a.array for a in arguments if isinstance(a, ConstantArgument) and a.name == "weights"]
    return found


@pytest.mark.parametrize("target", LEVELS)
def test_the_bytes_in_flash_are_in_the_recorded_order(target: str) -> None:
    module = packed(layers(), target)
    names = recorded(module)
    compared = set()
    for kernel in partition(module):
        anchor = kernel.anchor
        if not isinstance(anchor, ops.Conv2d | ops.Matmul):
            continue
        data = kernel.constants[anchor.weight.name].astype(np.int8)
        logical = data if isinstance(anchor, ops.Conv2d) else data.T[:, None, None, :]
        expected = in_order(names[anchor.weight.name], logical, _vector_groups(anchor))
        found = weights_argument(kernel, target).tobytes()
        assert found[: len(expected)] == expected, anchor.weight.name
        # Behind the weights lies at most a row of zero points, for taps in the padding.
        assert set(found[len(expected) :]) <= {anchor.input_zero_point % 256}
        compared.add(anchor.weight.name)
    assert compared == names.keys()
    assert len(compared) == 8
    assert names["depthwise_w"].startswith("channels.3x")
    assert names["depthwise_w"].endswith("x1")
    assert names["wide_w"].startswith(Target.parse(target).instructions.dot.name + ".9x")
    assert parse_module(print_module(module)) == module


def _vector_groups(anchor: ops.Conv2d | ops.Matmul) -> int:
    """The groups that have vectors of their own; those of a depthwise convolution share them."""
    return 1 if isinstance(anchor, ops.Matmul) or anchor.is_depthwise else anchor.groups


def test_without_dot_products_the_order_is_row_major() -> None:
    assert not recorded(packed(layers(), "c"))
    assert PackWeights().run(residual_net(), PassContext(target=Target.parse("c"))) == residual_net()


def products(first_rows: int, second_rows: int, to: str = "i8") -> Module:
    """Two matrix products that share their weights."""
    net = NetBuilder("shared")
    w = net.b.constant(np.arange(64 * 200).reshape(64, 200).astype(np.int8), "w")

    def product(x: Value, name: str) -> Value:
        return net.rescale(net.b.emit(ops.Matmul, x, w, name=f"{name}_acc"), name, 0.01)

    net.output("a", product(net.input("x", first_rows, 64), "first"))
    second = net.input("z", second_rows, 64)
    if to == "i16":
        second = net.rescale(second, "wide", 1.0, I16)
    net.output("b", product(second, "second"))
    return net.build()


@pytest.mark.parametrize("target", LEVELS)
def test_shared_weights_have_a_name_where_all_kernels_read_one_order(target: str) -> None:
    named = set()
    for rows in ((3, 3), (1, 200)):
        ready = packed(products(*rows), target)
        first, second = (k for k in partition(ready) if isinstance(k.anchor, ops.Matmul))
        same = weights_argument(first, target).tobytes() == weights_argument(second, target).tobytes()
        assert ("w" in recorded(ready)) == same
        named.add(same)
    assert named == {True, False}
    # No dot product takes 16-bit activations: one of the kernels reads rows.
    assert "w" not in recorded(packed(products(3, 3, "i16"), target))


def test_importing_the_pass_does_not_load_the_code_generator() -> None:
    code = "import sys, qcc.targets.pack_weights; sys.exit('tvm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

"""Which operations become one kernel."""

import numpy as np
import pytest

from qcc.ir import I32, Module, evaluate, ops, verify
from qcc.passes import PassContext, parse_pipeline
from qcc.targets import FuseEpilogue, partition
from tests.targets.integer_modules import NetBuilder, chain, random_inputs, residual_net


def fused(module: Module) -> dict[str, list[str]]:
    """Return the results of the operations of each kernel, after checks that hold for every module."""
    result = FuseEpilogue().run(module, PassContext())
    verify(result)
    inputs = random_inputs(module)
    before, after = evaluate(module, inputs), evaluate(result, inputs)
    assert all(np.array_equal(before[name], after[name]) for name in before)
    kernels = partition(result)
    assert all(len(kernel.outputs) == 1 for kernel in kernels)
    assert [kernel.name for kernel in kernels] == list(dict.fromkeys(o.fusion for o in result.ops if o.fusion))
    return {kernel.name: [op.results[0].name for op in kernel.ops] for kernel in kernels}


def test_an_anchor_takes_what_follows_it() -> None:
    assert fused(chain("conv", "table", "conv", "pool", "table")) == {
        "conv0_acc": ["conv0_acc", "conv0", "table1"],
        "conv2_acc": ["conv2_acc", "conv2"],
        "pool3": ["pool3", "table4"],
    }


def test_one_anchor_of_a_residual_block_takes_the_addition() -> None:
    kernels = fused(residual_net())
    assert kernels["left2_acc"] == ["left2_acc", "left2"]
    assert kernels["right_acc"] == ["right_acc", "right", "block_a", "block_b", "block_sum", "block"]
    assert kernels["depthwise_acc"] == ["depthwise_acc", "depthwise", "skip_a", "skip_b", "skip_sum", "skip"]


def test_a_value_with_two_uses_or_that_is_returned_ends_its_kernel() -> None:
    net = NetBuilder()
    x = net.conv(net.input("x", 1, 4, 4, 2), "conv", 2)
    one, two = net.table(x, "one"), net.table(x, "two")
    net.output("a", net.table(one, "three"))
    net.output("b", two)
    net.output("c", one)
    kernels = fused(net.build())
    assert kernels == {"conv_acc": ["conv_acc", "conv"], "one": ["one"], "two": ["two"], "three": ["three"]}


def test_elementwise_operations_alone_make_one_kernel_named_after_the_last() -> None:
    net = NetBuilder()
    x = net.input("x", 1, 3, 3, 2)
    net.output("y", net.residual_add(net.table(x, "t"), x, "sum"))
    assert fused(net.build()) == {"sum": ["t", "sum_a", "sum_b", "sum_sum", "sum"]}


def test_a_smaller_operand_is_read_from_memory() -> None:
    net = NetBuilder()
    big, small = net.input("big", 1, 4, 4, 2), net.input("small", 1, 1, 1, 2)
    a = net.raw_rescale(big, "a", np.array([1]), np.array([0]), I32, (1, 0))
    b = net.raw_rescale(net.table(small, "gate"), "b", np.array([1]), np.array([0]), I32, (2, 0))
    product = net.b.emit(ops.Mul, a, b, name="product")
    net.output("y", net.rescale(product, "y", 0.01))
    assert fused(net.build()) == {"b": ["gate", "b"], "y": ["a", "product", "y"]}


def test_a_value_name_that_is_no_c_identifier() -> None:
    net = NetBuilder()
    x = net.table(net.input("x", 2), "1/block;conv__2/" + "long" * 30)
    net.output("y", net.table(net.b.emit(ops.Reshape, x, name="r", shape=(1, 2)), "1/block;conv__2/" + "long" * 31))
    names = list(fused(net.build()))
    assert names[0].startswith("k_1_block_conv_2_long")
    assert len(set(names)) == 2
    assert all(name.isidentifier() and "__" not in name for name in names)


def test_too_many_inputs_split_a_kernel() -> None:
    net = NetBuilder()
    value = net.input("x0", 1, 4)
    for index in range(1, 6):
        value = net.residual_add(value, net.input(f"x{index}", 1, 4), f"sum{index}")
    net.output("y", value)
    module = net.build()
    (limited,) = parse_pipeline("fuse-epilogue{max_inputs=3}")
    assert len(partition(FuseEpilogue().run(module, PassContext()))) == 1
    kernels = partition(limited.run(module, PassContext()))
    assert max(len(kernel.inputs) for kernel in kernels) == 3


@pytest.mark.parametrize("anchored", [False, True])
def test_a_long_chain_becomes_kernels_of_bounded_length(anchored: bool) -> None:
    kinds = ["conv", *["table"] * 99] if anchored else ["table"] * 100
    module = chain(*kinds)
    assert len(fused(module)) > 1
    for bound in (1, 5, 32):
        result = FuseEpilogue(max_operations=bound).run(module, PassContext())
        sizes = [len(kernel.ops) for kernel in partition(result)]
        assert max(sizes) == bound
        assert sum(sizes) == len([op for op in module.ops if not isinstance(op, ops.Constant | ops.StorageCast)])

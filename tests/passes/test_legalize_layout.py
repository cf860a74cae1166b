"""Transposes cancel, and no bit changes."""

import itertools
import random
from collections.abc import Callable

import numpy as np
import pytest

from qcc.ir import F32, Builder, Module, Pattern, TensorType, Value, ops, verify
from qcc.passes import Canonicalize, LegalizeLayout, PassContext
from qcc.passes.layout_classes import LayoutClasses, compose, inverse
from qcc.passes.layout_rules import HoistAboveMerge, KeepReducedAxes, SinkBelowSplit, axis_groups
from tests.passes.equivalence import (
    assert_close,
    assert_identical,
    assert_keeps_bits,
    normal_inputs,
    op_names,
    qir,
)

TO_NHWC, TO_NCHW = (0, 2, 3, 1), (0, 3, 1, 2)


class Nchw(Builder):
    """Builds a net as a frontend of an N×C×H×W format does: transposes around each image operation."""

    def __init__(self) -> None:
        super().__init__("net")
        self.rng = np.random.default_rng(0)

    def image(self, channels: int = 4, height: int = 6, width: int = 5, name: str = "x") -> Value:
        return self.input(name, TensorType((2, channels, height, width), F32))

    def parameter(self, *shape: int) -> Value:
        return self.constant(self.rng.standard_normal(shape).astype(np.float32))

    def nhwc(self, x: Value) -> Value:
        return self.emit(ops.Transpose, x, permutation=TO_NHWC)

    def nchw(self, x: Value) -> Value:
        return self.emit(ops.Transpose, x, permutation=TO_NCHW)

    def conv(self, x: Value, outputs: int = 4) -> Value:
        weight = self.parameter(outputs, 3, 3, x.type.shape[1])
        return self.nchw(self.emit(ops.Conv2d, self.nhwc(x), weight, padding=(1, 1, 1, 1)))

    def pool(self, x: Value) -> Value:
        return self.nchw(self.emit(ops.MaxPool2d, self.nhwc(x), kernel=(2, 2), padding=(0, 1, 0, 1)))

    def done(self, *outputs: Value) -> Module:
        for index, value in enumerate(outputs):
            self.output(f"y{index}", value)
        return self.build()


Net = Callable[[Nchw], list[Value]]


def residual(net: Nchw) -> list[Value]:
    x = net.conv(net.image())
    y = net.conv(net.emit(ops.Clamp, x, minimum=0.0, maximum=6.0))
    return [net.conv(net.emit(ops.Add, x, y))]


def residual_from_the_input(net: Nchw) -> list[Value]:
    x = net.image()
    return [net.pool(net.emit(ops.Add, x, net.conv(x)))]


def squeeze_and_excite(net: Nchw) -> list[Value]:
    x = net.conv(net.image())
    s = net.emit(ops.ReduceMean, x, axes=(2, 3), keep_dims=True)
    s = net.emit(ops.Sigmoid, net.conv(s))
    return [net.pool(net.emit(ops.Mul, x, s))]


def concat_and_split(net: Nchw) -> list[Value]:
    x = net.conv(net.image(), 6)
    a, b = net.emit_many(ops.Split, x, axis=1, sizes=(2, 4))
    y = net.emit(ops.Concat, net.conv(b, 3), a, net.parameter(2, 1, 6, 5), axis=1)
    return [net.conv(y)]


def pad_slice_resize(net: Nchw) -> list[Value]:
    x = net.conv(net.image())
    x = net.emit(ops.Pad, x, low=(0, 0, 1, 2), high=(0, 0, 3, 0), value=1.5)
    x = net.emit(ops.Slice, x, starts=(0, 1, 0, 6), sizes=(2, 3, 5, 3), strides=(1, 1, 2, -2))
    x = net.emit(ops.Resize, x, shape=(2, 3, 10, 3), scales=(1.0, 1.0, 2.0, 1.0), mode="nearest")
    return [net.conv(x)]


def channel_parameters(net: Nchw) -> list[Value]:
    x = net.conv(net.image())
    x = net.emit(ops.Prelu, x, net.parameter(4, 1, 1))
    x = net.emit(ops.Mul, x, net.parameter(1, 4, 1, 1))
    x = net.emit(ops.Add, net.constant(np.array(0.5, np.float32)), x)
    x = net.emit(ops.BatchNorm, x, *(net.constant(np.ones(4, np.float32)) for _ in range(4)), axis=1)
    x = net.emit(ops.Softmax, x, axis=1)
    return [net.pool(x)]


def flatten(net: Nchw) -> list[Value]:
    x = net.emit(ops.Clamp, net.pool(net.conv(net.image())), minimum=0.0, maximum=np.inf)
    x = net.emit(ops.Reshape, x, shape=(2, 120))
    return [net.emit(ops.Matmul, x, net.parameter(120, 10), net.parameter(10))]


def global_pool(net: Nchw) -> list[Value]:
    x = net.emit(ops.ReduceMean, net.conv(net.image()), axes=(2, 3), keep_dims=False)
    return [net.emit(ops.Matmul, x, net.parameter(4, 3))]


def global_pool_and_reshape(net: Nchw) -> list[Value]:
    x = net.emit(ops.ReduceMax, net.conv(net.image()), axes=(-1, -2), keep_dims=True)
    return [net.emit(ops.Reshape, x, shape=(2, 4))]


def channel_shuffle(net: Nchw) -> list[Value]:
    x = net.conv(net.image(), 6)
    x = net.emit(ops.Reshape, x, shape=(2, 2, 3, 6, 5))
    x = net.emit(ops.Transpose, x, permutation=(0, 2, 1, 3, 4))
    x = net.emit(ops.Reshape, x, shape=(2, 6, 6, 5))
    a, b = net.emit_many(ops.Split, x, axis=1, sizes=(3, 3))
    return [net.conv(net.emit(ops.Concat, net.conv(b, 3), a, axis=1))]


def label_map(net: Nchw) -> list[Value]:
    return [net.emit(ops.ArgMax, net.conv(net.image()), axis=1, keep_dims=False)]


def kernel_of_broadcast(net: Nchw) -> list[Value]:
    x = net.conv(net.image())
    s = net.emit(ops.ReduceMax, x, axes=(2,), keep_dims=True)
    s = net.emit(ops.Broadcast, s, shape=(2, 4, 6, 5))
    g = net.emit(ops.Gather, net.emit(ops.Sub, x, s), axis=1, indices=(3, 1, 0), indices_shape=(3,))
    return [net.pool(g)]


#: Net and how many transposes stay: at its inputs and image outputs, which are N×C×H×W.
NETS: dict[Net, int] = {
    residual: 2,
    residual_from_the_input: 2,
    squeeze_and_excite: 2,
    concat_and_split: 2,
    pad_slice_resize: 2,
    channel_parameters: 2,
    flatten: 1,
    global_pool: 1,
    global_pool_and_reshape: 1,
    channel_shuffle: 2,
    label_map: 1,
    kernel_of_broadcast: 2,
}


@pytest.mark.parametrize("net", NETS, ids=lambda n: getattr(n, "__name__", ""))
def test_transposes_stay_only_at_the_interface(net: Net) -> None:
    builder = Nchw()
    before = builder.done(*net(builder))
    context = PassContext()
    after = LegalizeLayout().run(before, context)
    verify(after)
    assert context.remarks == []
    assert op_names(after).count("transpose") == NETS[net]
    # Sums over other axes of memory may be taken in another order; all else keeps every bit.
    assert_close(before, after, normal_inputs(before), 150, local=False)


@pytest.mark.parametrize("net", NETS, ids=lambda n: getattr(n, "__name__", ""))
def test_a_second_run_changes_nothing(net: Net) -> None:
    builder = Nchw()
    once = LegalizeLayout().run(builder.done(*net(builder)), PassContext())
    assert LegalizeLayout().run(once, PassContext()) == once


def test_two_outputs_of_different_layout_share_one_transpose() -> None:
    net = Nchw()
    x = net.nhwc(net.image())
    y = net.emit(ops.Exp, x)
    before = net.done(net.nchw(y), net.nchw(y), y)
    after = LegalizeLayout().run(before, PassContext())
    assert_identical(before, after)
    assert op_names(after).count("transpose") <= 2


def test_a_transpose_that_can_not_go_is_reported() -> None:
    net = Nchw()
    x = net.emit(ops.MaxPool2d, net.input("x", TensorType((1, 4, 4, 4), F32)), kernel=(2, 2), strides=(1, 1))
    turned = net.emit(ops.Transpose, x, permutation=(0, 2, 1, 3))
    before = net.done(net.emit(ops.MaxPool2d, net.emit(ops.Add, x, turned), kernel=(2, 2)))
    context = PassContext()
    after = LegalizeLayout().run(before, context)
    assert op_names(after).count("transpose") == 1
    assert "a transpose of 144 bytes stays between max_pool2d and add" in str(context.remarks[0])
    assert_identical(before, after)


@pytest.mark.parametrize("seed", range(40))
def test_random_nets_keep_every_bit(seed: int) -> None:
    """Random graphs of movements and element-by-element operations, in random layouts."""
    rng = random.Random(seed)
    net = Nchw()
    values = [net.image(2, 3, 4), net.input("z", TensorType((2, 3, 4, 2), F32))]
    for _ in range(rng.randrange(4, 16)):
        x = rng.choice(values)
        match rng.randrange(7):
            case 0 | 1:
                permutation = tuple(rng.sample(range(4), 4))
                values.append(net.emit(ops.Transpose, x, permutation=permutation))
            case 2:
                values.append(net.emit(ops.Neg, x))
            case 3:
                same = [v for v in values if v.type.shape == x.type.shape]
                values.append(net.emit(ops.Maximum, x, rng.choice(same)))
            case 4:
                axis = rng.randrange(4)
                values.append(net.emit(ops.ReduceMax, x, axes=(axis,), keep_dims=True))
            case 5:
                values.append(net.emit(ops.Concat, x, x, axis=rng.randrange(-4, 4)))
            case _:
                values.append(net.emit(ops.MaxPool2d, x, kernel=(1, 1), strides=(1, 1), padding=(0, 0, 0, 0)))
    before = net.done(*rng.sample(values[2:], 2))
    after = LegalizeLayout().run(before, PassContext())
    verify(after)
    assert op_names(after).count("transpose") <= op_names(before).count("transpose") + 2
    assert_identical(before, after)


SPLIT = [
    "input %x : tensor<2x6x5xf32>",
    "%t = transpose(%x) {permutation = [2, 0, 1]} : tensor<5x2x6xf32>",
    "%y = reshape(%t) {shape = [5, 2, 3, 2]} : tensor<5x2x3x2xf32>",
    'output %y as "y"',
]
MERGE = [
    "input %x : tensor<5x2x3x2xf32>",
    "%r = reshape(%x) {shape = [5, 2, 6]} : tensor<5x2x6xf32>",
    "%y = transpose(%r) {permutation = [1, 2, 0]} : tensor<2x6x5xf32>",
    'output %y as "y"',
]
KEPT = [
    "input %x : tensor<5x2x6xf32>",
    "%y = reduce_max(%x) {axes = [0, -1], keep_dims = false} : tensor<2xf32>",
    'output %y as "y"',
]
RULES: list[tuple[type[Pattern], list[str], list[str]]] = [
    (SinkBelowSplit, SPLIT, ["reshape", "transpose"]),
    (HoistAboveMerge, MERGE, ["transpose", "reshape"]),
    (KeepReducedAxes, KEPT, ["reduce_max", "reshape"]),
]


@pytest.mark.parametrize(("rule", "lines", "left"), RULES)
def test_a_rule_changes_no_bit(rule: type[Pattern], lines: list[str], left: list[str]) -> None:
    assert_keeps_bits(rule(), lines, left)


def test_axes_are_grouped_where_the_larger_shape_splits_the_smaller() -> None:
    assert axis_groups((6, 4), (2, 3, 4)) == [[0, 1], [2]]
    assert axis_groups((6, 4), (6, 1, 4, 1)) == [[0], [1, 2, 3]]
    assert axis_groups((1, 6), (1, 2, 3)) == [[0], [1, 2]]
    assert axis_groups((6, 4), (3, 8, 1)) is None
    assert axis_groups((6, 4), (4, 6, 1)) is None
    assert axis_groups((0, 4), (0, 2, 2)) == [[0], [1, 2]]


def test_permutations_compose_and_invert_as_transposes_do() -> None:
    x = np.arange(24).reshape(1, 2, 3, 4)
    for outer, inner in itertools.product(itertools.permutations(range(4)), repeat=2):
        twice = x.transpose(outer).transpose(inner)
        np.testing.assert_array_equal(twice, x.transpose(compose(outer, inner)))
    for permutation in itertools.permutations(range(4)):
        np.testing.assert_array_equal(x.transpose(permutation).transpose(inverse(permutation)), x)


def test_classes_notice_a_contradiction() -> None:
    a, b, c = (Value(name, TensorType((2, 2), F32)) for name in "abc")
    classes = LayoutClasses()
    assert classes.relate(a, b, (1, 0))
    assert classes.relate(b, c, (1, 0))
    assert classes.relate(a, c, (0, 1))
    assert not classes.relate(a, c, (1, 0))
    assert classes.find("a")[0] == classes.find("c")[0]


def test_a_module_without_transposes_is_left_as_it_is() -> None:
    module = qir(*KEPT)
    assert LegalizeLayout().run(module, PassContext()) is module


def test_canonicalize_behind_it_finds_pads_that_the_layout_hid() -> None:
    net = Nchw()
    x = net.emit(ops.Pad, net.conv(net.image()), low=(0, 0, 1, 1), high=(0, 0, 1, 1))
    before = net.done(net.conv(x))
    after = Canonicalize().run(LegalizeLayout().run(before, PassContext()), PassContext())
    assert "pad" not in op_names(after)
    assert_close(before, after, normal_inputs(before), 150, local=False)

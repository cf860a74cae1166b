"""Batch norms and constants fold into weights, and what is left alone becomes a depthwise convolution."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from qcc.ir import F32, Array, Builder, Module, PassError, Pattern, TensorType, Value, evaluate, rewrite, verify
from qcc.ir.ops import Add, BatchNorm, Clamp, Conv2d, ConvTranspose2d, Matmul, Mul
from qcc.passes import FoldBatchNorm, PassContext
from qcc.passes.fold_batch_norm import (
    FoldIntoFollowing,
    FoldIntoPreceding,
    MergeAffines,
    StandaloneToArithmetic,
    StandaloneToDepthwise,
)
from tests.passes.equivalence import apply, assert_close, normal_inputs, op_names

#: Where an output sums up to this many products, float32 sums of either side are off by at most as many roundings.
TERMS = 100


class Net(Builder):
    """A builder whose layers have random parameters."""

    def __init__(self) -> None:
        super().__init__("net")
        self.rng = np.random.default_rng(0)

    def image(self, channels: int = 6, shape: tuple[int, ...] = (2, 5, 7)) -> Value:
        return self.input("x", TensorType((*shape, channels), F32))

    def random(self, *shape: int) -> Array:
        return self.rng.standard_normal(shape).astype(np.float32)

    def parameter(self, *shape: int) -> Value:
        return self.constant(self.random(*shape))

    def batch_norm(self, x: Value, axis: int = -1, offset: float | None = None) -> Value:
        size = x.type.shape[axis]
        arrays = [self.random(size), self.random(size), self.random(size), np.abs(self.random(size)) + 0.1]
        if offset is not None:  # the shift of the whole batch norm
            scale, _, mean, variance = (a.astype(np.float64) for a in arrays)
            arrays[1] = (mean * scale / np.sqrt(variance + 1e-5)).astype(np.float32)
            arrays[2] = mean.astype(np.float32)
            arrays[1] = np.zeros_like(arrays[1]) + np.float32(offset)
            arrays[2] = np.zeros_like(arrays[2])
        return self.emit(BatchNorm, x, *(self.constant(a.astype(np.float32)) for a in arrays), axis=axis)

    def conv(self, x: Value, outputs: int = 4, kernel: int = 3, groups: int = 1, **attributes: Any) -> Value:
        weight = self.parameter(outputs, kernel, kernel, x.type.shape[3] // groups)
        return self.emit(Conv2d, x, weight, groups=groups, **attributes)

    def done(self, y: Value) -> Module:
        self.output("y", y)
        return self.build()


def conv_and_bias(net: Net) -> Value:
    x = net.image()
    return net.emit(Conv2d, x, net.parameter(4, 3, 3, 6), net.parameter(4), padding=(1, 1, 1, 1))


PRECEDING: dict[str, Callable[[Net], Value]] = {
    "conv": lambda net: net.conv(net.image(), padding=(1, 1, 1, 1), strides=(2, 2)),
    "conv with bias": conv_and_bias,
    "grouped": lambda net: net.conv(net.image(), outputs=4, groups=2),
    "depthwise": lambda net: net.conv(net.image(), outputs=12, groups=6, padding=(1, 0, 1, 2)),
    "transposed": lambda net: net.emit(
        ConvTranspose2d, net.image(), net.parameter(4, 3, 3, 3), groups=2, strides=(2, 2), padding=(1, 1, 0, 1)
    ),
    "matmul": lambda net: net.emit(Matmul, net.input("x", TensorType((3, 8), F32)), net.parameter(8, 5)),
    "matmul of rank 3": lambda net: net.emit(Matmul, net.input("x", TensorType((2, 3, 8), F32)), net.parameter(8, 5)),
}


@pytest.mark.parametrize("layer", PRECEDING)
@pytest.mark.parametrize("behind", ["batch_norm", "mul", "add", "scalar"])
def test_it_folds_into_the_operation_before(layer: str, behind: str) -> None:
    net = Net()
    linear = PRECEDING[layer](net)
    channels = linear.type.shape[-1]
    match behind:
        case "batch_norm":
            y = net.batch_norm(linear)
        case "mul":
            y = net.emit(Mul, linear, net.parameter(1, channels), clamp=(0.0, 6.0))
        case "add":
            y = net.emit(Add, linear, net.parameter(channels))
        case _:
            y = net.emit(Mul, linear, net.constant(np.array(-0.3, np.float32)))
    before = net.done(y)
    after, applied = apply(before, FoldIntoPreceding())
    assert applied == {"FoldIntoPreceding": 1}
    assert op_names(after) == op_names(before)[:1]
    assert_close(before, after, normal_inputs(before), TERMS, local=False)


FOLLOWING: dict[str, Callable[[Net, Value], Value]] = {
    "conv": lambda net, x: net.conv(x),
    "grouped": lambda net, x: net.conv(x, outputs=8, groups=2),
    "depthwise": lambda net, x: net.conv(x, outputs=12, groups=6),
    "matmul": lambda net, x: net.emit(Matmul, x, net.parameter(6, 5), net.parameter(5)),
}


@pytest.mark.parametrize("layer", FOLLOWING)
def test_it_folds_into_the_operation_behind(layer: str) -> None:
    net = Net()
    before = net.done(FOLLOWING[layer](net, net.batch_norm(net.image())))
    after, applied = apply(before, FoldIntoFollowing())
    assert applied == {"FoldIntoFollowing": 1}
    assert op_names(after) == op_names(before)[1:]
    assert_close(before, after, normal_inputs(before), TERMS, local=False)


@pytest.mark.parametrize("layer", ["conv", "transposed"])
def test_without_an_offset_it_folds_into_what_pads(layer: str) -> None:
    net = Net()
    scaled = net.batch_norm(net.image(), offset=0.0)
    if layer == "conv":
        y = net.conv(scaled, padding=(1, 1, 1, 1))
    else:
        y = net.emit(ConvTranspose2d, scaled, net.parameter(4, 3, 3, 6), strides=(2, 2))
    before = net.done(y)
    after, applied = apply(before, FoldIntoFollowing())
    assert applied == {"FoldIntoFollowing": 1}
    assert_close(before, after, normal_inputs(before), TERMS, local=False)


def with_padding(net: Net) -> Value:
    return net.conv(net.batch_norm(net.image()), padding=(1, 1, 1, 1))


def transposed(net: Net) -> Value:
    return net.emit(ConvTranspose2d, net.batch_norm(net.image()), net.parameter(4, 3, 3, 6))


def two_users(net: Net) -> Value:
    conv = net.conv(net.image())
    return net.emit(Add, net.batch_norm(conv), conv)


def clamped(net: Net) -> Value:
    return net.batch_norm(net.conv(net.image(), clamp=(0.0, 6.0)))


def not_by_channel(net: Net) -> Value:
    return net.emit(Add, net.conv(net.image()), net.parameter(3, 5, 1))


REFUSED: list[tuple[type[Pattern], Callable[[Net], Value], str]] = [
    (FoldIntoFollowing, with_padding, "pads zeros"),
    (FoldIntoFollowing, transposed, "borders of a transposed convolution"),
    (FoldIntoPreceding, two_users, "used elsewhere"),
    (FoldIntoPreceding, clamped, "clamped before it"),
    (FoldIntoPreceding, not_by_channel, "not one number a channel"),
]


@pytest.mark.parametrize(("rule", "build", "reason"), REFUSED, ids=lambda v: getattr(v, "__name__", ""))
def test_a_guard_says_why_not(rule: type[Pattern], build: Callable[[Net], Value], reason: str) -> None:
    net = Net()
    before = net.done(build(net))
    after, report = rewrite(before, [rule()], "test")
    assert after == before
    assert any(reason in why for why in report.mismatches.values()), report.mismatches


def test_affines_in_a_row_become_one() -> None:
    net = Net()
    x = net.image()
    scaled = net.emit(Mul, x, net.parameter(6))
    shifted = net.emit(Add, scaled, net.parameter(1, 1, 6))
    before = net.done(net.batch_norm(shifted))
    after, applied = apply(before, MergeAffines())
    assert applied == {"MergeAffines": 2}
    assert op_names(after) == ["batch_norm"]
    assert_close(before, after, normal_inputs(before), 12, local=False)


@pytest.mark.parametrize("shape", [(2, 5, 7, 6), (3, 6), (4, 5, 6), (2, 5, 7, 1), (2, 3, 4, 5, 6)])
def test_alone_it_becomes_a_depthwise_convolution(shape: tuple[int, ...]) -> None:
    net = Net()
    before = net.done(net.batch_norm(net.image(shape[-1], shape[:-1])))
    after, applied = apply(before, StandaloneToDepthwise())
    assert applied == {"StandaloneToDepthwise": 1}
    (conv,) = (op for op in after.ops if isinstance(op, Conv2d))
    assert conv.groups == shape[-1]
    assert set(op_names(after)) <= {"conv2d", "reshape"}
    assert_close(before, after, normal_inputs(before), 6, local=False)


def test_along_another_axis_it_becomes_a_product_and_a_sum() -> None:
    net = Net()
    before = net.done(net.batch_norm(net.image(), axis=1))
    after, applied = apply(before, StandaloneToArithmetic())
    assert applied == {"StandaloneToArithmetic": 1}
    assert op_names(after) == ["mul", "add"]
    assert_close(before, after, normal_inputs(before), 6, local=False)


def test_the_pass_leaves_no_batch_norm_and_says_which_stood_alone() -> None:
    net = Net()
    x = net.batch_norm(net.image())
    x = net.emit(Clamp, x, minimum=0.0, maximum=np.inf)
    x = net.batch_norm(net.conv(x))
    x = net.emit(Clamp, x, minimum=0.0, maximum=np.inf)
    before = net.done(net.conv(net.batch_norm(x), kernel=1, outputs=3))
    context = PassContext()
    after = FoldBatchNorm().run(before, context)
    verify(after)
    assert op_names(after) == ["conv2d", "clamp", "conv2d", "clamp", "conv2d"]
    assert len(context.remarks) == 1
    assert "stands alone" in str(context.remarks[0])
    assert_close(before, after, normal_inputs(before), 3 * TERMS, local=False)


def test_one_warning_says_which_batch_norms_stay() -> None:
    net = Net()
    x, computed = net.image(), net.input("p", TensorType((6,), F32))
    for _ in range(3):
        x = net.emit(BatchNorm, x, computed, *(net.parameter(6) for _ in range(2)), computed)
    context = PassContext()
    FoldBatchNorm().run(net.done(x), context)
    (warning,) = (r for r in context.remarks if r.severity == "warning")
    assert warning.message == "3 batch_norms stay: %batch_norm and 2 more: its parameters are not all constants"


def test_places_of_the_model_are_kept() -> None:
    net = Net()
    before = net.done(net.batch_norm(net.conv(net.image())))
    after = FoldBatchNorm().run(before, PassContext())
    (conv,) = (op for op in after.ops if isinstance(op, Conv2d))
    assert conv.location.passes == ("fold-batch-norm",)
    assert conv.result.name == before.outputs[0].value.name


@pytest.mark.parametrize("variance", [-1.0, np.nan])
def test_a_batch_norm_without_a_finite_multiplier_is_an_error(variance: float) -> None:
    net = Net()
    ones = [net.constant(np.ones(6, np.float32)) for _ in range(3)]
    bad = np.ones(6, np.float32)
    bad[4] = variance
    before = net.done(net.emit(BatchNorm, net.conv(net.image(), outputs=6), *ones, net.constant(bad)))
    with pytest.raises(PassError, match="channel 4") as caught:
        FoldBatchNorm().run(before, PassContext())
    assert "variance" in caught.value.help


def test_weights_that_would_overflow_stay() -> None:
    net = Net()
    conv = net.conv(net.image())
    huge = net.emit(Mul, conv, net.constant(np.full(4, 3e38, np.float32)))
    before = net.done(net.emit(Mul, huge, net.constant(np.full(4, 1e-38, np.float32))))
    after = FoldBatchNorm().run(before, PassContext())
    assert all(np.all(np.isfinite(a)) for a in evaluate(after, normal_inputs(after)).values())

"""Ranges: narrowing, inference, shared parameters, fixed ranges."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from qcc.ir import Builder, CalibratedType, Module, PassError, TensorType, Value, ops
from qcc.passes import KEEP_FLOAT, PassContext, PropagateRanges
from tests.passes.quantization import f32, i8, quantized, random_samples


def calibrated(low: float, high: float, *shape: int) -> TensorType:
    return TensorType(shape, CalibratedType(low, high))


def ranges(build: Callable[[Builder], Value], context: PassContext | None = None) -> dict[str, tuple[float, float]]:
    """Return the ranges that the pass finds in what `build` makes."""
    builder = Builder("net")
    builder.output("y", build(builder))
    module = PropagateRanges().run(builder.build(), context or PassContext())
    elements = {v.name: v.type.element for v in module.values.values()}
    return {n: (e.minimum, e.maximum) for n, e in elements.items() if isinstance(e, CalibratedType)}


def test_what_no_data_reached_is_inferred() -> None:
    def build(b: Builder) -> Value:
        x = b.input("x", calibrated(-2, 3, 4))
        doubled = b.emit(ops.Mul, x, b.constant(np.array([-2, 1], np.float32)[[0, 1, 0, 1]]), name="doubled")
        total = b.emit(ops.Add, doubled, x, name="total")
        return b.emit(ops.Exp, b.emit(ops.Clamp, total, minimum=0.0, maximum=np.inf, name="relu"), name="y")

    context = PassContext()
    found = ranges(build, context)
    assert found == {
        "x": (-2, 3), "doubled": (-6, 4), "total": (-8, 7), "relu": (0, 7), "y": pytest.approx((1, np.exp(7)))
    }  # fmt: skip
    assert {r.subject for r in context.remarks} == {"doubled", "total", "relu", "y"}


def test_observed_ranges_are_narrowed_to_what_is_possible() -> None:
    def build(b: Builder) -> Value:
        x = b.input("x", calibrated(-2, 3, 4))
        return b.emit(ops.Clamp, x, minimum=0.0, maximum=6.0, name="y", types=(calibrated(-1, 9, 4),))

    assert ranges(build)["y"] == (0, 6)


def test_convolutions_are_not_inferred_but_listed() -> None:
    b = Builder("net")
    x = b.input("x", calibrated(-1, 1, 1, 4))
    w = b.constant(np.ones((4, 4), np.float32))
    b.output("y", b.emit(ops.Matmul, b.emit(ops.Matmul, x, w, name="first"), w, name="second"))
    with pytest.raises(PassError, match=r"2 values have no range.*%first \(matmul\), %second \(matmul\)"):
        PropagateRanges().run(b.build(), PassContext())


def test_a_clamped_product_has_the_range_of_its_clamp() -> None:
    def build(b: Builder) -> Value:
        x = b.input("x", calibrated(-1, 1, 1, 4))
        return b.emit(ops.Matmul, x, b.constant(np.ones((4, 4), np.float32)), clamp=(0.0, 6.0), name="y")

    assert ranges(build)["y"] == (0, 6)


def test_a_group_has_the_range_of_all_that_flows_into_it() -> None:
    def build(b: Builder) -> Value:
        a, c = b.input("a", calibrated(-1, 2, 1, 4)), b.input("c", calibrated(0, 5, 1, 4))
        flat = b.emit(ops.Reshape, a, shape=(4, 1), name="flat")
        back = b.emit(ops.Reshape, flat, shape=(1, 4), name="back")
        joined = b.emit(ops.Concat, back, c, axis=1, name="joined", types=(calibrated(0, 1, 1, 8),))
        padded = b.emit(ops.Pad, joined, low=(0, 1), high=(0, 0), value=-3.0, name="padded")
        return b.emit(ops.Slice, padded, starts=(0, 0), sizes=(1, 2), strides=(1, 1), name="y")

    found = ranges(build)
    assert set(found) == {"a", "c", "flat", "back", "joined", "padded", "y"}
    assert set(found.values()) == {(-3.0, 5.0)}


@pytest.mark.parametrize(
    ("op_class", "expected"),
    [(ops.Sigmoid, (0, 255 / 256)), (ops.HardSigmoid, (0, 255 / 256)), (ops.Tanh, (-1, 127 / 128)),
     (ops.Softmax, (0, 255 / 256))],
)  # fmt: skip
def test_fixed_ranges_and_their_codes(op_class: type[ops.Unary], expected: tuple[float, float]) -> None:
    def build(b: Builder) -> Value:
        x = b.input("x", calibrated(-1, 1, 1, 4))
        y = b.emit(op_class, x, name="y", types=(calibrated(0.2, 0.4, 1, 4),))
        return b.emit(ops.Reshape, y, shape=(4,), name="flat")

    found = ranges(build)
    assert found["y"] == found["flat"] == expected


def test_functions_that_share_with_others_keep_the_union() -> None:
    def build(b: Builder) -> Value:
        x = b.input("x", calibrated(-1, 4, 1, 4))
        y = b.emit(ops.Sigmoid, x, name="y", types=(calibrated(0.2, 0.9, 1, 4),))
        z = b.emit(ops.Sigmoid, y, name="z", types=(calibrated(0.5, 0.7, 1, 4),))
        return b.emit(ops.Concat, b.emit(ops.Concat, y, z, axis=1, name="both"), x, axis=1, name="all")

    assert set(ranges(build).values()) == {(-1.0, 4.0)}


def test_functions_that_share_among_themselves_keep_the_fixed_range() -> None:
    def build(b: Builder) -> Value:
        x = b.input("x", calibrated(-1, 4, 1, 4))
        return b.emit(ops.Concat, b.emit(ops.Sigmoid, x, name="s"), b.emit(ops.Softmax, x, name="t"), axis=1, name="y")

    found = ranges(build)
    assert found["s"] == found["t"] == found["y"] == (0, 255 / 256)


def test_a_constant_that_never_wins_does_not_widen() -> None:
    def build(b: Builder) -> Value:
        x = b.input("x", calibrated(-1, 4, 4))
        return b.emit(ops.Maximum, x, b.constant(np.array([-1e9], np.float32)), name="y")

    assert ranges(build)["y"] == (-1, 4)


@pytest.mark.parametrize(
    ("x", "slopes", "expected"),
    [((-10, 4), [0.01, 0.2], (-2, 4)), ((-10, 4), [-0.5, 0.25], (-2.5, 5)), ((1, 4), [-0.5, 2.0], (0, 4))],
)
def test_prelu_scales_only_what_is_negative(
    x: tuple[float, float], slopes: list[float], expected: tuple[float, float]
) -> None:
    def build(b: Builder) -> Value:
        return b.emit(ops.Prelu, b.input("x", calibrated(*x, 2)), b.constant(np.array(slopes, np.float32)), name="y")

    assert ranges(build)["y"] == pytest.approx(expected)


def test_operations_kept_in_float_share_nothing() -> None:
    def build(b: Builder) -> Value:
        a, c = b.input("a", calibrated(-1, 2, 1, 4)), b.input("c", calibrated(0, 5, 1, 4))
        x, y = b.emit(ops.Abs, a, name="x"), b.emit(ops.Abs, c, name="z")
        return b.emit(ops.Concat, x, y, axis=1, name="y", notes=((KEEP_FLOAT, "test"),))

    found = ranges(build)
    assert found["x"] == pytest.approx((0, 2), abs=1e-3)
    assert found["z"] == pytest.approx((0, 5), abs=1e-3)
    assert "y" not in found


def test_shared_groups_get_one_type_and_fixed_ones_the_usual_codes() -> None:
    b = Builder("net")
    x = b.input("x", f32(1, 4))
    joined = b.emit(ops.Concat, x, b.emit(ops.Sigmoid, x, name="s"), axis=1, name="joined")
    b.output("joined", joined)
    b.output("tanh", b.emit(ops.Tanh, x, name="tanh"))
    module: Module = quantized(b.build(), random_samples(b.build(), 4))
    types = {v.name: v.type.element for v in module.values.values()}
    assert types["x"] == types["s"] == types["joined"]
    assert types["tanh"] == i8(1 / 128, 0)

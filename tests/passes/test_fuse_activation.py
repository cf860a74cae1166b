"""Clamps become the bounds of the operation in front of them; no bit changes."""

import math

import numpy as np
import pytest

from qcc.ir import rewrite
from qcc.passes import FuseActivation, PassContext
from qcc.passes.fuse_activation import FuseClamp, HoistClamp, HoistClampAboveConcat
from tests.passes.equivalence import apply, assert_identical, op_names, qir

T = "tensor<1x4x6x2xf32>"
X = f"input %x : {T}"
RELU = "{minimum = 0.0, maximum = inf}"
WEIGHT = "%w = constant() {value = dense<[[[[0.5, -1.0]]], [[[2.0, 0.25]]]]>} : tensor<2x1x1x2xf32>"
PRODUCERS = {
    "conv2d": [WEIGHT, f"%a = conv2d(%x, %w) : {T}"],
    "conv_transpose2d": [WEIGHT, f"%a = conv_transpose2d(%x, %w) : {T}"],
    "matmul": [
        "%w = constant() {value = dense<[[0.5, -1.0], [2.0, 0.25]]>} : tensor<2x2xf32>",
        f"%a = matmul(%x, %w) : {T}",
    ],
    "add": [f"%a = add(%x, %x) : {T}"],
    "sub": [f"%n = neg(%x) : {T}", f"%a = sub(%x, %n) : {T}"],
    "mul": [f"%a = mul(%x, %x) : {T}"],
    "avg_pool2d": [f"%a = avg_pool2d(%x) {{kernel = [1, 1]}} : {T}"],
}


@pytest.mark.parametrize("producer", PRODUCERS)
def test_a_clamp_is_fused(producer: str) -> None:
    before = qir(X, *PRODUCERS[producer], f"%y = clamp(%a) {RELU} : {T}", 'output %y as "y"')
    after, applied = apply(before, FuseClamp())
    assert applied == {"FuseClamp": 1}
    fused = after.definitions["y"]
    assert fused.name == producer
    assert fused.attributes()["clamp"] == (0.0, math.inf)
    assert_identical(before, after)


def test_a_second_clamp_intersects() -> None:
    before = qir(
        X,
        f"%a = add(%x, %x) {{clamp = [0.0, 9.0]}} : {T}",
        f"%y = clamp(%a) {{minimum = -3.0, maximum = 6.0}} : {T}",
        'output %y as "y"',
    )
    after, _ = apply(before, FuseClamp())
    assert after.definitions["y"].attributes()["clamp"] == (0.0, 6.0)
    assert_identical(before, after)


MOVEMENTS = {
    "reshape": "%b = reshape(%a) {shape = [1, 24, 2]} : tensor<1x24x2xf32>",
    "transpose": "%b = transpose(%a) {permutation = [0, 3, 1, 2]} : tensor<1x2x4x6xf32>",
    "max_pool2d": "%b = max_pool2d(%a) {kernel = [3, 3], strides = [2, 2], padding = [1, 1, 1, 1]}"
    " : tensor<1x2x3x2xf32>",
}


@pytest.mark.parametrize("movement", MOVEMENTS)
def test_a_clamp_moves_in_front_of_what_takes_none(movement: str) -> None:
    line = MOVEMENTS[movement]
    shape = line.rpartition(": ")[2]
    before = qir(X, f"%a = add(%x, %x) : {T}", line, f"%y = clamp(%b) {RELU} : {shape}", 'output %y as "y"')
    after, applied = apply(before, HoistClamp())
    assert applied == {"HoistClamp": 1}
    assert op_names(after) == ["add", "clamp", movement]
    assert_identical(before, after)
    assert op_names(FuseActivation().run(before, PassContext())) == ["add", movement]


CONCAT = [
    f"%a = add(%x, %x) : {T}",
    f"%b = mul(%x, %x) : {T}",
    "%r = reshape(%b) {shape = [1, 4, 6, 2]} : tensor<1x4x6x2xf32>",
    "%c = concat(%a, %r) {axis = 3} : tensor<1x4x6x4xf32>",
    f"%y = clamp(%c) {RELU} : tensor<1x4x6x4xf32>",
]


def test_a_clamp_moves_in_front_of_a_concat() -> None:
    before = qir(X, *CONCAT, 'output %y as "y"')
    after, applied = apply(before, HoistClampAboveConcat())
    assert applied == {"HoistClampAboveConcat": 1}
    assert_identical(before, after)
    fused = FuseActivation().run(before, PassContext())
    assert op_names(fused) == ["add", "mul", "reshape", "concat"]
    assert_identical(before, fused)


def test_a_clamp_stays_behind_a_concat_of_what_takes_none() -> None:
    lines = [line.replace("mul(%x, %x)", "exp(%x)") for line in CONCAT]
    before = qir(X, *lines, 'output %y as "y"')
    after, report = rewrite(before, [HoistClampAboveConcat()], "test")
    assert after == before
    assert report.mismatches["HoistClampAboveConcat", "y"] == "reshape in front of concat takes no clamp"


REFUSED = {
    "nothing takes it": ([f"%a = exp(%x) : {T}", f"%y = clamp(%a) {RELU} : {T}"], "exp has no clamp"),
    "input": ([f"%y = clamp(%x) {RELU} : {T}"], "is an input"),
    "two users": (
        [f"%a = add(%x, %x) : {T}", f"%z = clamp(%a) {RELU} : {T}", f"%y = add(%a, %z) : {T}"],
        "used elsewhere",
    ),
    "kept in float": (
        [f'%a = add(%x, %x) : {T} note {{"keep-float" = "asked for"}}', f"%y = clamp(%a) {RELU} : {T}"],
        "stays in float: asked for",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_guard_says_why_not(name: str) -> None:
    lines, reason = REFUSED[name]
    before = qir(X, *lines, 'output %y as "y"')
    after, report = rewrite(before, [FuseClamp()], "test")
    assert after == before
    assert any(reason in why for why in report.mismatches.values()), report.mismatches


def test_a_clamp_that_stays_is_reported() -> None:
    context = PassContext()
    FuseActivation().run(qir(X, f"%a = exp(%x) : {T}", f"%y = clamp(%a) {RELU} : {T}", 'output %y as "y"'), context)
    assert [str(r) for r in context.remarks] == ["remark: fuse-activation: y: exp has no clamp"]


def test_the_value_returned_is_not_clamped_too_early() -> None:
    before = qir(X, f"%a = add(%x, %x) : {T}", f"%y = clamp(%a) {RELU} : {T}", 'output %a as "a"', 'output %y as "y"')
    after = FuseActivation().run(before, PassContext())
    assert_identical(before, after)
    assert np.isinf(after.definitions["y"].attributes()["maximum"])

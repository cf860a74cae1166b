"""Rules of real arithmetic keep results within the roundings that they save or add."""

import numpy as np
import pytest

from qcc.ir import Pattern, rewrite
from qcc.passes.arithmetic_rules import (
    ARITHMETIC_RULES,
    ConstantToTheRight,
    DivToMul,
    DropNeutral,
    LimitToClamp,
    MergeConstants,
    PreluToLeakyRelu,
    SimplePower,
    SubToAdd,
    TrivialLeakyRelu,
)
from tests.passes.equivalence import apply, assert_close, assert_identical, edge_inputs, normal_inputs, op_names, qir

X = "input %x : tensor<4x12xf32>"
THREE = "%c = constant() {value = dense<3.0>} : tensor<f32>"
NUMBERS = "[[0.5, -1.0, 3.0, 7.0, 0.1, 10.0, 1e-3, 2.0, 1.0, 9.0, -4.0, 5.0]]"
ROW = f"%d = constant() {{value = dense<{NUMBERS}>}} : tensor<1x12xf32>"

#: Rule, statements before `output %y`, operations left, roundings by which results may differ (0: the same bits).
CASES: list[tuple[type[Pattern], list[str], list[str], int]] = [
    (ConstantToTheRight, [X, ROW, "%y = add(%d, %x) : tensor<4x12xf32>"], ["add"], 0),
    (ConstantToTheRight, [X, ROW, "%y = mul(%d, %x) {clamp = [0.0, 6.0]} : tensor<4x12xf32>"], ["mul"], 0),
    (ConstantToTheRight, [X, ROW, "%y = maximum(%d, %x) : tensor<4x12xf32>"], ["maximum"], 0),
    (SubToAdd, [X, ROW, "%y = sub(%x, %d) {clamp = [-2.0, 2.0]} : tensor<4x12xf32>"], ["add"], 0),
    # The reciprocal, the product and the quotient are each rounded once.
    (DivToMul, [X, ROW, "%y = div(%x, %d) {clamp = [-2.0, 2.0]} : tensor<4x12xf32>"], ["mul"], 3),
    (DivToMul, [X, THREE, "%y = div(%x, %c) : tensor<4x12xf32>"], ["mul"], 3),
    (
        DropNeutral,
        [X, "%o = constant() {value = dense<1.0>} : tensor<f32>", "%y = mul(%x, %o) : tensor<4x12xf32>"],
        [],
        0,
    ),
    (
        DropNeutral,
        [
            X,
            "%o = constant() {value = dense<0.0>} : tensor<f32>",
            "%y = add(%x, %o) {clamp = [0.0, inf]} : tensor<4x12xf32>",
        ],
        ["clamp"],
        0,
    ),
    (
        DropNeutral,
        [X, "%o = constant() {value = dense<1.0>} : tensor<f32>", "%y = pow(%x, %o) : tensor<4x12xf32>"],
        [],
        0,
    ),
    # Two sums on one side; on the other the sum of the constants and one sum.
    (
        MergeConstants,
        [X, THREE, ROW, "%a = add(%x, %c) : tensor<4x12xf32>", "%y = add(%a, %d) : tensor<4x12xf32>"],
        ["add"],
        4,
    ),
    (
        MergeConstants,
        [X, THREE, ROW, "%a = mul(%x, %d) : tensor<4x12xf32>", "%y = mul(%a, %c) : tensor<4x12xf32>"],
        ["mul"],
        4,
    ),
    (LimitToClamp, [X, THREE, "%y = maximum(%x, %c) : tensor<4x12xf32>"], ["clamp"], 0),
    (LimitToClamp, [X, THREE, "%y = minimum(%x, %c) : tensor<4x12xf32>"], ["clamp"], 0),
    # The product is rounded in binary32 on one side, computed in binary64 and rounded on the other.
    (PreluToLeakyRelu, [X, THREE, "%y = prelu(%x, %c) : tensor<4x12xf32>"], ["leaky_relu"], 2),
    (TrivialLeakyRelu, [X, "%y = leaky_relu(%x) {alpha = 0.0} : tensor<4x12xf32>"], ["clamp"], 0),
    (TrivialLeakyRelu, [X, "%y = leaky_relu(%x) {alpha = 1.0} : tensor<4x12xf32>"], [], 0),
    (
        SimplePower,
        [
            X,
            "%s = clamp(%x) {minimum = -1e9, maximum = 1e9} : tensor<4x12xf32>",
            "%e = constant() {value = dense<2.0>} : tensor<f32>",
            "%y = pow(%s, %e) : tensor<4x12xf32>",
        ],
        ["clamp", "mul"],
        2,
    ),
    (
        SimplePower,
        [
            X,
            "%e = constant() {value = dense<0.5>} : tensor<f32>",
            "%a = abs(%x) : tensor<4x12xf32>",
            "%y = pow(%a, %e) : tensor<4x12xf32>",
        ],
        ["abs", "sqrt"],
        4,
    ),
    (
        SimplePower,
        [
            X,
            "%e = constant() {value = dense<-1.0>} : tensor<f32>",
            "%a = clamp(%x) {minimum = 0.01, maximum = 1e9} : tensor<4x12xf32>",
            "%y = pow(%a, %e) : tensor<4x12xf32>",
        ],
        ["clamp", "reciprocal"],
        4,
    ),
]


@pytest.mark.parametrize(("rule", "lines", "left", "roundings"), CASES, ids=lambda v: getattr(v, "__name__", ""))
def test_a_rule_keeps_the_result(rule: type[Pattern], lines: list[str], left: list[str], roundings: int) -> None:
    before = qir(*lines, 'output %y as "y"')
    after, applied = apply(before, rule())
    assert applied == {rule.__name__: 1}
    assert op_names(after) == left
    for inputs in (edge_inputs(before), normal_inputs(before)):
        with np.errstate(all="ignore"):
            assert_close(before, after, inputs, roundings, local=True)


def test_every_rule_has_a_case() -> None:
    assert {rule for rule, *_ in CASES} == set(ARITHMETIC_RULES)


def test_exact_rules_also_keep_infinities_and_nan() -> None:
    for rule, lines, _, roundings in CASES:
        if roundings == 0 and rule is not TrivialLeakyRelu and "pow" not in lines[-1]:
            before = qir(*lines, 'output %y as "y"')
            assert_identical(before, apply(before, rule())[0])


REFUSED = [
    (
        DivToMul,
        [X, "%z = constant() {value = dense<0.0>} : tensor<f32>", "%y = div(%x, %z) : tensor<4x12xf32>"],
        "no normal number",
    ),
    (
        DivToMul,
        [X, "%z = constant() {value = dense<3e38>} : tensor<f32>", "%y = div(%x, %z) : tensor<4x12xf32>"],
        "no normal number",
    ),
    (
        MergeConstants,
        [
            X,
            THREE,
            ROW,
            "%a = add(%x, %c) {clamp = [0.0, 6.0]} : tensor<4x12xf32>",
            "%y = add(%a, %d) : tensor<4x12xf32>",
        ],
        "clamped",
    ),
    (
        MergeConstants,
        [
            X,
            "%c = constant() {value = dense<1e30>} : tensor<f32>",
            "%a = mul(%x, %c) : tensor<4x12xf32>",
            "%y = mul(%a, %c) : tensor<4x12xf32>",
        ],
        "not finite",
    ),
    (
        LimitToClamp,
        [X, "%z = constant() {value = dense<nan>} : tensor<f32>", "%y = maximum(%x, %z) : tensor<4x12xf32>"],
        "",
    ),
]


@pytest.mark.parametrize(("rule", "lines", "reason"), REFUSED, ids=lambda v: getattr(v, "__name__", ""))
def test_a_guard_says_why_not(rule: type[Pattern], lines: list[str], reason: str) -> None:
    before = qir(*lines, 'output %y as "y"')
    with np.errstate(all="ignore"):
        after, report = rewrite(before, [rule()], "test")
    assert after == before
    assert reason in report.mismatches.get((rule.__name__, "y"), "")


def test_a_constant_that_grows_the_shape_is_no_neutral_element() -> None:
    before = qir(
        "input %x : tensor<12xf32>",
        "%o = constant() {value = dense<[[1.0], [1.0]]>} : tensor<2x1xf32>",
        "%y = mul(%x, %o) : tensor<2x12xf32>",
        'output %y as "y"',
    )
    after, applied = apply(before, DropNeutral())
    assert applied == {}
    assert after == before

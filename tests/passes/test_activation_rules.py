"""Functions that models write out are recognized, and only these."""

import math

import numpy as np
import pytest

from qcc.ir import Array, Pattern, drop_dead
from qcc.passes import Canonicalize, PassContext
from qcc.passes.activation_rules import ACTIVATION_RULES, ToGelu, ToHardSigmoid, ToHardSwish, ToSilu, ToSoftmax
from tests.passes.equivalence import apply, assert_close, edge_inputs, normal_inputs, op_names, qir

T = "tensor<4x16xf32>"


def number(name: str, value: float) -> str:
    return f"%{name} = constant() {{value = dense<{np.float32(value)}>}} : tensor<f32>"


X = f"input %x : {T}"
HALF, ONE, THREE, SIXTH = number("half", 0.5), number("one", 1), number("three", 3), number("sixth", 1 / 6)
ROOT, CUBIC, OUTER = number("root", math.sqrt(0.5)), number("cubic", 0.044715), number("outer", math.sqrt(2 / math.pi))
ERF = [X, HALF, ONE, ROOT, f"%a = mul(%x, %root) : {T}", f"%b = erf(%a) : {T}", f"%c = add(%b, %one) : {T}"]
CUBE = [X, HALF, ONE, CUBIC, OUTER, f"%s = mul(%x, %x) : {T}"]
TANH = [f"%t = tanh(%u) : {T}", f"%c = add(%one, %t) : {T}"]
RELU6 = [X, THREE, SIXTH, f"%a = add(%x, %three) : {T}", f"%r = clamp(%a) {{minimum = 0.0, maximum = 6.0}} : {T}"]

#: Rule, statements before `output %y`, the operation that is left, roundings by which results may differ.
CASES: list[tuple[type[Pattern], list[str], str, int]] = [
    (ToSilu, [X, f"%s = sigmoid(%x) : {T}", f"%y = mul(%x, %s) : {T}"], "silu", 3),
    (ToSilu, [X, f"%s = sigmoid(%x) : {T}", f"%y = mul(%s, %x) {{clamp = [-inf, 4.0]}} : {T}"], "silu", 3),
    # x + 3, two products and the constant are rounded; on the other side the result.
    (ToHardSwish, [*RELU6, f"%m = mul(%x, %r) : {T}", f"%y = mul(%m, %sixth) : {T}"], "hard_swish", 6),
    (ToHardSwish, [*RELU6, f"%m = mul(%r, %sixth) : {T}", f"%y = mul(%m, %x) : {T}"], "hard_swish", 6),
    (
        ToHardSwish,
        [X, f"%h = hard_sigmoid(%x) {{alpha = 0.16666667, beta = 0.5}} : {T}", f"%y = mul(%x, %h) : {T}"],
        "hard_swish",
        4,
    ),
    # The argument is rounded twice; t·erf'(t) < 1, so that adds at most as much to the result; then two products.
    (ToGelu, [*ERF, f"%h = mul(%x, %half) : {T}", f"%y = mul(%h, %c) : {T}"], "gelu", 8),
    (ToGelu, [*ERF, f"%h = mul(%x, %c) : {T}", f"%y = mul(%h, %half) : {T}"], "gelu", 8),
    (ToGelu, [*ERF, f"%h = mul(%c, %half) : {T}", f"%y = mul(%x, %h) : {T}"], "gelu", 8),
    # As above with six roundings of the argument: t·tanh'(t) < 1/2.
    (
        ToGelu,
        [
            *CUBE,
            f"%s3 = mul(%s, %x) : {T}",
            f"%k = mul(%s3, %cubic) : {T}",
            f"%p = add(%x, %k) : {T}",
            f"%u = mul(%p, %outer) : {T}",
            *TANH,
            f"%h = mul(%x, %half) : {T}",
            f"%y = mul(%h, %c) : {T}",
        ],
        "gelu",
        12,
    ),
    (
        ToGelu,
        [
            *CUBE,
            f"%k = mul(%cubic, %s) : {T}",
            f"%p = add(%k, %one) : {T}",
            f"%q = mul(%p, %x) : {T}",
            f"%u = mul(%q, %outer) : {T}",
            *TANH,
            f"%h = mul(%x, %half) : {T}",
            f"%y = mul(%h, %c) : {T}",
        ],
        "gelu",
        12,
    ),
    (ToHardSigmoid, [*RELU6, f"%y = mul(%r, %sixth) : {T}"], "hard_sigmoid", 5),
]


def bounded_edges(values: dict[str, Array]) -> dict[str, Array]:
    """Return inputs whose cubes are still finite."""
    return {name: np.clip(array, -1e9, 1e9) for name, array in values.items()}


@pytest.mark.parametrize(("rule", "lines", "left", "roundings"), CASES, ids=lambda v: getattr(v, "__name__", ""))
def test_a_function_written_out_is_recognized(rule: type[Pattern], lines: list[str], left: str, roundings: int) -> None:
    before = qir(*lines, 'output %y as "y"')
    after, applied = apply(before, rule())
    assert applied == {rule.__name__: 1}
    assert op_names(after) in ([left], [left, "clamp"])
    for inputs in (edge_inputs(before), normal_inputs(before)):
        assert_close(before, after, bounded_edges(inputs), roundings, local=True)


@pytest.mark.parametrize("shifted", [False, True])
def test_a_softmax_written_out_is_recognized(shifted: bool) -> None:
    shift = ["%m = reduce_max(%x) {axes = [1]} : tensor<4x1xf32>", f"%d = sub(%x, %m) : {T}"] if shifted else []
    before = qir(
        X,
        *shift,
        f"%e = exp({'%d' if shifted else '%x'}) : {T}",
        "%s = reduce_sum(%e) {axes = [1]} : tensor<4x1xf32>",
        f"%y = div(%e, %s) : {T}",
        'output %y as "y"',
    )
    after, applied = apply(before, ToSoftmax())
    assert applied == {"ToSoftmax": 1}
    assert op_names(after) == ["softmax"]
    # The difference (its error is one rounding of |x| < 8), the exponential, the sum and the quotient; all are below 1.
    assert_close(before, after, normal_inputs(before), 20, local=False)


def test_every_rule_has_a_case() -> None:
    assert {rule for rule, *_ in CASES} | {ToSoftmax} == set(ACTIVATION_RULES)


LOOKALIKES = [
    [X, f"input %z : {T}", f"%s = sigmoid(%z) : {T}", f"%y = mul(%x, %s) : {T}"],
    [X, HALF, f"%s = sigmoid(%x) : {T}", f"%k = mul(%x, %half) : {T}", f"%y = mul(%k, %s) : {T}"],
    [*ERF, f"%y = mul(%x, %c) : {T}"],
    [*ERF[:-1], f"%c = add(%b, %half) : {T}", f"%h = mul(%x, %half) : {T}", f"%y = mul(%h, %c) : {T}"],
    [X, HALF, ONE, number("root", 0.7), *ERF[4:], f"%h = mul(%x, %half) : {T}", f"%y = mul(%h, %c) : {T}"],
    [*RELU6[:-1], f"%r = clamp(%a) {{minimum = 0.0, maximum = 5.0}} : {T}", f"%y = mul(%r, %sixth) : {T}"],
    [
        X,
        f"%e = exp(%x) : {T}",
        "%s = reduce_sum(%e) {axes = [0]} : tensor<1x16xf32>",
        "%t = reduce_sum(%s) {axes = [1]} : tensor<1x1xf32>",
        f"%y = div(%e, %t) : {T}",
    ],
]


@pytest.mark.parametrize("lines", LOOKALIKES)
def test_a_lookalike_is_left_alone(lines: list[str]) -> None:
    before = qir(*lines, 'output %y as "y"')
    after, applied = apply(before, *(rule() for rule in ACTIVATION_RULES))
    assert applied == {}
    assert after == drop_dead(before)


def test_a_part_that_stays_in_float_is_not_merged() -> None:
    before = qir(
        X,
        f'%s = sigmoid(%x) : {T} note {{"keep-float" = "asked for"}}',
        f"%y = mul(%x, %s) : {T}",
        'output %y as "y"',
    )
    assert Canonicalize().run(before, PassContext()) == before


def test_canonicalize_recognizes_what_exporters_write() -> None:
    """GELU as PyTorch exports it: x / √2, erf, + 1, times x, times ½."""
    module = qir(
        X,
        HALF,
        ONE,
        number("root2", math.sqrt(2)),
        f"%a = div(%x, %root2) : {T}",
        f"%b = erf(%a) : {T}",
        f"%c = add(%b, %one) : {T}",
        f"%d = mul(%x, %c) : {T}",
        f"%y = mul(%d, %half) : {T}",
        'output %y as "y"',
    )
    after = Canonicalize().run(module, PassContext())
    assert op_names(after) == ["gelu"]
    assert [op.name for op in after.ops] == ["gelu"]

"""Rules of movements, pads and clamps change no bit."""

import numpy as np
import pytest

from qcc.ir import Pattern, evaluate, parse_module, rewrite
from qcc.passes.movement_rules import (
    MOVEMENT_RULES,
    DropBroadcast,
    DropIdentity,
    MergeClamps,
    MergePads,
    MergeReshapes,
    MergeTransposes,
    PadIntoWindow,
    ShuffleToGather,
    TransposeToReshape,
    intersect,
)
from tests.passes.equivalence import apply, assert_keeps_bits, qir

T4 = "tensor<1x4x6x8xf32>"
X4 = f"input %x : {T4}"
WEIGHT = "%w = constant() {value = dense<[[[[0.5, -1.0]]], [[[2.0, 0.25]]]]>} : tensor<2x1x1x2xf32>"


def case(rule: type[Pattern], lines: list[str], left: list[str], label: str = "") -> object:
    """Return a test case: the rule, the statements before `output %y`, the operations that are left."""
    return pytest.param(rule, [*lines, 'output %y as "y"'], left, id=f"{rule.__name__}-{label}".rstrip("-"))


CASES = [
    case(DropIdentity, [X4, "%y = transpose(%x) {permutation = [0, 1, 2, 3]} : tensor<1x4x6x8xf32>"], [], "transpose"),
    case(DropIdentity, [X4, "%y = reshape(%x) {shape = [1, 4, 6, 8]} : tensor<1x4x6x8xf32>"], [], "reshape"),
    case(DropIdentity, [X4, "%y = broadcast(%x) {shape = [1, 4, 6, 8]} : tensor<1x4x6x8xf32>"], [], "broadcast"),
    case(
        DropIdentity,
        [X4, "%y = pad(%x) {low = [0, 0, 0, 0], high = [0, 0, 0, 0]} : tensor<1x4x6x8xf32>"],
        [],
        "pad",
    ),
    case(DropIdentity, [X4, "%y = clamp(%x) {minimum = -inf, maximum = inf} : tensor<1x4x6x8xf32>"], [], "clamp"),
    case(
        DropIdentity,
        [
            X4,
            f"%y = slice(%x) {{starts = [0, 0, 0, 0], sizes = [1, 4, 6, 8], strides = [3, 1, 1, 1]}} : {T4}",
        ],
        [],
        "slice",
    ),
    case(DropIdentity, [X4, "%y = concat(%x) {axis = 1} : tensor<1x4x6x8xf32>"], [], "concat"),
    case(DropIdentity, [X4, "%y = split(%x) {axis = 1, sizes = [4]} : tensor<1x4x6x8xf32>"], [], "split"),
    case(
        DropIdentity,
        [X4, "%y = gather(%x) {axis = 1, indices = [0, 1, 2, 3], indices_shape = [4]} : tensor<1x4x6x8xf32>"],
        [],
        "gather",
    ),
    case(DropIdentity, [X4, "%y = max_pool2d(%x) {kernel = [1, 1]} : tensor<1x4x6x8xf32>"], [], "max_pool2d"),
    case(DropIdentity, [X4, "%y = avg_pool2d(%x) {kernel = [1, 1]} : tensor<1x4x6x8xf32>"], [], "avg_pool2d"),
    case(
        DropIdentity,
        [X4, "%y = resize(%x) {shape = [1, 4, 6, 8], scales = [1.0, 1.0, 1.0, 1.0]} : tensor<1x4x6x8xf32>"],
        [],
        "resize",
    ),
    case(
        MergeReshapes,
        [
            X4,
            "%a = reshape(%x) {shape = [4, 48]} : tensor<4x48xf32>",
            "%y = reshape(%a) {shape = [2, 96]} : tensor<2x96xf32>",
        ],
        ["reshape"],
    ),
    case(
        MergeTransposes,
        [
            X4,
            "%a = transpose(%x) {permutation = [0, 3, 1, 2]} : tensor<1x8x4x6xf32>",
            "%y = transpose(%a) {permutation = [2, 0, 3, 1]} : tensor<4x1x6x8xf32>",
        ],
        ["transpose"],
    ),
    case(
        TransposeToReshape,
        [X4, "%y = transpose(%x) {permutation = [1, 2, 0, 3]} : tensor<4x6x1x8xf32>"],
        ["reshape"],
    ),
    case(
        MergeClamps,
        [
            X4,
            "%a = clamp(%x) {minimum = 0.0, maximum = inf} : tensor<1x4x6x8xf32>",
            "%y = clamp(%a) {minimum = -1.0, maximum = 6.0} : tensor<1x4x6x8xf32>",
        ],
        ["clamp"],
    ),
    case(
        MergeClamps,
        [
            X4,
            "%a = clamp(%x) {minimum = 3.0, maximum = 4.0} : tensor<1x4x6x8xf32>",
            "%y = clamp(%a) {minimum = -1.0, maximum = 1.0} : tensor<1x4x6x8xf32>",
        ],
        ["clamp"],
        "apart",
    ),
    case(
        MergePads,
        [
            X4,
            "%a = pad(%x) {low = [0, 1, 0, 2], high = [0, 0, 1, 0], value = 3.0} : tensor<1x5x7x10xf32>",
            "%y = pad(%a) {low = [0, 1, 1, 0], high = [1, 0, 0, 0], value = 3.0} : tensor<2x6x8x10xf32>",
        ],
        ["pad"],
    ),
    case(
        PadIntoWindow,
        [
            "input %x : tensor<1x4x6x2xf32>",
            WEIGHT,
            "%a = pad(%x) {low = [0, 1, 0, 0], high = [0, 0, 2, 0]} : tensor<1x5x8x2xf32>",
            "%y = conv2d(%a, %w) {padding = [0, 1, 1, 0]} : tensor<1x6x9x2xf32>",
        ],
        ["conv2d"],
        "conv2d",
    ),
    case(
        PadIntoWindow,
        [
            X4,
            "%a = pad(%x) {low = [0, 1, 1, 0], high = [0, 1, 1, 0]} : tensor<1x6x8x8xf32>",
            "%y = avg_pool2d(%a) {kernel = [3, 3], strides = [2, 2]} : tensor<1x2x3x8xf32>",
        ],
        ["avg_pool2d"],
        "avg_pool2d",
    ),
    case(
        PadIntoWindow,
        [
            X4,
            "%r = clamp(%x) {minimum = 0.0, maximum = inf} : tensor<1x4x6x8xf32>",
            "%a = pad(%r) {low = [0, 1, 1, 0], high = [0, 1, 1, 0]} : tensor<1x6x8x8xf32>",
            "%y = max_pool2d(%a) {kernel = [3, 3], strides = [2, 2]} : tensor<1x2x3x8xf32>",
        ],
        ["clamp", "max_pool2d"],
        "max_pool2d",
    ),
    case(
        DropBroadcast,
        [
            X4,
            "input %z : tensor<6x1xf32>",
            "%a = broadcast(%z) {shape = [1, 4, 6, 8]} : tensor<1x4x6x8xf32>",
            "%y = sub(%a, %x) : tensor<1x4x6x8xf32>",
        ],
        ["sub"],
    ),
    case(
        ShuffleToGather,
        [
            "input %x : tensor<2x6x3x2xf32>",
            "%a = reshape(%x) {shape = [2, 2, 3, 3, 2]} : tensor<2x2x3x3x2xf32>",
            "%b = transpose(%a) {permutation = [0, 2, 1, 3, 4]} : tensor<2x3x2x3x2xf32>",
            "%y = reshape(%b) {shape = [2, 6, 3, 2]} : tensor<2x6x3x2xf32>",
        ],
        ["gather"],
    ),
]


@pytest.mark.parametrize(("rule", "lines", "left"), CASES)
def test_a_rule_changes_no_bit(rule: type[Pattern], lines: list[str], left: list[str]) -> None:
    assert_keeps_bits(rule(), lines, left)


def test_every_rule_has_a_case() -> None:
    assert {rule for rule, _, _ in (case.values for case in CASES)} == {*MOVEMENT_RULES, ShuffleToGather}  # type: ignore[attr-defined]  # pytest names no type for its cases


REFUSED = [
    case(
        PadIntoWindow,
        [
            X4,
            "%a = pad(%x) {low = [0, 1, 1, 0], high = [0, 1, 1, 0]} : tensor<1x6x8x8xf32>",
            "%y = max_pool2d(%a) {kernel = [3, 3], strides = [2, 2]} : tensor<1x2x3x8xf32>",
        ],
        ["could be the largest"],
        "max of negative values",
    ),
    case(
        PadIntoWindow,
        [
            X4,
            "%a = pad(%x) {low = [0, 1, 1, 0], high = [0, 1, 1, 0]} : tensor<1x6x8x8xf32>",
            "%y = avg_pool2d(%a) {kernel = [3, 3], padding = [1, 1, 1, 1]} : tensor<1x6x8x8xf32>",
        ],
        ["own padding does not count"],
        "padding that does not count",
    ),
    case(
        PadIntoWindow,
        [
            X4,
            '%a = pad(%x) {low = [0, 1, 1, 0], high = [0, 1, 1, 0], mode = "edge"} : tensor<1x6x8x8xf32>',
            "%y = avg_pool2d(%a) {kernel = [3, 3]} : tensor<1x4x6x8xf32>",
        ],
        ["of mode edge"],
        "edge",
    ),
    case(
        PadIntoWindow,
        [
            X4,
            "%a = pad(%x) {low = [0, 0, 0, 1], high = [0, 0, 0, 0]} : tensor<1x4x6x9xf32>",
            "%y = avg_pool2d(%a) {kernel = [3, 3]} : tensor<1x2x4x9xf32>",
        ],
        ["grows batch or channels"],
        "channels",
    ),
    case(
        MergePads,
        [
            X4,
            "%a = pad(%x) {low = [0, 1, 0, 2], high = [0, 0, 1, 0], value = 3.0} : tensor<1x5x7x10xf32>",
            "%y = pad(%a) {low = [0, 1, 1, 0], high = [1, 0, 0, 0], value = 2.0} : tensor<2x6x8x10xf32>",
        ],
        ["different values"],
    ),
]


@pytest.mark.parametrize(("rule", "lines", "reason"), REFUSED)
def test_a_guard_says_why_not(rule: type[Pattern], lines: list[str], reason: list[str]) -> None:
    before = qir(*lines)
    after, report = rewrite(before, [rule()], "test")
    assert after == before
    assert reason[0] in report.mismatches[rule.__name__, "y"]


REQUANTIZED = [
    [
        "%a = clamp(%x) {minimum = 0.0, maximum = 1.0} : tensor<2x2xA>",
        "%y = clamp(%a) {minimum = 0.5, maximum = 1.0} : tensor<2x2xA>",
    ],
    [
        "%a = pad(%x) {low = [1, 0], high = [0, 0]} : tensor<3x2xA>",
        "%y = pad(%a) {low = [1, 0], high = [0, 0]} : tensor<4x2xA>",
    ],
]


@pytest.mark.parametrize("lines", REQUANTIZED)
@pytest.mark.parametrize("coarse", [False, True])
def test_values_that_are_quantized_again_stay(lines: list[str], coarse: bool) -> None:
    """Between x and %a the scale changes in the coarse case: then %a is rounded, and must be."""
    fine = "!quant.uniform<i8:f32, 0.01>"
    inner = "!quant.uniform<i8:f32, 0.3>" if coarse else fine
    text = "module @m stage quantized {\n  input %x : tensor<2x2xX>\n" + "\n".join(lines) + '\n  output %y as "y"\n}'
    module = parse_module(text.replace("xX>", f"x{fine}>").replace("xA>", f"x{inner}>"))
    after, applied = apply(module, *(rule() for rule in MOVEMENT_RULES))
    assert bool(applied) != coarse
    x = {"x": np.array([[100, -7], [33, 2]], np.int8)}
    np.testing.assert_array_equal(evaluate(after, x)["y"], evaluate(module, x)["y"])


def test_bounds_intersect_as_two_clamps_do() -> None:
    bounds = [-np.inf, -1.0, 0.0, 2.0, 6.0, np.inf]
    pairs = [(a, b) for a in bounds for b in bounds if a <= b]
    x = np.linspace(-8, 8, 65)
    for inner in pairs:
        for outer in pairs:
            np.testing.assert_array_equal(np.clip(np.clip(x, *inner), *outer), np.clip(x, *intersect(inner, outer)))

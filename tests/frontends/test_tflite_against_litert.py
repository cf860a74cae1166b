"""Each operation on real numbers gives what LiteRT's reference kernels give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcc.ir import Array, Stage, evaluate, parse_module, print_module
from tests.conformance.litert import AUTO, BUILTIN_REF, Job, Outcome, run_litert
from tests.frontends.tflite_models import OneOperation, import_bytes

G = np.random.default_rng(3)
NONE = {"fused_activation_function": "NONE"}


def f32(*shape: int) -> Array:
    """Random weights."""
    return G.normal(0, 1, shape).astype(np.float32)


def i32(*numbers: Any) -> Array:
    return np.array(numbers, np.int32)


def i0(number: int) -> Array:
    return np.array(number, np.int32)


def case(name: str, operands: Any, results: Any, result_type: str = "float32", **attributes: Any) -> OneOperation:
    """Return a model of one operation with results of the given shape or shapes."""
    shapes = results if isinstance(results, list) else [results]
    return OneOperation(name, tuple(operands), tuple(map(tuple, shapes)), attributes, result_type)


def window(padding: str, stride: tuple[int, int], **more: Any) -> dict[str, Any]:
    return {"padding": padding, "stride_h": stride[0], "stride_w": stride[1], **NONE, **more}


def convolutions() -> list[OneOperation]:
    x = (2, 7, 6, 4)
    dilated = window("VALID", (1, 1), dilation_h_factor=2, dilation_w_factor=3)
    same = {**window("SAME", (2, 3)), "fused_activation_function": "RELU6"}
    step, two, uneven = window("SAME", (1, 1)), window("SAME", (2, 2)), window("VALID", (2, 3))
    valid = window("VALID", (2, 2))
    return [
        case("CONV_2D", [x, f32(5, 3, 2, 4), f32(5)], (2, 4, 2, 5), **same),
        case("CONV_2D", [x, f32(5, 3, 2, 4), f32(5)], (2, 3, 3, 5), **dilated),
        case("CONV_2D", [x, f32(6, 1, 1, 2), f32(6)], (2, 7, 6, 6), **window("VALID", (1, 1))),
        case("CONV_2D", [x, f32(5, 2, 2, 4), f32(5)], (2, 4, 3, 5), **two),
        case(
            "DEPTHWISE_CONV_2D",
            [x, f32(1, 3, 3, 4), f32(4)],
            (2, 7, 6, 4),
            **step,
            depth_multiplier=1,
        ),
        case(
            "DEPTHWISE_CONV_2D",
            [x, f32(1, 2, 3, 12), f32(12)],
            (2, 3, 2, 12),
            **valid,
            depth_multiplier=3,
        ),
        case("TRANSPOSE_CONV", [i32(2, 14, 12, 3), f32(3, 3, 3, 4), x, f32(3)], (2, 14, 12, 3), **two),
        case("TRANSPOSE_CONV", [i32(2, 15, 17, 3), f32(3, 3, 2, 4), x], (2, 15, 17, 3), **uneven),
        case("TRANSPOSE_CONV", [i32(2, 13, 11, 3), f32(3, 4, 2, 4), x], (2, 13, 11, 3), **two),
    ]


def matrices() -> list[OneOperation]:
    full = {"weights_format": "DEFAULT"}
    return [
        case("FULLY_CONNECTED", [(3, 8), f32(5, 8), f32(5)], (3, 5), **full, fused_activation_function="RELU"),
        case("FULLY_CONNECTED", [(2, 3, 4), f32(5, 12), None], (2, 5), **full, **NONE),
        case("FULLY_CONNECTED", [(2, 3, 4), f32(5, 4), f32(5)], (2, 3, 5), keep_num_dims=True, **full, **NONE),
        case("FULLY_CONNECTED", [(3, 8), (5, 8), None], (3, 5), **full, **NONE),
        case("BATCH_MATMUL", [(2, 3, 4), (2, 4, 5)], (2, 3, 5)),
        case("BATCH_MATMUL", [(2, 4, 3), (2, 5, 4)], (2, 3, 5), adj_x=True, adj_y=True),
        case("BATCH_MATMUL", [(3, 2, 3, 4), f32(4, 5)], (3, 2, 3, 5)),
    ]


def elementwise() -> list[OneOperation]:
    x = (2, 3, 4)
    binary = [
        case(name, [x, (3, 1)], x, fused_activation_function=activation)
        for name in ("ADD", "SUB", "MUL", "DIV")
        for activation in ("NONE", "RELU_N1_TO_1")
    ]
    limits = [case(name, [x, f32(4)], x) for name in ("MAXIMUM", "MINIMUM")]
    unary = "ABS ELU EXP HARD_SWISH LOGISTIC NEG RELU RELU6 RELU_N1_TO_1 TANH"
    return [
        *binary,
        *limits,
        *(case(name, [x], x) for name in unary.split()),
        case("SQUARED_DIFFERENCE", [x, (4,)], x),
        case("LEAKY_RELU", [x], x, alpha=0.3),
        case("PRELU", [(2, 3, 4, 5), f32(1, 1, 5)], (2, 3, 4, 5)),
    ]


def pools_and_reductions() -> list[OneOperation]:
    x = (2, 7, 6, 3)
    shapes = {"SAME": (2, 3, 6, 3), "VALID": (2, 2, 4, 3)}
    pools = [
        case(name, [x], shapes[padding], **window(padding, (3, 1), filter_height=3, filter_width=3))
        for name in ("AVERAGE_POOL_2D", "MAX_POOL_2D")
        for padding in shapes
    ]
    reductions = [
        case(name, [x, i32(*axes)], shape, keep_dims=keep)
        for name in ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN")
        for axes, keep, shape in (((1, 2), True, (2, 1, 1, 3)), ((-1,), False, (2, 7, 6)), ((2, 2, 0), False, (7, 3)))
    ]
    return [
        *pools,
        *reductions,
        case("ARG_MAX", [x, i0(3)], (2, 7, 6), "int32", output_type="INT32"),
        case("ARG_MAX", [x, i0(1)], (2, 6, 3), "int64", output_type="INT64"),
        case("ARG_MIN", [x, i0(2)], (2, 7, 3), "int32", output_type="INT32"),
        case("SOFTMAX", [(2, 3, 5)], (2, 3, 5), beta=1.0),
        case("SOFTMAX", [(2, 5)], (2, 5), beta=0.25),
        case("L2_NORMALIZATION", [(2, 3, 5)], (2, 3, 5), **NONE),
    ]


def movement() -> list[OneOperation]:
    x = (2, 6, 4, 3)
    part: dict[str, Any] = {"begin_mask": 0, "end_mask": 0, "shrink_axis_mask": 0}
    slices = [
        ((0, 1, -1, 0), (2, -1, -5, 3), (1, 2, -1, 1), part, (2, 2, 4, 3)),
        ((1, 3, 9, 0), (5, 2, 0, 1), (1, -1, -2, 2), {**part, "begin_mask": 0b1100, "end_mask": 0b1000}, (1, 1, 2, 2)),
        ((-1, 1), (0, 4), (1, 1), {**part, "shrink_axis_mask": 1}, (3, 4, 3)),
        ((0, 1, 1, 0), (2, 3, 2, 3), (1, 1, 1, 1), {**part, "offset": True}, (2, 3, 2, 3)),
        ((0, -4, 1, 0), (2, 3, 2, 3), (1, 1, 1, 1), {**part, "offset": True}, (2, 3, 2, 3)),
        ((1, 3), (2, 4), (1, 1), {**part, "begin_mask": 3, "shrink_axis_mask": 1}, (4, 4, 3)),
        ((1, 3, 2), (2, 4, 4), (1, 1, 1), {**part, "begin_mask": 6, "shrink_axis_mask": 2}, (1, 4, 3)),
    ]
    return [
        case("CONCATENATION", [x, (2, 6, 1, 3)], (2, 6, 5, 3), axis=-2, **NONE),
        case("PACK", [(2, 3), (2, 3)], (2, 2, 3), values_count=2, axis=1),
        case("UNPACK", [(2, 3, 4)], [(2, 4)] * 3, num=3, axis=1),
        case("SPLIT", [i0(1), x], [(2, 2, 4, 3)] * 3, num_splits=3),
        case("SPLIT_V", [x, i32(1, -1, 3), i0(1)], [(2, 1, 4, 3), (2, 2, 4, 3), (2, 3, 4, 3)], num_splits=3),
        case("PAD", [x, i32([0, 0], [1, 2], [0, 3], [0, 0])], (2, 9, 7, 3)),
        case("PADV2", [x, i32([0, 0], [1, 2], [0, 3], [0, 0]), np.array(1.5, np.float32)], (2, 9, 7, 3)),
        case("MIRROR_PAD", [x, i32([0, 0], [1, 2], [3, 0], [0, 0])], (2, 9, 7, 3), mode="REFLECT"),
        case("MIRROR_PAD", [x, i32([0, 0], [1, 6], [4, 0], [0, 0])], (2, 13, 8, 3), mode="SYMMETRIC"),
        case("RESHAPE", [x, i32(4, -1, 3)], (4, 12, 3), new_shape=[4, -1, 3]),
        case("SQUEEZE", [(1, 3, 1, 2)], (1, 3, 2), squeeze_dims=[-2]),
        case("EXPAND_DIMS", [(2, 3), i0(-1)], (2, 3, 1)),
        case("TRANSPOSE", [x, i32(0, 3, 1, 2)], (2, 3, 6, 4)),
        case("SLICE", [x, i32(0, 1, 2, 0), i32(2, -1, 1, 3)], (2, 5, 1, 3)),
        *(
            case("STRIDED_SLICE", [x, i32(*begin), i32(*end), i32(*stride)], shape, **masks)
            for begin, end, stride, masks, shape in slices
        ),
        case("GATHER", [x, i32([1, 0], [3, 1])], (2, 2, 2, 4, 3), axis=1, batch_dims=0),
        case("REVERSE_V2", [x, i32(1)], x),
        case("SPACE_TO_DEPTH", [x], (2, 3, 2, 12), block_size=2),
        case("DEPTH_TO_SPACE", [(2, 3, 2, 12)], (2, 6, 4, 3), block_size=2),
        case("TILE", [(2, 3), i32(1, 2)], (2, 6)),
    ]


def resizing() -> list[OneOperation]:
    return [
        case(name, [(1, *before, 2), i32(*after)], (1, *after, 2), align_corners=align, half_pixel_centers=half)
        for name in ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")
        for align, half in ((False, False), (True, False), (False, True))
        for before, after in (((3, 4), (7, 9)), ((5, 6), (3, 4)), ((2, 3), (98, 1)))
    ]


CASES = [
    *convolutions(),
    *matrices(),
    *elementwise(),
    *pools_and_reductions(),
    *movement(),
    *resizing(),
]

# Operations that the reference resolver lacks.
NO_REFERENCE = {"ELU"}

# Ends of arithmetic whose order differs: relative to the largest magnitude of a result.
TOLERANCE = 2e-6


@pytest.fixture(scope="module")
def outcomes() -> list[tuple[dict[str, Array], Outcome]]:
    generator = np.random.default_rng(5)
    inputs = [c.inputs(generator) for c in CASES]
    jobs = [
        Job(c.build(), [i], AUTO if c.name in NO_REFERENCE else BUILTIN_REF) for c, i in zip(CASES, inputs, strict=True)
    ]
    return list(zip(inputs, run_litert(jobs), strict=True))


@pytest.mark.parametrize("index", range(len(CASES)), ids=[f"{c.name}-{i}" for i, c in enumerate(CASES)])
def test_an_operation_on_real_numbers(outcomes: list[tuple[dict[str, Array], Outcome]], index: int) -> None:
    inputs, outcome = outcomes[index]
    assert outcome.error is None, outcome.error
    module = import_bytes(CASES[index].build())
    assert module.stage is Stage.FLOAT
    assert parse_module(print_module(module)) == module
    found = evaluate(module, inputs)
    (expected,) = outcome.outputs
    assert found.keys() == expected.keys()
    for name, want in expected.items():
        assert found[name].dtype == want.dtype
        limit = TOLERANCE * float(np.max(np.abs(want), initial=1))
        np.testing.assert_allclose(found[name], want, rtol=TOLERANCE, atol=limit, err_msg=name)

"""DynamicQuantizeMatMul and MatMulIntegerToFloat against ONNX Runtime: every bit; and what is refused."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import onnx
import pytest

from qcc.compiler import compile
from qcc.frontends.onnx import import_model
from qcc.ir import Array, FrontendError, evaluate
from tests.frontends.quantized_onnx import MICROSOFT, Graph, session

DYNAMIC, INTEGER = "DynamicQuantizeMatMul", "MatMulIntegerToFloat"
U8, S8 = np.uint8, np.int8
DEPTH, COLUMNS = 70, 33
SHAPES = ((3, DEPTH), (2, 3, DEPTH))


def codes(rng: np.random.Generator, dtype: type, shape: tuple[int, ...]) -> Array:
    """Return random codes of the whole range."""
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max + 1, shape).astype(dtype)


def model_of(
    op_type: str, types: tuple[type, type], shape: tuple[int, ...], scales: int, zeros: int, bias: bool
) -> tuple[onnx.ModelProto, dict[str, Array]]:
    """Return a model of one product and its input.

    Args:
        types: of a and b; a dynamically quantized a is always uint8.
        scales, zeros: how many b has: 1 or COLUMNS, and for zero points 0.
    """
    rng, g = np.random.default_rng([len(op_type), scales, zeros, bias]), Graph()
    b = g.constant(codes(rng, types[1], (DEPTH, COLUMNS)))
    b_scale = g.constant(rng.uniform(0.001, 0.1, () if scales == 1 else scales).astype(np.float32))
    b_zero = g.constant(codes(rng, types[1], () if zeros == 1 else (zeros,))) if zeros else ""
    offset = g.constant(rng.normal(0, 10, COLUMNS).astype(np.float32)) if bias else ""
    if op_type == DYNAMIC:
        x = g.input("x", shape)
        feeds = {x: rng.normal(1, 3, shape).astype(np.float32)}
        return g.model(g.node(op_type, x, b, b_scale, b_zero, offset, domain=MICROSOFT)), feeds
    x = g.input("x", shape, types[0])
    feeds = {x: codes(rng, types[0], shape)}
    a_scale, a_zero = g.constant(np.array(0.037, np.float32)), g.constant(np.array(5, types[0]))
    return g.model(g.node(op_type, x, b, a_scale, b_scale, a_zero, b_zero, offset, domain=MICROSOFT)), feeds


CASES = [
    (op_type, types, shape, scales, zeros, shape is SHAPES[1])
    for op_type in (DYNAMIC, INTEGER)
    for types in ((U8, U8), (U8, S8), (S8, S8))
    if op_type == INTEGER or types[0] is U8
    for shape, (scales, zeros) in product(SHAPES, ((1, 0), (1, 1), (COLUMNS, 1), (COLUMNS, COLUMNS)))
]


def test_every_bit_is_that_of_onnxruntime() -> None:
    wrong = []
    for case in CASES:
        model, feeds = model_of(*case)
        (expected,) = session(model).run(None, feeds)
        (found,) = evaluate(import_model(model), feeds).values()
        if not np.array_equal(found, expected):
            wrong.append(case)
    assert wrong == []


@pytest.mark.slow
@pytest.mark.parametrize("op_type", [DYNAMIC, INTEGER])
def test_compiled(op_type: str, tmp_path: Path) -> None:
    """The products are exact; the real arithmetic around them may differ in its last bits."""
    model, feeds = model_of(op_type, (U8, S8), SHAPES[0], COLUMNS, COLUMNS, True)
    onnx.save(model, tmp_path / "m.onnx")
    (expected,) = session(model).run(None, feeds)
    for target in ("c", "x86_64-linux-gnu+avx2"):
        artifact = compile(tmp_path / "m.onnx", target=target)
        (found,) = artifact.run(feeds).values()
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-5)


def refusal(op_type: str, *changed: tuple[int, Array]) -> str:
    """Return the error on a product some of whose inputs are exchanged."""
    model, _ = model_of(op_type, (U8, S8), SHAPES[0], COLUMNS, COLUMNS, True)
    for position, array in changed:
        name = model.graph.node[0].input[position]
        (tensor,) = (t for t in model.graph.initializer if t.name == name)
        tensor.CopyFrom(onnx.numpy_helper.from_array(array, name))
    with pytest.raises(FrontendError) as caught:
        import_model(model)
    return str(caught.value)


def test_what_does_not_fit_is_refused() -> None:
    numbers = np.ones(7, np.float32)
    assert "the scale of b has the shape [7] for 33 columns" in refusal(DYNAMIC, (2, numbers))
    assert "the bias has the shape [7] for 33 columns" in refusal(DYNAMIC, (4, numbers))
    assert "the scale of a has the shape [7], it must be one number" in refusal(INTEGER, (2, numbers))
    assert "the zero point is of type u8, the codes are i8" in refusal(DYNAMIC, (3, np.zeros(COLUMNS, U8)))

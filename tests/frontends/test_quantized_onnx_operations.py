"""Single quantized operations, in integers, against ONNX Runtime's integer kernels: every code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from qcc.frontends.onnx import import_model
from qcc.ir import Array, evaluate
from qcc.passes import DEFAULT_PASSES, KEEP_FLOAT, Part, PassContext, PassManager, make_pass
from qcc.targets import Target
from tests.e2e.batch import compile_batch
from tests.frontends.quantized_onnx import (
    MICROSOFT,
    Graph,
    Parameters,
    evaluated,
    float_operations,
    integer_module,
    session,
)

Case = tuple[onnx.ModelProto, dict[str, Array]]
RANDOM, TIES = "random", "ties"


def parameters(rng: np.random.Generator, dtype: Any, kind: str) -> Parameters:
    """Random parameters; of kind `ties` the scale is a power of two, so that products meet ties."""
    scale = 2.0 ** -int(rng.integers(3, 7)) if kind == TIES else rng.uniform(0.01, 0.1)
    limits = np.iinfo(dtype)
    return Parameters(dtype, scale, int(rng.integers(limits.min, limits.max + 1)))


def qlinear(
    op_type: str,
    dtype: Any,
    kind: str,
    shapes: Sequence[Sequence[int]],
    attributes: Mapping[str, Any],
    rng: np.random.Generator,
) -> Case:
    """An operation of `com.microsoft` that reads tensors with their parameters and those of its result."""
    g, feeds, reads = Graph(), {}, []
    for index, shape in enumerate(shapes):
        p = parameters(rng, dtype, kind)
        name = g.input(f"x{index}", shape, dtype)
        feeds[name] = p.codes(rng, shape)
        reads += [name, *g.parameters(p)]
    result = g.parameters(parameters(rng, dtype, kind))
    if op_type == "QLinearConcat":
        reads = [*result, *reads]
    else:
        reads += result
    return g.model(g.node(op_type, *reads, domain=MICROSOFT, **attributes)), feeds


ALL_PAIRS = np.stack(np.meshgrid(np.arange(256), np.arange(256)))


def pairs(op_type: str, dtype: Any, kind: str, rng: np.random.Generator) -> Case:
    """A sum or product of every pair of codes."""
    model, feeds = qlinear(op_type, dtype, kind, [(256, 256), (256, 256)], {}, rng)
    low = np.iinfo(dtype).min
    return model, {name: (codes + low).astype(dtype) for name, codes in zip(feeds, ALL_PAIRS, strict=True)}


@pytest.mark.parametrize("seed", [3, 22, 35, 37])
def test_every_pair_of_codes_has_the_sum_of_onnxruntime(seed: int) -> None:
    """Of these scales the last bit of the offset decides ties: a product and a sum of zero points are joined in it."""
    model, feeds = pairs("QLinearAdd", np.uint8, RANDOM, np.random.default_rng(seed))
    (found,) = evaluated(integer_module(model), feeds)
    np.testing.assert_array_equal(found, session(model).run(None, feeds)[0])


def softmax(dtype: Any, kind: str, count: int, levels: int, rng: np.random.Generator) -> Case:
    g = Graph()
    x = parameters(rng, dtype, kind)
    result = Parameters(dtype, 1 / 256 if kind == TIES else np.float32(1 / levels), np.iinfo(dtype).min)
    reads = [g.input("x", (20, count), dtype), *g.parameters(x), *g.parameters(result)]
    y = g.node("QLinearSoftmax", *reads, domain=MICROSOFT, axis=1, opset=13)
    return g.model(y), {"x": x.codes(rng, (20, count))}


def conv(
    dtypes: tuple[Any, Any],
    kind: str,
    channels: bool,
    spelling: str,
    attributes: Mapping[str, Any],
    rng: np.random.Generator,
) -> Case:
    """A convolution, as QLinearConv or as QDQ, with bias; weights with a scale a channel or one."""
    g, (x_type, w_type) = Graph(), dtypes
    x, groups = parameters(rng, x_type, kind), attributes.get("group", 1)
    zero = 0 if w_type == np.int8 else 131
    scales = [2.0**-n for n in rng.integers(4, 8, 6)] if kind == TIES else rng.uniform(0.001, 0.02, 6)
    w = Parameters(w_type, scales if channels else scales[0], np.full(6, zero) if channels else zero)
    y = parameters(rng, x_type, kind)
    y = Parameters(y.dtype, y.scale * 8, y.zero_point)
    weights = g.constant(w.codes(rng, (6, 4 // groups, 3, 3)))
    bias = rng.integers(-5000, 5000, 6).astype(np.int32)
    feeds = {"x": x.codes(rng, (2, 4, 7, 6))}
    g.input("x", feeds["x"].shape, x_type)
    if spelling == "QLinearConv":
        reads = ["x", *g.parameters(x), weights, *g.parameters(w), *g.parameters(y), g.constant(bias)]
        return g.model(g.node("QLinearConv", *reads, **attributes)), feeds
    units = Parameters(np.int32, np.float32(x.scale) * np.asarray(w.scale, np.float32), np.zeros_like(w.zero_point))
    operands = [
        g.dequantize("x", x),
        g.dequantize(weights, w, axis=0),
        g.dequantize(g.constant(bias), units, axis=0),
    ]
    return g.model(g.quantize(g.node("Conv", *operands, **attributes), y)), feeds


def gemm(dtypes: tuple[Any, Any], kind: str, op_type: str, rng: np.random.Generator) -> Case:
    """A matrix product: QGemm with bias, or QLinearMatMul."""
    g, (a_type, b_type) = Graph(), dtypes
    a, y = parameters(rng, a_type, kind), parameters(rng, a_type, kind)
    b = Parameters(b_type, 0.0078125 if kind == TIES else 0.0091, 0 if b_type == np.int8 else 100)
    y = Parameters(y.dtype, y.scale * 16, y.zero_point)
    feeds = {"a": a.codes(rng, (3, 19))}
    g.input("a", (3, 19), a_type)
    weights = b.codes(rng, (19, 10))
    if op_type == "QLinearMatMul":
        reads = ["a", *g.parameters(a), g.constant(weights), *g.parameters(b), *g.parameters(y)]
        return g.model(g.node(op_type, *reads)), feeds
    bias = g.constant(rng.integers(-3000, 3000, 10).astype(np.int32))
    reads = ["a", *g.parameters(a), g.constant(weights.T.copy()), *g.parameters(b), bias, *g.parameters(y)]
    return g.model(g.node(op_type, *reads, domain=MICROSOFT, transB=1)), feeds


def square(dtype: Any, rng: np.random.Generator) -> Case:
    """Pow(x, 2) of every code, half of the results ties before an odd zero point is added."""
    g, low = Graph(), int(np.iinfo(dtype).min)
    x, y = Parameters(dtype, 2.0**-5, low + 120), Parameters(dtype, 2.0**-3, low + 123)
    codes = np.arange(low, low + 256).astype(dtype).reshape(4, 64)
    power = g.node("Pow", g.dequantize(g.input("x", codes.shape, dtype), x), g.constant(np.array(2, np.float32)))
    return g.model(g.quantize(power, y)), {"x": codes}


def hard_swish(dtype: Any, rng: np.random.Generator) -> Case:
    """HardSwish of every code; by this scale some results lie as near to ties as the roundings of its parts."""
    g, low = Graph(), int(np.iinfo(dtype).min)
    p, codes = Parameters(dtype, 0.03, low + 120), np.arange(low, low + 256).astype(dtype).reshape(4, 64)
    x = g.dequantize(g.input("x", codes.shape, dtype), p)
    return g.model(g.quantize(g.node("HardSwish", x), p)), {"x": codes}


U8, S8 = np.uint8, np.int8
IMAGE = (2, 5, 8, 6)
POOL: dict[str, Any] = {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]}
WINDOW: dict[str, Any] = {"pads": [1, 0, 2, 1], "strides": [2, 1], "dilations": [1, 2]}

#: Operation, shapes and attributes, by what is special about them.
OPERATIONS: dict[str, tuple[str, Sequence[Sequence[int]], Mapping[str, Any]]] = {
    "QLinearAdd-broadcast": ("QLinearAdd", [(2, 3, 4, 5), (3, 1, 5)], {}),
    "QLinearMul-broadcast": ("QLinearMul", [(2, 3, 4, 5), (3, 1, 5)], {}),
    "QLinearConcat": ("QLinearConcat", [(2, 3, 4), (2, 5, 4), (2, 1, 4)], {"axis": 1}),
    "QLinearAveragePool": ("QLinearAveragePool", [IMAGE], POOL),
    "QLinearAveragePool-counted": ("QLinearAveragePool", [IMAGE], {**POOL, "count_include_pad": 1}),
    "QLinearAveragePool-whole": ("QLinearAveragePool", [IMAGE], {"kernel_shape": [8, 6]}),
    "QLinearAveragePool-last": ("QLinearAveragePool", [IMAGE], {**POOL, "channels_last": 1}),
    "QLinearGlobalAveragePool": ("QLinearGlobalAveragePool", [IMAGE], {}),
    "QLinearGlobalAveragePool-last": ("QLinearGlobalAveragePool", [IMAGE], {"channels_last": 1}),
    "QLinearSigmoid": ("QLinearSigmoid", [(4, 64)], {}),
    "QLinearLeakyRelu": ("QLinearLeakyRelu", [(4, 64)], {"alpha": 0.3}),
}


def cases() -> dict[str, Callable[[np.random.Generator], Case]]:
    """Every case by name."""
    found: dict[str, Callable[[np.random.Generator], Case]] = {}
    for kind, dtype in product((RANDOM, TIES), (U8, S8)):
        tag = f"{np.dtype(dtype).name}-{kind}"
        found[f"Pow-{np.dtype(dtype).name}"] = partial(square, dtype)
        found[f"HardSwish-{np.dtype(dtype).name}"] = partial(hard_swish, dtype)
        for op in ("QLinearAdd", "QLinearMul"):
            found[f"{op}-{tag}"] = partial(pairs, op, dtype, kind)
        for name, (op, shapes, attributes) in OPERATIONS.items():
            found[f"{name}-{tag}"] = partial(qlinear, op, dtype, kind, shapes, attributes)
        for count, levels in ((2, 170), (10, 10), (1000, 255)):  # binary64 has quotients below 10 and 170
            found[f"QLinearSoftmax-{count}-{tag}"] = partial(softmax, dtype, kind, count, levels)
    for kind, types in product((RANDOM, TIES), ((U8, U8), (U8, S8), (S8, S8))):
        tag = "-".join(np.dtype(t).name for t in types) + f"-{kind}"
        for spelling in ("QLinearConv", "QDQ"):
            found[f"{spelling}-tensor-{tag}"] = partial(conv, types, kind, False, spelling, WINDOW)
            found[f"{spelling}-channel-{tag}"] = partial(conv, types, kind, True, spelling, WINDOW)
            found[f"{spelling}-groups-{tag}"] = partial(conv, types, kind, True, spelling, {"group": 2})
        for op in ("QGemm", "QLinearMatMul"):
            found[f"{op}-{tag}"] = partial(gemm, types, kind, op)
    return found


CASES = cases()


def seeded(name: str) -> np.random.Generator:
    return np.random.default_rng(list(name.encode()))


@pytest.mark.parametrize("name", CASES)
def test_every_code_is_onnxruntimes(name: str) -> None:
    model, feeds = CASES[name](seeded(name))
    module = integer_module(model)
    assert float_operations(module) == []
    (found,) = evaluated(module, feeds)
    (expected,) = session(model).run(None, feeds)
    np.testing.assert_array_equal(found, expected)


def scales_of_a_tie(rng: np.random.Generator) -> tuple[Any, Any, Any]:
    """Return α, s_a, s_b in binary32 with f32(f32(α·s_a)·s_b) ≠ f32(s_a·f32(α·s_b))."""
    while True:
        alpha, a, b = (np.float32(rng.uniform(*bounds)) for bounds in ((0.3, 3), (0.01, 0.1), (0.001, 0.02)))
        if alpha * a * b != a * (alpha * b):
            return alpha, a, b


@pytest.mark.parametrize("seed", range(3))
def test_the_factor_of_a_product_goes_into_the_scale_of_its_first_operand(seed: int) -> None:
    """The result's scale makes every second sum a tie, which one unit in the last place of the factor moves."""
    rng, g = np.random.default_rng(seed), Graph()
    x = g.input("x", (256, 1), U8)
    for weights in (np.ones((1, 4), S8), np.eye(4, dtype=S8)):  # of an input, then of a computed tensor
        alpha, a, b = scales_of_a_tie(rng)
        types = Parameters(U8, a), Parameters(S8, b), Parameters(U8, 2 * (alpha * a * b))
        own, other, result = (g.parameters(p) for p in types)
        x = g.node("QGemm", x, *own, g.constant(weights), *other, "", *result, domain=MICROSOFT, alpha=float(alpha))
    model, feeds = g.model("t0", "t1"), {"x": np.arange(256, dtype=U8).reshape(256, 1)}
    module = integer_module(model)
    assert float_operations(module) == []
    for found, expected in zip(evaluated(module, feeds), session(model).run(None, feeds), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("scales", [(1e30, 1e30, 1.0), (1.0, 1e20, 1e-25)])
def test_a_factor_that_is_not_finite_has_no_integer_form(scales: tuple[float, float, float]) -> None:
    a, b, y = (Parameters(t, s) for t, s in zip((U8, S8, U8), scales, strict=True))
    g = Graph()
    reads = [g.input("x", (4, 4), U8), *g.parameters(a), g.constant(np.eye(4, dtype=S8)), *g.parameters(b)]
    module = integer_module(g.model(g.node("QLinearMatMul", *reads, *g.parameters(y))))
    assert float_operations(module) == ["matmul"]
    assert "no finite float" in str(next(op.note(KEEP_FLOAT) for op in module.ops if op.name == "matmul"))


def dynamic(op_type: str, rng: np.random.Generator) -> Case:
    """A real input, quantized by its own range, and an integer product with constant weights."""
    g, shape = Graph(), (2, 3, 6, 5) if op_type == "ConvInteger" else (3, 7)
    x = g.input("x", shape)
    g.nodes.append(onnx.helper.make_node("DynamicQuantizeLinear", [x], ["q", "s", "z"]))
    weights = rng.integers(-128, 128, (4, 3, 3, 2) if op_type == "ConvInteger" else (7, 5)).astype(S8)
    more: dict[str, Any] = {"pads": [1, 0, 1, 1]} if op_type == "ConvInteger" else {}
    zero = g.constant(np.array(3, S8))
    y = g.node(op_type, "q", g.constant(weights), "z", zero, **more)
    return g.model(y, "q", "s", "z"), {"x": rng.normal(1, 3, shape).astype(np.float32)}


@pytest.mark.parametrize("op_type", ["ConvInteger", "MatMulInteger"])
def test_integer_products_with_a_zero_point_computed_at_run_time(op_type: str) -> None:
    model, feeds = dynamic(op_type, np.random.default_rng(8))
    module = import_model(model, "test.onnx")
    expected = session(model).run(None, feeds)
    for found, wanted in zip(evaluate(module, feeds).values(), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    integer_module(model)  # the sums are proved to stay within 32 bits


@pytest.mark.slow
@pytest.mark.parametrize("target", ["c", "x86_64-linux-gnu+avx2"])
def test_compiled_code_gives_the_same_codes(target: str, tmp_path: Path) -> None:
    made = {name: CASES[name](seeded(name)) for name in list(CASES)[::3]}  # every operation, every type
    to = Target.parse(target)
    passes = [make_pass(name, {}) for name in DEFAULT_PASSES[Part.TARGET]]
    context = PassContext(hardware=to.hardware, target=to)
    modules = [integer_module(model) for model, _ in made.values()]
    planned = [PassManager(passes).run(module, context) for module in modules]
    batch = compile_batch([(module, to) for module in planned], tmp_path)
    wrong = []
    for number, (name, (_, feeds)) in enumerate(made.items()):
        (expected,) = evaluated(modules[number], feeds)
        (found,) = batch.run(number, feeds).values()
        if not np.array_equal(expected, found):
            wrong.append(name)
    assert wrong == []

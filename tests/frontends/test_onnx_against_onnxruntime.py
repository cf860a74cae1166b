"""Generated models of one or a few operations, held against ONNX Runtime.

Both sides compute in float32, sums in different orders; 1e-5 relative to the largest magnitude is far above that and
far below the effect of one wrong element. ONNX Runtime runs without graph optimizations, as the operations stand.
Models that it refuses are not compared (`reject`), those that qcc refuses fail the test.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, assume, given, reject, settings
from hypothesis import strategies as st
from onnx import helper

from qcc.frontends.onnx import import_model
from qcc.ir import Array
from tests.frontends.onnx_models import model_of, one_node, run

RELATIVE = 1e-5

SLOW = [HealthCheck.filter_too_much, HealthCheck.too_slow]
quick = settings(max_examples=30, deadline=None, suppress_health_check=SLOW)


def reference(model: onnx.ModelProto, inputs: Mapping[str, Array]) -> list[Array]:
    """Return what ONNX Runtime computes; reject the example where it refuses the model."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    state = onnxruntime.capi.onnxruntime_pybind11_state
    refusals = (state.Fail, state.InvalidArgument, state.InvalidGraph, state.NotImplemented, state.RuntimeException)
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options)
        return [np.asarray(a) for a in session.run(None, dict(inputs))]
    except refusals:
        reject()


def compare(model: onnx.ModelProto, inputs: Mapping[str, Array]) -> None:
    """Hold qcc against ONNX Runtime."""
    expected = reference(model, inputs)
    for found, want in zip(run(model, inputs), expected, strict=True):
        assert found.shape == want.shape
        if want.dtype.kind in "biu":
            np.testing.assert_array_equal(found, want)
        else:
            scale = max(1.0, float(np.abs(want[np.isfinite(want)]).max(initial=0.0)))
            np.testing.assert_allclose(found, want, rtol=0, atol=RELATIVE * scale)


def values(*shape: int, seed: int = 0) -> Array:
    """Return random float32 numbers."""
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def integers(*numbers: int) -> Array:
    """Return an int64 vector."""
    return np.array(numbers, np.int64)


small = st.integers(1, 3)


@st.composite
def windows(draw: st.DrawFn, spatial: int, pooled: bool) -> tuple[list[int], list[int], dict[str, Any]]:
    """Return sizes, kernel and attributes of a window."""
    kernel = [draw(small) for _ in range(spatial)]
    sizes = [draw(st.integers(5, 9)) for _ in range(spatial)]
    attributes: dict[str, Any] = {"strides": [draw(small) for _ in range(spatial)]}
    auto = draw(st.sampled_from(["NOTSET", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]))
    if draw(st.booleans()) and auto in ("NOTSET", "VALID"):
        attributes["dilations"] = [draw(st.integers(1, 2)) for _ in range(spatial)]
    if auto == "NOTSET":
        limits = [k - 1 if pooled else 3 for k in kernel] * 2
        attributes["pads"] = [draw(st.integers(0, limit)) for limit in limits]
    else:
        attributes["auto_pad"] = auto
    if auto.startswith("SAME"):
        # ONNX pads by nothing where the kernel is smaller than the stride; ONNX Runtime by a negative number, or fails
        assume(all(k >= s for k, s in zip(kernel, attributes["strides"], strict=True)))
    return sizes, kernel, attributes


@pytest.mark.parametrize("spatial", [1, 2])
@given(data=st.data())
@quick
def test_conv(spatial: int, data: st.DataObject) -> None:
    sizes, kernel, attributes = data.draw(windows(spatial, pooled=False))
    groups, depth, outputs = data.draw(small), data.draw(small), data.draw(small)
    constants = {"w": values(groups * outputs, depth, *kernel)}
    if data.draw(st.booleans()):
        constants["b"] = values(groups * outputs)
    shape = (data.draw(st.integers(1, 2)), groups * depth, *sizes)
    compare(one_node("Conv", {"x": shape}, constants, group=groups, **attributes), {"x": values(*shape)})


@pytest.mark.parametrize("spatial", [1, 2])
@given(data=st.data())
@quick
def test_conv_transpose(spatial: int, data: st.DataObject) -> None:
    sizes, kernel, attributes = data.draw(windows(spatial, pooled=False))
    groups, depth, outputs = data.draw(small), data.draw(small), data.draw(small)
    constants = {"w": values(groups * depth, outputs, *kernel)}
    if data.draw(st.booleans()):
        constants["b"] = values(groups * outputs)
    extra = data.draw(st.sampled_from(["", "output_padding", "output_shape"]))
    if extra == "output_padding":
        attributes[extra] = [data.draw(st.integers(0, s - 1)) for s in attributes["strides"]]
    if extra == "output_shape" and "pads" in attributes:
        del attributes["pads"]
        doubled = [s * t for s, t in zip(sizes, attributes["strides"], strict=True)]
        attributes[extra] = [d + data.draw(st.integers(0, 2)) for d in doubled]
    shape = (1, groups * depth, *sizes)
    compare(one_node("ConvTranspose", {"x": shape}, constants, group=groups, **attributes), {"x": values(*shape)})


@pytest.mark.parametrize("op_type", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize("spatial", [1, 2])
@given(data=st.data())
@quick
def test_pools(spatial: int, op_type: str, data: st.DataObject) -> None:
    sizes, kernel, attributes = data.draw(windows(spatial, pooled=True))
    attributes["kernel_shape"] = kernel
    if "pads" in attributes:
        attributes["ceil_mode"] = data.draw(st.integers(0, 1))
    if op_type == "AveragePool":
        attributes["count_include_pad"] = data.draw(st.integers(0, 1))
    shape = (1, 2, *sizes)
    compare(one_node(op_type, {"x": shape}, opset=22, **attributes), {"x": values(*shape)})


@given(data=st.data())
@quick
def test_gemm(data: st.DataObject) -> None:
    m, k, n = (data.draw(st.integers(1, 4)) for _ in range(3))
    turned = data.draw(st.tuples(st.booleans(), st.booleans()))
    a, b = ((k, m) if turned[0] else (m, k)), ((n, k) if turned[1] else (k, n))
    arrays = {"a": values(*a), "b": values(*b)}
    c = data.draw(st.sampled_from([None, (), (1,), (n,), (1, n), (m, 1), (m, n)]))
    if c is not None:
        arrays["c"] = values(*c)
    fed = {name: arrays[name] for name in arrays if name == "a" or data.draw(st.booleans())}
    constants = {name: array for name, array in arrays.items() if name not in fed}
    model = one_node(
        "Gemm", {name: array.shape for name, array in fed.items()}, constants, order=list(arrays),
        transA=int(turned[0]), transB=int(turned[1]),
        alpha=data.draw(st.sampled_from([1.0, 0.5])), beta=data.draw(st.sampled_from([1.0, 2.0, 0.0])),
    )  # fmt: skip
    compare(model, fed)


@given(data=st.data())
@quick
def test_matmul(data: st.DataObject) -> None:
    batch, m, k, n = data.draw(st.lists(small, max_size=2)), data.draw(small), data.draw(small), data.draw(small)
    left = data.draw(st.sampled_from([(k,), (m, k), (*batch, m, k)]))
    right = data.draw(st.sampled_from([(k,), (k, n), (*batch, k, n), (*[1 for _ in batch], k, n)]))
    arrays = {"a": values(*left), "b": values(*right, seed=1)}
    compare(one_node("MatMul", {n: a.shape for n, a in arrays.items()}), arrays)


@pytest.mark.parametrize("op_type", ["Add", "Sub", "Mul", "Div", "Min", "Max", "PRelu"])
@given(data=st.data())
@quick
def test_broadcasting(op_type: str, data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(small, min_size=1, max_size=4)))
    tail = shape[data.draw(st.integers(0, len(shape) - 1)) :]
    other = tuple(d if data.draw(st.booleans()) else 1 for d in tail)
    compare(one_node(op_type, {"x": shape}, {"c": values(*other, seed=3)}), {"x": values(*shape)})


UNARY: dict[str, dict[str, Any]] = {
    "Relu": {}, "LeakyRelu": {"alpha": 0.3}, "Sigmoid": {}, "Tanh": {}, "HardSigmoid": {"alpha": 0.3, "beta": 0.4},
    "HardSwish": {}, "Elu": {"alpha": 0.7}, "Erf": {}, "Exp": {}, "Abs": {}, "Neg": {}, "Reciprocal": {},
    "Celu": {"alpha": 2.0}, "Softplus": {}, "Softsign": {}, "Selu": {},
    "Identity": {},
    "GlobalAveragePool": {}, "GlobalMaxPool": {}, "Flatten": {"axis": -2}, "Shape": {"start": 1, "end": -1},
    "DepthToSpace": {"blocksize": 2, "mode": "CRD"}, "SpaceToDepth": {"blocksize": 2}, "LogSoftmax": {"axis": 1},
    "ReduceL1": {"axes": [1]}, "ReduceL2": {"axes": [-1], "keepdims": 0}, "ReduceLogSumExp": {"axes": [0, 2]},
}  # fmt: skip


@pytest.mark.parametrize("op_type", UNARY)
def test_operations_of_one_input(op_type: str) -> None:
    x = values(2, 8, 4, 6)
    compare(one_node(op_type, {"x": x.shape}, **UNARY[op_type]), {"x": x})


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu(approximate: str) -> None:
    compare(one_node("Gelu", {"x": [3, 5]}, opset=20, approximate=approximate), {"x": values(3, 5)})


@pytest.mark.parametrize("opset", [11, 12, 13, 17])
@pytest.mark.parametrize("axis", [-3, -1, 0, 1, 2, None])
@pytest.mark.parametrize("op_type", ["Softmax", "LogSoftmax"])
def test_softmax_before_and_since_opset_13(op_type: str, opset: int, axis: int | None) -> None:
    attributes: dict[str, Any] = {} if axis is None else {"axis": axis}
    x = values(2, 3, 4)
    compare(one_node(op_type, {"x": x.shape}, opset=opset, **attributes), {"x": x})


@given(data=st.data())
@quick
def test_clip(data: st.DataObject) -> None:
    low, high = data.draw(st.sampled_from([None, -0.5, 0.0])), data.draw(st.sampled_from([None, 0.25, 6.0]))
    bounds = {"low": low, "high": high}
    constants = {n: np.array(b, np.float32) for n, b in bounds.items() if b is not None}
    order = ["x", *(n if b is not None else "" for n, b in bounds.items())]
    compare(one_node("Clip", {"x": [50]}, constants, order=order), {"x": values(50)})


@pytest.mark.parametrize("op_type", ["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin"])
@pytest.mark.parametrize("opset", [11, 13, 18])
@given(data=st.data())
@settings(quick, max_examples=20)
def test_reductions(op_type: str, opset: int, data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(small, min_size=1, max_size=4)))
    rank = len(shape)
    some = st.lists(st.integers(-rank, rank - 1), min_size=1, unique_by=lambda axis: axis % rank)
    axes = data.draw(st.none() | some)
    attributes: dict[str, Any] = {"keepdims": data.draw(st.integers(0, 1))}
    as_input = opset >= (13 if op_type == "ReduceSum" else 18)
    constants = {"axes": integers(*axes)} if axes and as_input else {}
    if axes and not as_input:
        attributes["axes"] = axes
    if as_input and not axes:
        attributes["noop_with_empty_axes"] = data.draw(st.integers(0, 1))
    compare(one_node(op_type, {"x": shape}, constants, opset=opset, **attributes), {"x": values(*shape)})


@given(data=st.data())
@quick
def test_slice(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=3)))
    axes = data.draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True))
    bound = st.integers(-7, 7) | st.sampled_from([2**31, -(2**31), 2**62, -(2**62)])
    starts, ends = ([data.draw(bound) for _ in axes] for _ in range(2))
    steps = [data.draw(st.sampled_from([-2, -1, 1, 2])) for _ in axes]
    given_axes = [a - len(shape) if data.draw(st.booleans()) else a for a in axes]
    constants = {"s": integers(*starts), "e": integers(*ends), "a": integers(*given_axes), "t": integers(*steps)}
    compare(one_node("Slice", {"x": shape}, constants), {"x": values(*shape)})


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge", "wrap"])
@given(data=st.data())
@quick
def test_pad(mode: str, data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(2, 5), min_size=1, max_size=3)))
    axes = data.draw(st.none() | st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True))
    low = -1 if mode == "constant" else 0
    chosen = range(len(shape)) if axes is None else axes
    pads = [data.draw(st.integers(low, shape[a] - 1)) for _ in range(2) for a in chosen]
    constants = {"p": integers(*pads), "v": np.array(1.5, np.float32)} | (
        {} if axes is None else {"a": integers(*axes)}
    )
    compare(one_node("Pad", {"x": shape}, constants, opset=19, mode=mode), {"x": values(*shape)})


@given(data=st.data())
@quick
def test_split_and_concat(data: st.DataObject) -> None:
    sizes, axis = data.draw(st.lists(small, min_size=1, max_size=4)), data.draw(st.sampled_from([0, 1, -1]))
    shape = [2, 3, 4]
    shape[axis] = sum(sizes)
    names = [f"p{i}" for i in range(len(sizes))]
    nodes = [
        helper.make_node("Split", ["x", "sizes"], names, axis=axis),
        helper.make_node("Concat", names[::-1], ["y"], axis=axis),
    ]
    compare(model_of(nodes, {"x": shape}, ["y"], {"sizes": integers(*sizes)}), {"x": values(*shape)})


@pytest.mark.parametrize("opset", [11, 18])
def test_split_into_equal_parts(opset: int) -> None:
    attributes: dict[str, Any] = {"num_outputs": 3} if opset == 18 else {}
    compare(one_node("Split", {"x": [2, 9]}, outputs=3, opset=opset, axis=1, **attributes), {"x": values(2, 9)})


COORDINATES = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"]


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("coordinates", COORDINATES)
@given(data=st.data())
@quick
def test_resize(mode: str, coordinates: str, data: st.DataObject) -> None:
    shape = (1, 2, data.draw(st.integers(2, 6)), data.draw(st.integers(2, 6)))
    attributes: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": coordinates}
    if mode == "nearest":
        roundings = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]
        attributes["nearest_mode"] = data.draw(st.sampled_from(roundings))
    if data.draw(st.booleans()):
        scales = [1, 1, *(data.draw(st.sampled_from([0.5, 1, 1.5, 2, 3])) for _ in range(2))]
        constants, order = {"s": np.array(scales, np.float32)}, ["x", "", "s"]
    else:
        sizes = (*shape[:2], *(data.draw(st.integers(1, 9)) for _ in range(2)))
        constants, order = {"s": integers(*sizes)}, ["x", "", "", "s"]
    compare(one_node("Resize", {"x": shape}, constants, order=order, **attributes), {"x": values(*shape)})


@given(data=st.data())
@quick
def test_movement(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(small, min_size=2, max_size=4)))
    order = data.draw(st.permutations(range(len(shape))))
    rank = len(shape)
    axis, extra = data.draw(st.integers(-rank, rank - 1)), data.draw(st.integers(-rank - 1, rank))
    indices = np.array(data.draw(st.lists(st.integers(-1, 0), min_size=1, max_size=4)), np.int64)
    nodes = [
        helper.make_node("Gather", ["x", "i"], ["a"], axis=axis),
        helper.make_node("Transpose", ["a"], ["b"], perm=order),
        helper.make_node("Unsqueeze", ["b", "extra"], ["c"]),
        helper.make_node("ArgMax", ["c"], ["y"], axis=axis, select_last_index=data.draw(st.integers(0, 1))),
        helper.make_node("Squeeze", ["c", "extra"], ["z"]),
    ]
    constants = {"i": indices, "extra": integers(extra)}
    compare(model_of(nodes, {"x": shape}, ["y", "z"], constants), {"x": values(*shape)})


def test_shape_arithmetic_folds() -> None:
    """The reshape of `x.view(x.size(0), -1, x.size(1) // 2)` as exporters write it."""
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"]),
        helper.make_node("Gather", ["s", "one"], ["c"]),
        helper.make_node("Div", ["c", "two"], ["half"]),
        helper.make_node("Unsqueeze", ["n", "axes"], ["n1"]),
        helper.make_node("Unsqueeze", ["half", "axes"], ["half1"]),
        helper.make_node("ConstantOfShape", ["axes1"], ["free"], value=onnx.numpy_helper.from_array(np.array([-1]))),
        helper.make_node("Concat", ["n1", "free", "half1"], ["shape0"], axis=0),
        helper.make_node("Equal", ["shape0", "free"], ["open"]),
        helper.make_node("Where", ["open", "free", "shape0"], ["shape1"]),
        helper.make_node("Cast", ["shape1"], ["real"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Floor", ["real"], ["floored"]),
        helper.make_node("Cast", ["floored"], ["shape"], to=onnx.TensorProto.INT64),
        helper.make_node("Reshape", ["x", "shape"], ["y"]),
    ]
    constants = {"zero": np.array(0), "one": np.array(1), "two": np.array(2), "axes": integers(0), "axes1": integers(1)}
    model = model_of(nodes, {"x": ["N", 6, 4]}, ["y"], constants)
    x = values(1, 6, 4)
    compare(model, {"x": x})
    (y,) = run(model, {"x": x})
    assert y.shape == (1, 8, 3)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_weights_of_other_widths_become_f32(dtype: Any) -> None:
    weight = values(4, 3).astype(dtype)
    model = one_node("MatMul", {"x": [2, 4]}, {"w": weight})
    model.graph.input[0].type.tensor_type.elem_type = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    (constant,) = [op for op in import_model(model).ops if op.name == "constant"]
    assert str(constant.result.type) == "tensor<4x3xf32>"
    assert constant.note("converted") == f"{np.dtype(dtype)} to f32"
    (y,) = run(model, {"x": values(2, 4)})
    np.testing.assert_allclose(y, values(2, 4) @ weight.astype(np.float32), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("raw", [True, False])
def test_bfloat16_weights_become_f32(raw: bool) -> None:
    numbers = [1.0, -2.5, 0.15625, 3e38]
    model = one_node("Add", {"x": [4]}, {"w": values(4)})
    bits = (np.array(numbers, np.float32).view(np.uint32) >> 16).astype(np.uint16)
    tensor = model.graph.initializer[0]
    tensor.CopyFrom(onnx.TensorProto(name="w", dims=[4], data_type=onnx.TensorProto.BFLOAT16))
    if raw:
        tensor.raw_data = bits.tobytes()
    else:
        tensor.int32_data.extend(bits.tolist())
    (constant,) = [op for op in import_model(model).ops if op.name == "constant"]
    assert constant.note("converted") == "bfloat16 to f32"
    (y,) = run(model, {"x": np.zeros(4, np.float32)})
    np.testing.assert_allclose(y, numbers, rtol=2**-8)


def test_a_shared_initializer_is_one_constant() -> None:
    nodes = [helper.make_node("Conv", ["x", "w"], ["a"]), helper.make_node("Conv", ["a", "w"], ["y"])]
    model = model_of(nodes, {"x": [1, 3, 8, 8]}, ["y"], {"w": values(3, 3, 3, 3)})
    module = import_model(model)
    assert [op.result.name for op in module.ops if op.name == "constant"] == ["w"]
    assert {"a", "y"} <= set(module.values)
    compare(model, {"x": values(1, 3, 8, 8)})

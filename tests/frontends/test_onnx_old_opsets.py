"""Operations as opsets 7 to 10 define them, held against ONNX Runtime, and what of them is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from qcc.frontends.onnx import import_model
from qcc.frontends.onnx.ops import IMPORTERS
from qcc.frontends.onnx.reading import OLDEST_OPSET
from qcc.ir import Array, FrontendError
from tests.frontends.onnx_models import model_of, one_node
from tests.frontends.test_onnx_against_onnxruntime import compare, values

FIRST_WITH_INPUTS = 11
IMAGE = (1, 3, 4, 6)
WINDOW = {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]}

#: What changed between opset 7 and 11, in the form before the change: operation, shape, constants, attributes, opsets.
OLD_FORMS: tuple[tuple[str, tuple[int, ...], Mapping[str, Array], Mapping[str, Any], range], ...] = (
    ("ArgMax", IMAGE, {}, {"axis": 1}, range(7, 11)),
    ("AveragePool", IMAGE, {}, WINDOW, range(7, 11)),
    ("AveragePool", IMAGE, {}, {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_LOWER"}, range(7, 11)),
    ("AveragePool", IMAGE, {}, {**WINDOW, "ceil_mode": 1}, range(10, 11)),
    ("BatchNormalization", IMAGE, {n: values(3, seed=i) ** 2 for i, n in enumerate("sbmv")}, {}, range(7, 11)),
    ("Clip", IMAGE, {}, {"min": -0.5, "max": 0.25}, range(7, 11)),
    ("Clip", IMAGE, {}, {"max": 0.25}, range(7, 11)),
    ("Clip", IMAGE, {}, {}, range(7, 11)),
    ("Conv", IMAGE, {"w": values(2, 3, 3, 2)}, {**WINDOW, "dilations": [1, 2]}, range(7, 11)),
    ("Conv", IMAGE, {"w": values(2, 3, 3, 3)}, {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, range(7, 11)),
    ("ConvTranspose", IMAGE, {"w": values(3, 2, 3, 2)}, WINDOW, range(7, 11)),
    ("ConvTranspose", IMAGE, {"w": values(3, 2, 3, 3)}, {"output_shape": [4, 6]}, range(7, 11)),
    ("ConvTranspose", IMAGE, {"w": values(3, 2, 3, 3)}, {"auto_pad": "SAME_UPPER"}, range(7, 11)),
    ("DepthToSpace", (1, 8, 2, 3), {}, {"blocksize": 2}, range(7, 11)),
    ("Dropout", IMAGE, {}, {"ratio": 0.5}, range(7, 11)),
    ("Flatten", IMAGE, {}, {"axis": 2}, range(7, 11)),
    ("Gather", IMAGE, {"i": np.array([[2, 0]])}, {"axis": 3}, range(7, 11)),
    ("Gemm", (2, 3), {"b": values(4, 3), "c": values(4)}, {"transB": 1, "alpha": 0.5, "beta": 2.0}, range(7, 11)),
    ("LogSoftmax", IMAGE, {}, {}, range(7, 11)),
    ("MaxPool", IMAGE, {}, WINDOW, range(7, 11)),
    ("MaxPool", IMAGE, {}, {**WINDOW, "ceil_mode": 1, "dilations": [1, 2]}, range(10, 11)),
    ("PRelu", IMAGE, {"s": values(3, 1, 1)}, {}, range(7, 11)),
    ("Pad", IMAGE, {}, {"pads": [0, 0, 1, 2, 0, 0, 0, 1], "value": 1.5}, range(7, 11)),
    ("Pad", IMAGE, {}, {"pads": [0, 0, 1, 2, 0, 0, -1, 1], "mode": "edge"}, range(7, 11)),
    ("Pad", IMAGE, {}, {"pads": [0, 0, 1, 2, 0, 0, 2, 1], "mode": "reflect"}, range(7, 11)),
    ("ReduceMean", IMAGE, {}, {"axes": [1, 3], "keepdims": 0}, range(7, 11)),
    ("ReduceSum", IMAGE, {}, {"axes": [2]}, range(7, 11)),
    ("Slice", IMAGE, {}, {"starts": [1, -9], "ends": [99, -1], "axes": [3, 2]}, range(7, 10)),
    ("Slice", IMAGE, {}, {"starts": [0, 1], "ends": [1, 3]}, range(7, 10)),
    ("Slice", IMAGE, {n: np.array([i]) for n, i in {"b": 5, "e": 0, "a": 3, "s": -2}.items()}, {}, range(10, 11)),
    ("Softmax", IMAGE, {}, {}, range(7, 11)),
    ("Squeeze", (1, 3, 1, 2), {}, {"axes": [2]}, range(7, 11)),
    ("Sum", IMAGE, {"b": values(*IMAGE, seed=1)}, {}, range(7, 11)),
    ("Unsqueeze", (3, 2), {}, {"axes": [0, 2]}, range(7, 11)),
    ("Upsample", IMAGE, {}, {"scales": [1.0, 1.0, 2.0, 1.5], "mode": "nearest"}, range(7, 9)),
    ("Upsample", IMAGE, {}, {"scales": [1.0, 1.0, 2.0, 3.0], "mode": "linear"}, range(7, 9)),
    ("Upsample", IMAGE, {"s": np.array([1, 1, 2, 2.5], np.float32)}, {"mode": "nearest"}, range(9, 10)),
    ("Resize", IMAGE, {"s": np.array([1, 1, 2, 1.5], np.float32)}, {"mode": "linear"}, range(10, 11)),
    ("Resize", IMAGE, {"s": np.array([1, 1, 0.6, 0.5], np.float32)}, {"mode": "linear"}, range(10, 11)),
    ("Resize", IMAGE, {"s": np.array([1, 1, 2, 1.5], np.float32)}, {"mode": "nearest"}, range(10, 11)),
    ("Resize", IMAGE, {"s": np.array([1, 1, 0.6, 0.5], np.float32)}, {"mode": "nearest"}, range(10, 11)),
    ("Resize", IMAGE, {"s": np.array([1, 1, 0.6, 2.5], np.float32)}, {"mode": "nearest"}, range(10, 11)),
)  # fmt: skip


@pytest.mark.parametrize("form", OLD_FORMS, ids=lambda f: f"{f[0]}-{f[4]}")
def test_old_forms(form: tuple[str, tuple[int, ...], Mapping[str, Array], Mapping[str, Any], range]) -> None:
    op_type, shape, constants, attributes, opsets = form
    for opset in opsets:
        model = one_node(op_type, {"x": shape}, constants, opset=opset, **attributes)
        compare(model, {"x": values(*shape)})


def test_every_operation_that_changed_has_a_case() -> None:
    """Those without one only took further types, negative axes, or broadcasting, which older models do not use."""
    changed = {n for n in IMPORTERS if len(schemas(n)) > 1 and not n.startswith(("Reduce", "Arg"))}
    same = {"Cast", "Concat", "Constant", "Equal", "Greater", "Less", "MatMul", "Max", "Mean", "Min", "Split"}
    assert changed - {form[0] for form in OLD_FORMS} == same


def schemas(op_type: str) -> list[onnx.defs.OpSchema]:
    """Return the definitions of an operation in opsets 7 to 11."""
    found = {}
    for opset in range(OLDEST_OPSET, FIRST_WITH_INPUTS + 1):
        if onnx.defs.has(op_type, opset):
            schema = onnx.defs.get_schema(op_type, opset)
            found[schema.since_version] = schema
    return list(found.values())


def test_initializers_that_are_inputs_too() -> None:
    """Files of the intermediate representation 3 list them in both places."""
    model = one_node("Conv", {"x": IMAGE}, {"w": values(2, 3, 3, 3)}, opset=7)
    model.ir_version = 3
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [2, 3, 3, 3]))
    assert [v.name for v in import_model(model).inputs] == ["x"]
    compare(model, {"x": values(*IMAGE)})


@pytest.mark.parametrize("opset", [7, 10])
def test_the_mask_of_dropout(opset: int) -> None:
    model = one_node("Dropout", {"x": IMAGE}, opset=opset, outputs=2)
    dropped = import_model(model).outputs[1].value.type
    assert str(dropped.element) == ("f32" if opset == 7 else "i1")


REFUSED: tuple[tuple[str, int, Mapping[str, Array], Mapping[str, Any], str], ...] = (
    ("BatchNormalization", 7, {n: values(3) ** 2 for n in "sbmv"}, {"spatial": 0}, "statistics of each pixel"),
    ("ConvTranspose", 10, {"w": values(3, 2, 3, 3)}, {"output_shape": [3, 5]}, "does not say clearly where it pads"),
    ("ConvTranspose", 7, {"w": values(3, 2, 3, 3)}, {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, "give 'pads'"),
    ("Upsample", 7, {}, {"scales": [1.0, 1.0, 0.5, 1.0]}, "make it smaller"),
    ("Upsample", 10, {"s": np.ones(4, np.float32)}, {}, "it is Resize since opset 10"),
    ("Resize", 10, {"s": np.array([1, 1, -1, 1], np.float32)}, {}, "scales"),
    ("Clip", 11, {}, {"min": 0.0}, "attributes not supported: min"),
)


@pytest.mark.parametrize("case", REFUSED, ids=lambda c: f"{c[0]}-{c[1]}")
def test_refused(case: tuple[str, int, Mapping[str, Array], Mapping[str, Any], str]) -> None:
    op_type, opset, constants, attributes, message = case
    with pytest.raises(FrontendError) as caught:
        import_model(one_node(op_type, {"x": IMAGE}, constants, opset=opset, **attributes))
    assert message in str(caught.value)


def test_a_network_of_opset_7() -> None:
    """Padding, pool, clip and classifier, as exporters of its time wrote them."""
    nodes = [
        helper.make_node("Pad", ["x"], ["p"], pads=[0, 0, 1, 1, 0, 0, 1, 1]),
        helper.make_node("Conv", ["p", "w"], ["h"], kernel_shape=[3, 3]),
        helper.make_node("Clip", ["h"], ["c"], min=0.0, max=6.0),
        helper.make_node("Upsample", ["c"], ["u"], scales=[1.0, 1.0, 2.0, 2.0]),
        helper.make_node("MaxPool", ["u"], ["m"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["m"], ["f"]),
        helper.make_node("Gemm", ["f", "v", "b"], ["g"], transB=1),
        helper.make_node("Softmax", ["g"], ["y"]),
    ]
    constants = {"w": values(2, 3, 3, 3), "v": values(5, 48), "b": values(5)}
    compare(model_of(nodes, {"x": IMAGE}, ["y"], constants, opset=7), {"x": values(*IMAGE)})

"""The float pipeline on nets of other architectures: those of the onnx package, with random weights."""

import math
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, version_converter

from qcc.frontends import load
from qcc.ir import evaluate, ops
from qcc.passes import Part, PassContext, PassManager, default_pipeline

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
NETS = ["squeezenet", "shufflenet", "inception_v2", pytest.param("densenet121", marks=pytest.mark.slow)]


def with_random_weights(path: Path) -> onnx.ModelProto:
    """Return the net with opset 17 and weights in the place of the zeros that stand for them."""
    rng = np.random.default_rng(0)
    model = onnx.load(path)
    shapes = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    kept = []
    for node in model.graph.node:
        if node.op_type != "ConstantOfShape" or node.input[0] not in shapes:
            kept.append(node)
            continue
        shape = tuple(map(int, shapes[node.input[0]]))
        weights = rng.standard_normal(shape) / math.sqrt(max(math.prod(shape[1:]), 1))
        weights = np.abs(weights) * 0.2 + 0.9 if len(shape) == 1 else weights  # variances must be positive
        model.graph.initializer.append(numpy_helper.from_array(weights.astype(np.float32), node.output[0]))
    inputs = [value for value in model.graph.input if value.name not in shapes]
    del model.graph.node[:], model.graph.input[:]
    model.graph.node.extend(kept)
    model.graph.input.extend(inputs)
    model.ir_version = 8
    return version_converter.convert_version(model, 17)


@pytest.mark.parametrize("name", NETS)
def test_a_net_keeps_its_results_without_batch_norms_and_inner_transposes(name: str, tmp_path: Path) -> None:
    onnx.save(with_random_weights(LIGHT / f"light_{name}.onnx"), tmp_path / "m.onnx")
    module = load(tmp_path / "m.onnx")
    result = PassManager(default_pipeline([Part.FLOAT])).run(module, PassContext())
    names = [op.name for op in result.ops]
    assert not {"batch_norm", "clamp"} & set(names)
    (transpose,) = (op for op in result.ops if isinstance(op, ops.Transpose))
    assert result.definition(transpose.x) is None, "the one transpose brings the input from N×C×H×W"
    x = {v.name: np.random.default_rng(1).standard_normal(v.type.shape).astype(np.float32) for v in module.inputs}
    before, after = evaluate(module, x), evaluate(result, x)
    for key, array in before.items():
        # Roundings in another order, through up to 120 layers; a wrong tap or channel changes the first digit.
        np.testing.assert_allclose(after[key], array, rtol=0, atol=1e-5 * np.abs(array).max())

"""Files whose first dimension is open, files with several subgraphs, and float files that qcc quantizes."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

import qcc
from qcc.cli import main
from qcc.frontends import FrontendWarning, load
from qcc.ir import Array, FrontendError, Stage, evaluate
from tests.conformance.litert import Job, run_litert
from tests.conformance.subject import realized
from tests.conformance.tflite_builder import Tensor, TfliteBuilder

SIZE, DEPTH, CHANNELS, CLASSES = 12, 3, 8, 5
STEPS: dict[str, Any] = {"padding": "SAME", "stride_h": 1, "stride_w": 1}


class Network:
    """A residual block between a strided convolution and a classifier, of a type, with an open first dimension."""

    def __init__(self, kind: str) -> None:
        self.kind, self.b, self.rng = kind, TfliteBuilder(), np.random.default_rng(2)
        x = self.b.input("x", (1, SIZE, SIZE, DEPTH), kind, *self.parameters())
        a = self.convolution("a", x, 2, "RELU6")
        c = self.convolution("c", a, 1, "NONE")
        s = self.tensor("s", a.shape)
        self.b.op("ADD", [a, c], [s], fused_activation_function="RELU")
        flat = self.tensor("flat", (1, int(np.prod(s.shape))))
        self.b.op("RESHAPE", [s, self.b.constant("shape", np.array([-1, flat.shape[1]], np.int32))], [flat])
        f = self.tensor("f", (1, CLASSES))
        self.b.op("FULLY_CONNECTED", [flat, self.weights("fw", (CLASSES, flat.shape[1])), None], [f], version=3)
        scale, zero = ((1 / 256,), -128) if kind == "int8" else ((), 0)
        y = self.b.tensor("y", (1, CLASSES), kind, scale, zero)
        self.b.op("SOFTMAX", [f], [y], beta=1.0)
        self.b.output(y)
        for tensor in self.b._main.tensors:
            if tensor.shape[:1] == [1]:
                tensor.shapeSignature = [-1, *tensor.shape[1:]]

    def parameters(self) -> tuple[float, int] | tuple[()]:
        return (0.05, 3) if self.kind == "int8" else ()

    def tensor(self, name: str, shape: tuple[int, ...]) -> Tensor:
        return self.b.tensor(name, shape, self.kind, *self.parameters())

    def weights(self, name: str, shape: tuple[int, ...]) -> Tensor:
        if self.kind == "int8":
            return self.b.constant(name, self.rng.integers(-127, 128, shape).astype(np.int8), 0.002)
        real = self.rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))
        return self.b.constant(name, real.astype(np.float32))

    def convolution(self, name: str, x: Tensor, stride: int, activation: str) -> Tensor:
        w = self.weights(f"{name}w", (CHANNELS, 3, 3, x.shape[3]))
        if self.kind == "int8":
            bias = self.b.constant(f"{name}b", self.rng.integers(-999, 999, CHANNELS).astype(np.int32), 0.05 * 0.002)
        else:
            bias = self.b.constant(f"{name}b", (self.rng.normal(size=CHANNELS) / 10).astype(np.float32))
        y = self.tensor(name, (1, x.shape[1] // stride, x.shape[2] // stride, CHANNELS))
        steps = {**STEPS, "stride_h": stride, "stride_w": stride}
        self.b.op("CONV_2D", [x, w, bias], [y], fused_activation_function=activation, **steps)
        return y

    def images(self, count: int) -> Array:
        shape = (count, SIZE, SIZE, DEPTH)
        if self.kind == "int8":
            return self.rng.integers(-128, 128, shape).astype(np.int8)
        return self.rng.normal(size=shape).astype(np.float32)


def saved(folder: Path, data: bytes) -> Path:
    path = folder / "net.tflite"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_a_batch_is_its_samples(tmp_path: Path, kind: str) -> None:
    network = Network(kind)
    data, images = network.b.build(), network.images(3)
    (outcome,) = run_litert([Job(data, [{"x": image[None]} for image in images])])
    assert outcome.error is None
    expected = np.concatenate([run["y"] for run in outcome.outputs])
    module = load(saved(tmp_path, data), batch=3)
    assert [v.type.shape for v in module.inputs] == [(3, SIZE, SIZE, DEPTH)]
    if kind == "int8":
        assert evaluate(realized(module, "litert-ref"), {"x": images})["y"].tolist() == expected.tolist()
    else:
        np.testing.assert_allclose(evaluate(module, {"x": images})["y"], expected, rtol=1e-5, atol=1e-6)


def test_dimensions_that_are_not_open_stay(tmp_path: Path) -> None:
    path = saved(tmp_path, Network("float32").b.build())
    assert load(path, shapes={"x": (2, SIZE, SIZE, DEPTH)}).inputs[0].type.shape[0] == 2
    with pytest.raises(FrontendError, match=r"\[2, 16, 16, 3\] given does not fit \[-1, 12, 12, 3\]"):
        load(path, shapes={"x": (2, 16, 16, DEPTH)})


@pytest.mark.slow
@pytest.mark.parametrize("target", ["native", "aarch64-linux-gnu+dotprod", "thumbv7em-none-eabi@cortex-m4"])
def test_a_float_file_is_quantized_for_every_family(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], target: str
) -> None:
    network = Network("float32")
    path, images = saved(tmp_path, network.b.build()), network.images(24)
    np.savez(tmp_path / "samples.npz", x=images)
    folder, given = str(tmp_path / "built"), ["--calibration", str(tmp_path / "samples.npz")]
    assert main(["compile", str(path), "-o", folder, "--target", target, *given, "--batch", "2"]) == 0
    assert main(["verify", folder, "--inputs", str(tmp_path / "samples.npz")]) == 0
    assert "every bit equal to the evaluator: y" in capsys.readouterr().out
    found = qcc.Artifact.load(folder).run({"x": images})["y"]
    real = load(path)
    expected = np.concatenate([evaluate(real, {"x": image[None]})["y"] for image in images])
    assert np.abs(found - expected).max() < 0.05


def test_subgraphs_beside_the_first_are_named(tmp_path: Path) -> None:
    model = schema.ModelT.InitFromPackedBuf(Network("int8").b.build())
    model.subgraphs.append(copy.deepcopy(model.subgraphs[0]))
    writer = flatbuffers.Builder(1024)
    writer.Finish(model.Pack(writer), b"TFL3")
    with pytest.warns(FrontendWarning, match="subgraph 1: is left out; a module is the first subgraph of a file"):
        module = load(saved(tmp_path, bytes(writer.Output())))
    assert module.stage is Stage.QUANTIZED

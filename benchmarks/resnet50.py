"""ResNet-50 (He et al. 2015, with the stride in the 3×3 convolution) as an ONNX file with random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

STAGES = ((3, 64, 1), (4, 128, 2), (6, 256, 2), (3, 512, 2))


class _Net:
    """Collects nodes and weights; every convolution is followed by a batch norm."""

    def __init__(self, seed: int) -> None:
        self.generator = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def weight(self, name: str, array: np.ndarray) -> str:
        self.weights.append(numpy_helper.from_array(array.astype(np.float32), name))
        return name

    def node(self, kind: str, inputs: list[str], name: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [name + "_out"], name=name, **attributes))
        return name + "_out"

    def conv(self, x: str, name: str, shape: tuple[int, int, int], stride: int = 1, relu: bool = True) -> str:
        outputs, inputs, k = shape
        std = np.sqrt(2 / (inputs * k * k))
        w = self.weight(name + "_w", self.generator.normal(0, std, (outputs, inputs, k, k)))
        pads = [(k - 1) // 2] * 4
        x = self.node("Conv", [x, w], name, kernel_shape=[k, k], strides=[stride, stride], pads=pads)
        draws = [self.generator.uniform(0.8, 1.2, outputs), *self.generator.normal(0, 0.1, (2, outputs))]
        draws.append(self.generator.uniform(0.8, 1.2, outputs))
        names = ("scale", "offset", "mean", "variance")
        parameters = [self.weight(f"{name}_{n}", d) for n, d in zip(names, draws, strict=True)]
        x = self.node("BatchNormalization", [x, *parameters], name + "_bn", epsilon=1e-5)
        return self.node("Relu", [x], name + "_relu") if relu else x

    def bottleneck(self, x: str, name: str, inputs: int, width: int, stride: int) -> str:
        y = self.conv(x, name + "_a", (width, inputs, 1))
        y = self.conv(y, name + "_b", (width, width, 3), stride)
        y = self.conv(y, name + "_c", (4 * width, width, 1), relu=False)
        if inputs != 4 * width or stride != 1:
            x = self.conv(x, name + "_short", (4 * width, inputs, 1), stride, relu=False)
        return self.node("Relu", [self.node("Add", [x, y], name + "_add")], name + "_relu")


def make_resnet50(path: Path, seed: int = 0) -> None:
    """Write the model: input `image` N×3×224×224, output `logits` N×1000."""
    net = _Net(seed)
    x = net.conv("image", "stem", (64, 3, 7), 2)
    x = net.node("MaxPool", [x], "pool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    channels = 64
    for stage, (blocks, width, stride) in enumerate(STAGES):
        for block in range(blocks):
            x = net.bottleneck(x, f"s{stage}b{block}", channels, width, stride if block == 0 else 1)
            channels = 4 * width
    x = net.node("Flatten", [net.node("GlobalAveragePool", [x], "mean")], "flatten")
    w = net.weight("dense_w", net.generator.normal(0, 0.02, (channels, 1000)))
    net.nodes.append(helper.make_node("Gemm", [x, w, net.weight("dense_b", np.zeros(1000))], ["logits"], name="dense"))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 224, 224])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 1000])
    graph = helper.make_graph(net.nodes, "resnet50", [image], [logits], net.weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))

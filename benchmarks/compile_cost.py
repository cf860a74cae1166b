"""What a whole `qcc compile` costs: wall time and peak memory of the process and its children.

    python benchmarks/compile_cost.py [--models FOLDER] [--target T]

Compiles MobileNetV2 with 48 calibration images (the bound: 60 s and 2 GB on two cores) and a ResNet-50 with random
weights (120 s and 4 GB). Exit status 1 where a bound is not held. FOLDER holds `models/mobilenet_v2_float.onnx` and
`data/imagenet_224.npz`; by default it is QCC_SHARED, or `../shared` beside the repository.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ROOT = Path(__file__).resolve().parents[1]
MEAN = np.array([0.485, 0.456, 0.406], np.float32).reshape(1, 3, 1, 1)
STD = np.array([0.229, 0.224, 0.225], np.float32).reshape(1, 3, 1, 1)


#: ResNet-50 (He et al. 2015, with the stride in the 3×3 convolution): blocks, width and stride of each stage.
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

    def node(self, kind: str, inputs: list[str], name: str, **attributes: Any) -> str:
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


@dataclass(frozen=True)
class Cost:
    """Wall seconds, and the largest sum of resident bytes of a process and its descendants."""

    seconds: float
    bytes: int


def process_tree_bytes(pid: int) -> int:
    """Return the proportional set size of a process and its descendants, in bytes; 0 for one that has ended."""
    try:
        children = (Path("/proc") / str(pid) / "task" / str(pid) / "children").read_text().split()
        rollup = (Path("/proc") / str(pid) / "smaps_rollup").read_text()
    except OSError:
        return 0
    own = next((int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:")), 0)
    return own + sum(process_tree_bytes(int(child)) for child in children)


def measure(command: list[str]) -> Cost:
    """Run a command to its end; memory is sampled every 20 ms."""
    start = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment)
    peak = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.02):
            peak = max(peak, process_tree_bytes(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    status = process.wait()
    done.set()
    watcher.join()
    if status:
        raise SystemExit(f"{' '.join(command)} ended with status {status}")
    return Cost(time.perf_counter() - start, peak)


def main() -> int:
    """Measure both models and say whether the bounds hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = os.environ.get("QCC_SHARED", str(ROOT.parent / "shared"))
    parser.add_argument("--models", type=Path, default=Path(shared), metavar="FOLDER")
    parser.add_argument("--target", default="native")
    arguments = parser.parse_args()
    held = True
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        with np.load(arguments.models / "data" / "imagenet_224.npz") as data:
            images = data["calibration_images"].astype(np.float32)
        images = images.transpose(0, 3, 1, 2) if images.shape[-1] == 3 else images
        images = (images / 255 - MEAN) / STD
        make_resnet50(work / "resnet50.onnx")
        float_model = arguments.models / "models" / "mobilenet_v2_float.onnx"
        for model, key, seconds, gigabytes in (
            (float_model, input_name(float_model), 60, 2), (work / "resnet50.onnx", "image", 120, 4),
        ):  # fmt: skip
            np.savez(work / "calibration.npz", **{key: images[:48]})
            command = [sys.executable, "-c", "import sys; from qcc.cli import main; sys.exit(main())", "compile"]
            command += [str(model), "-o", str(work / model.stem), "--target", arguments.target]
            cost = measure([*command, "--calibration", str(work / "calibration.npz")])
            good = cost.seconds < seconds and cost.bytes < gigabytes * 1e9
            held = held and good
            print(
                f"{model.name}: {cost.seconds:.1f} s (bound {seconds}), {cost.bytes / 1e9:.2f} GB (bound {gigabytes})"
                f" {'held' if good else 'NOT HELD'}"
            )
    return 0 if held else 1


def input_name(model: Path) -> str:
    """Return the name of the first input that is not an initializer."""
    graph = onnx.load(str(model)).graph
    weights = {w.name for w in graph.initializer}
    return next(str(i.name) for i in graph.input if i.name not in weights)


if __name__ == "__main__":
    sys.exit(main())

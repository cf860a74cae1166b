"""Quantized ONNX models: qcc against ONNX Runtime's sessions, and the sessions against each other.

    python -m benchmarks.onnxruntime_sessions [--shared FOLDER] [--images N] [--target T]

`quantize_static` makes QDQ models of the shared float models: int8 and uint8, weights per tensor and per channel. For
each it prints in how many images some logit is more than one step away between qcc, the session that may use integer
kernels for int8 (`session.qdqisint8allowed`), and the default session with one and with four threads, and in how many
images the profile `ort-default` gives another logit than the default session with one thread. Then it takes
the graph that the default session really runs, and counts the elements of its float32 convolutions that differ from
`blocked_convolution`: fused multiply-adds in the order of the weights' memory, in blocks. See docs/arithmetic-ort.md.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process

import qcc
from benchmarks.accuracy import ROOT, imagenet, pixels
from qcc.ir import Array

INTEGER_KERNELS = {"session.qdqisint8allowed": "1"}
SUMS_CHECKED = 3
"""Images whose float layers are summed again in NumPy."""


def vww(images: Array) -> Array:
    """Return 96×96 cuts of images, 0 … 1."""
    return pixels(images[:, 64:160, 64:160]) / 255


CASES = {
    "resnet8_cifar10": ("cifar10_32.npz", pixels, 1000),
    "mobilenet_v1_025_vww": ("imagenet_224.npz", vww, 120),
    "mobilenet_v2_float": ("imagenet_224.npz", imagenet, 24),
}


class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]  # the base class has no types
    """Gives one image at a time."""

    def __init__(self, images: Array) -> None:
        self.rows: Iterator[Array] = iter(images)

    def get_next(self) -> dict[str, Array] | None:
        """Return the next image as a batch of one."""
        row = next(self.rows, None)
        return None if row is None else {"input": row[None]}


def quantized(source: Path, images: Array, activations: str, per_channel: bool, folder: Path) -> Path:
    """Return the file of a QDQ model whose outputs are the quantized logits."""
    prepared, path = folder / "prepared.onnx", folder / "quantized.onnx"
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    quantization.quantize_static(
        str(prepared),
        str(path),
        Reader(images),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=per_channel,
        activation_type=getattr(quantization.QuantType, activations),
        weight_type=quantization.QuantType.QInt8,
    )
    model = onnx.load(path)
    for softmax in [n for n in model.graph.node if n.op_type == "Softmax"]:
        cut_at(model.graph, softmax.input[0])
    onnx.save(model, path)
    return path


def cut_at(graph: onnx.GraphProto, output: str) -> None:
    """Make a tensor the graph's only output, and drop what it does not need."""
    needed, kept = {output}, []
    for node in reversed(graph.node):
        if needed & set(node.output):
            needed.update(node.input)
            kept.append(node)
    del graph.node[:], graph.output[:]
    graph.node.extend(reversed(kept))
    graph.output.append(onnx.helper.make_empty_tensor_value_info(output))


def session(
    path: Path | bytes, threads: int = 1, entries: dict[str, str] | None = None, **attributes: Any
) -> onnxruntime.InferenceSession:
    """Return a session on the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    for name, value in attributes.items():
        setattr(options, name, value)
    for name, value in (entries or {}).items():
        options.add_session_config_entry(name, value)
    model = path if isinstance(path, bytes) else str(path)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def outputs(runner: onnxruntime.InferenceSession, images: Array) -> Array:
    """Return the logits of each image."""
    return np.concatenate([runner.run(None, {"input": image[None]})[0] for image in images])


def fused(a: Array, b: Array, c: Array) -> Array:
    """Return `a·b + c` of binary32 numbers rounded once: the sum in binary64 rounded to odd, then to binary32."""
    product, addend = a.astype(np.float64) * b, c.astype(np.float64)  # the product is exact
    total = product + addend
    back = total - product
    lost = (product - (total - back)) + (addend - back)
    even = (total.view(np.int64) & 1) == 0
    toward = np.where(lost > 0, np.inf, -np.inf)
    odd: Array = np.where((lost != 0) & even, np.nextafter(total, toward), total)
    return odd.astype(np.float32)


def block_size(columns: int, length: int) -> int:
    """Return how many products of a sum of `length` one thread adds before it stores, for `columns` output pixels."""
    wide, block = 128, 128
    if columns >= length:
        while block // 2 >= length:
            block //= 2
        return block
    while wide > 16 and wide // 2 >= columns:
        wide, block = wide // 2, block * 2
    return block


def blocked_convolution(x: Array, w: Array, bias: Array, strides: Any, pads: Any) -> Array:
    """Return a convolution (1×C×H×W by M×C×h×w, one group) in binary32.

    Blocks of fused multiply-adds from zero in the order of the weights (channel, row, column; padding is zero), then
    the blocks' sums one to another, then the bias.
    """
    padded = np.pad(x[0], ((0, 0), (pads[0], pads[2]), (pads[1], pads[3])))
    windows = np.lib.stride_tricks.sliding_window_view(padded, w.shape[2:], (1, 2))
    taps = windows[:, :: strides[0], :: strides[1]].transpose(0, 3, 4, 1, 2)
    rows, (height, width) = w.reshape(len(w), -1), taps.shape[-2:]
    taps = taps.reshape(rows.shape[1], height * width)
    block = block_size(height * width, len(taps))
    y = np.zeros((len(w), height * width), np.float32)
    for start in range(0, len(taps), block):
        part = np.zeros((len(w), height * width), np.float32)
        for k in range(start, min(start + block, len(taps))):
            part = fused(rows[:, k : k + 1], taps[k], part)
        y = y + part
    return (y + bias[:, None]).reshape(1, len(w), height, width)


def float_layers(path: Path, images: Array, folder: Path) -> str:
    """Say what the default session computes in float32, and whether `blocked_convolution` gives its bits."""
    optimized = folder / "optimized.onnx"
    session(path, optimized_model_filepath=str(optimized))
    model = onnx.load(optimized)
    kinds = Counter(n.op_type for n in model.graph.node)
    layers = [n for n in model.graph.node if n.op_type == "Conv"]
    counts = f"{kinds['QLinearConv']} integer convolutions, {len(layers)} in float32, {kinds['Add']} float32 additions"
    if not layers:
        return counts
    wanted = sorted({name for n in layers for name in (*n.input, n.output[0])})
    del model.graph.output[:]
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in wanted)
    disabled = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    runner = session(model.SerializeToString(), graph_optimization_level=disabled)
    differing = elements = 0
    for image in images:
        values = dict(zip(wanted, runner.run(None, {"input": image[None]}), strict=True))
        for layer in layers:
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in layer.attribute}
            x, w, bias = (values[name] for name in layer.input)
            found = blocked_convolution(x, w, bias, attributes["strides"], attributes["pads"])
            differing += int((found != values[layer.output[0]]).sum())
            elements += found.size
    return f"{counts}; {differing} of {elements} float32 elements differ from the blocked sums"


@dataclass(frozen=True)
class Comparison:
    """A model and how it is quantized."""

    model: str
    activations: str
    per_channel: bool

    def run(self, shared: Path, target: str, count: int | None) -> None:
        """Print a paragraph."""
        file, prepare, images_used = CASES[self.model]
        with np.load(shared / "data" / file) as data:
            calibration = prepare(data["calibration_images"][:32])
            images = prepare(data["images"][: count or images_used])
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            source = shared / "models" / f"{self.model}.onnx"
            path = quantized(source, calibration, self.activations, self.per_channel, folder)
            artifact = qcc.compile(path, target=target)
            (found,) = artifact.run({"input": images}).values()
            one, four = (outputs(session(path, threads), images) for threads in (1, 4))
            integer = outputs(session(path, entries=INTEGER_KERNELS), images)
            as_default = qcc.compile(path, target=target, arithmetic="ort-default")
            (mirrored,) = as_default.run({"input": images}).values()
            step = artifact.manifest["outputs"][0]["scale"]
            far = [
                int((np.rint(np.abs(a - b) / step).max(axis=1) > 1).sum())
                for a, b in ((found, integer), (found, one), (integer, one), (one, four))
            ]
            channel = "channel" if self.per_channel else "tensor"
            print(f"{self.model}, {self.activations}, per {channel}, {len(images)} images with a logit > 1 step away:")
            print("  qcc–integer {}, qcc–default {}, integer–default {}, default 1–4 threads {}".format(*far))
            print(f"  images in which ort-default is not the default session: {(mirrored != one).any(axis=1).sum()}")
            print(f"  default session: {float_layers(path, images[:SUMS_CHECKED], folder)}", flush=True)


def main() -> int:
    """Compare every model and scheme."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = os.environ.get("QCC_SHARED", str(ROOT.parent / "shared"))
    parser.add_argument("--shared", type=Path, default=Path(shared), metavar="FOLDER")
    parser.add_argument("--images", type=int, default=None, metavar="N")
    parser.add_argument("--target", default="x86_64-linux-gnu+avx2")
    arguments = parser.parse_args()
    logging.getLogger().setLevel(logging.ERROR)
    for model in CASES:
        for activations in ("QInt8", "QUInt8"):
            for per_channel in (False, True):
                Comparison(model, activations, per_channel).run(arguments.shared, arguments.target, arguments.images)
    return 0


if __name__ == "__main__":
    sys.exit(main())

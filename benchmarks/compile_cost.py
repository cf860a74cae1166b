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

import numpy as np
from resnet50 import make_resnet50

ROOT = Path(__file__).resolve().parents[1]
MEAN = np.array([0.485, 0.456, 0.406], np.float32).reshape(1, 3, 1, 1)
STD = np.array([0.229, 0.224, 0.225], np.float32).reshape(1, 3, 1, 1)


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
    import onnx

    graph = onnx.load(str(model)).graph
    weights = {w.name for w in graph.initializer}
    return next(i.name for i in graph.input if i.name not in weights)


if __name__ == "__main__":
    sys.exit(main())

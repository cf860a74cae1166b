"""What `qcc demo` does: compile the digits classifier three ways, check each, and compare."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qcc.artifact import Artifact
from qcc.benchmark import measure
from qcc.compiler import CompileOptions, compile_module
from qcc.console import human_bytes, human_seconds, print_table
from qcc.demo import DemoData, load_demo
from qcc.frontends import load
from qcc.samples import Samples, check_samples, example_samples
from qcc.verification import VerifyReport, verify

#: Title, target, recipe, folder.
VARIANTS = (
    ("float32 on this machine", "native", "float", "digits-float"),
    ("int8 on this machine", "native", "int8", "digits-int8"),
    ("int8 in plain C", "c", "int8", "digits-c"),
)


@dataclass(frozen=True)
class Outcome:
    """What one variant came to.

    Attributes:
        title: which variant.
        accuracy: share of test images that it gets right, 0 … 1.
        flash, ram: bytes of weights and code, and of the arena.
        seconds: median latency of one image.
        report: what the comparison with the evaluator found.
    """

    title: str
    accuracy: float
    flash: int
    ram: int
    seconds: float
    report: VerifyReport


def demonstrate(folder: Path) -> int:
    """Compile, verify, measure, and print a table; return 1 where a check fails."""
    data = load_demo()
    print(f"a classifier of handwritten digits, {len(data.test_labels)} test images\n")
    outcomes = [_outcome(data, *variant[:3], folder / variant[3]) for variant in VARIANTS]
    rows = [
        (
            o.title,
            f"{100 * o.accuracy:.2f} %",
            human_bytes(o.flash),
            human_bytes(o.ram),
            human_seconds(o.seconds),
            _checked(o.report),
        )
        for o in outcomes
    ]
    columns = ("", "top-1", "weights + code", "arena", "latency", "against the evaluator")
    print_table(columns, rows, right=columns[1:5])
    return 0 if all(o.report.passed for o in outcomes) else 1


def _checked(report: VerifyReport) -> str:
    if not report.passed:
        return f"DIFFERENT: {report.difference}"
    return f"every bit equal, {report.runs} runs" if report.exact else f"within tolerance, {report.runs} runs"


def _outcome(data: DemoData, title: str, target: str, recipe: str, folder: Path) -> Outcome:
    module = load(data.model)
    samples = check_samples(data.calibration, module.inputs, "calibration images")
    artifact = compile_module(module, samples, CompileOptions(target=target, recipe=recipe))
    artifact.save(folder)
    artifact = Artifact.load(folder)
    images = Samples({"image": data.test_images}, "test images")
    made_up = example_samples(artifact.module.inputs, seed=0)
    report = verify(artifact.module, artifact.run_many, made_up)
    if report.passed:
        report = verify(artifact.module, artifact.run_many, images)
    logits = artifact.run_samples(images, raw=True)["logits"]
    accuracy = float(np.mean(np.argmax(logits, axis=1) == data.test_labels))
    timing = measure(artifact.make_call, macs=0, threads=1, seconds=0.3)
    manifest = artifact.manifest
    flash = manifest["weight_bytes"] + manifest["code_bytes"]
    return Outcome(title, accuracy, flash, manifest["arena_bytes"], timing.median, report)

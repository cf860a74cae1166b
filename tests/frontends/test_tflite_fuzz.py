"""Thousands of damaged copies of the shared models: each imports or ends in a QccError, in bounded time and memory.

What imports goes the rest of the line: passes for target `c` and the evaluator. Each run is a process of its own whose
address space is limited, so that what takes memory is seen.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qcc.compiler import CompileOptions, check_interface, choose_pipeline
from qcc.frontends.tflite import ModelFile, import_model
from qcc.ir import Module, QccError, Stage, evaluate
from qcc.passes import PassContext, PassManager
from qcc.samples import check_samples
from qcc.targets import Target
from tests.frontends.tflite_mutations import model_bytes, mutations

ROOT = Path(__file__).resolve().parents[2]

#: Of one damaged file, import alone and the rest of the line; the models take 0.1 s and 2 s.
IMPORT_SECONDS, LINE_SECONDS = 10.0, 60.0

#: Address space of a process that imports, and that does the rest: bytes.
ADDRESS_SPACE = 3 << 30


def line(module: Module) -> None:
    """Compile a module as far as its integer program, and run that once."""
    check_interface(module)
    target = Target.parse("c")
    context = PassContext(hardware=target.hardware, target=target)
    real = module.stage is Stage.FLOAT
    if real:
        generator = np.random.default_rng(0)
        data = {v.name: generator.normal(size=v.type.shape).astype(np.float32) for v in module.inputs}
        samples = check_samples(data, module.inputs, "calibration")
        context.calibration = lambda: samples.batches(module.inputs)
    integer = PassManager(choose_pipeline(module, real, CompileOptions(target="c"))).run(module, context)
    evaluate(integer, {v.name: np.zeros(v.type.shape, v.type.element.storage.dtype) for v in integer.inputs})


def run(path: str, seed: int, count: int, whole: bool) -> dict[str, Any]:
    """Import `count` damaged copies, with `whole` those that import go the line; return what happened."""
    warnings.simplefilter("ignore")
    ends: Counter[str] = Counter()
    slowest, wrong = 0.0, []
    for number, data in enumerate(mutations(Path(path).read_bytes(), seed, count)):
        start = time.monotonic()
        try:
            module = import_model(ModelFile(data, "model.tflite"))
            ends["imported"] += 1
            if whole:
                line(module)
                ends["ran"] += 1
        except QccError:
            ends["refused"] += 1
        except Exception as error:
            wrong.append(f"mutation {number} of seed {seed}: {type(error).__name__}: {error}")
        slowest = max(slowest, time.monotonic() - start)
    return {"ends": ends, "slowest": slowest, "wrong": wrong}


def run_apart(path: Path, seed: int, count: int, whole: bool) -> dict[str, Any]:
    """Return what `run` does in a process with limited memory."""
    command = [sys.executable, "-m", "tests.frontends.test_tflite_fuzz", str(path), str(seed), str(count), str(whole)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def check(result: dict[str, Any], seconds: float) -> None:
    assert not result["wrong"], "\n".join(result["wrong"])
    assert result["slowest"] < seconds
    assert result["ends"]["imported"] > 0
    assert result["ends"]["refused"] > 0


def test_damaged_copies_of_a_model(shared_models: Path) -> None:
    check(run(str(shared_models / "autoencoder_ad_int8.tflite"), 1, 60, whole=False), IMPORT_SECONDS)


def test_every_mutation_is_the_same_again(shared_models: Path) -> None:
    data = model_bytes(shared_models, "resnet8_cifar10_int8")
    assert list(mutations(data, 5, 10)) == list(mutations(data, 5, 10))
    assert len({*mutations(data, 5, 10), data}) == 11


@pytest.mark.slow
@pytest.mark.parametrize("seed", [11, 12])
@pytest.mark.parametrize(
    "name", ["autoencoder_ad_float", "autoencoder_ad_int8", "resnet8_cifar10_int8", "mobilenet_v1_025_vww_int8"]
)
def test_a_thousand_damaged_copies(shared_models: Path, name: str, seed: int) -> None:
    count = 1000 if "autoencoder" in name or "resnet" in name else 300
    check(run_apart(shared_models / f"{name}.tflite", seed, count, whole=False), IMPORT_SECONDS)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["autoencoder_ad_float", "autoencoder_ad_int8", "resnet8_cifar10_int8"])
def test_damaged_copies_go_the_whole_line(shared_models: Path, name: str) -> None:
    check(run_apart(shared_models / f"{name}.tflite", 21, 60, whole=True), LINE_SECONDS)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    _, file, number, size, all_of_it = sys.argv
    print(json.dumps(run(file, int(number), int(size), all_of_it == "True")))

"""Compiles integer modules for the tests of artifacts."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from qcc.ir import Array, Module, evaluate
from qcc.passes import PassContext, PassManager, parse_pipeline
from qcc.targets import Target
from qcc.targets.emission import MANIFEST_FILE, Artifact, describe_files, emit
from qcc.targets.runtime import load_library
from tests.targets.integer_modules import random_inputs

TARGET_PASSES = "fuse-epilogue,legalize-for-target,pack-weights,plan-memory"
TARGETS = (
    "c",
    "x86_64-linux-gnu+avx2",
    "x86_64-linux-gnu+avx-vnni",
    "x86_64-linux-gnu+avx512-vnni",
)


def planned(module: Module, target: Target) -> Module:
    """Return the module behind the target's passes."""
    return PassManager(parse_pipeline(TARGET_PASSES)).run(module, PassContext(target=target))


def compiled(module: Module, target: str) -> Artifact:
    """Return the artifact of an integer module."""
    parsed = Target.parse(target)
    return emit(planned(module, parsed), parsed, TARGET_PASSES)


@cache
def compiled_once(build: Callable[[], Module], target: str) -> Artifact:
    """Return the artifact of the module that `build` makes, the same for all tests."""
    return compiled(build(), target)


def renew_hashes(folder: Path) -> None:
    """Let the manifest of a changed artifact list its files as they are now."""
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    manifest["files"] = describe_files({name: (folder / name).read_bytes() for name in manifest["files"]})
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest))


def require_host(target: str, cpu_feature: Callable[[str], None]) -> None:
    """Skip the test where this host can't run code for `target`."""
    for flag in Target.parse(target).cpu_flags:
        cpu_feature(flag)


def extreme_inputs(module: Module) -> list[dict[str, Array]]:
    """Return inputs whose codes are all the lowest, all the highest, and both by turns."""
    found = []
    for pattern in ((0, 0), (1, 1), (0, 1)):
        inputs = {}
        for value in module.inputs:
            storage = value.type.element.storage
            limits = np.array([storage.minimum, storage.maximum])
            inputs[value.name] = np.resize(limits[list(pattern)], value.type.shape).astype(storage.dtype)
        found.append(inputs)
    return found


def assert_same_bits(module: Module, target: str, folder: Path) -> None:
    """Compile, save, load and run the module: every output equals the evaluator's, bit for bit."""
    compiled(module, target).save(folder)
    model = load_library(folder)
    for inputs in (*(random_inputs(module, seed) for seed in range(3)), *extreme_inputs(module)):
        expected, found = evaluate(module, inputs), model.run(inputs)
        assert expected.keys() == found.keys()
        for name, array in expected.items():
            assert found[name].dtype == array.dtype
            np.testing.assert_array_equal(found[name], array, err_msg=f"{target} {name}")

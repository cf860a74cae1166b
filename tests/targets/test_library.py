"""Loading artifacts: what can go wrong, and that nothing crashes."""

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qcc.ir import ArtifactError, EvaluationError, Module, TargetError, ToolError, evaluate
from qcc.targets import target as target_module
from qcc.targets.emission import Artifact
from qcc.targets.runtime import load_library
from tests.targets.compiled import compiled
from tests.targets.integer_modules import chain, random_inputs, residual_net


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    return compiled(residual_net(), "c")


@pytest.fixture(scope="module")
def machine_artifact() -> Artifact:
    return compiled(residual_net(), "x86_64-linux-gnu+avx512-vnni")


def edit_manifest(folder: Path, **changes: Any) -> None:
    """Change entries of a manifest; None removes one."""
    manifest = {**json.loads((folder / "manifest.json").read_text()), **changes}
    kept = {key: value for key, value in manifest.items() if value is not None}
    (folder / "manifest.json").write_text(json.dumps(kept))


def test_a_host_without_the_features_is_told_so(
    machine_artifact: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine_artifact.save(tmp_path / "a")
    monkeypatch.setattr(target_module, "host_cpu_flags", lambda: frozenset(("avx2", "fma")))
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    with pytest.raises(TargetError, match="avx512_vnni") as caught:
        load_library(tmp_path / "a")
    assert "--target native" in caught.value.help
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    with pytest.raises(TargetError, match="a x86_64 processor under Linux"):
        load_library(tmp_path / "a")


def test_a_missing_compiler_is_named_with_its_package(
    artifact: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact.save(tmp_path / "a")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(ToolError, match="no cc") as caught:
        load_library(tmp_path / "a")
    assert "apt-get install gcc" in caught.value.help


def test_without_a_compiler_c_is_written_but_not_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    measured = compiled(residual_net(), "c").manifest
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    manifest = compiled(residual_net(), "c").manifest
    assert manifest["measured_with"] is None
    assert manifest["flash_bytes"] is None
    assert manifest["weight_bytes"] >= measured["weight_bytes"]
    with pytest.raises(ToolError, match="apt-get install gcc"):
        compiled(residual_net(), "x86_64-linux-gnu+avx2")


def test_source_that_does_not_compile(artifact: Artifact, tmp_path: Path) -> None:
    artifact.save(tmp_path / "a")
    (tmp_path / "a" / "residual_net.c").write_text("int x = ;")
    with pytest.raises(ToolError, match="failed with status 1"):
        load_library(tmp_path / "a")


@pytest.mark.parametrize("content", [b"", b"\x7fELF garbage"])
def test_a_library_that_is_none(machine_artifact: Artifact, tmp_path: Path, content: bytes) -> None:
    machine_artifact.save(tmp_path / "a")
    edit_manifest(tmp_path / "a", cpu_flags=[])
    (tmp_path / "a" / "libresidual_net.so").write_bytes(content)
    with pytest.raises(ArtifactError, match="can't be loaded"):
        load_library(tmp_path / "a")


def test_files_that_are_missing(artifact: Artifact, tmp_path: Path) -> None:
    artifact.save(tmp_path / "a")
    edit_manifest(tmp_path / "a", name="other")
    with pytest.raises(ArtifactError, match=r"neither libother\.so nor other\.c"):
        load_library(tmp_path / "a")
    (tmp_path / "a" / "residual_net.c").rename(tmp_path / "a" / "other.c")
    with pytest.raises(ArtifactError, match="no function other_run"):
        load_library(tmp_path / "a")


@pytest.mark.parametrize("key", ["inputs", "arena_bytes", "cpu_flags", "name", "machine"])
def test_a_manifest_that_is_not_whole(artifact: Artifact, tmp_path: Path, key: str) -> None:
    artifact.save(tmp_path / "a")
    edit_manifest(tmp_path / "a", **{key: None})
    with pytest.raises(ArtifactError, match=f"not whole.*{key}"):
        load_library(tmp_path / "a")


def test_inputs_are_checked(artifact: Artifact, tmp_path: Path) -> None:
    artifact.save(tmp_path / "a")
    model = load_library(tmp_path / "a")
    good = random_inputs(residual_net())["image"]
    for inputs, message in (
        ({}, "missing inputs: image"),
        ({"image": good, "mask": good}, "unknown inputs: mask"),
        ({"image": good[:, :4]}, "has shape"),
        ({"image": good.astype(np.float32)}, "has elements float32"),
    ):
        with pytest.raises(EvaluationError, match=message):
            model.run(inputs)
    strided = np.repeat(good, 2, axis=2)[:, :, ::2]
    np.testing.assert_array_equal(model.run({"image": strided})["logits"], model.run({"image": good})["logits"])


def test_a_replaced_artifact_is_not_taken_for_the_old_one(tmp_path: Path) -> None:
    first, second = chain("table"), chain("table", "table")
    for module in (first, second):
        compiled(module, "x86_64-linux-gnu+avx2").save(tmp_path / "a")
        _same(module, tmp_path / "a")


def _same(module: Module, folder: Path) -> None:
    inputs = random_inputs(module)
    np.testing.assert_array_equal(load_library(folder).run(inputs)["y"], evaluate(module, inputs)["y"])


def test_threads_do_not_disturb_each_other(artifact: Artifact, tmp_path: Path) -> None:
    artifact.save(tmp_path / "a")
    model, module = load_library(tmp_path / "a"), residual_net()
    cases = [random_inputs(module, seed) for seed in range(4)]
    expected = [evaluate(module, case)["logits"] for case in cases]
    wrong: list[int] = []

    def work(index: int) -> None:
        for _ in range(200):
            if not np.array_equal(model.run(cases[index])["logits"], expected[index]):
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_entry_function_reports_wrong_pointers(artifact: Artifact, tmp_path: Path) -> None:
    artifact.save(tmp_path / "a")
    model = load_library(tmp_path / "a")
    call = model.bind(random_inputs(residual_net()))
    call._arena = call._arena[1:]
    with pytest.raises(EvaluationError, match="returned 2: the arena was not aligned"):
        call.run()
    call._in[0] = None
    with pytest.raises(EvaluationError, match="returned 1: a pointer was NULL"):
        call.run()

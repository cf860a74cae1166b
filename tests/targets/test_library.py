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
from tests.targets.compiled import compiled, renew_hashes
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


@pytest.mark.parametrize(("program", "message"), [("false", "status 1 and without"), ("true", "made no lib")])
def test_a_compiler_that_is_none(
    artifact: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, message: str
) -> None:
    artifact.save(tmp_path / "a")
    compiler = tmp_path / "compiler"
    compiler.write_text(f"#!/bin/sh\n{program}\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    with pytest.raises(ToolError, match=message) as caught:
        load_library(tmp_path / "a")
    assert "variable CC" in caught.value.help


def test_source_that_does_not_compile(artifact: Artifact, tmp_path: Path) -> None:
    artifact.save(tmp_path / "a")
    (tmp_path / "a" / "residual_net.c").write_text("int x = ;")
    renew_hashes(tmp_path / "a")
    with pytest.raises(ToolError, match="failed with status 1"):
        load_library(tmp_path / "a")


@pytest.mark.parametrize("content", [b"", b"\x7fELF garbage"])
def test_a_library_that_is_none(machine_artifact: Artifact, tmp_path: Path, content: bytes) -> None:
    machine_artifact.save(tmp_path / "a")
    edit_manifest(tmp_path / "a", cpu_flags=[])
    (tmp_path / "a" / "libresidual_net.so").write_bytes(content)
    renew_hashes(tmp_path / "a")
    with pytest.raises(ArtifactError, match="can't be loaded"):
        load_library(tmp_path / "a")


def test_files_that_are_missing(artifact: Artifact, tmp_path: Path) -> None:
    artifact.save(tmp_path / "a")
    listed = json.loads((tmp_path / "a" / "manifest.json").read_text())["files"]
    edit_manifest(tmp_path / "a", name="other")
    with pytest.raises(ArtifactError, match=r"lists no other\.h"):
        load_library(tmp_path / "a")
    unlisted = {name: entry for name, entry in listed.items() if name != "residual_net.c"}
    edit_manifest(tmp_path / "a", name="residual_net", files=unlisted)
    with pytest.raises(ArtifactError, match=r"neither libresidual_net\.so nor residual_net\.c"):
        load_library(tmp_path / "a")
    edit_manifest(tmp_path / "a", files=listed)
    source = tmp_path / "a" / "residual_net.c"
    source.write_text(source.read_text().replace("residual_net_run", "another_run"))
    renew_hashes(tmp_path / "a")
    with pytest.raises(ArtifactError, match="no function residual_net_run"):
        load_library(tmp_path / "a")
    source.unlink()
    with pytest.raises(ArtifactError, match=r"residual_net\.c can't be read"):
        load_library(tmp_path / "a")


@pytest.mark.parametrize("name", ["libresidual_net.a", "libresidual_net.so", "residual_net.h", "residual_net.qir"])
def test_files_that_were_cut_or_changed(machine_artifact: Artifact, tmp_path: Path, name: str) -> None:
    file = machine_artifact.save(tmp_path / "a") / name
    whole = file.read_bytes()
    file.write_bytes(whole[:700])
    with pytest.raises(ArtifactError, match=rf"{name} has 700 bytes, the manifest says {len(whole)}"):
        load_library(tmp_path / "a")
    file.write_bytes(whole[:700] + bytes([whole[700] ^ 1]) + whole[701:])
    with pytest.raises(ArtifactError, match=f"{name} is not what was compiled"):
        load_library(tmp_path / "a")


@pytest.mark.parametrize("files", [{"../x": {"bytes": 1, "sha256": ""}}, {"residual_net.h": 3}])
def test_lists_of_files_that_are_none(artifact: Artifact, tmp_path: Path, files: dict[str, Any]) -> None:
    artifact.save(tmp_path / "a")
    edit_manifest(tmp_path / "a", files=files)
    with pytest.raises(ArtifactError, match="list of files is not whole"):
        load_library(tmp_path / "a")


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("scale", 0.06, "_SCALE 0.06"),
        ("zero_point", 4, "_ZERO_POINT 4"),
        ("shape", [1, 4, 4, 3], "_SHAPE {1, 4, 4, 3}"),
        ("shape", 8, "not whole: TypeError"),
        ("type", "int16", "_BYTES 384"),
        ("type", "str", "not whole: ValueError"),
        ("name", None, "not whole: KeyError"),
    ],
)
def test_inputs_that_the_header_does_not_define(
    artifact: Artifact, tmp_path: Path, key: str, change: object, message: str
) -> None:
    artifact.save(tmp_path / "a")
    (entry,) = artifact.manifest["inputs"]
    changed = {k: v for k, v in {**entry, key: change}.items() if k == "scale" or v is not None}
    edit_manifest(tmp_path / "a", inputs=[changed])
    with pytest.raises(ArtifactError, match=message):
        load_library(tmp_path / "a")


def test_an_arena_that_the_header_does_not_define(artifact: Artifact, tmp_path: Path) -> None:
    artifact.save(tmp_path / "a")
    edit_manifest(tmp_path / "a", arena_bytes=0)
    with pytest.raises(ArtifactError, match=r"residual_net\.h and the manifest disagree.*ARENA_BYTES 0"):
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

"""The whole line on the demonstration's model: compile, verify, run, bench, inspect."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import qcc
from qcc.cli import main
from qcc.demo import load_demo
from tests.targets.compiled import renew_hashes

DEMO = load_demo()
TARGETS = ("c", "x86_64-linux-gnu+avx2", "x86_64-linux-gnu+avx-vnni", "x86_64-linux-gnu+avx512-vnni")


@pytest.fixture(scope="module")
def calibration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "calibration.npz"
    np.savez(path, allow_pickle=False, **DEMO.calibration)
    return path


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory, calibration: Path) -> dict[str, Path]:
    """One artifact of the demonstration's model for each target."""
    made = {}
    for target in TARGETS:
        folder = tmp_path_factory.mktemp("artifact") / "digits"
        command = ["compile", str(DEMO.model), "-o", str(folder), "--target", target]
        assert main([*command, "--calibration", str(calibration)]) == 0
        made[target] = folder
    return made


@pytest.mark.parametrize("target", TARGETS)
def test_every_bit_is_the_evaluators(
    target: str, artifacts: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    if not qcc.Artifact.load(artifacts[target]).manifest["cpu_flags"] or not missing(target):
        assert main(["verify", str(artifacts[target])]) == 0
        assert "every bit equal to the evaluator: logits" in capsys.readouterr().out
    else:
        pytest.skip(f"needs cpu: {', '.join(missing(target))}")


def missing(target: str) -> tuple[str, ...]:
    """Return what this host lacks to run code for a target."""
    from qcc.targets import Target

    return Target.parse(target).missing_on_host()


@pytest.fixture
def copy(artifacts: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the `c` artifact, to be changed."""
    return Path(shutil.copytree(artifacts["c"], tmp_path / "changed"))


def test_verification_finds_a_wrong_weight(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = next(copy.glob("*.c"))
    text = source.read_text()
    start = text.index("{", text.index("static const int8_t")) + 1
    end = text.index("}", start)
    numbers = text[start:end].split(",")
    middle = len(numbers) // 2
    numbers[middle] = str(-int(numbers[middle]) - 1)
    source.write_text(text[:start] + ",".join(numbers) + text[end:])
    assert main(["verify", str(copy)]) == 2
    assert f"{source.name} has " in capsys.readouterr().err
    renew_hashes(copy)
    assert main(["verify", str(copy)]) == 1
    assert "DIFFERENT: sample 0: logits" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("pattern", "change", "message"),
    [
        (r'attribute "arena.bytes" = "\d+"', 'attribute "arena.bytes" = "0"', "attributes"),
        (r"module @(\w+)", "module @other", "name"),
        (r'^( *output %\w+ as ")(\w+)"', r'\1renamed"', "outputs"),
    ],
)
def test_a_module_that_the_manifest_does_not_describe(
    copy: Path, capsys: pytest.CaptureFixture[str], pattern: str, change: str, message: str
) -> None:
    module = next(copy.glob("*.qir"))
    text, count = re.subn(pattern, change, module.read_text(), count=1, flags=re.MULTILINE)
    assert count == 1
    module.write_text(text)
    assert main(["verify", str(copy)]) == 2
    assert f"{module.name} has " in capsys.readouterr().err
    renew_hashes(copy)
    for command in ("verify", "inspect", "bench"):
        assert main([command, str(copy)]) == 2
        assert f"{module.name} and the manifest disagree on {message}" in capsys.readouterr().err


def test_a_manifest_that_says_another_scale(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["outputs"][0]["scale"] *= 2
    (copy / "manifest.json").write_text(json.dumps(manifest))
    assert main(["verify", str(copy)]) == 2
    assert "and the manifest disagree: by the manifest it has `#define" in capsys.readouterr().err


def test_a_saved_copy_of_a_loaded_artifact_is_the_same(artifacts: dict[str, Path], tmp_path: Path) -> None:
    qcc.Artifact.load(artifacts["c"]).save(tmp_path / "again")
    for file in artifacts["c"].iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes()


def test_int8_keeps_the_accuracy(artifacts: dict[str, Path]) -> None:
    outputs = qcc.Artifact.load(artifacts["c"]).run({"image": DEMO.test_images})["logits"]
    accuracy = np.mean(outputs.argmax(axis=1) == DEMO.test_labels)
    assert accuracy >= 0.97


def test_run_quantizes_and_dequantizes(artifacts: dict[str, Path], tmp_path: Path) -> None:
    inputs, outputs, raw = tmp_path / "in.npz", tmp_path / "out.npz", tmp_path / "raw.npz"
    np.savez(inputs, image=DEMO.test_images[:5])
    assert main(["run", str(artifacts["c"]), "--inputs", str(inputs), "--outputs", str(outputs)]) == 0
    assert main(["run", str(artifacts["c"]), "--inputs", str(inputs), "--outputs", str(raw), "--raw"]) == 0
    with np.load(outputs) as real, np.load(raw) as codes:
        assert real["logits"].dtype == np.float32
        assert codes["logits"].dtype == np.int8
        manifest = json.loads((artifacts["c"] / "manifest.json").read_text())
        (entry,) = manifest["outputs"]
        expected = (codes["logits"].astype(np.float32) - entry["zero_point"]) * np.float32(entry["scale"])
        np.testing.assert_array_equal(real["logits"], expected)


def test_bench_and_inspect_speak_of_the_artifact(
    artifacts: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", str(artifacts["c"]), "--seconds", "0.05", "--threads", "2", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["threads"] == 2
    assert 0 < figures["minimum"] <= figures["median"] <= figures["percentile_95"]
    assert main(["inspect", str(artifacts["c"])]) == 0
    assert "arena" in capsys.readouterr().out


def test_two_compilations_give_the_same_bytes(artifacts: dict[str, Path], calibration: Path, tmp_path: Path) -> None:
    again = tmp_path / "digits"
    command = ["compile", str(DEMO.model), "-o", str(again), "--target", "c", "--calibration", str(calibration)]
    assert main(command) == 0
    for file in artifacts["c"].iterdir():
        assert (again / file.name).read_bytes() == file.read_bytes(), file.name


def test_a_region_kept_in_float_compiles(calibration: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "mixed"
    command = ["compile", str(DEMO.model), "-o", str(folder), "--calibration", str(calibration)]
    assert main([*command, "--target", "c", "--keep-float", "matmul"]) == 0
    assert main(["verify", str(folder)]) == 0
    assert "behind a float region" in capsys.readouterr().out


def test_what_keep_float_names_must_exist(
    calibration: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "none"
    command = ["compile", str(DEMO.model), "-o", str(folder), "--calibration", str(calibration)]
    assert main([*command, "--keep-float", "no_such_layer"]) == 2
    assert "no_such_layer" in capsys.readouterr().err
    assert not folder.exists()

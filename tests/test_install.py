"""The wheel holds the linked folders under their import names, and nothing else."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("ir", "passes", "targets")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel outside the checkout, so that no old build folder ends up in it."""
    folder = tmp_path_factory.mktemp("wheel")
    settings = folder / "build.cfg"
    settings.write_text(f"[build]\nbuild_base = {folder}/build\n[egg_info]\negg_base = {folder}\n")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(ROOT)]
    environment = {**os.environ, "DIST_EXTRA_CONFIG": str(settings)}
    subprocess.run(command, check=True, env=environment, capture_output=True)
    return next(folder.glob("qcc-*.whl"))


@pytest.mark.slow
def test_the_wheel_holds_every_source_file_once(wheel: Path) -> None:
    expected = {f"qcc/{path.relative_to(ROOT)}" for layer in LAYERS for path in (ROOT / layer).rglob("*.py")}
    names = zipfile.ZipFile(wheel).namelist()
    assert expected <= set(names)
    assert {"qcc/py.typed", "qcc/demo/digits.onnx", "qcc/demo/digits.npz"} <= set(names)
    assert {f"qcc/{path.relative_to(ROOT)}" for path in (ROOT / "ir").rglob("*.lark")} <= set(names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"qcc"}


@pytest.mark.slow
def test_the_installed_wheel_imports_its_own_copy(wheel: Path, tmp_path: Path) -> None:
    place = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(place), str(wheel)]
    subprocess.run(pip, check=True, capture_output=True)
    code = "import qcc.ir, qcc.passes, qcc.targets; print(qcc.ir.__file__, qcc.passes.__file__, qcc.targets.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(place)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == [str(place / "qcc" / layer / "__init__.py") for layer in LAYERS]

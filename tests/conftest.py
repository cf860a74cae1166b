"""Fixtures that every test may use: real models and data, and tools of the machine.

A test that cannot run skips with a reason of a fixed form: ``needs tool: NAME (Debian package PACKAGE)``,
``needs shared: FOLDER`` or ``needs cpu: FEATURE``. In CI (the environment variable ``CI`` is ``true``) only the last
may skip, since no installation can mend it; every other skip fails, so that nothing hides there.
"""

import os
import shutil
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from hypothesis import settings

REPOSITORY = Path(__file__).resolve().parent.parent

# The same examples in every CI run; elsewhere new ones each time, which finds more.
settings.register_profile("ci", derandomize=True, deadline=None)
if os.environ.get("CI") == "true":
    settings.load_profile("ci")

DEBIAN_PACKAGES = {
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu",
    "aarch64-linux-gnu-objdump": "binutils-aarch64-linux-gnu",
    "arm-linux-gnueabihf-gcc": "gcc-arm-linux-gnueabihf",
    "arm-linux-gnueabihf-objdump": "binutils-arm-linux-gnueabihf",
    "arm-none-eabi-gcc": "gcc-arm-none-eabi",
    "cc": "gcc",
    "ld.lld": "lld",
    "llvm-objdump": "llvm",
    "nm": "binutils",
    "objdump": "binutils",
    "qemu-aarch64": "qemu-user",
    "qemu-arm": "qemu-user",
    "qemu-hexagon": "qemu-user",
    "qemu-system-arm": "qemu-system-arm",
    "qemu-x86_64": "qemu-user",
    "readelf": "binutils",
    "size": "binutils",
}
"""The Debian package of each tool whose package has another name."""


def shared_folder(kind: str) -> Path:
    """Return the folder `kind` of the shared models and data, or skip the test."""
    root = Path(os.environ.get("QCC_SHARED") or REPOSITORY.parent / "shared")
    folder = root / kind
    if not folder.is_dir():
        pytest.skip(f"needs shared: {kind} (set QCC_SHARED to the folder that holds it)")
    return folder


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of this suite."""
    parser.addoption("--bless", action="store_true", help="rewrite what golden files expect to what is found")


@pytest.fixture(scope="session")
def shared_models() -> Path:
    """Return the folder of the real models."""
    return shared_folder("models")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of the calibration and test images."""
    return shared_folder("data")


@pytest.fixture(scope="session")
def tool() -> Callable[[str], str]:
    """Return a function that finds a program by name, or skips the test and names the Debian package."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            pytest.skip(f"needs tool: {name} (Debian package {DEBIAN_PACKAGES.get(name, name)})")
        return path

    return find


@pytest.fixture(scope="session")
def cpu_feature() -> Callable[[str], None]:
    """Return a function that skips the test unless the processor has a feature, named as in /proc/cpuinfo."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    present = {
        word for line in lines if line.startswith(("flags", "Features")) for word in line.partition(":")[2].split()
    }

    def require(feature: str) -> None:
        if feature not in present:
            pytest.skip(f"needs cpu: {feature}")

    return require


def fail_hidden_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure in CI, unless it names a missing feature of the processor."""
    if os.environ.get("CI") != "true" or not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if not reason.removeprefix("Skipped: ").startswith("needs cpu:"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {reason}"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Hold each test's report against the rule for skips."""
    report = yield
    fail_hidden_skip(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Hold each module's report against the rule for skips."""
    report = yield
    fail_hidden_skip(report)
    return report

"""Versions of qcc and of what the bits of its output depend on."""

from __future__ import annotations

from importlib import metadata


def versions() -> dict[str, str]:
    """Return version by package name; packages that are not installed are left out."""
    found = {}
    for name in ("qcc", "apache-tvm", "apache-tvm-ffi", "numpy", "onnx"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found

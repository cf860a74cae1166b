"""Loads an artifact for whatever chip, ready to run here."""

from __future__ import annotations

from pathlib import Path

from qcc.targets.emission import manifest_interface, read_manifest
from qcc.targets.emulation import EmulatedModel, load_emulated
from qcc.targets.target import Target

from .library import CompiledModel, load_library


def load_model(folder: str | Path) -> CompiledModel | EmulatedModel:
    """Return the compiled model of an artifact's folder: loaded into this process, or run by an emulator.

    Raises what `load_library` raises; a ToolError that names what is missing to emulate a foreign chip comes with the
    first run.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    if Target.parse(str(manifest["target"])).link is None:
        return load_library(folder)
    return load_emulated(folder, manifest, manifest_interface(manifest, str(folder)))

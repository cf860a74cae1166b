"""From a planned module to an artifact: header, code, weights, manifest, and the folder that holds them."""

from .artifact import Artifact, emit
from .folder import MANIFEST_FILE, check_destination, read_manifest, save
from .toolchain import CompilerVersion, c_compiler

__all__ = [
    "MANIFEST_FILE",
    "Artifact",
    "CompilerVersion",
    "c_compiler",
    "check_destination",
    "emit",
    "read_manifest",
    "save",
]

"""From a planned module to an artifact: header, code, weights, manifest, and the folder that holds them."""

from .artifact import Artifact, emit
from .folder import LONGEST_NAME, MANIFEST_FILE, check_destination, read_manifest, save
from .integrity import check_module, describe_files, manifest_interface
from .toolchain import CompilerVersion, c_compiler

__all__ = [
    "LONGEST_NAME",
    "MANIFEST_FILE",
    "Artifact",
    "CompilerVersion",
    "c_compiler",
    "check_destination",
    "check_module",
    "describe_files",
    "emit",
    "manifest_interface",
    "read_manifest",
    "save",
]

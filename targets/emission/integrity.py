"""Whether an artifact is as compiled: its files fit their hashes; the manifest, the header and the module agree."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qcc.ir import ArtifactError, Module, QccError
from qcc.targets.plan_memory import ARENA_BYTES

from .header import arena_macros, port_macros, state_macros
from .interface import Interface, Port, interface_of, states_entry

HELP = "something changed the artifact: compile the model again"


def describe_files(files: Mapping[str, bytes]) -> dict[str, dict[str, Any]]:
    """Return size and SHA-256 by file name, as the manifest lists them."""
    return {n: {"bytes": len(files[n]), "sha256": hashlib.sha256(files[n]).hexdigest()} for n in sorted(files)}


def check_files(folder: Path, listed: Mapping[str, Any]) -> None:
    """Raise an ArtifactError that names the first file that is missing, or has another size or SHA-256 than listed."""
    for name, expected in listed.items():
        if Path(name).name != name or not isinstance(expected, dict):
            raise ArtifactError(f"the manifest's list of files is not whole: {name!r}", place=str(folder), help=HELP)
        try:
            with (folder / name).open("rb") as stream:
                size, digest = stream.seek(0, 2), ""
                if size == expected.get("bytes"):
                    stream.seek(0)
                    digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise ArtifactError(f"{name} can't be read: {error.strerror}", place=str(folder), help=HELP) from error
        if size != expected.get("bytes"):
            message = f"{name} has {size} bytes, the manifest says {expected.get('bytes')}"
            raise ArtifactError(message, place=str(folder), help=HELP)
        if digest != expected.get("sha256"):
            raise ArtifactError(f"{name} is not what was compiled: its SHA-256 differs", place=str(folder), help=HELP)


def manifest_interface(manifest: Mapping[str, Any], place: str) -> Interface:
    """Return the inputs and outputs that a manifest describes; an ArtifactError if it describes none."""
    try:
        inputs, outputs = (tuple(map(Port.of, manifest[key])) for key in ("inputs", "outputs"))
        return Interface(manifest["name"], inputs, outputs, tuple(map(Port.of, manifest.get("states", ()))))
    except (KeyError, TypeError, ValueError, QccError) as error:
        message = f"the manifest's inputs and outputs are not whole: {type(error).__name__}: {error}"
        raise ArtifactError(message, place=place, help=HELP) from error


def check_header(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Raise an ArtifactError if the header defines another arena or other tensors than the manifest describes."""
    file = f"{manifest['name']}.h"
    if file not in manifest["files"]:
        raise ArtifactError(f"the manifest lists no {file}", place=str(folder), help=HELP)
    interface = manifest_interface(manifest, str(folder))
    try:
        defined = set((folder / file).read_text(encoding="utf-8").splitlines())
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{file} can't be read: {error}", place=str(folder), help=HELP) from error
    expected = arena_macros(interface.name, manifest["arena_bytes"], manifest["arena_alignment"])
    if interface.states:
        expected += state_macros(interface)
    for direction, ports in (("INPUT", interface.inputs), ("OUTPUT", interface.outputs), ("STATE", interface.states)):
        expected += [line for port in ports for line in port_macros(interface.name, direction, port)]
    for line in expected:
        if line not in defined:
            message = f"{file} and the manifest disagree: by the manifest it has `{line}`"
            raise ArtifactError(message, place=str(folder), help=HELP)


def check_module(module: Module, manifest: Mapping[str, Any], place: str) -> None:
    """Raise an ArtifactError if the module has another interface, arena or attributes than the manifest says."""
    interface = interface_of(module)
    found = {
        "name": module.name,
        "inputs": [port.manifest() for port in interface.inputs],
        "outputs": [port.manifest() for port in interface.outputs],
        **states_entry(interface),
        "attributes": dict(module.attributes),
    }
    wrong = [key for key, value in found.items() if manifest.get(key) != value]
    planned = module.attribute(ARENA_BYTES, "0")
    if not planned.isdecimal() or int(planned) > manifest["arena_bytes"]:
        wrong.append("arena_bytes")
    if wrong:
        message = f"{manifest['name']}.qir and the manifest disagree on {', '.join(wrong)}"
        raise ArtifactError(message, place=place, help=HELP)

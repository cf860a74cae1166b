"""An artifact: everything that a compiled module is, in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from qcc.ir import Module, print_module
from qcc.passes import ARITHMETIC
from qcc.targets.target import Target

from .c_source import c_source
from .figures import C_FLAGS, measure_object, measure_source
from .folder import FORMAT, MANIFEST_FILE, save
from .foreign_code import ENTRY_FLAGS, foreign_code
from .header import header_text
from .integrity import describe_files
from .interface import Interface, interface_of, states_entry
from .machine_code import machine_code
from .program import Program, Progress, lower_program
from .project_files import project_files
from .toolchain import c_compiler


@dataclass(frozen=True)
class Artifact:
    """The files of a compiled module by name, and what the manifest says.

    Attributes:
        name: of the module, a C identifier.
        files: contents by file name, the manifest included.
        manifest: the manifest as a dictionary.
    """

    name: str
    files: Mapping[str, bytes] = field(repr=False)
    manifest: Mapping[str, Any]

    def save(self, folder: str | Path) -> Path:
        """Write the files to `folder`, which must be absent, empty or an artifact; see `save`."""
        return save(self.files, folder)


def emit(module: Module, target: Target, pipeline: str = "", progress: Progress | None = None) -> Artifact:
    """Return the artifact of an integer module that went through the target's passes; loads the code generator.

    Args:
        module: behind `plan-memory`.
        target: what it was planned for.
        pipeline: text of the passes that made it, for the manifest.
        progress: told about the kernels.
    """
    interface = interface_of(module)
    program = lower_program(module, target, progress)
    header = header_text(interface, program)
    name = module.name
    files = {f"{name}.h": header.encode()}
    version: str | None
    flags: tuple[str, ...]
    if target.emits_c:
        source = c_source(interface, program)
        files[f"{name}.c"] = source.text.encode()
        figures, compiler = measure_source(source.outline, header, program, target)
        version = None if compiler is None else compiler.version
        flags = C_FLAGS if compiler is None else (*compiler.command[1:], *C_FLAGS)
    elif target.link is not None:
        foreign = foreign_code(interface, program, target)
        files[f"lib{name}.a"] = foreign.archive
        figures, version = measure_object(foreign.object, program, foreign.stack_bytes), foreign.compiler.version
        flags = (*foreign.compiler.recipe.baseline, *ENTRY_FLAGS)
    else:
        built = machine_code(interface, program, target)
        files |= {f"lib{name}.a": built.archive, f"lib{name}.so": built.shared}
        figures, version, flags = measure_object(built.object, program), c_compiler().version, ()
    files |= project_files(name, target)
    measured = None if version is None else {"compiler": version, "flags": list(flags)}
    files[f"{name}.qir"] = print_module(module).encode()
    manifest = {
        **_description(module, interface, program, target, pipeline),
        **figures.manifest(),
        "measured_with": measured,
        "files": describe_files(files),
    }
    files[MANIFEST_FILE] = (json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode()
    return Artifact(name, files, manifest)


def _description(
    module: Module, interface: Interface, program: Program, target: Target, pipeline: str
) -> dict[str, Any]:
    """Return the part of the manifest that says what was compiled, for what, how and by what."""
    kernels = [step for step in program.steps if hasattr(step, "symbol")]
    return {
        "format": FORMAT,
        "name": module.name,
        "target": str(target),
        "cpu_flags": list(target.cpu_flags),
        "machine": target.machine,
        "inputs": [port.manifest() for port in interface.inputs],
        "outputs": [port.manifest() for port in interface.outputs],
        **states_entry(interface),
        "arithmetic_profile": module.attribute(ARITHMETIC, target.hardware.profile),
        "has_float": program.has_float,
        "pipeline": pipeline,
        "attributes": dict(module.attributes),
        "kernels": len(kernels),
        "functions": len(program.functions),
        "arena_alignment": program.alignment,
        "versions": {package: _version(package) for package in ("qcc", "apache-tvm", "numpy")},
    }


def _version(package: str) -> str:
    """Return the version of an installed package, `unknown` where it runs from its sources."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"

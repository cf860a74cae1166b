"""The host's C compiler and binary tools: found by name, run in a folder of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qcc.ir import ToolError

PACKAGES = {"cc": "gcc", "gcc": "gcc", "clang": "clang", "ar": "binutils", "ld": "binutils", "objcopy": "binutils"}
"""The Debian package that brings a tool."""

COMPILERS = ("cc", "gcc", "clang")
"""C compilers, first choice first; the environment variable CC comes before them."""


@dataclass(frozen=True)
class CompilerVersion:
    """A C compiler and what it calls itself."""

    path: str
    version: str


def find_tool(*names: str) -> str:
    """Return the path of the first of the programs `names` that is there; a ToolError names the Debian package."""
    for name in names:
        path = shutil.which(name)
        if path is not None:
            return path
    package = PACKAGES.get(names[0], names[0])
    raise ToolError(f"there is no {names[0]} on this machine", help=f"install it: apt-get install {package}")


def c_compiler() -> CompilerVersion:
    """Return the host's C compiler; a ToolError if there is none."""
    path = find_tool(*([os.environ["CC"]] if os.environ.get("CC") else []), *COMPILERS)
    first = run_tool([path, "--version"], Path.cwd()).splitlines()[:1]
    return CompilerVersion(path, first[0] if first else Path(path).name)


def run_tool(command: Sequence[str], folder: Path) -> str:
    """Run a tool in `folder` and return what it prints; a ToolError with the end of its messages if it fails."""
    environment = {**os.environ, "LC_ALL": "C", "SOURCE_DATE_EPOCH": "0"}
    try:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    except OSError as error:
        raise ToolError(f"{command[0]} can't be run: {error.strerror}") from error
    if done.returncode:
        messages = "\n".join(done.stderr.strip().splitlines()[-20:])
        name = Path(command[0]).name
        raise ToolError(f"{name} failed with status {done.returncode}:\n{messages}", op=" ".join(command))
    return done.stdout

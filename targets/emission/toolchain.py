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


COMPILER_HELP = "install gcc and binutils; if the environment variable CC is set, it must name a C compiler"


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
    try:
        first = run_tool([path, "--version"], Path.cwd()).splitlines()[:1]
    except ToolError as error:
        raise ToolError(f"{path} is no C compiler: {error.message}", op=error.op, help=COMPILER_HELP) from error
    return CompilerVersion(path, first[0] if first else Path(path).name)


def run_tool(command: Sequence[str], folder: Path, makes: str = "") -> str:
    """Run a tool in `folder` and return what it prints.

    A ToolError with the end of its messages says that it failed, or did not make the file `makes`.
    """
    environment = {**os.environ, "LC_ALL": "C", "SOURCE_DATE_EPOCH": "0"}
    try:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    except OSError as error:
        raise ToolError(f"{command[0]} can't be run: {error.strerror}") from error
    if done.returncode:
        messages = "\n".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-20:])
        said = f":\n{messages}" if messages else " and without a message"
        failed = f"{Path(command[0]).name} failed with status {done.returncode}{said}"
        raise ToolError(failed, op=" ".join(command), help="" if messages else COMPILER_HELP)
    if makes and not (folder / makes).exists():
        raise ToolError(f"{Path(command[0]).name} made no {makes}", op=" ".join(command), help=COMPILER_HELP)
    return done.stdout

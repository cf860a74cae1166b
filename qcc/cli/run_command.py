"""`qcc run`: an artifact on inputs from a file."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np

from qcc.artifact import Artifact
from qcc.console import progress_bars
from qcc.ir import Array, UsageError
from qcc.samples import check_samples, read_npz


def run(arguments: argparse.Namespace) -> int:
    """Run every sample and write the outputs, or nothing at all."""
    artifact = Artifact.load(arguments.artifact)
    data = read_npz(arguments.inputs)
    samples = check_samples(data, artifact.module.inputs, str(arguments.inputs), UsageError)
    with progress_bars() as progress:
        outputs = artifact.run_samples(samples, raw=arguments.raw, progress=progress)
    write_npz(arguments.outputs, outputs)
    return 0


def write_npz(path: Path, arrays: dict[str, Array]) -> None:
    """Write a `.npz` file whole: beside, then renamed."""
    if not path.parent.is_dir():
        raise UsageError("the folder does not exist", place=str(path.parent), help="make it first")
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        part.chmod(0o666 & ~_umask())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

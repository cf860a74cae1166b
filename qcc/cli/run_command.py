"""`qcc run`: an artifact on inputs from a file."""

from __future__ import annotations

import argparse
import io

import numpy as np

from qcc.artifact import Artifact
from qcc.console import progress_bars
from qcc.ir import Array, UsageError, write_whole
from qcc.samples import check_samples, read_npz


def run(arguments: argparse.Namespace) -> int:
    """Run every sample and write the outputs, or nothing at all."""
    artifact = Artifact.load(arguments.artifact)
    data = read_npz(arguments.inputs)
    samples = check_samples(data, artifact.module.caller_inputs, str(arguments.inputs), UsageError)
    with progress_bars() as progress:
        outputs = artifact.run_samples(samples, raw=arguments.raw, progress=progress)
    write_whole(arguments.outputs, npz_bytes(outputs))
    return 0


def npz_bytes(arrays: dict[str, Array]) -> bytes:
    """Return arrays as the bytes of a `.npz` file."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()

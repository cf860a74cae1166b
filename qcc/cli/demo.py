"""`qcc demo`: the small classifier that comes along, quantized, compiled, checked and measured."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from qcc.demo.demonstration import demonstrate


def run(arguments: argparse.Namespace) -> int:
    """Run the demonstration in the folder given, or in one that is removed at the end."""
    if arguments.output is not None:
        arguments.output.mkdir(parents=True, exist_ok=True)
        return demonstrate(arguments.output)
    with tempfile.TemporaryDirectory(prefix="qcc-demo-") as folder:
        return demonstrate(Path(folder))

"""`qcc bench`: how fast an artifact runs on this machine."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from qcc.artifact import Artifact
from qcc.benchmark import measure
from qcc.compiler import total_macs
from qcc.console import human_seconds, print_table
from qcc.ir import UsageError


def run(arguments: argparse.Namespace) -> int:
    """Time calls and print the figures."""
    if not 0 < arguments.seconds <= 3600:
        raise UsageError(f"--seconds {arguments.seconds} is not between 0 and 3600", help="for example --seconds 2")
    artifact = Artifact.load(arguments.artifact)
    macs = total_macs(artifact.module.ops)
    timing = measure(artifact.make_call, macs, arguments.threads, arguments.seconds)
    if arguments.json:
        print(json.dumps({**asdict(timing), "gmacs_per_second": timing.gmacs_per_second}, indent=2))
        return 0
    rows = [
        ("median of one call", human_seconds(timing.median)),
        ("minimum", human_seconds(timing.minimum)),
        ("95th percentile", human_seconds(timing.percentile_95)),
        ("calls a second", f"{timing.per_second:,.1f}"),
        ("multiply-accumulates", f"{timing.macs / 1e6:,.1f} M a call, {timing.gmacs_per_second:,.1f} G/s"),
    ]
    print_table((f"{artifact.manifest['name']} ({artifact.manifest['target']})", f"{timing.calls} calls"), rows)
    return 0

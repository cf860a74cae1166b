"""`qcc bench`: how fast an artifact runs on this machine, or how many instructions it executes on a foreign chip."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from qcc.artifact import Artifact
from qcc.benchmark import measure
from qcc.compiler import total_macs
from qcc.console import human_seconds, print_table
from qcc.instruction_costs import Cost, InstructionCosts, instruction_costs
from qcc.ir import UsageError
from qcc.targets.emulation import EmulatedModel


def run(arguments: argparse.Namespace) -> int:
    """Time calls, or count instructions under an emulator, and print the figures."""
    if not 0 < arguments.seconds <= 3600:
        raise UsageError(f"--seconds {arguments.seconds} is not between 0 and 3600", help="for example --seconds 2")
    artifact = Artifact.load(arguments.artifact)
    if isinstance(artifact.library, EmulatedModel):
        return _print_costs(instruction_costs(artifact), str(artifact.manifest["target"]), arguments.json)
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


def _print_costs(costs: InstructionCosts, target: str, as_json: bool) -> int:
    """Print executed instructions: one line a kernel, and the total."""
    if as_json:
        print(json.dumps({**asdict(costs), "target": target, "per_mac": costs.total.per_mac}, indent=2))
        return 0
    rows = [_row(cost) for cost in (*costs.kernels, costs.total)]
    columns = (f"{costs.total.name} ({target})", costs.unit, "multiply-accumulates", f"{costs.unit} per MAC")
    print_table(columns, rows, right=columns[1:])
    return 0


def _row(cost: Cost) -> tuple[str, ...]:
    per_mac = "–" if cost.per_mac is None else f"{cost.per_mac:.3f}"
    return cost.name, f"{cost.instructions:,}", f"{cost.macs:,}", per_mac

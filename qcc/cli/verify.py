"""`qcc verify`: an artifact against the evaluator."""

from __future__ import annotations

import argparse

from qcc.artifact import Artifact
from qcc.console import progress_bars
from qcc.ir import UsageError, printable
from qcc.samples import check_samples, example_samples, read_npz
from qcc.verification import CODE_TOLERANCE, FLOAT_TOLERANCE, VerifyReport, verify


def run(arguments: argparse.Namespace) -> int:
    """Compare, print what was compared, and return 1 at a difference."""
    artifact = Artifact.load(arguments.artifact)
    module = artifact.module
    if arguments.inputs is not None:
        data = read_npz(arguments.inputs)
        samples = check_samples(data, module.caller_inputs, str(arguments.inputs), UsageError)
    else:
        samples = example_samples(module.caller_inputs, arguments.seed)
    total = samples.runs(module.caller_inputs)
    with progress_bars() as progress:
        done = iter(range(1, total + 1))
        report = verify(module, artifact.run_many, samples, lambda: progress("verify", next(done), total))
    print(report_text(report, str(arguments.artifact), str(artifact.manifest["target"]), samples.origin))
    return 0 if report.passed else 1


def report_text(report: VerifyReport, folder: str, target: str, origin: str) -> str:
    """Return the result in words."""
    lines = [f"{folder} ({target}): {report.runs} runs, {report.elements:,} elements; inputs: {origin}"]
    if report.difference is not None:
        lines.append(f"DIFFERENT: {report.difference}")
    elif report.exact:
        lines.append(f"every bit equal to the evaluator: {', '.join(report.exact)}")
    if report.difference is None and report.approximate:
        names = ", ".join(report.approximate)
        allowed = f"{FLOAT_TOLERANCE:g} of the largest number, {CODE_TOLERANCE} steps of codes"
        lines.append(f"behind a float region, within {allowed} of the evaluator: {names}")
    return "\n".join(printable(line, keep="") for line in lines)

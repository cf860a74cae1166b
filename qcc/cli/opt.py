"""`qcc opt`: passes on a module."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from qcc.console import progress_bars
from qcc.frontends import load
from qcc.ir import Module, parse_bytes
from qcc.passes import PassContext, parse_pipeline
from qcc.samples import check_samples, read_npz
from qcc.targets import Target

from .pass_options import check_output, load_extensions, make_manager, parse_shapes, report_run, write_module


def run(arguments: argparse.Namespace) -> int:
    """Read the module, run the pipeline, write the module."""
    load_extensions(arguments)
    check_output(arguments.model, arguments.output)
    passes = parse_pipeline(arguments.pipeline)
    target = Target.parse(arguments.target, arguments.cpu or "")
    module = _read(arguments)
    context = PassContext(hardware=target.hardware, target=target)
    if arguments.calibration is not None:
        samples = check_samples(read_npz(arguments.calibration), module.caller_inputs, str(arguments.calibration))
        inputs = module.caller_inputs
        context.calibration = lambda: samples.batches(inputs)
    manager = make_manager(passes, arguments)
    with progress_bars() as progress:
        context.progress = progress
        module = manager.run(module, context)
    report_run(manager, context, arguments)
    write_module(module, arguments.output, arguments.resources or (None if arguments.output else "inline"))
    return 0


def _read(arguments: argparse.Namespace) -> Module:
    if arguments.model == Path("-"):
        return parse_bytes(sys.stdin.buffer.read(), file="<standard input>")
    return load(arguments.model, batch=arguments.batch, shapes=parse_shapes(arguments.shape))

"""`qcc import`: a model file to IR text."""

from __future__ import annotations

import argparse

from qcc.frontends import load

from .pass_options import check_output, parse_shapes, write_module


def run(arguments: argparse.Namespace) -> int:
    """Read the model and write the module."""
    check_output(arguments.model, arguments.output)
    module = load(arguments.model, batch=arguments.batch, shapes=parse_shapes(arguments.shape))
    write_module(module, arguments.output, arguments.resources)
    return 0

"""What the options about passes mean: a pass manager made from the command line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console

from qcc.console import human_seconds, make_table
from qcc.ir import Module, Resources, UsageError, print_module, save_module, write_whole
from qcc.passes import ALL, Pass, PassContext, PassManager, load_file


def load_extensions(arguments: argparse.Namespace) -> None:
    """Load the files named by --load."""
    for file in arguments.load:
        load_file(file)


def make_manager(passes: Iterable[Pass], arguments: argparse.Namespace) -> PassManager:
    """Return the pass manager that the command line asks for."""
    before = [ALL] if arguments.print_ir_before_all else []
    after = [ALL] if arguments.print_ir_after_all else []
    return PassManager(
        passes,
        verify_each=not arguments.no_verify_each,
        print_before=[*arguments.print_ir_before, *before],
        print_after=[*arguments.print_ir_after, *after],
        print_on_change=arguments.print_ir_after_change,
        dump_dir=arguments.dump_ir,
        reproducer_dir=arguments.reproducer,
    )


def report_run(manager: PassManager, context: PassContext, arguments: argparse.Namespace) -> None:
    """Print remarks and, where asked for, timings, to standard error."""
    for remark in context.remarks:
        if remark.severity == "warning" or arguments.timing:
            print(remark, file=sys.stderr)
    if arguments.timing:
        print_timings(manager)


def print_timings(manager: PassManager) -> None:
    """Print how long each pass took, to standard error."""
    total = sum(t.seconds + t.verify_seconds for t in manager.timings)
    rows = [
        (t.pass_name, human_seconds(t.seconds), human_seconds(t.verify_seconds), str(t.ops_before), str(t.ops_after))
        for t in manager.timings
    ]
    rows.append(("total", human_seconds(total), "", "", ""))
    columns = ("pass", "time", "verify", "ops before", "ops after")
    Console(stderr=True, width=120).print(make_table(columns, rows, right=columns[1:]))


def parse_shapes(texts: list[str]) -> dict[str, tuple[int, ...]]:
    """Return shapes by input name from `NAME=1,3,224,224`."""
    shapes = {}
    for text in texts:
        name, equals, sizes = text.rpartition("=")
        try:
            shape = tuple(int(s) for s in sizes.split(",") if s.strip())
        except ValueError:
            shape = ()
        if not equals or not shape or min(shape) < 1:
            raise UsageError(f"--shape {text!r} is not NAME=D,D,…", help="for example --shape image=1,3,224,224")
        if name in shapes:
            raise UsageError(f"--shape gives input {name!r} two shapes", help="give each input one shape")
        shapes[name] = shape
    return shapes


def check_output(model: Path, output: Path | None) -> None:
    """Refuse to write IR text over a model file of another format."""
    if output is not None and output.exists() and model.exists() and output.samefile(model) and model.suffix != ".qir":
        raise UsageError("the output would replace the model", place=str(output), help="give another -o FILE.qir")


def write_module(module: Module, output: Path | None, resources: str | None) -> None:
    """Write IR text to a file (weights inline by default) or to standard output (elided by default)."""
    if output is None:
        kind = Resources(resources or "elided")
        if kind is Resources.BESIDE:
            raise UsageError("constants can't be kept beside standard output", help="give -o FILE.qir")
        sys.stdout.write(print_module(module, kind))
        return
    if resources == "elided":
        write_whole(output, print_module(module, Resources.ELIDED).encode("utf-8"))
        return
    save_module(output, module, beside=resources == "beside")

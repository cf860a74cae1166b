"""`qcc compile`: a model to an artifact folder."""

from __future__ import annotations

import argparse
import sys

from qcc.artifact import Artifact
from qcc.compiler import CompileOptions, compile_module, renamed
from qcc.console import human_bytes, print_table, progress_bars
from qcc.frontends import load
from qcc.samples import check_samples, read_npz
from qcc.targets import with_cpu, with_emission
from qcc.targets.emission import check_destination

from .pass_options import load_extensions, make_manager, parse_shapes, report_run


def run(arguments: argparse.Namespace) -> int:
    """Compile, save, and print what came out."""
    load_extensions(arguments)
    check_destination(arguments.output)
    module = load(arguments.model, batch=arguments.batch, shapes=parse_shapes(arguments.shape))
    if arguments.name is not None:
        module = renamed(module, arguments.name)
    samples = None
    if arguments.calibration is not None:
        samples = check_samples(read_npz(arguments.calibration), module.caller_inputs, str(arguments.calibration))
    with progress_bars() as progress:
        options = CompileOptions(
            target=with_emission(with_cpu(arguments.target, arguments.cpu or ""), arguments.emit),
            recipe=arguments.recipe,
            arithmetic=arguments.arithmetic,
            keep_float=tuple(arguments.keep_float),
            progress=progress,
            make_manager=lambda passes: make_manager(passes, arguments),
            report=lambda manager, context: report_run(manager, context, arguments),
        )
        artifact = compile_module(module, samples, options)
        artifact.save(arguments.output)
    _summary(artifact, str(arguments.output))
    return 0


def _summary(artifact: Artifact, folder: str) -> None:
    manifest = artifact.manifest
    rows = [("target", str(manifest["target"]))]
    for kind in ("inputs", "outputs"):
        for entry in manifest[kind]:
            rows.append((kind[:-1], describe_tensor(entry)))
    rows += [
        ("weights", human_bytes(manifest["weight_bytes"])),
        ("code", human_bytes(manifest["code_bytes"])),
        ("arena", human_bytes(manifest["arena_bytes"])),
    ]
    print_table((f"{manifest['name']} → {folder}", ""), rows)
    sys.stdout.flush()


def describe_tensor(entry: dict[str, object]) -> str:
    """Return one line on an input or output of the manifest."""
    shape = entry["shape"]
    sizes = "×".join(map(str, shape)) if isinstance(shape, list) else str(shape)
    text = f"{entry['name']}: {sizes or 'scalar'} {entry['type']}"
    if entry.get("scale") is not None:
        text += f", real = {entry['scale']:.7g} · (code − {entry['zero_point']})"
    return text

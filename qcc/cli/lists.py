"""`qcc passes`, `qcc targets`, `qcc ops`: what there is, with one line each, or one explained."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
from collections.abc import Iterable

from qcc.console import print_table
from qcc.ir import Stage, op_class_named, operand_names, registered_ops
from qcc.passes import load_file, pass_named, registered_passes
from qcc.targets import Target, families


def run(arguments: argparse.Namespace) -> int:
    """Print the list asked for, or the documentation of one entry."""
    for file in arguments.load:
        load_file(file)
    {"passes": _passes, "targets": _targets, "ops": _ops}[arguments.listing](arguments.name)
    return 0


def first_sentence(documented: object) -> str:
    """Return the first line of a docstring."""
    return (inspect.getdoc(documented) or "").split("\n", 1)[0]


def _stages(stages: Iterable[Stage]) -> str:
    return ", ".join(sorted(s.value for s in stages))


def _passes(name: str | None) -> None:
    if name is not None:
        print(inspect.getdoc(pass_named(name)))
        return
    rows = []
    for key, pass_class in registered_passes().items():
        accepts = _stages(pass_class.accepts)
        produces = f" → {pass_class.produces.value}" if pass_class.produces else ""
        rows.append((key, accepts + produces, first_sentence(pass_class)))
    print_table(("pass", "stage", "what it does"), rows)


def _targets(name: str | None) -> None:
    if name is not None:
        print(target_text(Target.parse(name)))
        return
    rows = []
    for family in families().values():
        features = ", ".join(family.features) or "–"
        rows.append((", ".join(family.triples), features, family.summary))
    print_table(("target", "features", "what it is"), rows)
    print("\nA target is TRIPLE[+FEATURE…][@CPU], or `native` for this machine.")


def target_text(target: Target) -> str:
    """Return what a target is: its features, and what its integer unit wants of a quantized model."""
    family = families()[target.family]
    lines = [f"{target}: {family.summary}"]
    lines += [f"  +{name}: {family.features[name]}" for name in target.features]
    if target.cpu_flags:
        lines.append(f"  needs a processor with {', '.join(target.cpu_flags)}")
    lines.append("  hardware specification:")
    lines += [f"    {f.name} = {getattr(target.hardware, f.name)}" for f in dataclasses.fields(target.hardware)]
    return "\n".join(lines)


def _ops(name: str | None) -> None:
    if name is not None:
        print(inspect.getdoc(op_class_named(name)))
        return
    rows = []
    for key, op_class in registered_ops().items():
        operands = ", ".join(operand_names(op_class))
        rows.append((f"{key}({operands})", _stages(op_class.stages), first_sentence(op_class)))
    print_table(("operation", "stages", "what it means"), rows)

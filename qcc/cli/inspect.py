"""`qcc inspect`: what is in a model, an IR file or an artifact."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from qcc.artifact import Artifact
from qcc.console import human_bytes, print_table
from qcc.frontends import load
from qcc.ir import Module, ops

from .compile import describe_tensor
from .pass_options import parse_shapes


def run(arguments: argparse.Namespace) -> int:
    """Print a summary, as tables or JSON."""
    manifest: Mapping[str, Any] | None = None
    if arguments.model.is_dir():
        artifact = Artifact.load(arguments.model)
        module, manifest = artifact.module, artifact.manifest
    else:
        module = load(arguments.model, batch=arguments.batch, shapes=parse_shapes(arguments.shape))
    facts = summary(module)
    if arguments.json:
        print(json.dumps({**facts, "manifest": dict(manifest)} if manifest else facts, indent=2))
        return 0
    rows = [(kind, f"{e['name']}: {e['type']}") for kind in ("inputs", "outputs", "states") for e in facts[kind]]
    rows += [("stage", facts["stage"]), ("operations", str(facts["operations"]))]
    rows += [("multiply-accumulates", f"{facts['macs']:,}"), ("constants", human_bytes(facts["constant_bytes"]))]
    if manifest is not None:
        rows += [("target", manifest["target"]), ("arena", human_bytes(manifest["arena_bytes"]))]
        rows += [("weights", human_bytes(manifest["weight_bytes"])), ("code", human_bytes(manifest["code_bytes"]))]
        rows += [("C " + kind[:-1], describe_tensor(e)) for kind in ("inputs", "outputs") for e in manifest[kind]]
    print_table((module.name, ""), rows)
    print()
    columns = ("operation", "count", "multiply-accumulates")
    print_table(columns, [(n, str(c), f"{m:,}") for n, c, m in facts["by_operation"]], right=columns[1:])
    return 0


def summary(module: Module) -> dict[str, Any]:
    """Return the facts about a module as plain data."""
    counts: Counter[str] = Counter()
    macs: Counter[str] = Counter()
    for op in module.ops:
        counts[op.name] += 1
        macs[op.name] += op.cost().macs
    return {
        "name": module.name,
        "stage": module.stage.value,
        "inputs": [{"name": v.name, "type": str(v.type)} for v in module.caller_inputs],
        "outputs": [{"name": o.name, "type": str(o.value.type)} for o in module.caller_outputs],
        "states": [{"name": s.name, "type": str(module.input_named(s.name).type)} for s in module.states],
        "operations": len(module.ops) - counts["constant"],
        "macs": sum(macs.values()),
        "constant_bytes": sum(op.result.type.bytes for op in module.ops if isinstance(op, ops.Constant)),
        "attributes": dict(module.attributes),
        "by_operation": [(n, c, macs[n]) for n, c in counts.most_common() if n != "constant"],
    }

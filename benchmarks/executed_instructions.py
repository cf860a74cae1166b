"""What compiled code costs on foreign chips: executed instructions under QEMU, beside plain C and hand-written kernels.

    python benchmarks/executed_instructions.py [--models FOLDER] [--targets T,…] [--write]

Three tables: MobileNetV1-0.25 for visual wake words, whole, against the same model on the target `c` compiled with -O3
for the same chip; a pointwise and a depthwise layer beside the peers' kernels, rescale and loop overhead included. On
Hexagon the figures are packets. `--write` puts them into docs/targets.md. FOLDER holds
`models/mobilenet_v1_025_vww.onnx` and `data/imagenet_224.npz`; by default it is QCC_SHARED, or `../shared` beside the
repository. Exit status 1 where a bound is not held.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import qcc
from qcc.instruction_costs import instruction_costs
from qcc.ir import I8, Builder, Module, Stage, TensorType, UniformType, ops
from qcc.targets import Target
from qcc.targets.emission import manifest_interface
from qcc.targets.emission.archive import archive
from qcc.targets.emission.cross_tools import find_compiler
from qcc.targets.emission.toolchain import run_tool
from qcc.targets.emulation import load_emulated

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "targets.md"
BEGIN, END = "<!-- executed instructions: begin -->\n", "<!-- executed instructions: end -->\n"


STRING_H = """#include <stddef.h>
void *memcpy(void *, const void *, size_t);
void *memset(void *, int, size_t);
"""
"""What compiled C needs of <string.h>, for chips without a C library."""


VECTOR_UNIT: dict[str, tuple[str, ...]] = {
    "thumbv8.1m.main-none-eabi": ("-mfloat-abi=softfp",),
    "hexagon-unknown-linux-musl": ("-mhvx", "-mhvx-length=128b"),
}
"""Flags that let a compiler use the vector unit in plain C, where the processor's name alone does not."""


@dataclass(frozen=True)
class Bounds:
    """What must hold on a target.

    Attributes:
        speedup: plain C's instructions divided by qcc's for the whole model, at least.
        pointwise, depthwise: instructions for each multiply-accumulate, at most; None where there is no bound.
        peer_pointwise, peer_depthwise: what the peer's kernel takes, in words.
    """

    speedup: float | None = None
    pointwise: float | None = None
    depthwise: float | None = None
    peer_pointwise: str = "–"
    peer_depthwise: str = "–"


TARGETS: dict[str, Bounds] = {
    "aarch64-linux-gnu+neon": Bounds(),
    "aarch64-linux-gnu+dotprod": Bounds(2.5, 0.125, None, "0.125 (XNNPACK 4x16c4 neondot), 0.110 (its assembly)"),
    "aarch64-linux-gnu+i8mm": Bounds(),
    "armv7-linux-gnueabihf+neon": Bounds(),
    "hexagon-unknown-linux-musl+hvxv66": Bounds(5.0),
    "thumbv7em-none-eabi@cortex-m4": Bounds(1.5, 1.9, 6.0, "2.04 (CMSIS-NN)", "8.6 (CMSIS-NN)"),
    "thumbv7em-none-eabi+acle@cortex-m4": Bounds(1.5, 1.9, 6.0, "2.04 (CMSIS-NN)", "8.6 (CMSIS-NN)"),
    "thumbv7em-none-eabi@cortex-m7": Bounds(),
    "thumbv8.1m.main-none-eabi+mve@cortex-m55": Bounds(2.5, 0.36, None, "0.39 (CMSIS-NN)"),
    "thumbv8.1m.main-none-eabi+mve+acle@cortex-m55": Bounds(2.5, 0.36, None, "0.39 (CMSIS-NN)"),
}


def layer(name: str, shape: tuple[int, ...], outputs: int, kernel: int, groups: int) -> Module:
    """Return a convolution with SAME padding and a rescale by one factor a channel, at random."""
    random = np.random.default_rng(0)
    b = Builder(name, Stage.INTEGER)
    x = b.emit(ops.StorageCast, b.input("x", TensorType(shape, UniformType(I8, (0.05,), (-128,)))))
    w = b.constant(random.integers(-127, 128, (outputs, kernel, kernel, shape[3] // groups)).astype(np.int8), "w")
    bias = b.constant(random.integers(-2000, 2000, outputs).astype(np.int32), "b")
    pad = kernel // 2
    sums = b.emit(ops.Conv2d, x, w, bias, padding=(pad,) * 4, groups=groups, input_zero_point=-128)
    factors = (
        b.constant(random.integers(2**30, 2**31, outputs).astype(np.int32), "m"),
        b.constant(random.integers(38, 41, outputs).astype(np.int8), "s"),
    )
    limits: dict[str, Any] = {"minimum": -128, "maximum": 127, "output_zero_point": -128}
    y = b.emit(ops.Rescale, sums, *factors, to=I8, **limits)
    b.output("y", b.emit(ops.StorageCast, y, to=UniformType(I8, (0.1,), (-128,))))
    return b.build()


def pointwise() -> Module:
    """12 × 12 × 64 → 64."""
    return layer("pointwise", (1, 12, 12, 64), 64, 1, 1)


def depthwise() -> Module:
    """3 × 3 on 24 × 24 × 32."""
    return layer("depthwise", (1, 24, 24, 32), 32, 3, 32)


def per_mac(module: Module, target: str) -> float:
    """Return the instructions for each multiply-accumulate of a module of one layer."""
    cost = instruction_costs(qcc.compile(module, target=target)).kernels[0]
    return cost.instructions / cost.macs


def plain_c(artifact: qcc.Artifact, target: Target) -> int:
    """Return what the C source of an artifact executes, compiled with -O3 for the chip, in one run on zeros."""
    if target.link is None:
        raise SystemExit(f"{target} is no foreign chip")
    name = str(artifact.manifest["name"])
    with tempfile.TemporaryDirectory() as text:
        folder = artifact.save(Path(text) / "c")
        compiler = find_compiler(target.link.linkers)
        (folder / "bare").mkdir()
        (folder / "bare" / "string.h").write_text(STRING_H, encoding="utf-8")
        # Clang finds no C library of Hexagon; where there is one, its header comes first.
        options = ["-std=c99", "-O3", "-w", "-idirafter", "bare", *VECTOR_UNIT.get(target.triple, ())]
        run_tool([*compiler.command, *options, "-c", f"{name}.c", "-o", f"{name}.o"], folder)
        (folder / f"lib{name}.a").write_bytes(
            archive(f"{name}.o", (folder / f"{name}.o").read_bytes(), [f"{name}_run"])
        )
        interface = manifest_interface(artifact.manifest, name)
        model = load_emulated(folder, {**artifact.manifest, "target": str(target)}, interface)
        return model.count(artifact.zeros).total


def whole_model(shared: Path, targets: Iterable[str]) -> list[tuple[str, int, int, int]]:
    """Return target, instructions of qcc's code and of plain C, and multiply-accumulates, for each target."""
    with np.load(shared / "data" / "imagenet_224.npz") as data:
        images = data["calibration_images"][:16, 64:160, 64:160].transpose(0, 3, 1, 2).astype(np.float32) / 255
    path = shared / "models" / "mobilenet_v1_025_vww.onnx"
    plain = qcc.compile(path, target="c", calibration={"input": images})
    rows = []
    for text in targets:
        costs = instruction_costs(qcc.compile(path, target=text, calibration={"input": images}))
        rows.append(
            (text, costs.total.instructions, plain_c(plain, Target.parse(text.replace("+acle", ""))), costs.total.macs)
        )
    return rows


def compilers(targets: Iterable[str]) -> list[str]:
    """Return a line for each compiler of plain C: its version, its flags."""
    lines: dict[str, None] = {}
    for target in (Target.parse(text.replace("+acle", "")) for text in targets):
        if target.link is None:
            continue
        found = find_compiler(target.link.linkers)
        flags = " ".join(("-O3", *found.command[1:], *VECTOR_UNIT.get(target.triple, ())))
        lines[f"* {found.version}: `{flags}`"] = None
    return list(lines)


def tables(shared: Path, targets: list[str]) -> tuple[str, list[str]]:
    """Return the tables as Markdown, and the bounds that are not held."""
    lines = [
        "MobileNetV1-0.25 for visual wake words (96 × 96 × 3, 7.5 million multiply-accumulates):",
        "",
        "| target | qcc | per MAC | plain C, -O3 | times fewer | at least |",
        "|---|---|---|---|---|---|",
    ]
    broken = []
    for text, own, plain, macs in whole_model(shared, targets):
        bound = TARGETS[text].speedup
        ratio = plain / own
        lines.append(f"| `{text}` | {own:,} | {own / macs:.3f} | {plain:,} | {ratio:.1f} | {bound or '–'} |")
        if bound and ratio < bound:
            broken.append(f"{text}: the whole model takes {ratio:.2f} times fewer instructions, not {bound}")
    lines += ["", "Plain C was compiled by", "", *compilers(targets)]
    for title, make, attribute in (
        ("Pointwise convolution 12 × 12 × 64 → 64, instructions for each MAC", pointwise, "pointwise"),
        ("Depthwise convolution 3 × 3 on 24 × 24 × 32, instructions for each MAC", depthwise, "depthwise"),
    ):
        lines += ["", f"{title}:", "", "| target | qcc | at most | peer |", "|---|---|---|---|"]
        for text in targets:
            bounds = TARGETS[text]
            bound, found = getattr(bounds, attribute), per_mac(make(), text)
            lines.append(f"| `{text}` | {found:.3f} | {bound or '–'} | {getattr(bounds, f'peer_{attribute}')} |")
            if bound and found > bound:
                broken.append(f"{text}: {attribute} takes {found:.3f} instructions for each MAC, not {bound}")
    return "\n".join(lines) + "\n", broken


def main() -> int:
    """Print the tables; write them where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=Path(os.environ.get("QCC_SHARED") or ROOT.parent / "shared"))
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    text, broken = tables(arguments.models, arguments.targets.split(","))
    print(text)
    if arguments.write:
        before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
        PAGE.write_text(before + BEGIN + text + END + rest.split(END)[1], encoding="utf-8")
    print("\n".join(broken), file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

"""Generated models of several operations, whole, in every arithmetic profile against the profile's reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qcc.targets import Target
from tests.conformance.chains import STYLES, chain
from tests.conformance.conformance import PROFILES, expectations, results
from tests.conformance.subject import by_position, planned
from tests.e2e.batch import compile_batch

Seed = tuple[str, int, int]
"""Style, seed, steps."""

NOT_MICRO = ("bytes",)
"""Styles whose types TensorFlow Lite Micro does not have."""

FOUND: list[Seed] = [("decoder", 8, 2), ("decoder", 7, 6)]
"""Chains that failed once: a table of LOGISTIC beside a tie, LOGISTIC of an enormous scale."""


def seeds(first: int, count: int) -> list[Seed]:
    """Return `count` chains of each style, 2 to 9 steps long."""
    return [(style, seed, 2 + seed % 8) for style in STYLES for seed in range(first, first + count)]


def profiles(style: str) -> tuple[str, ...]:
    return tuple(p for p in PROFILES if p != "tflm" or style not in NOT_MICRO)


def failures(seed: Seed) -> dict[str, str]:
    """Return by profile what is wrong with a chain."""
    style, number, steps = seed
    found = results([chain(style, number, steps)], profiles(style))
    return {
        r.profile: r.refusal or f"{r.comparison.wrong} of {r.comparison.total} elements differ"
        for r in found
        if r.refusal or r.comparison.wrong
    }


def shrunk(seed: Seed, profile: str) -> str:
    """Return the shortest beginning of a chain that fails in a profile, and how."""
    style, number, steps = seed
    for fewer in range(1, steps + 1):
        found = failures((style, number, fewer))
        if profile in found:
            return f"{(style, number, fewer)} in {profile}: {found[profile]}"
    return f"{seed} in {profile}"


def check(chosen: list[Seed]) -> None:
    by_style = {style: [chain(*s) for s in chosen if s[0] == style] for style in STYLES}
    seed_of = {chain(*s).label: s for s in chosen}
    wrong = []
    for style, cases in by_style.items():
        for r in results(cases, profiles(style)):
            if r.refusal or r.comparison.wrong:
                wrong.append(shrunk(seed_of[r.case.label], r.profile))
    assert wrong == []


def test_a_few_chains() -> None:
    check([*seeds(0, 2), *FOUND])


@pytest.mark.slow
@pytest.mark.parametrize("style", STYLES)
def test_many_chains(style: str) -> None:
    check([s for s in seeds(2, 30) if s[0] == style])


@pytest.mark.slow
@pytest.mark.parametrize("target", ["c", "x86_64-linux-gnu+avx2"])
def test_compiled_chains(tmp_path: Path, target: str) -> None:
    parsed = Target.parse(target)
    if parsed.missing_on_host():
        pytest.skip(f"needs cpu: {', '.join(parsed.missing_on_host())}")
    cases = {style: [chain(*s) for s in seeds(2, 2) if s[0] == style] for style in STYLES}
    chosen = [r for style, some in cases.items() for r in results(some, profiles(style)) if r.module is not None]
    batch = compile_batch([(planned(r.module, parsed), parsed) for r in chosen if r.module], tmp_path)
    wrong = []
    for number, result in enumerate(chosen):
        expected = expectations([result.case], (result.profile,))[result.case.label, result.profile]
        module = batch.modules[number]
        for inputs, outputs in zip(result.case.runs, expected, strict=True):
            found = batch.run(number, by_position(module, inputs))
            names = [o.name for o in module.caller_outputs]
            wrong += [
                f"{result.case.label} in {result.profile}: {np.count_nonzero(found[n] != a)} of {a.size}"
                for n, a in zip(names, outputs, strict=True)
                if not np.array_equal(found[n], a)
            ]
    assert wrong == []

"""Holds every generated case in every arithmetic profile against the reference of that profile, and writes the table.

References: `litert-ref` has LiteRT's reference kernels, `litert-xnn` the interpreter as it runs by default, `tflm` the
scalar interpreter of these tests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from qcc.ir import Module, QccError
from tests.conformance.cases import FAMILIES, Case
from tests.conformance.exceptions import EXCEPTIONS, NOT_IN_REFERENCE, Key
from tests.conformance.litert import AUTO, BUILTIN_REF, OPTIMIZED, Job, Outcome, run_litert
from tests.conformance.subject import Comparison, Outputs, compare_runs, evaluated, imported, realized
from tests.conformance.tflm.interpreter import TflmInterpreter

LITERT = {"litert-ref": BUILTIN_REF, "litert-xnn": AUTO}
PROFILES = (*LITERT, "tflm")


@dataclass(frozen=True)
class Result:
    """A case in a profile.

    Attributes:
        module: the integer module, None where the compiler refused.
        refusal: the compiler's error.
        comparison: with the reference.
    """

    case: Case
    profile: str
    module: Module | None = None
    refusal: str = ""
    comparison: Comparison = field(default_factory=Comparison)


def expectations(cases: Sequence[Case], profiles: Sequence[str] = PROFILES) -> dict[tuple[str, str], list[Outputs]]:
    """Return what the references give, by label of the case and profile; nothing where a reference has no kernel."""
    wanted = [(c, p) for c in cases for p in profiles if key_of(c, p) not in NOT_IN_REFERENCE]
    jobs = [(c, p) for c, p in wanted if p in LITERT]
    outcomes = run_litert([Job(c.model, c.runs, _resolver(c, p)) for c, p in jobs])
    found = {(c.label, p): _ran(c, p, o) for (c, p), o in zip(jobs, outcomes, strict=True)}
    return {**found, **{(c.label, p): scalar(c) for c, p in wanted if p not in LITERT}}


def key_of(case: Case, profile: str) -> Key:
    """Return the cell of the table that a case is for."""
    return case.op, case.kind, profile


def _resolver(case: Case, profile: str) -> str:
    """Return whose kernels are the reference; ELU has optimized ones only."""
    return OPTIMIZED if case.op == "ELU" and profile == "litert-ref" else LITERT[profile]


def scalar(case: Case) -> list[Outputs]:
    """Return what the scalar interpreter gives."""
    interpreter = TflmInterpreter(case.model)
    return [list(interpreter.run(inputs).values()) for inputs in case.runs]


def _ran(case: Case, profile: str, outcome: Outcome) -> list[Outputs]:
    assert outcome.error is None, f"{case.label}: the reference of {profile} fails: {outcome.error}"
    return [list(run.values()) for run in outcome.outputs]


def results(cases: Sequence[Case], profiles: Sequence[str] = PROFILES) -> list[Result]:
    """Return how the compiler's evaluator does on cases in every profile that has a reference."""
    expected = expectations(cases, profiles)
    found = []
    for case in cases:
        known = [p for p in profiles if (case.label, p) in expected]
        try:
            module = imported(case.model)
        except QccError as error:
            found += [Result(case, p, refusal=str(error)) for p in known]
            continue
        found += [_result(case, p, module, expected[case.label, p]) for p in known]
    return found


def _result(case: Case, profile: str, module: Module, expected: Sequence[Outputs]) -> Result:
    try:
        integer = realized(module, profile)
        outputs = evaluated(integer, case.runs)
    except QccError as error:
        return Result(case, profile, refusal=str(error))
    return Result(case, profile, integer, comparison=compare_runs(outputs, expected))


def verdicts(found: Sequence[Result]) -> dict[Key, str]:
    """Return for each operation, type and profile what was found: `exact`, or what is wrong."""
    by_key: dict[Key, list[Result]] = {}
    for result in found:
        by_key.setdefault(key_of(result.case, result.profile), []).append(result)
    return {key: _verdict(group) for key, group in by_key.items()}


def _verdict(group: Sequence[Result]) -> str:
    refused = [r for r in group if r.module is None]
    if refused:
        return f"refused {len(refused)} of {len(group)}, first {refused[0].case.label}: {refused[0].refusal}"
    wrong = [r for r in group if r.comparison.wrong]
    if not wrong:
        return "exact"
    worst = wrong[0]
    c = worst.comparison
    return (
        f"differs in {len(wrong)} of {len(group)} cases, first {worst.case.label}: {c.wrong} of {c.total} elements, "
        f"by up to {c.largest:g}"
    )


def is_exception(result: Result) -> bool:
    """Return whether a case is one that can't be exact, by a predicate on it."""
    known = EXCEPTIONS.get(key_of(result.case, result.profile))
    return known is not None and known.applies(result.case)


def unexpected(found: Sequence[Result]) -> list[str]:
    """Return cases that are not exact and no exceptions, and exceptions that are exact after all."""
    return sorted(
        f"{r.case.label} in {r.profile}: {r.refusal or r.comparison}"
        for r in found
        if (r.module is None or r.comparison.wrong > 0) != is_exception(r)
    )


def table_lines(op: str, found: Sequence[Result]) -> list[str]:
    """Return the lines of the table for an operation by what a run found, types with equal cells in one line."""
    said = verdicts(found)
    cells = {kind: [_cell((op, kind, profile), said) for profile in PROFILES] for kind in FAMILIES[op].kinds}
    lines = []
    for cell, kinds in groupby(FAMILIES[op].kinds, key=lambda kind: cells[kind]):
        lines.append("| " + " | ".join([op, ", ".join(kinds), *cell]) + " |")
    return lines


def _cell(key: Key, said: Mapping[Key, str]) -> str:
    """Return what the run found; why, where it is no surprise."""
    if key not in said:
        return NOT_IN_REFERENCE[key]
    return said[key] if said[key] == "exact" or key not in EXCEPTIONS else EXCEPTIONS[key].text

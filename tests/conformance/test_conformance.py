"""Op by op: every generated case in every arithmetic profile has the bits of the profile's reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qcc.ir import Module, print_module
from qcc.passes import registered_profiles
from qcc.targets import Target
from tests.conformance.cases import FAMILIES, Case
from tests.conformance.conformance import PROFILES, Result, expectations, results, table_lines, unexpected, verdicts
from tests.conformance.exceptions import EXCEPTIONS, NOT_IN_REFERENCE
from tests.conformance.subject import by_position, planned
from tests.e2e.batch import compile_batch

PAGE = Path(__file__).resolve().parents[2] / "docs" / "arithmetic.md"
X86 = "x86_64-linux-gnu"


@pytest.mark.parametrize("profile", PROFILES)
def test_the_first_case_of_every_operation(profile: str) -> None:
    """Exceptions may need more cases than one to show."""
    cases = [case for f in FAMILIES.values() for case in f.cases(f.kinds[0], 1)]
    found = verdicts(results(cases, (profile,)))
    assert [f"{key}: {text}" for key, text in found.items() if text != "exact" and key not in EXCEPTIONS] == []


@pytest.mark.slow
@pytest.mark.parametrize("op", FAMILIES)
def test_every_case(op: str) -> None:
    """Nothing differs but for the exceptions, and each exception shows; the page says so."""
    family = FAMILIES[op]
    found = verdicts(results([case for kind in family.kinds for case in family.cases(kind)]))
    assert unexpected(found) == []


def test_the_page_has_the_tables(request: pytest.FixtureRequest) -> None:
    head = ["| operation | types | " + " | ".join(f"`{p}`" for p in PROFILES) + " |", "| --- | --- | --- | --- | --- |"]
    tables = {
        ("<!-- profiles -->", "<!-- end of profiles -->"): profile_lines(),
        ("<!-- table: tests/conformance -->", "<!-- end of table -->"): [
            *head,
            *(line for op in FAMILIES for line in table_lines(op)),
        ],
    }
    text = PAGE.read_text()
    for (begin, end), lines in tables.items():
        before, _, rest = text.partition(begin)
        text = before + "\n".join([begin, *lines, end]) + rest.partition(end)[2]
    if request.config.getoption("--bless"):
        PAGE.write_text(text)
    assert PAGE.read_text() == text, "run this test with --bless"


def profile_lines() -> list[str]:
    """Return the table of the profiles."""
    lines = ["| profile | base | needs | whose arithmetic |", "| --- | --- | --- | --- |"]
    for p in registered_profiles().values():
        floats = ", ".join(f"`{f}`" for f in p.floats)
        lines.append(f"| `{p.name}` | {f'`{p.base}`' if p.base else ''} | {floats} | {p.summary} |")
    return lines


def test_exceptions_name_cases_that_exist() -> None:
    known = {(f.op, kind, profile) for f in FAMILIES.values() for kind in f.kinds for profile in PROFILES}
    assert {*EXCEPTIONS, *NOT_IN_REFERENCE} <= known
    assert not set(EXCEPTIONS) & set(NOT_IN_REFERENCE)


@pytest.mark.slow
@pytest.mark.parametrize(("target", "count"), [("c", 2), (f"{X86}+avx2", 1), (f"{X86}+avx512-vnni", 1)])
def test_compiled(tmp_path: Path, target: str, count: int) -> None:
    """The first cases of every operation and type in every profile, equal integer modules once, in one library."""
    parsed = Target.parse(target)
    if parsed.missing_on_host():
        pytest.skip(f"needs cpu: {', '.join(parsed.missing_on_host())}")
    cases = [c for f in FAMILIES.values() for kind in f.kinds for c in f.cases(kind, count)]
    chosen = distinct(results(cases))
    batch = compile_batch([(planned(module, parsed), parsed) for _, module in chosen], tmp_path)
    expected = expectations(cases)
    wrong = []
    for number, (result, _) in enumerate(chosen):
        if (result.case.op, result.case.kind, result.profile) in EXCEPTIONS:
            continue
        for inputs, outputs in zip(result.case.runs, expected[result.case.label, result.profile], strict=True):
            found = batch.run(number, by_position(batch.modules[number], inputs))
            for name, array in zip([o.name for o in batch.modules[number].caller_outputs], outputs, strict=True):
                if not np.array_equal(found[name], array):
                    wrong.append(f"{result.profile} {result.case.label}: {np.count_nonzero(found[name] != array)}")
    assert wrong == []


def distinct(found: list[Result]) -> list[tuple[Result, Module]]:
    """Return results whose cases have integer modules, one for each different module of a case."""
    chosen: dict[tuple[str, str], tuple[Result, Module]] = {}
    for result in found:
        if result.module is not None:
            text = print_module(result.module.with_attribute("arithmetic", ""))
            chosen.setdefault((result.case.label, text), (result, result.module))
    return list(chosen.values())


def case_named(op: str, kind: str, number: int) -> Case:
    """Return one case, to look at a failure by hand."""
    return FAMILIES[op].cases(kind, number + 1)[number]

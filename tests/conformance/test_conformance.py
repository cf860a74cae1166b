"""Op by op: every generated case in every arithmetic profile has the bits of the profile's reference."""

from __future__ import annotations

import fcntl
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from qcc.frontends.tflite import IMPORTERS
from qcc.ir import Module, QccError, print_module
from qcc.passes import registered_profiles
from qcc.targets import Target
from tests.conformance.cases import FAMILIES, Case
from tests.conformance.conformance import (
    LITERT,
    PROFILES,
    Result,
    expectations,
    is_exception,
    results,
    table_lines,
    unexpected,
)
from tests.conformance.exceptions import EXCEPTIONS, NOT_IN_REFERENCE, OTHERS, OWN, REAL
from tests.conformance.litert import Job, run_litert
from tests.conformance.subject import by_position, compare_runs, evaluated, imported, planned, realized
from tests.conformance.tflite_builder import Tensor, TfliteBuilder
from tests.e2e.batch import compile_batch

PAGE = Path(__file__).resolve().parents[2] / "docs" / "arithmetic.md"
BEGIN, END = "<!-- table: tests/conformance -->\n", "<!-- end of table -->"
INSIDE = {"CALL_ONCE", "VAR_HANDLE"}
"""What files with variables have beside READ_VARIABLE and ASSIGN_VARIABLE."""

X86 = "x86_64-linux-gnu"


@pytest.mark.parametrize("profile", PROFILES)
def test_the_first_case_of_every_operation(profile: str) -> None:
    assert unexpected(results([case for f in FAMILIES.values() for case in f.cases(f.kinds[0], 1)], (profile,))) == []


@pytest.mark.slow
@pytest.mark.parametrize("op", FAMILIES)
def test_every_case(request: pytest.FixtureRequest, op: str) -> None:
    """Nothing differs but the exceptions, and each exception does; the page says what this run found."""
    family = FAMILIES[op]
    found = results([case for kind in family.kinds for case in family.cases(kind)])
    lines = table_lines(op, found)
    if request.config.getoption("--bless"):
        write_rows(op, lines)
    assert unexpected(found) == []
    assert rows()[op] == lines, "run this test with --bless"


def test_the_page_has_a_row_for_every_operation() -> None:
    """Each that is imported; what the rows say is test_every_case's."""
    named = [name for op in rows() for name in op.split(" and ")]
    assert {*FAMILIES, *OTHERS} == set(rows())
    assert set(IMPORTERS) == set(named) | INSIDE
    for op, cells in OTHERS.items():
        assert rows()[op] == [_line([op, *cells])]


def test_the_page_has_the_profiles(request: pytest.FixtureRequest) -> None:
    before, begin, rest = PAGE.read_text().partition("<!-- profiles -->\n")
    text = "\n".join([before + begin + "\n".join(profile_lines()), "<!-- end of profiles -->"])
    text += rest.partition("<!-- end of profiles -->")[2]
    if request.config.getoption("--bless"):
        PAGE.write_text(text)
    assert PAGE.read_text() == text, "run this test with --bless"


def rows() -> dict[str, list[str]]:
    """Return the lines of the page's table by operation."""
    found: dict[str, list[str]] = {}
    for line in PAGE.read_text().partition(BEGIN)[2].partition(END)[0].splitlines()[2:]:
        found.setdefault(line.split("|")[1].strip(), []).append(line)
    return found


def write_rows(op: str, lines: list[str]) -> None:
    """Put an operation's lines into the page's table, which several processes may write."""
    with PAGE.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        known = {**rows(), op: lines, **{name: [_line([name, *cells])] for name, cells in OTHERS.items()}}
        table = [_line(["operation", "types", *(f"`{p}`" for p in PROFILES)]), _line(5 * ["---"])]
        table += [line for name in (*FAMILIES, *OTHERS) for line in known.get(name, [])]
        before, _, rest = file.read().partition(BEGIN)
        file.seek(0)
        file.truncate()
        file.write(before + BEGIN + "\n".join(table) + "\n" + END + rest.partition(END)[2])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


@pytest.mark.slow
def test_engines_have_no_kernel_where_the_table_says_so() -> None:
    """The compiler's own arithmetic is then all there is."""
    keys = [key for key, text in NOT_IN_REFERENCE.items() if text == OWN and key[2] in LITERT]
    cases = [FAMILIES[op].case(kind, 0) for op, kind, _ in keys]
    jobs = [Job(case.model, case.runs, LITERT[profile]) for case, (_, _, profile) in zip(cases, keys, strict=True)]
    for case, (_, _, profile), outcome in zip(cases, keys, run_litert(jobs), strict=True):
        assert outcome.error is not None, case.label
        evaluated(realized(imported(case.model), profile), case.runs)


def profile_lines() -> list[str]:
    """Return the table of the profiles."""
    lines = ["| profile | base | needs | whose arithmetic |", "| --- | --- | --- | --- |"]
    for p in registered_profiles().values():
        floats = ", ".join(f"`{f}`" for f in p.floats)
        lines.append(f"| `{p.name}` | {f'`{p.base}`' if p.base else ''} | {floats} | {p.summary} |")
    return lines


@pytest.mark.parametrize("op", [op for op, (_, *cells) in OTHERS.items() if REAL in cells])
def test_codes_are_refused_where_the_table_says_so(op: str) -> None:
    b = TfliteBuilder()
    binary = op in ("DIV", "POW", "SQUARED_DIFFERENCE", "ADD_N")
    operands: list[Tensor | None] = [b.input(name, (1, 16), "int8", 0.5, 3) for name in ("a", "b")[: 1 + binary]]
    if op == "ARG_MIN":
        operands.append(b.constant("axis", np.array(1, np.int32)))
        y = b.tensor("y", (1,), "int32")
    else:
        y = b.tensor("y", (1, 16), "int8", 0.5, 3)
    b.op(op, operands, [y])
    b.output(y)
    for profile in PROFILES:
        with pytest.raises(QccError, match=r"not supported|has no integer form"):
            realized(imported(b.build()), profile)


def test_exceptions_name_cases_that_exist() -> None:
    known = {(f.op, kind, profile) for f in FAMILIES.values() for kind in f.kinds for profile in PROFILES}
    assert {*EXCEPTIONS, *NOT_IN_REFERENCE} <= known
    assert not set(EXCEPTIONS) & set(NOT_IN_REFERENCE)
    assert not set(FAMILIES) & set(OTHERS)


@pytest.mark.slow
@pytest.mark.parametrize(("target", "count"), [("c", 2), (f"{X86}+avx2", 1), (f"{X86}+avx512-vnni", 1)])
def test_compiled(tmp_path: Path, target: str, count: int) -> None:
    """The first cases of every operation and type in every profile, equal integer modules once, in one library.

    Where a case is an exception, what is compiled is held against the evaluator.
    """
    parsed = Target.parse(target)
    if parsed.missing_on_host():
        pytest.skip(f"needs cpu: {', '.join(parsed.missing_on_host())}")
    cases = [c for f in FAMILIES.values() for kind in f.kinds for c in f.cases(kind, count)]
    chosen = distinct(results(cases))
    batch = compile_batch([(planned(module, parsed), parsed) for _, module in chosen], tmp_path)
    expected = expectations(cases)
    wrong = []
    for number, (result, module) in enumerate(chosen):
        case, compiled = result.case, batch.modules[number]
        right = evaluated(module, case.runs) if is_exception(result) else expected[case.label, result.profile]
        runs = [batch.run(number, by_position(compiled, inputs)) for inputs in case.runs]
        found = [[run[o.name] for o in compiled.caller_outputs] for run in runs]
        comparison = compare_runs(found, right)
        if comparison.wrong:
            wrong.append(f"{result.profile} {case.label}: {comparison}")
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
    return FAMILIES[op].case(kind, number)

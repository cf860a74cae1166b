"""Runs the golden files; `pytest tests/golden --bless` rewrites what they expect (see cases.py for the directives)."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from qcc.ir import Array, Module, QccError, Resources, parse_module, print_module, verify
from qcc.passes import PassContext, PassManager, parse_pipeline
from tests.golden.cases import FOLDER, Case, blessed, inputs_of, read_case, read_cases
from tests.golden.executors import EXECUTORS

FILES = sorted(FOLDER.glob("*.qir"))
CASES = [case for file in FILES for case in read_cases(file)]


def samples(module: Module) -> Iterator[dict[str, Array]]:
    """Eight seeded random samples, for passes that calibrate."""
    rng = np.random.default_rng(0)
    for _ in range(8):
        yield {value.name: rng.normal(size=value.type.shape).astype(np.float32) for value in module.inputs}


def result_of(case: Case) -> Module:
    """Return the module after the passes of the case."""
    module = parse_module(case.source, file=case.file.name)
    context = PassContext(calibration=lambda: samples(module))
    found = PassManager(parse_pipeline(case.run)).run(module, context) if case.run else module
    verify(found)
    return found


def printed_lines(module: Module) -> list[str]:
    """Return the text that EXPECTED and CHECK look at: weights elided, provenance left out."""
    return print_module(module, Resources.ELIDED, locations=False).rstrip("\n").split("\n")


def check_failure(case: Case) -> None:
    """Expect the error that a case announces, at its line."""
    with pytest.raises(QccError) as caught:
        result_of(case)
    error = caught.value
    assert error.help, "an error says what to do next"
    for line, text in case.errors:
        assert text in str(error)
        assert error.place.startswith(f"{case.file.name}:{line}:")
    assert case.fails in str(error)


def check_text(case: Case, lines: list[str]) -> None:
    """Compare the printed result with CHECK, CHECK-NOT and EXPECTED."""
    rest = iter(lines)
    for text in case.checks:
        assert any(text in line for line in rest), f"no line (left) with {text!r} in:\n" + "\n".join(lines)
    for text in case.check_nots:
        assert not [line for line in lines if text in line]
    if case.expected is not None:
        assert lines == case.expected, "run pytest tests/golden --bless if this is right"


def check_values(case: Case, module: Module) -> None:
    """Run the result by every executor and compare with the OUTPUT lines."""
    for number, (_, expected) in enumerate(case.runs):
        assert expected, "an INPUT without OUTPUT"
        for name, execute in EXECUTORS.items():
            found = execute(module, inputs_of(case, module, number))
            for output, values in expected.items() if found is not None else ():
                array = (found or {})[output]
                assert array.shape == np.shape(values), f"{name}: {output}"
                tolerance = 1e-6 if array.dtype.kind == "f" else 0.0
                np.testing.assert_allclose(array, values, rtol=tolerance, err_msg=f"{name}: {output}")


def test_files_are_found() -> None:
    assert len(FILES) >= 5


@pytest.mark.parametrize("case", CASES, ids=str)
def test_golden(case: Case, request: pytest.FixtureRequest) -> None:
    if case.errors or case.fails:
        check_failure(case)
        return
    module = result_of(case)
    lines = printed_lines(module)
    if request.config.getoption("--bless"):
        outputs = [EXECUTORS["evaluator"](module, inputs_of(case, module, n)) or {} for n in range(len(case.runs))]
        new = "\n".join(blessed(case, lines, outputs))
        text = case.file.read_text(encoding="utf-8")
        case.file.write_text(text.replace("\n".join(case.lines), new, 1), encoding="utf-8")
        case = read_case(case.file, case.first_line, new.split("\n"))
    assert parse_module(print_module(module)) == module
    check_text(case, lines)
    check_values(case, module)


BROKEN = """// RUN: eliminate-dead-code
module @net stage float {
  input %x : tensor<2xf32>
  %y = neg(%x) : tensor<2xf32>
  output %y as "y"
}
"""


@pytest.mark.parametrize(
    ("directive", "reason"),
    [
        ("// CHECK: exp(", "no line"),
        ("// CHECK: output\n// CHECK: neg(", "no line"),
        ("// CHECK-NOT: neg(", "neg"),
        ("// EXPECTED\n// | module", "bless"),
        ("// INPUT x = [1, 2]\n// OUTPUT y = [-1, 2]", "evaluator: y"),
        ("// INPUT x = [1, 2]\n// OUTPUT y = [-1]", "evaluator: y"),
        ("// INPUT x = [1, 2]", "without OUTPUT"),
    ],
)
def test_a_wrong_expectation_fails(directive: str, reason: str) -> None:
    case = read_case(Path("a.qir"), 1, (BROKEN + directive).split("\n"))
    module = result_of(case)

    def check() -> None:
        check_text(case, printed_lines(module))
        check_values(case, module)

    with pytest.raises(AssertionError, match=re.escape(reason)):
        check()


def test_an_expected_error_must_come_and_at_its_line() -> None:
    fine = read_case(Path("a.qir"), 1, (BROKEN + "// FAILS: nothing").split("\n"))
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        check_failure(fine)
    text = BROKEN.replace("neg(%x)", "nag(%x)").replace('as "y"', 'as "y"  // ERROR: no operation')
    with pytest.raises(AssertionError):
        check_failure(read_case(Path("a.qir"), 1, text.split("\n")))
    with pytest.raises(ValueError, match="no directive CHEK"):
        read_case(Path("a.qir"), 1, ["// CHEK: x"])


def test_blessing_rewrites_expectations_only() -> None:
    directives = "// INPUT x = [1, 0.1]\n// OUTPUT y = [0]\n// EXPECTED\n// | old"
    case = read_case(Path("a.qir"), 1, (BROKEN + directives).split("\n"))
    module = result_of(case)
    outputs = EXECUTORS["evaluator"](module, inputs_of(case, module, 0))
    lines = blessed(case, printed_lines(module), [outputs or {}])
    assert lines[: len(case.lines) - 4] == case.lines[:-4]
    assert lines[-8:] == [
        "// INPUT x = [1, 0.1]",
        "// OUTPUT y = [-1.0, -0.1]",
        "// EXPECTED",
        "// | module @net stage float {",
        "// |   input %x : tensor<2xf32>",
        "// |   %y = neg(%x) : tensor<2xf32>",
        '// |   output %y as "y"',
        "// | }",
    ]

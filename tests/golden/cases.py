"""Golden files: `.qir` text with directives in its comments.

A file holds cases, separated by lines `// -----`. A case is a module and these directives:

    // RUN: pass,pass{option=value}      passes to run; without it the module is only read, verified and printed
    // CHECK: text                       this text stands in a line of the printed result, in order
    // CHECK-NOT: text                   this text stands nowhere in it
    // ERROR: text                       at the end of a line: reading or verifying fails there, with this text
    // FAILS: text                       the pipeline fails, with this text
    // INPUT x = [[1, 2]]                a run of the result: values of the inputs, as JSON
    // OUTPUT y = [[3]]                  what that run gives (rewritten by --bless)
    // EXPECTED                          the printed result, weights elided, one line each (rewritten by --bless):
    // | module @net stage float {
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from qcc.ir import Array, Module

FOLDER = Path(__file__).parent
SEPARATOR = re.compile(r"^// -----.*$", re.MULTILINE)
VALUES = re.compile(r"// (INPUT|OUTPUT) (\S+) = (.*)")


@dataclass
class Case:
    """One case of a golden file.

    Attributes:
        file, first_line: where it stands.
        lines: its text.
        run, checks, check_nots, fails: arguments of the directives.
        errors: (line of the file, text) of each expected error.
        runs: values by name, inputs and outputs of each run.
        expected: lines of the EXPECTED section, None without one.
    """

    file: Path
    first_line: int
    lines: list[str]
    run: str = ""
    fails: str = ""
    checks: list[str] = field(default_factory=list)
    check_nots: list[str] = field(default_factory=list)
    errors: list[tuple[int, str]] = field(default_factory=list)
    runs: list[tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=list)
    expected: list[str] | None = None

    @property
    def source(self) -> str:
        """The text, below as many empty lines as stand before it in the file."""
        return "\n" * (self.first_line - 1) + "\n".join(self.lines)

    def __str__(self) -> str:
        return f"{self.file.name}:{self.first_line}"


def read_cases(file: Path) -> list[Case]:
    """Return the cases of a file."""
    text = file.read_text(encoding="utf-8")
    cases, line = [], 1
    for part in SEPARATOR.split(text):
        cases.append(read_case(file, line, part.split("\n")))
        line += part.count("\n")
    return cases


def read_case(file: Path, first_line: int, lines: list[str]) -> Case:
    """Return the case that stands in `lines`; a ValueError names a directive that is none."""
    case = Case(file, first_line, lines)
    for number, line in enumerate(lines, first_line):
        found = re.search(r"// ([A-Z-]+)(?:: (.*)| \S+ = .*|$)", line)
        if line.startswith("// |") and case.expected is not None:
            case.expected.append(line[5:])
        if found is None or line.startswith("// |"):
            continue
        match found[1]:
            case "RUN":
                case.run = found[2]
            case "FAILS":
                case.fails = found[2]
            case "CHECK":
                case.checks.append(found[2])
            case "CHECK-NOT":
                case.check_nots.append(found[2])
            case "ERROR":
                case.errors.append((number, found[2]))
            case "EXPECTED":
                case.expected = []
            case "INPUT" | "OUTPUT":
                add_values(case, line)
            case other:
                raise ValueError(f"{file}:{number}: there is no directive {other}")
    return case


def add_values(case: Case, line: str) -> None:
    """Add the values of a line INPUT or OUTPUT; an INPUT behind an OUTPUT begins a new run."""
    found = VALUES.fullmatch(line)
    if found is None:
        raise ValueError(f"{case}: not `INPUT name = values`: {line}")
    kind, name, values = found.groups()
    if not case.runs or (kind == "INPUT" and case.runs[-1][1]):
        case.runs.append(({}, {}))
    case.runs[-1][kind == "OUTPUT"][name] = json.loads(values)


def inputs_of(case: Case, module: Module, run: int) -> dict[str, Array]:
    """Return the inputs of a run as arrays of the module's storage types."""
    types = {value.name: value.type for value in module.inputs}
    given = case.runs[run][0]
    return {name: np.array(given[name], types[name].element.storage.dtype) for name in given}


def values_text(array: Array) -> str:
    """Return an array as JSON; floats with the digits of their own precision."""
    if array.ndim:
        return "[" + ", ".join(values_text(item) for item in array) + "]"
    if array.dtype.kind == "f":
        return json.dumps(float(str(array[()])))
    return json.dumps(array.item())


def blessed(case: Case, printed: list[str], outputs: list[dict[str, Array]]) -> list[str]:
    """Return the lines of a case with its expectations replaced by what was found."""
    lines: list[str] = []
    run = -1
    previous = ""
    for line in case.lines:
        kind = VALUES.fullmatch(line)
        if kind and kind[1] == "INPUT" and previous != "INPUT":
            run += 1
        if kind and kind[1] == "OUTPUT":
            line = f"// OUTPUT {kind[2]} = {values_text(outputs[max(run, 0)][kind[2]])}"
        previous = kind[1] if kind else previous
        if line.startswith("// |"):
            continue
        lines.append(line)
        if line == "// EXPECTED":
            lines += [f"// | {text}" for text in printed]
    return lines

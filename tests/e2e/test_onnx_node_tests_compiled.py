"""The ONNX backend node tests, compiled in float for x86.

One test for each operator compiles all of its cases into one library, since building a library for each of hundreds of
cases would take minutes.
"""

import fnmatch
import tomllib
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

from qcc.ir import Module, QccError
from qcc.passes import Part, PassContext, PassManager, default_pipeline
from qcc.targets import Target
from tests.e2e.batch import Batch, compile_batch
from tests.frontends.onnx_cases import NodeCase, node_cases, reason_against

TARGET = Target.parse("x86_64-linux-gnu+avx2")
EXCEPTIONS_FILE = Path(__file__).with_name("onnx_compiled_exceptions.toml")


@cache
def exceptions() -> dict[str, str]:
    """The reason of each pattern of case names that are known not to pass when compiled."""
    entries = tomllib.loads(EXCEPTIONS_FILE.read_text(encoding="utf-8")).get("exception", [])
    return {pattern: entry["reason"] for entry in entries for pattern in entry["cases"]}


def excepted(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in exceptions())


def operator(case: NodeCase) -> str:
    """What a case is about: the operator that its name begins with, else its first node's."""
    return str(case.model.graph.node[0].op_type)


def evaluated_cases() -> dict[str, NodeCase]:
    return {name: case for name, case in node_cases().items() if reason_against(name) is None}


def groups() -> dict[str, list[NodeCase]]:
    found = defaultdict(list)
    for name, case in evaluated_cases().items():
        if not excepted(name):
            found[operator(case)].append(case)
    return dict(sorted(found.items()))


def planned(case: NodeCase) -> Module:
    """The module of a case behind the float pipeline."""
    passes = default_pipeline([Part.FLOAT, Part.TARGET])
    return PassManager(passes).run(case.load(), PassContext(hardware=TARGET.hardware, target=TARGET))


def failure(case: NodeCase, module: Module, batch: Batch, number: int) -> str:
    """What is wrong with the outputs of a case, nothing where it passes."""
    try:
        for garbage in (0x00, 0xA5):
            case.check(batch.run(number, case.feeds(module), garbage))
    except AssertionError as error:
        return f"{case.name}: {error}"
    return ""


GROUPS = groups()


@pytest.mark.parametrize("name", GROUPS)
def test_nodes(name: str, tmp_path: Path) -> None:
    modules = [planned(case) for case in GROUPS[name]]
    batch = compile_batch([(module, TARGET) for module in modules], tmp_path)
    found = [failure(c, m, batch, n) for n, (c, m) in enumerate(zip(GROUPS[name], modules, strict=True))]
    assert [text for text in found if text] == []


@pytest.mark.parametrize("name", [name for name in evaluated_cases() if excepted(name)])
def test_an_excepted_case_still_fails(name: str, tmp_path: Path) -> None:
    case = evaluated_cases()[name]
    with pytest.raises((QccError, AssertionError)):
        case.check(compile_batch([(planned(case), TARGET)], tmp_path).run(0, case.feeds(case.load())))


def test_every_exception_matches_a_case() -> None:
    assert [pattern for pattern in exceptions() if not fnmatch.filter(evaluated_cases(), pattern)] == []

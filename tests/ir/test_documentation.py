"""The pages on the IR: the reference is generated, and the examples are executed."""

import re
from pathlib import Path

import pytest

from qcc.ir import (
    Op,
    attribute_fields,
    operand_names,
    operation_reference,
    operations_reference,
    parse_module,
    print_module,
    registered_ops,
)

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_committed_reference_is_up_to_date() -> None:
    committed = (DOCS / "ops.md").read_text(encoding="utf-8")
    assert committed == operations_reference() + "\n", (
        'python -c "import qcc.ir; print(qcc.ir.operations_reference())" > docs/ops.md'
    )


@pytest.mark.parametrize("op_class", registered_ops().values(), ids=lambda c: c.name)
def test_every_operation_is_described(op_class: type[Op]) -> None:
    text = operation_reference(op_class)
    for name in operand_names(op_class):
        assert f"| `{name}` |" in text
    prose = text.split("\n| ")[0]
    for attribute in attribute_fields(op_class):
        row = next(line for line in text.split("\n") if line.startswith(f"| `{attribute.name}` |"))
        assert not row.endswith("|  |") or attribute.name in prose, f"{op_class.name}.{attribute.name} is not described"
    assert "`" in prose, "a formula"
    assert re.search(r"Legal in: \w+.*Result: \S", text)


def examples(language: str) -> list[str]:
    text = (DOCS / "ir.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("text", examples("qir"))
def test_examples_are_valid(text: str) -> None:
    module = parse_module(text)
    assert parse_module(print_module(module)) == module


def test_the_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = examples("python")
    exec(compile(code, "ir.md", "exec"), {})
    assert (tmp_path / "net.qir").exists()
    assert len(examples("qir")) == 3

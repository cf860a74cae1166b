"""The list of operations in the documentation is the table of the importer."""

import re
from pathlib import Path

from qcc.frontends.onnx import IMPORTERS
from tests.frontends.onnx_cases import FOLDED

PAGE = Path(__file__).resolve().parents[2] / "docs" / "onnx.md"


def test_every_operation_is_listed_where_it_belongs() -> None:
    at_run_time, on_constants = PAGE.read_text(encoding="utf-8").split("## Operations")[1].split("On constants only:")
    assert re.findall(r"`(\w+)`", at_run_time) == sorted(set(IMPORTERS) - FOLDED)
    assert re.findall(r"`(\w+)`", on_constants.split("\n\n")[0]) == sorted(FOLDED)

"""Documents that are generated from the code are up to date."""

from pathlib import Path

import pytest

from qcc.documentation import DOCUMENTS
from qcc.passes import DEFAULT_PASSES

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_generated_document_is_up_to_date(name: str) -> None:
    written = (DOCS / name).read_text(encoding="utf-8")
    assert written == DOCUMENTS[name](), "run `python -m qcc.documentation docs`"


def test_the_document_names_every_pass_of_the_default_pipeline() -> None:
    text = DOCUMENTS["passes.md"]()
    for names in DEFAULT_PASSES.values():
        for name in names:
            assert f"\n### {name}\n" in text

"""Importers by operation: each family of operations has a module here.

Its table `IMPORTERS` leads from ONNX's name to its importer, which takes a `Node` and returns its results, a
tensor or a sequence of tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...importer_tables import importer_table
from ..emission import Tensor
from ..node import Node

Importer = Callable[[Node], Tensor | Sequence[Tensor]]

#: The importer of each operation.
IMPORTERS: dict[str, Importer] = importer_table(__name__, __path__)

#: The domain of ONNX Runtime's own operations.
MICROSOFT = "com.microsoft"

#: The importer of each operation of that domain.
MICROSOFT_IMPORTERS: dict[str, Importer] = importer_table(__name__, __path__, "MICROSOFT_IMPORTERS")

_NOTES = {
    **dict.fromkeys(("If", "Loop", "Scan", "SequenceMap"), "control flow is not supported"),
    **dict.fromkeys(("GRU", "LSTM", "RNN"), "recurrent layers are not supported"),
    **dict.fromkeys(("NonMaxSuppression", "TopK", "Unique", "Compress"), "the size of its result depends on the data"),
}


def importer_for(domain: str, op_type: str) -> Importer | None:
    """Return the importer of an operation, None where there is none."""
    if domain == MICROSOFT:
        return MICROSOFT_IMPORTERS.get(op_type)
    return IMPORTERS.get(op_type) if domain in ("", "ai.onnx") else None


def importer_note(op_type: str) -> str:
    """Return why an operation has no importer, empty where there is nothing particular to say."""
    return _NOTES.get(op_type, "")


__all__ = ["IMPORTERS", "MICROSOFT", "MICROSOFT_IMPORTERS", "Importer", "importer_for", "importer_note"]

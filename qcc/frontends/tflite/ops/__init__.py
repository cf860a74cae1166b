"""Importers by operation: each family of operations has a module here.

Its table `IMPORTERS` leads from TFLite's name to its importer, which takes a `Node` and returns its results, a
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

#: The newest version of an operation that is known, where a newer one may mean something else.
NEWEST_VERSIONS: dict[str, int] = {
    "ADD": 5,
    "ARG_MAX": 3,
    "AVERAGE_POOL_2D": 3,
    "BATCH_MATMUL": 5,
    "CONCATENATION": 5,
    "CONV_2D": 9,
    "DEPTHWISE_CONV_2D": 7,
    "DEQUANTIZE": 6,
    "FULLY_CONNECTED": 14,
    "LOGISTIC": 3,
    "MAX_POOL_2D": 3,
    "MEAN": 3,
    "MUL": 7,
    "PAD": 5,
    "QUANTIZE": 4,
    "RESHAPE": 2,
    "SOFTMAX": 3,
    "STRIDED_SLICE": 8,
    "SUB": 5,
    "SVDF": 4,
    "TANH": 3,
    "TRANSPOSE_CONV": 5,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": 4,
}

_NOTES = {
    **dict.fromkeys(("IF", "WHILE", "CALL"), "control flow is not supported"),
    **dict.fromkeys(("NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5"), "the size of its result depends on the data"),
    **dict.fromkeys(("TOPK_V2", "UNIQUE", "WHERE"), "the size or order of its result depends on the data"),
}


def importer_note(name: str) -> str:
    """Return why an operation has no importer, empty where there is nothing particular to say."""
    if name.startswith("CUSTOM"):
        return "custom operations are not supported"
    return _NOTES.get(name, "")


__all__ = ["IMPORTERS", "NEWEST_VERSIONS", "Importer", "importer_note"]

"""How large the tensors of a model may be, so that a damaged file can't ask for all memory."""

from __future__ import annotations

from collections.abc import Iterable

from qcc.ir import TensorType

from .problem import Unsupported

#: Dimensions that a tensor may have.
RANK_LIMIT = 16

#: Elements that a tensor computed at import may have.
FOLD_LIMIT = 1 << 27

#: Elements that an input or a result may have: more than any chip holds.
TENSOR_LIMIT = 1 << 28


def check_size(types: Iterable[TensorType]) -> None:
    """Raise Unsupported where a tensor has more than `TENSOR_LIMIT` elements or `RANK_LIMIT` dimensions."""
    for type in types:
        if type.size > TENSOR_LIMIT or max(type.shape, default=0) > TENSOR_LIMIT or type.rank > RANK_LIMIT:
            raise Unsupported(f"a tensor of the shape {list(type.shape)} is too large")


def check_fold_size(elements: int) -> None:
    """Raise Unsupported where a tensor to be computed at import would be too large."""
    if elements > FOLD_LIMIT:
        raise Unsupported(f"a constant of {elements} elements would be computed, {FOLD_LIMIT} is the limit")

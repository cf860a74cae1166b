"""How large the tensors of a model may be, so that a damaged file can't ask for all memory."""

from __future__ import annotations

from collections.abc import Iterable

from qcc.ir import Op, TensorType

from .problem import Unsupported

#: Dimensions that a tensor may have.
RANK_LIMIT = 16

#: Elements that a tensor computed at import may have.
FOLD_LIMIT = 1 << 27

#: Multiply-accumulates of an operation that is computed at import, and of all of them: what costs more stays.
FOLD_MACS, ALL_FOLD_MACS = 1 << 24, 1 << 26

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


class FoldBudget:
    """What the operations that are computed at import may cost together."""

    def __init__(self) -> None:
        self._macs = ALL_FOLD_MACS

    def take(self, op: Op) -> bool:
        """Return whether an operation may be computed at import, and count its cost if so."""
        macs = op.cost().macs
        if macs > min(FOLD_MACS, self._macs):
            return False
        self._macs -= macs
        return True

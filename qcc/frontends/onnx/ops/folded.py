"""Operations that only compute shapes and constants: done with NumPy at import, unsupported at run time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...limits import check_fold_size
from ..emission import Tensor
from ..node import Node
from ..problem import Unsupported


def _folded(function: Callable[..., Any]) -> Callable[[Node], Tensor]:
    """Return an importer that applies a NumPy function to inputs known at import."""

    def importer(node: Node) -> Tensor:
        arrays = []
        for index in range(len(node.inputs)):
            array = node.input(index).array
            if array is None:
                raise Unsupported("is supported on constants only, its inputs are computed at run time")
            arrays.append(array)
        try:
            check_fold_size(math.prod(np.broadcast_shapes(*(a.shape for a in arrays))))
            with np.errstate(all="ignore"):
                return node.known(np.asarray(function(*arrays)))
        except (ValueError, TypeError) as error:
            raise Unsupported(f"can't be computed: {error}") from error

    return importer


def modulo(node: Node) -> Tensor:
    """Mod: the sign follows the divisor, or the dividend with `fmod`."""
    by_dividend = node.get_int("fmod", 0) != 0
    return _folded(np.fmod if by_dividend else np.mod)(node)


def is_infinite(node: Node) -> Tensor:
    """IsInf: of both signs, or of one."""
    array = node.constant(0, "X")
    positive, negative = node.get_int("detect_positive", 1) != 0, node.get_int("detect_negative", 1) != 0
    return node.known(np.isinf(array) & np.where(array > 0, positive, negative))


def non_zero(node: Node) -> Tensor:
    """NonZero: indices of the elements that are not 0, one column each."""
    array = node.constant(0, "X")
    return node.known(np.asarray(np.nonzero(np.atleast_1d(array)), np.int64))


def cumulative_sum(node: Node) -> Tensor:
    """CumSum along an axis; `reverse` from the end, `exclusive` without the element itself."""
    array, axis = node.constant(0, "x"), int(node.constant(1, "axis").reshape(-1)[0])
    reverse, exclusive = node.get_int("reverse", 0), node.get_int("exclusive", 0)
    if not -array.ndim <= axis < array.ndim:
        raise Unsupported(f"axis {axis} of a tensor of rank {array.ndim}")
    turned = np.flip(array, axis) if reverse else array
    total = np.cumsum(turned, axis=axis, dtype=array.dtype)
    total = total - turned if exclusive else total
    return node.known(np.flip(total, axis) if reverse else total)


def reduce_product(node: Node) -> Tensor:
    """ReduceProd."""
    array = node.constant(0, "data")
    given = node.constant_ints(1, "axes") if node.opset >= 18 else node.get_ints("axes")
    keep, empty_is_noop = node.get_int("keepdims", 1) != 0, node.get_int("noop_with_empty_axes", 0) != 0
    if not given and empty_is_noop:
        return node.input(0)
    if any(not -array.ndim <= a < array.ndim for a in given or ()):
        raise Unsupported(f"axes {given} of a tensor of rank {array.ndim}")
    axes = tuple(given) if given else None
    return node.known(np.asarray(np.prod(array, axis=axes, keepdims=keep, dtype=array.dtype)))


IMPORTERS: dict[str, Callable[[Node], Tensor]] = {
    "And": _folded(np.logical_and),
    "Ceil": _folded(np.ceil),
    "CumSum": cumulative_sum,
    "Equal": _folded(np.equal),
    "Floor": _folded(np.floor),
    "Greater": _folded(np.greater),
    "GreaterOrEqual": _folded(np.greater_equal),
    "IsInf": is_infinite,
    "IsNaN": _folded(np.isnan),
    "Less": _folded(np.less),
    "LessOrEqual": _folded(np.less_equal),
    "Mod": modulo,
    "NonZero": non_zero,
    "Not": _folded(np.logical_not),
    "Or": _folded(np.logical_or),
    "ReduceProd": reduce_product,
    "Sign": _folded(np.sign),
    "Where": _folded(np.where),
    "Xor": _folded(np.logical_xor),
}

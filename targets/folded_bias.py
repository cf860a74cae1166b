"""The zero point of the activations, taken out of the sums of products and into the bias."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def folded_bias(
    bias: npt.NDArray[np.integer], weights: npt.NDArray[np.integer], zero_point: int, axis: int = 0
) -> npt.NDArray[np.int64]:
    """Return `b − z·Σ w` for each output, the index along `axis` of the weights (less their own zero point).

    `Σ (x − z)·w + b = Σ x·w + (b − z·Σ w)`: the inner loops take activations as they are. It holds for outputs that
    see all weights: without padding, or where the padding is fed with the zero point.
    """
    others = tuple(a for a in range(weights.ndim) if a != axis)
    folded: npt.NDArray[np.int64] = np.asarray(bias, np.int64) - zero_point * weights.sum(axis=others, dtype=np.int64)
    return folded

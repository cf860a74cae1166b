"""How many taps of a pool's window lie inside the image, held against counting them."""

import itertools

from qcc.ir import F32, TensorType, Value
from qcc.ir.ops import MaxPool2d


def test_axis_counts_are_what_counting_gives() -> None:
    checked = 0
    sizes = itertools.product(range(1, 6), range(1, 5), (1, 2, 3), (1, 2, 3), range(3), range(4))
    for rows, kernel, stride, dilation, before, after in sizes:
        if rows + before + after < (kernel - 1) * dilation + 1:
            continue
        x = Value("x", TensorType((1, rows, 1, 1), F32))
        op = MaxPool2d(
            operands=(x,),
            kernel=(kernel, 1),
            strides=(stride, 1),
            dilation=(dilation, 1),
            padding=(before, after, 0, 0),
        )
        counts = op.axis_counts(0).tolist()
        taps = [[i * stride - before + k * dilation for k in range(kernel)] for i in range(len(counts))]
        assert counts == [sum(0 <= tap < rows for tap in window) for window in taps]
        checked += 1
    assert checked > 1000

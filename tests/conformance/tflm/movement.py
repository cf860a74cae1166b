"""What only moves codes (§3.12 to §3.14)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.conformance.tflm.fixed_point import Array
from tests.conformance.tflm.kernel import Call, kernel

REFLECT = 0
"""The schema's mode that leaves the border out."""


def _numbers(call: Call, number: int) -> list[int]:
    return [int(v) for v in call.value(number).reshape(-1)]


@kernel("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
def reshape(call: Call) -> Sequence[Array]:
    return [call.value(0).reshape(call.output.shape)]


@kernel("CONCATENATION")
def concatenation(call: Call) -> Sequence[Array]:
    parts = [call.value(i) for i in range(len(call.values))]
    return [np.concatenate(parts, axis=call.options.axis)]


@kernel("SPLIT")
def split(call: Call) -> Sequence[Array]:
    return np.split(call.value(1), call.options.numSplits, axis=int(call.value(0).reshape(())))


@kernel("SPLIT_V")
def split_v(call: Call) -> Sequence[Array]:
    axis = int(call.value(2).reshape(()))
    sizes = [o.shape[axis] for o in call.outputs]
    return np.split(call.value(0), np.cumsum(sizes)[:-1], axis=axis)


@kernel("PACK")
def pack(call: Call) -> Sequence[Array]:
    return [np.stack([call.value(i) for i in range(len(call.values))], axis=call.options.axis)]


@kernel("UNPACK")
def unpack(call: Call) -> Sequence[Array]:
    axis = call.options.axis
    return [np.take(call.value(0), i, axis=axis) for i in range(call.options.num)]


@kernel("PAD", "PADV2")
def pad(call: Call) -> Sequence[Array]:
    """PAD fills with the zero point, PADV2 with a code."""
    amounts = call.value(1).reshape(-1, 2)
    value = int(call.value(2).reshape(())) if call.name == "PADV2" else call.output.zero_point
    return [np.pad(call.value(0), amounts, constant_values=value)]


@kernel("MIRROR_PAD")
def mirror_pad(call: Call) -> Sequence[Array]:
    amounts = call.value(1).reshape(-1, 2)
    if call.options.mode == REFLECT:
        return [np.pad(call.value(0), amounts, mode="reflect")]
    return [np.pad(call.value(0), amounts, mode="symmetric")]


@kernel("TRANSPOSE")
def transpose(call: Call) -> Sequence[Array]:
    return [call.value(0).transpose(_numbers(call, 1))]


@kernel("SLICE")
def slice_(call: Call) -> Sequence[Array]:
    begins = _numbers(call, 1)
    parts = tuple(slice(b, b + n) for b, n in zip(begins, call.output.shape, strict=True))
    return [call.value(0)[parts]]


@kernel("STRIDED_SLICE")
def strided_slice(call: Call) -> Sequence[Array]:
    options, x = call.options, call.value(0)
    parts: list[slice | int] = []
    for i, (begin, end, stride) in enumerate(zip(*(_numbers(call, n) for n in (1, 2, 3)), strict=True)):
        first = None if options.beginMask >> i & 1 else begin
        if options.shrinkAxisMask >> i & 1:
            parts.append(first or 0)
            continue
        last = None if options.endMask >> i & 1 else end
        parts.append(slice(first, last, stride))
    return [x[tuple(parts)]]


@kernel("GATHER")
def gather(call: Call) -> Sequence[Array]:
    return [np.take(call.value(0), call.value(1), axis=call.options.axis)]


@kernel("TILE")
def tile(call: Call) -> Sequence[Array]:
    return [np.tile(call.value(0), _numbers(call, 1))]


@kernel("BROADCAST_TO")
def broadcast_to(call: Call) -> Sequence[Array]:
    return [np.broadcast_to(call.value(0), _numbers(call, 1))]


@kernel("REVERSE_V2")
def reverse(call: Call) -> Sequence[Array]:
    return [np.flip(call.value(0), tuple(_numbers(call, 1)))]


@kernel("SPACE_TO_DEPTH")
def space_to_depth(call: Call) -> Sequence[Array]:
    b, (n, h, w, c) = call.options.blockSize, call.value(0).shape
    blocks = call.value(0).reshape(n, h // b, b, w // b, b, c)
    return [blocks.transpose(0, 1, 3, 2, 4, 5)]


@kernel("DEPTH_TO_SPACE")
def depth_to_space(call: Call) -> Sequence[Array]:
    b, (n, h, w, c) = call.options.blockSize, call.value(0).shape
    blocks = call.value(0).reshape(n, h, w, b, b, c // (b * b))
    return [blocks.transpose(0, 1, 3, 2, 4, 5)]

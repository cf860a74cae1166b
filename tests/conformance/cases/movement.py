"""Cases of what moves codes, resizing, and variables."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.conformance.cases.case import Case, Maker, family

SHAPE = (2, 6, 4, 12)
EVERY = ("int8", "int16", "uint8")


def _moved(m: Maker, shape: tuple[int, ...], numbers: dict[str, Any] | None = None, **attributes: Any) -> Case:
    """Make a case with one input, int32 constants, and one output of the same parameters."""
    x = m.input("x", SHAPE)
    y = m.result(shape, like=x)
    constants = [m.numbers(name, values) for name, values in (numbers or {}).items()]
    m.traits += [str(numbers or attributes)]
    m.builder.op(m.op, [x, *constants], [y], **attributes)
    return m.case(y)


@family("RESHAPE", *EVERY, count=3)
def reshape(m: Maker) -> Case:
    shape = m.pick((48, 12), (2, -1), (576,), (1, 4, 6, 2, 12))
    full = tuple(int(n) for n in np.zeros(SHAPE).reshape(shape).shape)
    return _moved(m, full, {"shape": shape}, new_shape=list(shape))


@family("SQUEEZE", *EVERY, count=3)
def squeeze(m: Maker) -> Case:
    x = m.input("x", (1, 6, 1, 12))
    dims, shape = m.pick(([0], (6, 1, 12)), ([2], (1, 6, 12)), ([], (6, 12)), ([0, -2], (6, 12)))
    y = m.result(shape, like=x)
    m.builder.op("SQUEEZE", [x], [y], squeeze_dims=dims)
    return m.case(y)


@family("EXPAND_DIMS", *EVERY, count=3)
def expand_dims(m: Maker) -> Case:
    axis = m.pick(0, 2, -1, 4)
    return _moved(m, np.expand_dims(np.zeros(SHAPE), axis).shape, {"axis": axis})


@family("TRANSPOSE", *EVERY, count=4)
def transpose(m: Maker) -> Case:
    order = tuple(int(i) for i in m.rng.permutation(4))
    return _moved(m, tuple(SHAPE[i] for i in order), {"order": order})


@family("SLICE", *EVERY, count=4)
def slice_(m: Maker) -> Case:
    begins = [int(m.rng.integers(0, n)) for n in SHAPE]
    sizes = [m.pick(-1, int(m.rng.integers(1, n - b + 1))) for n, b in zip(SHAPE, begins, strict=True)]
    shape = tuple(n - b if s < 0 else s for n, b, s in zip(SHAPE, begins, sizes, strict=True))
    return _moved(m, shape, {"begins": begins, "sizes": sizes})


@family("STRIDED_SLICE", *EVERY, count=10)
def strided_slice(m: Maker) -> Case:
    begins, ends, strides = [], [], []
    for n in SHAPE:
        stride = m.pick(1, 1, 2, -1, -2)
        low, high = sorted(int(v) for v in m.rng.choice(n + 1, 2, replace=False))
        begin, end = (low, high) if stride > 0 else (high - 1, low - 1 if low else -n - 1)
        begins.append(begin - n if m.pick(True, False) else begin)
        ends.append(end - n if stride > 0 and end < n and m.pick(True, False) else end)
        strides.append(stride)
    masks = [m.size(0, 15) & m.size(0, 15) for _ in range(2)]
    shrink = m.pick(0, 0, 1, 4)
    parts: list[slice | int] = []
    for i, (begin, end, stride) in enumerate(zip(begins, ends, strides, strict=True)):
        if shrink >> i & 1:
            begins[i], ends[i], strides[i] = 1, 2, 1
            parts.append(0 if masks[0] >> i & 1 else 1)
        else:
            parts.append(slice(None if masks[0] >> i & 1 else begin, None if masks[1] >> i & 1 else end, stride))
    shape = np.zeros(SHAPE)[tuple(parts)].shape
    numbers: dict[str, Any] = {"begins": begins, "ends": ends, "strides": strides}
    return _moved(m, shape, numbers, begin_mask=masks[0], end_mask=masks[1], shrink_axis_mask=shrink)


@family("GATHER", *EVERY, count=4)
def gather(m: Maker) -> Case:
    axis = m.pick(0, 1, 3, -1)
    indices = m.rng.integers(0, SHAPE[axis], m.pick((3,), (2, 2), (1,)))
    shape = np.take(np.zeros(SHAPE), indices, axis=axis).shape
    return _moved(m, shape, {"indices": indices.tolist()}, axis=axis)


@family("PAD", *EVERY, count=6)
def pad(m: Maker) -> Case:
    amounts = m.rng.integers(0, 3, (4, 2))
    return _moved(
        m, tuple(n + int(a.sum()) for n, a in zip(SHAPE, amounts, strict=True)), {"amounts": amounts.tolist()}
    )


@family("PADV2", *EVERY, count=6)
def padv2(m: Maker) -> Case:
    amounts = m.rng.integers(0, 3, (4, 2))
    x = m.input("x", SHAPE)
    y = m.result([n + int(a.sum()) for n, a in zip(SHAPE, amounts, strict=True)], like=x)
    value = m.builder.constant("value", m.codes((1,)), x.scale, x.zero_point)
    m.builder.op("PADV2", [x, m.numbers("amounts", amounts.tolist()), value], [y])
    return m.case(y)


@family("MIRROR_PAD", "int8", "uint8", count=6)
def mirror_pad(m: Maker) -> Case:
    amounts = np.minimum(m.rng.integers(0, 3, (4, 2)), 1)
    amounts[3] = m.rng.integers(0, 4, 2)
    shape = tuple(n + int(a.sum()) for n, a in zip(SHAPE, amounts, strict=True))
    return _moved(m, shape, {"amounts": amounts.tolist()}, mode=m.pick("REFLECT", "SYMMETRIC"))


@family("SPACE_TO_DEPTH", "int8", "uint8", count=2)
def space_to_depth(m: Maker) -> Case:
    return _moved(m, (2, 3, 2, 48), block_size=2)


@family("DEPTH_TO_SPACE", "int8", "uint8", count=2)
def depth_to_space(m: Maker) -> Case:
    return _moved(m, (2, 12, 8, 3), block_size=2)


@family("CONCATENATION", *EVERY, count=8)
def concatenation(m: Maker) -> Case:
    axis, count = m.pick(0, 1, 3, -1), m.size(2, 4)
    same = m.kind != "uint8" or m.pick(True, False)
    m.traits += [f"axis {axis} {'same' if same else 'rescaled'}"]
    parts = [m.input("x0", SHAPE)]
    for i in range(1, count):
        shape = list(SHAPE)
        shape[axis] = m.size(1, 3)
        parts.append(m.input(f"x{i}", shape, like=parts[0] if same else None))
    total = list(SHAPE)
    total[axis] = sum(p.shape[axis] for p in parts)
    y = m.result(total, like=parts[0])
    m.builder.op("CONCATENATION", parts, [y], axis=axis)
    return m.case(y)


@family("PACK", *EVERY, count=4)
def pack(m: Maker) -> Case:
    axis, count = m.pick(0, 1, -1), m.size(1, 3)
    parts = [m.input("x0", (2, 3, 5))]
    parts += [m.input(f"x{i}", (2, 3, 5), like=parts[0]) for i in range(1, count)]
    y = m.result(np.stack([np.zeros((2, 3, 5))] * count, axis).shape, like=parts[0])
    m.builder.op("PACK", parts, [y], axis=axis, values_count=count)
    return m.case(y)


@family("UNPACK", *EVERY, count=4)
def unpack(m: Maker) -> Case:
    axis = m.pick(0, 1, -1)
    x = m.input("x", (2, 3, 4))
    count = x.shape[axis]
    rest = [n for i, n in enumerate(x.shape) if i != axis % 3]
    outputs = [m.result(rest, like=x, name=f"y{i}") for i in range(count)]
    m.builder.op("UNPACK", [x], outputs, axis=axis, num=count)
    return m.case(*outputs)


@family("SPLIT", *EVERY, count=4)
def split(m: Maker) -> Case:
    axis, count = m.pick((1, 3), (1, 2), (3, 4), (-1, 2), (0, 2))
    x = m.input("x", SHAPE)
    part = list(SHAPE)
    part[axis] //= count
    outputs = [m.result(part, like=x, name=f"y{i}") for i in range(count)]
    m.builder.op("SPLIT", [m.numbers("axis", axis), x], outputs, num_splits=count)
    return m.case(*outputs)


@family("SPLIT_V", *EVERY, count=3)
def split_v(m: Maker) -> Case:
    axis, sizes = m.pick((1, (1, 3, 2)), (3, (5, 7)), (-1, (4, 8)), (0, (1, 1)))
    x = m.input("x", SHAPE)
    outputs = []
    for i, size in enumerate(sizes):
        part = list(SHAPE)
        part[axis] = size
        outputs.append(m.result(part, like=x, name=f"y{i}"))
    m.builder.op("SPLIT_V", [x, m.numbers("sizes", sizes), m.numbers("axis", axis)], outputs, num_splits=len(sizes))
    return m.case(*outputs)


@family("TILE", "int8", "uint8", count=3)
def tile(m: Maker) -> Case:
    counts = [m.size(1, 2) for _ in SHAPE]
    return _moved(m, tuple(n * c for n, c in zip(SHAPE, counts, strict=True)), {"counts": counts})


@family("BROADCAST_TO", "int8", "uint8", count=3)
def broadcast_to(m: Maker) -> Case:
    shape = m.pick((3, *SHAPE), SHAPE, (1, *SHAPE))
    return _moved(m, shape, {"shape": shape}, version=3)


@family("REVERSE_V2", *EVERY, count=3)
def reverse_v2(m: Maker) -> Case:
    return _moved(m, SHAPE, {"axes": [m.pick(0, 1, 2, 3)]})


def _resize(m: Maker) -> Case:
    align, half = m.pick((False, False), (True, False), (False, True))
    size, new = (m.size(1, 7), m.size(2, 7)), (m.size(1, 13), m.size(1, 13))
    m.traits += [f"{size} to {new} align {align} half {half}"]
    x = m.input("x", (2, *size, 3))
    y = m.result((2, *new, 3), like=x)
    attributes = {"align_corners": align, "half_pixel_centers": half}
    m.builder.op(m.op, [x, m.numbers("size", new)], [y], version=3, **attributes)
    return m.case(y)


@family("RESIZE_BILINEAR", *EVERY, count=12)
def resize_bilinear(m: Maker) -> Case:
    return _resize(m)


@family("RESIZE_NEAREST_NEIGHBOR", *EVERY, count=8)
def resize_nearest_neighbor(m: Maker) -> Case:
    return _resize(m)


@family("READ_VARIABLE and ASSIGN_VARIABLE", *EVERY, count=3)
def variables(m: Maker) -> Case:
    """A state that each run reads, adds to, and writes."""
    b, shape = m.builder, (1, 40)
    x = m.input("x", shape)
    initial = m.codes(shape)
    state = b.variable("state", initial, x.scale[0], x.zero_point[0])
    old = m.result(shape, like=x, name="old")
    new = m.result(shape, like=x, name="new")
    b.op("READ_VARIABLE", [state], [old])
    b.op("ADD", [old, x], [new], pot_scale_int16=False)
    b.op("ASSIGN_VARIABLE", [state, new], [])
    return m.case(new, runs=[{"x": m.codes(shape)} for _ in range(3)])

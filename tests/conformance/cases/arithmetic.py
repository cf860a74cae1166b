"""Cases of arithmetic element by element, reductions and pools."""

from __future__ import annotations

import numpy as np

from tests.conformance.cases.case import Case, Maker, family
from tests.conformance.cases.products import windowed
from tests.conformance.tflite_builder import Array, Tensor


def operands(m: Maker, like: bool = False, one_scale: bool = False) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """Add two operands that broadcast, one a constant at times; return them and the result's shape.

    Args:
        like: whether the second has the parameters of the first.
        one_scale: whether it has its scale, but not its zero point.
    """
    shape = m.pick((1, 9, 7, 8), (2, 4, 32), (3, 64))
    other: tuple[int, ...] = m.pick(shape, shape, (shape[-1],), (*shape[:-1], 1), (1,), (1,) * len(shape))
    if m.near_ties:
        shape = other = (1, 9, 7, 8)
    a = m.input("a", shape)
    if m.number % 6 == 5 and not m.near_ties:
        m.traits.append(f"{shape} with itself")
        return a, a, shape
    parameters = a if like else None
    pair = (a.scale, m.zero_point()) if one_scale else None
    kind = m.pick("input", "input", "constant")
    m.traits += [f"{shape} {other} {kind}"]
    if kind == "input":
        b = m.builder.input("b", other, m.kind, *pair) if pair else m.input("b", other, like=parameters)
    else:
        scale, zero = (a.scale, a.zero_point) if like else pair or (m.scale(0.1), m.zero_point())
        b = m.builder.constant("b", m.codes(other, zero=int(np.atleast_1d(zero)[0])), scale, zero)
    if m.pick(False, False, True):
        m.traits.append("swapped")
        return b, a, shape
    return a, b, shape


def _powers_of_two(m: Maker) -> Case:
    """Make a sum with `pot_scale_int16`: one operand has the result's scale, the other the same or a smaller one."""
    shape = m.pick((1, 9, 7, 8), (2, 4, 32), (3, 64))
    smaller = m.pick(0, 1, 1, 1, 2, 3, 7, 15)
    unit, swapped, kind = 2.0 ** -m.size(10, 14), m.pick(False, True), m.pick("input", "input", "constant")
    m.traits += [f"{shape} pot_scale_int16, 2^-{smaller} {kind}{' swapped' if swapped else ''}"]
    y = m.builder.tensor("y", shape, m.kind, unit, 0)
    scales = (unit * 2.0**-smaller, unit) if swapped else (unit, unit * 2.0**-smaller)
    a = m.builder.input("a", shape, m.kind, scales[0], 0)
    broadcast = m.op == "SUB" and m.pick(False, True)
    other = (shape[-1],) if broadcast else shape
    if kind == "input":
        b = m.builder.input("b", other, m.kind, scales[1], 0)
    else:
        b = m.builder.constant("b", m.codes(other), scales[1], 0)
    m.builder.op(m.op, [a, b], [y], fused_activation_function=m.activation(), pot_scale_int16=True)
    return m.case(y)


def _sum(m: Maker) -> Case:
    if m.kind == "int16" and m.number % 8 in (2, 4):
        return _powers_of_two(m)
    a, b, shape = operands(m, one_scale=m.near_ties)
    y = m.result_of(shape, m.output_scale(m.stretched(0.1 * m.pick(0.5, 1, 2, 4)), a.scale[0]))
    m.builder.op(
        m.op, [a, b], [y], fused_activation_function=m.activation(), pot_scale_int16=m.kind == "int16" and not m.powers
    )
    return m.case(y)


@family("ADD", "int8", "int16", "uint8", count=24)
def add(m: Maker) -> Case:
    return _sum(m)


@family("SUB", "int8", "int16", "uint8", count=24)
def sub(m: Maker) -> Case:
    return _sum(m)


@family("MUL", "int8", "int16", "uint8", count=24)
def mul(m: Maker) -> Case:
    m.radius = 16 if m.kind != "int16" else 180
    a, b, shape = operands(m)
    spread = 60 if m.kind != "int16" else 9000
    about = m.stretched(a.scale[0] * b.scale[0] * spread * m.pick(0.3, 1, 3))
    alone = m.number % 16 == 13
    y = m.result_of(shape, m.output_scale(about, a.scale[0], b.scale[0], narrow_alone=alone))
    m.builder.op("MUL", [a, b], [y], fused_activation_function=m.activation())
    return m.case(y)


def _extremum(m: Maker) -> Case:
    a, b, shape = operands(m, like=True)
    y = m.result(shape, like=a)
    m.builder.op(m.op, [a, b], [y])
    return m.case(y)


@family("MAXIMUM", "int8", "int16", "uint8", count=6)
def maximum(m: Maker) -> Case:
    return _extremum(m)


@family("MINIMUM", "int8", "int16", "uint8", count=6)
def minimum(m: Maker) -> Case:
    return _extremum(m)


def _reduction(m: Maker, same: bool) -> Case:
    shape = m.pick((2, 5, 6, 4), (1, 7, 7, 8), (3, 17), (2, 3, 33))
    rank = len(shape)
    axes = m.pick((rank - 1,), (0,), (1,), (-1,), (1, 2) if rank > 2 else (1,), tuple(range(rank)))
    if m.near_ties and not same:
        shape, rank, axes = (8, 9, 8, 4), 4, (3,)
    keep = m.pick(True, False)
    m.traits += [f"{shape} axes {axes} keep {keep}"]
    m.radius = 40 if m.op == "MEAN" else 16
    x = m.input("x", shape)
    reduced = {a % rank for a in axes}
    kept = [(1 if i in reduced else n) for i, n in enumerate(shape) if keep or i not in reduced]
    count = int(np.prod([shape[a] for a in reduced]))
    about = x.scale[0] * (count if m.op == "SUM" else 1) * m.pick(0.2, 0.5, 1)
    if same:
        y = m.result(kept, like=x)
    else:
        y = m.result_of(kept, m.output_scale(m.stretched(about), x.scale[0]))
    m.builder.op(m.op, [x, m.numbers("axes", axes)], [y], keep_dims=keep)
    return m.case(y)


@family("MEAN", "int8", "int16", "uint8", count=24)
def mean(m: Maker) -> Case:
    return _reduction(m, same=m.pick(True, False, False) and not m.near_ties)


@family("SUM", "int8", "int16", "uint8", count=24)
def sum_(m: Maker) -> Case:
    return _reduction(m, same=False)


@family("REDUCE_MAX", "int8", "int16", "uint8", count=6)
def reduce_max(m: Maker) -> Case:
    return _reduction(m, same=True)


@family("REDUCE_MIN", "int8", "int16", "uint8", count=4)
def reduce_min(m: Maker) -> Case:
    return _reduction(m, same=True)


@family("SQUARE", "int8", "int16", "uint8", count=1)
def square(m: Maker) -> Case:
    x = m.input("x", (3, 64))
    y = m.result((3, 64), x.scale[0] ** 2 * 60)
    m.builder.op("SQUARE", [x], [y])
    return m.case(y)


@family("ARG_MAX", "int8", "uint8", count=6)
def arg_max(m: Maker) -> Case:
    shape = m.pick((2, 5, 6, 4), (1, 10), (2, 3, 33))
    axis = m.pick(-1, len(shape) - 1, 1)
    type = m.pick("int32", "int64")
    m.traits += [f"{shape} axis {axis} {type}"]
    x = m.input("x", shape)
    y = m.builder.tensor("y", [n for i, n in enumerate(shape) if i != axis % len(shape)], type)
    m.builder.op(m.op, [x, m.numbers("axis", axis)], [y], output_type=type.upper())
    return m.case(y)


def _pool(m: Maker) -> Case:
    kernel, padding = (m.size(1, 4), m.size(1, 4)), m.pick("SAME", "VALID")
    strides = (min(m.size(1, 3), kernel[0]), min(m.size(1, 3), kernel[1]))
    size = (m.size(4, 9), m.size(4, 9))
    m.traits += [f"{size} k{kernel} s{strides} {padding}"]
    x = m.input("x", (m.size(1, 2), *size, m.size(1, 9)))
    shape = [windowed(size[i], kernel[i], strides[i], 1, padding) for i in range(2)]
    y = m.result((x.shape[0], *shape, x.shape[3]), like=x)
    m.builder.op(
        m.op,
        [x],
        [y],
        padding=padding,
        filter_height=kernel[0],
        filter_width=kernel[1],
        stride_h=strides[0],
        stride_w=strides[1],
        fused_activation_function=m.activation(),
    )
    return m.case(y)


@family("AVERAGE_POOL_2D", "int8", "int16", "uint8", count=16)
def average_pool_2d(m: Maker) -> Case:
    return _pool(m)


@family("MAX_POOL_2D", "int8", "int16", "uint8", count=8)
def max_pool_2d(m: Maker) -> Case:
    return _pool(m)


@family("L2_NORMALIZATION", "int8", "uint8", count=8)
def l2_normalization(m: Maker) -> Case:
    shape = m.pick((2, 5, 6, 4), (1, 33), (4, 300))
    m.traits += [f"{shape}"]
    x = m.input("x", shape)
    y = m.builder.tensor("y", shape, m.kind, 1 / 128, 128 if m.kind == "uint8" else 0)
    m.builder.op("L2_NORMALIZATION", [x], [y])
    return m.case(y)


@family(
    "QUANTIZE",
    "float32→int8",
    "float32→uint8",
    "float32→int16",
    "int8→int8",
    "int8→int16",
    "int16→int8",
    "int16→int16",
    "int8→uint8",
    "uint8→int8",
    "uint8→uint8",
    "int32→int8",
    "int32→int16",
    count=8,
)
def quantize(m: Maker) -> Case:
    before, after = m.kind.split("→")
    m.radius = 200
    shape, widths = (2, 17, 33), {"int32": 1e-6, "int16": 1e-4, "int8": 0.02, "uint8": 0.02}
    m.kind = after
    about = m.stretched(widths[after] * m.pick(0.5, 1, 2))
    if before == "float32":
        y = m.result(shape, about)
        x = m.builder.input("x", shape, before)
        halves = (m.rng.integers(-600, 600, shape) / 2 * y.scale[0]).astype(np.float32)
        runs: list[dict[str, Array]] = [
            {"x": (m.rng.normal(0, 70, shape) * y.scale[0]).astype(np.float32)},
            {"x": halves},
        ]
    else:
        x = m.builder.input(
            "x", shape, before, m.scale(widths[before]), 0 if before == "int32" else m.zero_point(before)
        )
        codes = m.codes(shape, before) if before != "int32" else m.rng.integers(-(10**7), 10**7, shape).astype(np.int32)
        y = m.result_of(shape, m.output_scale(about, x.scale[0]) if before != "int32" else m.scale(about))
        runs = [{"x": codes}]
    m.builder.op("QUANTIZE", [x], [y])
    m.kind = f"{before}→{after}"
    return m.case(y, runs=runs)


@family("DEQUANTIZE", "int8", "int16", "uint8", count=4)
def dequantize(m: Maker) -> Case:
    x = m.input("x", (3, 100))
    y = m.builder.tensor("y", (3, 100), "float32")
    m.builder.op("DEQUANTIZE", [x], [y])
    return m.case(y)

"""Cases of functions of one number, and softmax: every 8-bit code occurs."""

from __future__ import annotations

import numpy as np

from tests.conformance.cases.case import Case, Maker, family
from tests.conformance.tflite_builder import Array


def all_codes(m: Maker) -> list[dict[str, Array]]:
    """Return a run over all codes of 8 bits, or over the extremes and a sample of 16-bit ones."""
    low, high = m.limits()
    if m.kind != "int16":
        return [{"x": np.arange(low, high + 1).astype(m.kind).reshape(1, 4, 8, 8)}]
    codes = np.concatenate([np.linspace(low, high, 2048), np.arange(-1024, 1024)])
    return [{"x": codes.astype(np.int16).reshape(1, 64, 8, 8)}]


def shape_of(m: Maker) -> tuple[int, ...]:
    return (1, 64, 8, 8) if m.kind == "int16" else (1, 4, 8, 8)


def about(m: Maker) -> float:
    """Return a typical scale."""
    return m.pick(0.004, 0.02, 0.05, 0.1) / (256 if m.kind == "int16" else 1)


def _function(m: Maker, scale: float | None, zero_point: int) -> Case:
    x = m.input("x", shape_of(m), about(m))
    y = m.builder.tensor("y", x.shape, m.kind, about(m) if scale is None else scale, zero_point)
    m.builder.op(m.op, [x], [y])
    return m.case(y, runs=all_codes(m))


@family("LOGISTIC", "int8", "int16", "uint8", count=10)
def logistic(m: Maker) -> Case:
    if m.kind == "int16":
        return _function(m, 1 / 32768, 0)
    return _function(m, 1 / 256, m.limits()[0])


@family("TANH", "int8", "int16", "uint8", count=10)
def tanh(m: Maker) -> Case:
    if m.kind == "int16":
        return _function(m, 1 / 32768, 0)
    return _function(m, 1 / 128, 128 if m.kind == "uint8" else 0)


@family("HARD_SWISH", "int8", "uint8", count=16)
def hard_swish(m: Maker) -> Case:
    x = m.input("x", shape_of(m), about(m))
    ratio = m.pick(0.5, 1, 2)
    if m.number % 8 == 7:  # where a 16-bit shift has more than 15 places
        ratio = m.pick(2.0**9, 2.0**10, 2.0**12)
        m.traits.append(f"ratio {ratio:g}")
    y = m.result(x.shape, x.scale[0] * ratio)
    m.builder.op("HARD_SWISH", [x], [y])
    return m.case(y, runs=all_codes(m))


@family("ELU", "int8", "uint8", count=12)
def elu(m: Maker) -> Case:
    return _function(m, m.scale(about(m)), m.zero_point())


def _rescaled(m: Maker) -> Case:
    """Make a piecewise linear function whose output may have other parameters."""
    x = m.input("x", shape_of(m), about(m) / (4 if m.op.endswith("TO_1") else 1))
    same = m.pick(True, False, False, False) and not m.near_ties
    m.traits += ["same" if same else "rescaled"]
    about_y = m.stretched(x.scale[0] * m.pick(0.5, 0.7, 2, 2, 4))
    y = m.result(x.shape, like=x) if same else m.result_of(x.shape, m.output_scale(about_y, x.scale[0]))
    m.builder.op(m.op, [x], [y])
    return m.case(y, runs=all_codes(m))


@family("EXP", "int8", "uint8", count=4)
def exponential(m: Maker) -> Case:
    return _function(m, m.scale(0.03), m.zero_point())


@family("LOG", "int8", "uint8", count=4)
def logarithm(m: Maker) -> Case:
    return _function(m, m.scale(0.03), m.zero_point())


@family("GELU", "int8", "uint8", count=4)
def gelu(m: Maker) -> Case:
    return _function(m, m.scale(0.03), m.zero_point())


@family("RELU_0_TO_1", "int8", "int16", "uint8", count=6)
def relu_0_to_1(m: Maker) -> Case:
    return _rescaled(m)


@family("RELU", "int8", "int16", "uint8")
def relu(m: Maker) -> Case:
    return _rescaled(m)


@family("RELU6", "int8", "int16", "uint8")
def relu6(m: Maker) -> Case:
    return _rescaled(m)


@family("RELU_N1_TO_1", "int8", "int16", "uint8")
def relu_n1_to_1(m: Maker) -> Case:
    return _rescaled(m)


@family("ABS", "int8", "int16", "uint8")
def absolute(m: Maker) -> Case:
    return _rescaled(m)


@family("LEAKY_RELU", "int8", "int16", "uint8", count=16)
def leaky_relu(m: Maker) -> Case:
    x = m.input("x", shape_of(m), about(m))
    y = m.result_of(x.shape, m.output_scale(m.stretched(x.scale[0] * m.pick(0.5, 1, 2)), x.scale[0]))
    alpha = m.pick(0.125, 0.25, 0.01, 0.3, -0.5, 1.5)
    if m.kind == "int16" and m.number % 4 == 2:
        alpha = m.pick(-0.5, -1.0, -1.5, -0.75)
    m.traits += [f"α {alpha}"]
    m.builder.op("LEAKY_RELU", [x], [y], alpha=alpha)
    return m.case(y, runs=all_codes(m))


@family("PRELU", "int8", "uint8", count=16)
def prelu(m: Maker) -> Case:
    m.radius = 30
    x = m.input("x", (1, 16, 16, 5), about(m))
    shape: tuple[int, ...] = m.pick((1, 1, 5), (1, 1, 1), (16, 16, 5))
    zero = m.zero_point()
    a = m.builder.constant("a", m.codes(shape, zero=zero), m.scale(0.01), zero)
    about_y, alone = m.stretched(x.scale[0] * m.pick(0.5, 1, 2)), m.number % 16 == 13
    y = m.result_of(x.shape, m.output_scale(about_y, x.scale[0], a.scale[0], narrow_alone=alone))
    m.builder.op("PRELU", [x, a], [y])
    return m.case(y)


@family("SOFTMAX", "int8", "int16", "uint8", "int8→int16", count=12)
def softmax(m: Maker) -> Case:
    before, _, after = m.kind.partition("→")
    m.kind = before
    shape: tuple[int, ...] = m.pick((3, 10), (1, 2), (2, 3, 4, 5), (4, 200), (5, 1))
    x = m.input("x", shape, about(m) * m.pick(1, 3))
    if (after or before) == "int16":
        y = m.builder.tensor("y", shape, "int16", *((1 / 65536, -32768) if after else (1 / 32768, 0)))
    else:
        y = m.builder.tensor("y", shape, before, 1 / 256, m.limits()[0])
    beta = m.pick(1.0, 1.0, 0.5)
    m.traits += [f"{shape} β {beta}"]
    m.builder.op("SOFTMAX", [x], [y], beta=beta)
    if after:
        m.kind = f"{before}→{after}"
    return m.case(y)

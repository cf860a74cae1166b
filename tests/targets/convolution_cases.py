"""Convolutions and matrix products that sweep what the dot-product nests distinguish, for tests of any machine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from qcc.targets.nests.convolution import Convolution
from qcc.targets.nests.epilogue import Epilogue, OutputType, rescale_for
from qcc.targets.nests.matmul import matmul
from qcc.targets.nests.products import InputType
from tests.targets.kernel_library import Case

_STORE = Epilogue("int32")


def random_case(spec: Convolution, output_type: OutputType, generator: np.random.Generator, **options: Any) -> Case:
    """Random data for `spec`; `options`: shifts (low, high), table, extreme, per_channel."""
    info = np.iinfo(spec.input_type)
    shape = (spec.output_channels, *spec.kernel, spec.input[3] // spec.groups)
    if options.get("extreme"):
        source = generator.choice([info.min, info.max], spec.input).astype(spec.input_type)
        weights = generator.choice([-128, 127], shape).astype(np.int8)
    else:
        source = generator.integers(info.min, info.max + 1, spec.input).astype(spec.input_type)
        weights = generator.integers(-128, 128, shape).astype(np.int8)
    bias = generator.integers(-50_000, 50_000, spec.output_channels).astype(np.int32)
    zero_point = int(generator.integers(info.min, info.max + 1))
    spec = replace(spec, input_zero_point=zero_point)
    case = Case(spec, source, weights, bias)
    if output_type == "int32":
        return case
    return _with_rescale(case, output_type, generator, options)


def _with_rescale(case: Case, output_type: OutputType, generator: np.random.Generator, options: dict[str, Any]) -> Case:
    spec, out = case.spec, np.iinfo(output_type)
    channels = spec.output_channels if options.get("per_channel", True) else 1
    low, high = options.get("shifts", (36, 44))
    shift = generator.integers(low, high + 1, channels)
    multiplier = generator.integers(2**30, 2**31, channels)
    limit = int(case.weights[0].size) * 2**16 + 50_000
    lower, upper = (int(value) for value in sorted(generator.integers(out.min, out.max + 1, 2)))
    if not options.get("clamp"):
        lower, upper = out.min, out.max
    rescale = rescale_for(shift, int(generator.integers(out.min, out.max + 1)), lower, upper, limit)
    table = generator.integers(out.min, out.max + 1, 256).astype(output_type) if options.get("table") else None
    spec = replace(spec, epilogue=Epilogue(output_type, rescale, table is not None))
    return replace(case, spec=spec, multiplier=multiplier, shift=shift, table=table)


def matmuls(generator: np.random.Generator) -> list[Case]:
    """Every tail in rows, columns and depth; all types and epilogues."""
    cases: list[Case] = []
    shapes = [(1, 1, 1), (1, 10, 64), (3, 7, 3), (49, 24, 29), (7, 33, 66), (13, 100, 31), (6, 64, 256), (2, 1000, 37)]
    kinds: list[tuple[InputType, OutputType, dict[str, Any]]] = [
        ("int8", "int8", {}),
        ("uint8", "uint8", {"shifts": (30, 36), "clamp": True}),
        ("int8", "uint8", {"shifts": (31, 62)}),
        ("int8", "int8", {"shifts": (1, 62), "clamp": True}),
        ("int8", "int32", {}),
        ("uint8", "int8", {"table": True}),
        ("int8", "int8", {"extreme": True, "per_channel": False}),
        ("uint8", "int32", {"extreme": True}),
    ]
    for number, shape in enumerate(shapes):
        for kind in (kinds[number], kinds[(number + 3) % len(kinds)]):
            spec = matmul(f"matmul_{len(cases)}", *shape, kind[0], _STORE)
            cases.append(random_case(spec, kind[1], generator, **kind[2]))
    return cases


def _depthwise(channels: int) -> dict[str, int]:
    return {"groups": channels, "channels": channels}


def convolutions(generator: np.random.Generator) -> list[Case]:
    """The three ways to find rows, with strides, dilation, asymmetric padding, groups and batches."""
    geometries: list[dict[str, Any]] = [
        {"input": (1, 9, 11, 3), "kernel": (3, 3), "strides": (2, 2), "padding": (0, 0, 1, 1), "channels": 32},
        {"input": (1, 8, 8, 3), "kernel": (3, 3), "padding": (1, 1, 1, 1), "channels": 16},
        {"input": (2, 7, 5, 16), "kernel": (3, 3), "padding": (1, 1, 1, 1), "channels": 24},
        {"input": (1, 7, 7, 32), "kernel": (1, 1), "strides": (2, 2), "channels": 64},
        {"input": (1, 10, 9, 17), "kernel": (3, 2), "dilations": (2, 3), "padding": (2, 0, 1, 3), "channels": 20},
        {"input": (1, 6, 6, 8), "kernel": (3, 3), "padding": (1, 1, 1, 1), "groups": 4, "channels": 20},
        {"input": (1, 6, 6, 64), "kernel": (3, 3), "padding": (1, 1, 1, 1), "groups": 2, "channels": 34},
        {"input": (1, 5, 5, 2), "kernel": (1, 1), "channels": 3},
        {"input": (1, 5, 6, 1), "kernel": (1, 3), "dilations": (1, 2), "padding": (0, 2, 0, 2), "channels": 5},
        {"input": (2, 4, 4, 6), "kernel": (3, 3), "strides": (1, 2), "padding": (1,) * 4, "groups": 6, "channels": 6},
        {"input": (1, 3, 3, 20), "kernel": (5, 5), "padding": (4, 4, 4, 4), "channels": 17},
        {"input": (1, 9, 8, 40), "kernel": (3, 3), "strides": (2, 2), "padding": (0, 1, 1, 1), **_depthwise(40)},
        {"input": (2, 5, 5, 8), "kernel": (3, 3), "padding": (1, 1, 1, 1), **_depthwise(8)},
        {"input": (1, 6, 9, 13), "kernel": (5, 1), **_depthwise(13)},
        {"input": (1, 5, 5, 6), "kernel": (3, 3), "padding": (1, 1, 1, 1), "groups": 6, "channels": 12},
        {"input": (1, 5, 5, 11), "kernel": (3, 3), "padding": (1, 1, 1, 1), "groups": 11, "channels": 33},
        {"input": (1, 5, 7, 33), "kernel": (2, 3), "strides": (1, 2), "groups": 33, "channels": 66},
        {"input": (1, 4, 5, 3), "kernel": (3, 3), "padding": (1, 1, 1, 1), **_depthwise(3)},
        {"input": (1, 7, 7, 144), "kernel": (3, 3), "dilations": (2, 2), "padding": (2,) * 4, **_depthwise(144)},
        {"input": (1, 32, 32, 1), "kernel": (5, 5), "strides": (3, 2), "padding": (1, 2, 3, 0), "channels": 9},
    ]
    cases = []
    kinds: list[tuple[InputType, OutputType]] = [("int8", "int8"), ("uint8", "uint8"), ("uint8", "int32")]
    for number, geometry in enumerate(geometries):
        input_type, output_type = kinds[number % len(kinds)]
        channels = geometry.pop("channels")
        spec = Convolution(f"conv_{number}", geometry.pop("input"), channels, input_type, _STORE, **geometry)
        options = {"table": number % 5 == 1, "extreme": number % 4 == 3, "clamp": number % 2 == 1}
        cases.append(random_case(spec, output_type, generator, **options))
    return cases


def random_convolution(number: int, generator: np.random.Generator) -> Case:
    """Any legal geometry of moderate size, any types and any epilogue."""

    def pick(low: int, high: int) -> int:
        return int(generator.integers(low, high + 1))

    kernel, dilations = (pick(1, 4), pick(1, 4)), (pick(1, 2), pick(1, 2))
    padding = (pick(0, kernel[0]), pick(0, kernel[1]), pick(0, kernel[0]), pick(0, kernel[1]))
    reach = [dilations[axis] * (kernel[axis] - 1) + 1 - padding[axis] - padding[axis + 2] for axis in range(2)]
    size = [max(reach[axis], 1) + pick(0, 9) for axis in range(2)]
    groups = int(generator.choice([1, 1, 1, 2, 3]))
    channels, columns = groups * pick(1, 40), groups * pick(1, 90)
    if generator.random() < 0.3:
        groups = channels = pick(1, 90)
        columns = channels * int(generator.choice([1, 1, 2, 3]))
    input_type: InputType = "int8" if generator.random() < 0.5 else "uint8"
    kinds: list[OutputType] = ["int8", "uint8", "int32"]
    spec = Convolution(
        f"random_{number}",
        (pick(1, 2), size[0], size[1], channels),
        columns,
        input_type,
        _STORE,
        kernel,
        (pick(1, 3), pick(1, 3)),
        dilations,
        padding,
        groups,
    )
    first = pick(1, 60)
    flags = {name: bool(generator.random() < 0.3) for name in ("table", "extreme", "clamp")}
    return random_case(spec, kinds[pick(0, 2)], generator, shifts=(first, min(first + pick(0, 20), 62)), **flags)


def random_convolutions(generator: np.random.Generator) -> list[Case]:
    return [random_convolution(number, generator) for number in range(60)]

"""Kernels of every operation for Hexagon, in vectors where there is a form, held against the evaluator."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qcc.ir import I8, U8, Array, Builder, Value, ops
from qcc.targets.dot_product_kernels import dot_product_kernel
from qcc.targets.kernel import ConstantArgument, Kernel, LoweredKernel, alias_source, partition
from qcc.targets.lowering import build_object
from qcc.targets.target import Target
from tests.targets import integer_cases, test_elementwise_kernels, test_profile_epilogues, test_rescale_kernels
from tests.targets.hexagon_program import Call, link, run
from tests.targets.kernel_programs import Case, case, lower_all

TARGET = "hexagon-unknown-linux-musl+hvxv66"
Step = tuple[int, Kernel, LoweredKernel]


def check(cases: Sequence[Case], folder: Path) -> None:
    """Compile the kernels of all cases and run them, the first of each case, then the second, …"""
    target = Target.parse(TARGET)
    kernels = lower_all(cases, target)
    flat = [lowered for group in kernels for _, lowered in group]
    names = [str(lowered.function.attrs["global_symbol"]) for lowered in flat]
    data = build_object([lowered.function for lowered in flat], target.tvm_target())
    program = link([data], names, folder)
    values: list[dict[str, Array]] = [dict(one.inputs) for one in cases]

    def of(number: int, value: Value) -> Array:
        source = alias_source(cases[number].module, value)
        known = cases[number].module.constant(source)
        return values[number][source.name] if known is None else known

    for turn in itertools.count():
        steps = [(number, *group[turn]) for number, group in enumerate(kernels) if turn < len(group)]
        if not steps:
            break
        for at_end in (True, False):
            calls = [_call(step, of, at_end) for step in steps]
            for (number, kernel, _), results in zip(steps, run(program, names, calls), strict=True):
                for value, found in zip(kernel.outputs, results, strict=True):
                    values[number][value.name] = found.reshape(value.type.shape)
    for number, one in enumerate(cases):
        op_names = [op.name for kernel, _ in kernels[number] for op in kernel.ops]
        for output in one.module.outputs:
            found = of(number, output.value).reshape(output.value.type.shape)
            np.testing.assert_array_equal(found, one.expected[output.name], err_msg=f"case {number}: {op_names}")


def _call(step: Step, of: Callable[[int, Value], Array], at_end: bool) -> Call:
    number, kernel, lowered = step
    arguments: list[Array] = []
    outputs = {value.name for value in kernel.outputs}
    for argument in lowered.arguments:
        if isinstance(argument, ConstantArgument):
            arguments.append(argument.array)
        elif argument.name in outputs:
            arguments.append(np.full(argument.type.shape, 77, argument.type.element.storage.dtype))
        else:
            arguments.append(of(number, argument))
    return Call(str(lowered.function.attrs["global_symbol"]), arguments, len(outputs), at_end)


def _plain(cases: Iterable[Case]) -> list[Case]:
    """Cases of integers alone."""
    return [one for one in cases if not (one.rtol or one.atol or any(op.exact_floats for op in one.module.ops))]


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        integer_cases.integer_cases,
        test_elementwise_kernels.all_cases,
        test_rescale_kernels.integer_cases,
    ],
)
def test_kernels_compute_what_the_evaluator_computes(make: Any, tmp_path: Path) -> None:
    check(_plain(make()), tmp_path)


@pytest.mark.slow
def test_residual_additions(tmp_path: Path) -> None:
    check(list(integer_cases.residual_cases()), tmp_path)


@pytest.mark.slow
def test_pools_and_sums(tmp_path: Path) -> None:
    check(_plain([*integer_cases.pool_cases(), *integer_cases.reduction_cases()]), tmp_path)


@pytest.mark.slow
def test_epilogues_of_other_profiles(tmp_path: Path) -> None:
    cases = [one for form in ("double", "double_up") for one in test_profile_epilogues.kernels(form)]
    instructions = Target.parse(TARGET).instructions
    for one in cases:
        assert all(dot_product_kernel(kernel, instructions) is not None for kernel in partition(one.module))
    check(cases, tmp_path)


def test_sums_of_all_32_bits_are_rounded_twice(tmp_path: Path) -> None:
    """Biases of dead channels are near 2^30, beyond what the second rounding of other nests has room for."""

    def build(b: Builder, x: Value) -> Value:
        bias = np.array([2**31 - 2**18, -(2**31) + 2**18, 2**30, -(2**30) - 1, 0, 77, 2**30 - 1], np.int32)
        y = b.emit(ops.Matmul, x, b.constant(integer_cases.codes((9, 7))[1]), b.constant(bias))
        multiplier = [2**31 - 1, 2**31 - 1, 2**30, 2**30 + 12345, 0, 2**31 - 1, 1518500250]
        constants = (
            b.constant(np.array(multiplier, np.int32)),
            b.constant(np.array([32, 32, 52, 54, 31, 37, 29], np.int8)),
        )
        return b.emit(ops.Rescale, y, *constants, to=I8, minimum=-128, maximum=127, rounding="double")

    cases = [case(build, integer_cases.codes((11, 9)))]
    instructions = Target.parse(TARGET).instructions
    assert all(dot_product_kernel(kernel, instructions) is not None for kernel in partition(cases[0].module))
    check(cases, tmp_path)


def test_a_residual_addition(tmp_path: Path) -> None:
    check(list(integer_cases.residual_cases())[:2], tmp_path)


def _all_in_the_padding(channels: int, padding: int, stride: int, groups: int) -> Case:
    """A 1×1 convolution whose only output column lies many columns left of the image."""

    def build(b: Builder, x: Value) -> Value:
        weights = integer_cases.codes((channels, 1, 1, channels // groups))[1]
        options: dict[str, Any] = {"padding": (0, 0, padding, 0), "strides": (1, stride), "groups": groups}
        y = b.emit(ops.Conv2d, x, b.constant(weights), b.constant(np.arange(channels, dtype=np.int32)), **options)
        constants = b.constant(np.array([2**30], np.int32)), b.constant(np.array([30], np.int8))
        return b.emit(ops.Rescale, y, *constants, to=I8, minimum=-128, maximum=127)

    return case(build, integer_cases.codes((1, 2, 2, channels)))


def _signed_codes_in_an_unsigned_table(b: Builder, x: Value) -> Value:
    """Codes that fit both types change the type of what they look up."""
    clamped = b.emit(ops.Clamp, x, minimum=0.0, maximum=100.0)
    table = b.constant(integer_cases.codes((256,))[1])
    return b.emit(ops.Table, b.emit(ops.Cast, clamped, to=U8), table)


def test_windows_beyond_the_padding_and_changes_of_sign(tmp_path: Path) -> None:
    check(
        [
            _all_in_the_padding(256, 9, 16, 1),
            _all_in_the_padding(128, 20, 32, 128),
            case(_signed_codes_in_an_unsigned_table, integer_cases.codes((1, 300))),
        ],
        tmp_path,
    )

"""Arithmetic profiles: which rules belong to them, who inherits, and what a target must have for them."""

from typing import Any

import pytest

from qcc.cli.arguments import PROFILES
from qcc.ir import F32, F64, I8, Builder, Op, PassError, Stage, TensorType, UniformType, Value, ops
from qcc.passes import (
    COMMON,
    ArithmeticProfile,
    HardwareSpec,
    PassContext,
    profile_named,
    register_profile,
    registered_profiles,
)
from qcc.passes.realization import profiles_with, realization_of
from tests.passes.quantization import run

CODES = TensorType((1, 4), UniformType(I8, (0.5,), (3,)))


def module(op_class: type[Op], **attributes: Any) -> Any:
    b = Builder("m", Stage.QUANTIZED)
    x = b.input("x", CODES)
    op = op_class(operands=(x,), results=(Value("y", CODES),), **attributes)
    b.append(op)
    b.output("y", op.result)
    return b.build()


def test_the_command_line_lists_the_profiles() -> None:
    assert tuple(registered_profiles()) == PROFILES
    assert all(p.summary for p in registered_profiles().values())


def test_profiles_inherit_rules() -> None:
    assert [profile_named(n).base for n in PROFILES] == ["", "", "tflm", "litert-ref", "", "ort"]
    move = ops.Reshape(operands=(), shape=(1, 4))
    assert profiles_with(move) == list(PROFILES)
    assert len({realization_of(move, n) for n in PROFILES}) == 1


def test_an_unknown_profile_lists_all() -> None:
    with pytest.raises(PassError, match="no arithmetic profile 'tflmm'") as caught:
        profile_named("tflmm")
    assert all(name in caught.value.help for name in PROFILES)


@pytest.mark.parametrize("name", ["", COMMON, "tflm"])
def test_a_profile_has_a_name_of_its_own(name: str) -> None:
    with pytest.raises(PassError, match="empty or taken"):
        register_profile(ArithmeticProfile(name, "another"))


def test_an_operation_without_a_rule_names_the_profiles_that_have_one() -> None:
    with pytest.raises(PassError, match="erf has no integer form in the arithmetic profile 'tflm'") as caught:
        run(module(ops.Erf), "insert-rescale{profile=tflm}")
    assert "--arithmetic single" in caught.value.help
    assert "%y = erf" in caught.value.op


def test_the_module_says_which_profile_it_wants_and_which_it_got() -> None:
    moved = module(ops.Reshape, shape=(1, 4))
    assert run(moved, "insert-rescale").attributes == ()
    assert run(moved, "insert-rescale{profile=ort}").attribute("arithmetic") == "ort"
    asked = moved.with_attribute("arithmetic", "tflm")
    assert run(asked, "insert-rescale").attribute("arithmetic") == "tflm"
    assert run(asked, "insert-rescale{profile=single}").attribute("arithmetic") == "single"


@pytest.mark.parametrize(
    ("floats", "profile", "fitting"),
    [
        ((), "ort", "--arithmetic single, tflm,"),
        ((), "litert-xnn", "--arithmetic single, tflm,"),
        ((F32,), "litert-ref", "--arithmetic single, tflm, ort,"),
    ],
)
def test_a_target_without_ieee_floats_says_so(floats: tuple[Any, ...], profile: str, fitting: str) -> None:
    context = PassContext(hardware=HardwareSpec(ieee_floats=floats))
    with pytest.raises(PassError, match=f"profile '{profile}' needs IEEE f(32|64)") as caught:
        run(module(ops.Reshape, shape=(1, 4)), f"insert-rescale{{profile={profile}}}", context)
    assert fitting in caught.value.help
    full = PassContext(hardware=HardwareSpec(ieee_floats=(F32, F64)))
    run(module(ops.Reshape, shape=(1, 4)), f"insert-rescale{{profile={profile}}}", full)

"""ADD and SUB of 16-bit codes with `pot_scale_int16`: what LiteRT refuses is refused, scales near a power are taken."""

from __future__ import annotations

import pytest

from qcc.ir import QccError
from tests.conformance.cases import Case
from tests.conformance.cases.case import Maker
from tests.conformance.conformance import results, verdicts
from tests.conformance.litert import BUILTIN_REF, Job, run_litert
from tests.conformance.subject import imported, realized

UNIT = 2.0**-12
Scales = tuple[float, float, float]


def sum_of(op: str, scales: Scales, other: tuple[int, ...] = (8, 64), flag: bool = True) -> Case:
    """Return a sum of x of 8×64 and y, of the scales of x, y and the result."""
    m = Maker(op, "int16", 0)
    m.traits += [f"{scales} {other}"]
    x = m.builder.input("x", (8, 64), "int16", scales[0], 0)
    y = m.builder.input("y", other, "int16", scales[1], 0)
    out = m.builder.tensor("out", (8, 64), "int16", scales[2], 0)
    m.builder.op(op, [x, y], [out], pot_scale_int16=flag)
    return m.case(out)


@pytest.mark.slow
@pytest.mark.parametrize("op", ["ADD", "SUB"])
def test_scales_near_powers_of_two(op: str) -> None:
    """A logarithm within a thousandth of a whole number is taken for it, one further away for any scale."""
    near = [(UNIT, UNIT / 2 * 1.0005, UNIT), (UNIT * 1.0003, UNIT / 8, UNIT * 0.9998), (UNIT, UNIT / 2 * 1.001, UNIT)]
    cases = [sum_of(op, scales) for scales in [*near, (UNIT, UNIT / 2**15, UNIT), (UNIT / 2, UNIT, UNIT)]]
    assert set(verdicts(results(cases)).values()) == {"exact"}


def test_broadcasts() -> None:
    """SUB broadcasts as all arithmetic does."""
    cases = [sum_of("SUB", (UNIT, UNIT / 2, UNIT), other) for other in ((64,), (8, 1), (1,))]
    assert set(verdicts(results(cases)).values()) == {"exact"}


REFUSED: dict[str, tuple[Scales, tuple[int, ...]]] = {
    "a larger operand": ((UNIT, 2 * UNIT, UNIT), (8, 64)),
    "a larger result": ((UNIT, UNIT, 2 * UNIT), (8, 64)),
    "both operands smaller": ((UNIT / 2, UNIT / 4, UNIT), (8, 64)),
    "ADD broadcasts": ((UNIT, UNIT / 2, UNIT), (64,)),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_litert_refuses(what: str) -> None:
    case = sum_of("ADD", *REFUSED[what])
    (outcome,) = run_litert([Job(case.model, case.runs, BUILTIN_REF)])
    assert outcome.error is not None
    module = imported(case.model)
    for profile in ("litert-ref", "litert-xnn"):
        with pytest.raises(QccError, match="LiteRT's sum of 16-bit codes by powers of two") as error:
            realized(module, profile)
        assert "--arithmetic tflm" in str(error.value.help)
    realized(module, "tflm")


def test_a_shift_beyond_the_codes_is_refused() -> None:
    """Its meaning in LiteRT, which shifts a mask of 16 bits, is not that of a division."""
    module = imported(sum_of("ADD", (UNIT, UNIT / 2**16, UNIT)).model)
    with pytest.raises(QccError, match=r"2\^0 and 2\^-16 of the result's"):
        realized(module, "litert-ref")


def test_without_the_flag_scales_are_any() -> None:
    """The flag's absence is the general kernel, which has other bits."""
    cases = [sum_of("ADD", (UNIT, UNIT / 2, UNIT), flag=False), sum_of("ADD", (UNIT, UNIT, 2 * UNIT), flag=False)]
    assert set(verdicts(results(cases)).values()) == {"exact"}

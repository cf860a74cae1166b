"""Table fusion: proven over all 256 codes through the evaluator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from qcc.ir import I8, I32, U8, Array, Builder, Module, Stage, TensorType, Value, evaluate, ops
from qcc.passes import FuseTables, PassContext
from tests.passes.quantization import ops_named

ALL = np.arange(-128, 128).astype(np.int8)
RNG = np.random.default_rng(0)
TABLE = RNG.integers(-128, 128, 256).astype(np.int8)
ROWS = RNG.integers(-128, 128, (3, 256)).astype(np.int8)

Step = Callable[[Builder, Value], Value]


def table(entries: Array) -> Step:
    return lambda b, x: b.emit(ops.Table, x, b.constant(entries, "entries"), name="t")


def clamp(b: Builder, x: Value) -> Value:
    return b.emit(ops.Clamp, x, minimum=-20.0, maximum=90.0, name="c")


def rescale(channels: int = 1, **given: object) -> Step:
    m = np.array([2**30 + 12345, 2**31 - 9, -(2**30)][:channels], np.int32)
    m = m.reshape(()) if channels == 1 else m
    s = np.full(m.shape, 31, np.int8)
    options = {"to": I8, "minimum": -128, "maximum": 120, "input_zero_point": 5, "output_zero_point": -9, **given}
    return lambda b, x: b.emit(ops.Rescale, x, b.constant(m, "m"), b.constant(s, "s"), name="r", **options)


def chain(*steps: Step) -> Module:
    b = Builder("net", Stage.INTEGER)
    value = b.input("x", TensorType((256, 3), I8))
    for step in steps:
        value = step(b, value)
    b.output("y", value)
    return b.build()


CHAINS = {
    "table table": (table(TABLE), table(TABLE[::-1].copy())),
    "table clamp": (table(TABLE), clamp),
    "clamp table": (clamp, table(TABLE)),
    "table rescale": (table(TABLE), rescale()),
    "rescale table": (rescale(), table(TABLE)),
    "rows table": (table(ROWS), table(TABLE)),
    "table rows": (table(TABLE), table(ROWS)),
    "table rescale by channel": (table(TABLE), rescale(3)),
    "rescale by channel table": (rescale(3), table(TABLE)),
    "rescale table clamp table rescale": (rescale(), table(TABLE), clamp, table(TABLE), rescale()),
    "to unsigned": (rescale(to=U8, minimum=0, maximum=255, output_zero_point=120), table(TABLE.view(np.uint8))),
}


@pytest.mark.parametrize("steps", CHAINS.values(), ids=CHAINS.keys())
def test_a_chain_becomes_one_table_with_the_same_codes(steps: tuple[Step, ...]) -> None:
    module = chain(*steps)
    fused = FuseTables().run(module, PassContext())
    codes = np.repeat(ALL[:, None], 3, axis=1)
    assert np.array_equal(evaluate(fused, {"x": codes})["y"], evaluate(module, {"x": codes})["y"])
    assert [op.name for op in fused.ops] == ["constant", "table"]


@pytest.mark.parametrize(
    "steps",
    [(clamp, rescale()), (table(TABLE), rescale(to=I32)), (table(TABLE.astype(np.int32)), rescale())],
    ids=["no table", "wide result", "wide table"],
)
def test_other_chains_stay(steps: tuple[Step, ...]) -> None:
    module = chain(*steps)
    assert FuseTables().run(module, PassContext()) == module


def test_a_value_that_is_read_elsewhere_keeps_its_table_and_says_so() -> None:
    b = Builder("net", Stage.INTEGER)
    inner = table(TABLE)(b, b.input("x", TensorType((256,), I8)))
    b.output("y", table(TABLE)(b, inner))
    b.output("z", inner)
    module, context = b.build(), PassContext()
    assert FuseTables().run(module, context) == module
    assert [r.message for r in context.remarks] == ["%t is read elsewhere too"]


def test_a_clamp_to_all_codes_goes_away() -> None:
    module = chain(rescale(), lambda b, x: b.emit(ops.Clamp, x, minimum=-128.0, maximum=127.0, name="c"))
    assert not ops_named(FuseTables().run(module, PassContext()), ops.Clamp)

"""The rewrite engine: names, provenance, notes, reasons and an end."""

from collections.abc import Sequence

import numpy as np
import pytest

from qcc.ir import (
    F32,
    Array,
    Builder,
    IrError,
    Location,
    Mismatch,
    Module,
    Op,
    Pattern,
    Rewriter,
    TensorType,
    UniformType,
    Value,
    drop_dead,
    evaluate,
    ops,
    parse_module,
    print_module,
    retype,
    rewrite,
    verify,
)

ROW = TensorType((1, 4), F32)


def chain(*classes: type[Op]) -> Module:
    """x through unary operations, named v0, v1, …, the last one returned as `out`."""
    builder = Builder("net")
    value = builder.input("x", ROW)
    for number, op_class in enumerate(classes):
        builder.location = Location("net.onnx", f"node{number}")
        value = builder.emit(op_class, value, name=f"v{number}")
    builder.output("out", value)
    return builder.build()


def run(module: Module) -> Array:
    return evaluate(module, {"x": np.arange(-2, 2, dtype=np.float32).reshape(1, 4)})["out"]


def names(module: Module) -> list[str]:
    return [op.name for op in module.ops]


class CancelNegations(Pattern):
    """−(−x) = x."""

    root = ops.Neg

    def apply(self, op: Op, rewriter: Rewriter) -> Value | Mismatch:
        before = rewriter.definition(op.operands[0])
        if not isinstance(before, ops.Neg):
            return Mismatch(f"%{op.operands[0].name} is no negation")
        return before.x


class SquareAsProduct(Pattern):
    """|x| = √(x·x)."""

    root = (ops.Abs,)

    def apply(self, op: Op, rewriter: Rewriter) -> Value:
        (x,) = op.operands
        return rewriter.emit(ops.Sqrt, rewriter.emit(ops.Mul, x, x))


def test_a_value_that_exists_takes_the_place() -> None:
    module = chain(ops.Abs, ops.Neg, ops.Neg, ops.Exp)
    found, report = rewrite(module, [CancelNegations()], "cancel")
    verify(found)
    assert names(found) == ["abs", "exp"]
    assert report.applied == {"CancelNegations": 1}
    assert run(found).tolist() == run(module).tolist()


def test_rules_apply_until_nothing_changes() -> None:
    found, report = rewrite(chain(*[ops.Neg] * 8), [CancelNegations()], "cancel")
    assert names(found) == []
    assert found.outputs[0].value.name == "x"
    assert report.applied["CancelNegations"] >= 4
    assert not rewrite(found, [CancelNegations()], "cancel")[1].changed


def test_the_last_reason_of_each_mismatch_is_kept() -> None:
    _, report = rewrite(chain(ops.Abs, ops.Neg, ops.Abs), [CancelNegations()], "cancel")
    assert report.mismatches == {("CancelNegations", "v1"): "%v0 is no negation"}
    assert not report.changed


def test_new_operations_take_over_name_place_and_notes() -> None:
    module = chain(ops.Abs, ops.Exp)
    noted = module.replace(ops=(module.ops[0].with_note("why", "asked for"), module.ops[1]))
    found, _ = rewrite(noted, [SquareAsProduct()], "expand")
    assert names(found) == ["mul", "sqrt", "exp"]
    assert found.ops[1].results[0].name == "v0"
    for op in found.ops[:2]:
        assert op.location == Location("net.onnx", "node0", ("expand",))
        assert op.note("why") == "asked for"
    assert found.ops[2].location == Location("net.onnx", "node1")
    assert run(found).tolist() == run(module).tolist()
    assert parse_module(print_module(found)) == found
    assert len({v.name for op in found.ops for v in op.results}) == 3


def test_the_output_of_the_module_keeps_its_name() -> None:
    found, _ = rewrite(chain(ops.Abs), [SquareAsProduct()], "expand")
    assert [(o.name, o.value.name) for o in found.outputs] == [("out", "v0")]


class Undecided(Pattern):
    """Emits, then thinks better of it."""

    def apply(self, op: Op, rewriter: Rewriter) -> None:
        rewriter.emit(ops.Neg, op.operands[0])


def test_what_a_rule_emitted_before_it_gave_up_is_dropped() -> None:
    module = chain(ops.Abs, ops.Exp)
    found, report = rewrite(module, [Undecided()], "think")
    assert found == module
    assert report.mismatches == {}


class Swap(Pattern):
    """A rule that never comes to an end."""

    root = ops.Neg

    def apply(self, op: Op, rewriter: Rewriter) -> Value:
        return rewriter.emit(ops.Neg, op.operands[0])


def test_rules_without_end_are_an_error() -> None:
    with pytest.raises(IrError, match="swap: rules still apply after 5 sweeps"):
        rewrite(chain(ops.Neg), [Swap()], "swap", limit=5)


class WrongCount(Pattern):
    """Gives two values for one."""

    def apply(self, op: Op, rewriter: Rewriter) -> Sequence[Value]:
        return [op.operands[0]] * 2


def test_a_rule_must_give_a_value_for_each_result() -> None:
    with pytest.raises(IrError, match="2 values for 1 results"):
        rewrite(chain(ops.Neg), [WrongCount()], "wrong")


class JoinParts(Pattern):
    """The second of two parts is computed first: results keep their order."""

    root = ops.Split

    def apply(self, op: Op, rewriter: Rewriter) -> Sequence[Value]:
        (x,) = op.operands
        axes = {"strides": (1, 1), "sizes": (1, 2)}
        second = rewriter.emit(ops.Slice, x, starts=(0, 2), **axes)
        return [rewriter.emit(ops.Slice, x, starts=(0, 0), **axes), second]


def test_several_results_are_replaced_in_order() -> None:
    builder = Builder("net")
    x = builder.input("x", ROW)
    first, second = builder.emit_many(ops.Split, x, axis=1, sizes=(2, 2), names=("first", "second"))
    builder.output("out", builder.emit(ops.Sub, first, second))
    module = builder.build()
    found, _ = rewrite(module, [JoinParts()], "slices")
    verify(found)
    assert [op.results[0].name for op in found.ops[:2]] == ["second", "first"]
    assert run(found).tolist() == run(module).tolist() == [[-2, -2]]


class CountUses(Pattern):
    """Notes how many readers a value has."""

    root = ops.Exp

    def apply(self, op: Op, rewriter: Rewriter) -> Mismatch:
        returned = rewriter.is_output(op.results[0])
        data = rewriter.constant(op.operands[0])
        return Mismatch(f"{rewriter.use_count(op.results[0])} uses, output: {returned}, constant: {data}")


def test_a_rule_sees_uses_outputs_and_constants() -> None:
    builder = Builder("net")
    c = builder.constant(np.array([2], np.float32), "c")
    e = builder.emit(ops.Exp, c, name="e")
    builder.output("out", e)
    builder.output("sum", builder.emit(ops.Add, e, e))
    _, report = rewrite(builder.build(), [CountUses()], "count")
    assert report.mismatches["CountUses", "e"].endswith("output: True, constant: [2.]")


class Copy(Pattern):
    """Emits a changed copy."""

    root = ops.LeakyRelu

    def apply(self, op: Op, rewriter: Rewriter) -> Value | None:
        if op.attributes()["alpha"] == 0.5:
            return None
        return rewriter.emit_op(op, alpha=0.5, names=("wish",))[0]


def test_a_changed_copy() -> None:
    builder = Builder("net")
    builder.output("out", builder.emit(ops.LeakyRelu, builder.input("x", ROW), name="y", alpha=0.25))
    found, report = rewrite(builder.build(), [Copy()], "half")
    assert report.applied == {"Copy": 1}
    assert found.ops[0].attributes() == {"alpha": 0.5}
    assert found.ops[0].results[0].name == "y"


def test_dead_operations_go_and_live_ones_stay() -> None:
    builder = Builder("net")
    x = builder.input("x", ROW)
    used = builder.emit(ops.Neg, x)
    builder.emit(ops.Exp, builder.emit(ops.Abs, x))
    builder.output("out", used)
    module = builder.build()
    assert names(drop_dead(module)) == ["neg"]
    assert drop_dead(drop_dead(module)) is not None
    assert drop_dead(module).inputs == module.inputs


def test_retyping_changes_a_value_wherever_it_stands() -> None:
    from qcc.ir import I8, Stage

    module = chain(ops.Abs, ops.Neg).replace(stage=Stage.QUANTIZED)
    type = ROW.with_element(UniformType(I8, (0.5,), (0,)))
    found = retype(module, dict.fromkeys(("x", "v0", "v1"), type))
    verify(found)
    assert {v.type for v in found.values.values()} == {type}
    assert found.outputs[0].value.type == type

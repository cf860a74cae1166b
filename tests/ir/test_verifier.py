"""Each rule of the verifier, broken once; and what the builder and the evaluator refuse."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from qcc.ir import (
    F32,
    I4,
    I8,
    I32,
    U4,
    Array,
    Builder,
    CodebookType,
    EvaluationError,
    IrError,
    Location,
    Module,
    Op,
    Operand,
    Output,
    QccError,
    Stage,
    TensorType,
    UniformType,
    Value,
    VerifyError,
    evaluate,
    ops,
    replace_op,
    verify,
)

TYPE = UniformType(I8, (0.5,), (3,))
ROW = TensorType((1, 4), F32)


def module(stage: Stage = Stage.FLOAT, element: object = F32) -> Module:
    builder = Builder("net", stage)
    x = builder.input("x", TensorType((1, 4), element))  # type: ignore[arg-type]  # an element type
    y = builder.emit(ops.Reshape, x, shape=(4,), name="y", location=Location("net.onnx", "flatten"))
    builder.output("out", builder.emit(ops.Reshape, y, shape=(2, 2), name="z"))
    return builder.build()


def change(number: int, **fields: object) -> Module:
    """The module with one operation changed."""
    net = module()
    changed = list(net.ops)
    changed[number] = replace_op(changed[number], **fields)
    return net.replace(ops=tuple(changed))


BROKEN: list[tuple[Callable[[], Module], str]] = [
    (lambda: module().replace(name="my net"), "no C identifier"),
    (lambda: module().replace(ops=module().ops[::-1]), "%y is used before it is defined"),
    (lambda: module().replace(ops=(*module().ops, module().ops[0])), "%y is defined twice"),
    (lambda: module().replace(inputs=module().inputs * 2), "%x is defined twice"),
    (lambda: change(1, operands=(Value("y", TensorType((4,), I32)),)), "%y is used as tensor<4xi32>, but defined"),
    (lambda: change(0, results=()), "1 results, 0 are named"),
    (lambda: change(0, operands=()), "is given 0 operands"),
    (lambda: change(0, operands=module().inputs * 2), "is given 2 operands"),
    (lambda: change(0, results=(Value("y", TensorType((5,), F32)),)), r"%y has shape \[5\], should be \[4\]"),
    (lambda: change(0, results=(Value("y", TensorType((4,), I32)),)), "%y has elements i32, should be f32"),
    (lambda: change(0, results=(Value("y", TensorType((4,), TYPE)),)), "quantized operands or results in the float"),
    (lambda: change(0, offsets=(1, 2)), "2 arena offsets for 1 results"),
    (lambda: change(0, shape=(3,)), "has 4 elements"),
    (lambda: module().replace(outputs=module().outputs * 2), "two outputs are named 'out'"),
    (lambda: module().replace(outputs=(Output("o", Value("w", ROW)),)), "returns %w, which is not defined so"),
    (lambda: module().replace(outputs=(Output("o", Value("x", TensorType((4,), F32))),)), "is not defined so"),
    (lambda: module(Stage.QUANTIZED, TYPE).replace(stage=Stage.INTEGER), "operands or results in the integer"),
]


@pytest.mark.parametrize(("make", "message"), BROKEN)
def test_broken_modules(make: Callable[[], Module], message: str) -> None:
    with pytest.raises(VerifyError, match=message):
        verify(make())


def test_an_error_names_place_and_operation() -> None:
    with pytest.raises(VerifyError) as caught:
        verify(change(0, shape=(3,)))
    assert caught.value.place == "net.onnx:flatten"
    assert caught.value.op == "%y = reshape(%x) {shape = [3]} : tensor<4xf32>"
    assert caught.value.subject == change(0, shape=(3,)).ops[0]
    assert str(caught.value).splitlines()[1].strip().startswith("in: %y")


@pytest.mark.parametrize(
    ("op_class", "attributes", "legal"),
    [
        (ops.Sigmoid, {}, {Stage.FLOAT, Stage.QUANTIZED, Stage.INTEGER}),  # real numbers are a float region
        (ops.SumPool2d, {"kernel": (1, 1)}, {Stage.INTEGER}),
        (ops.StorageCast, {}, set(Stage)),
    ],
)
def test_legality_by_stage(op_class: type[Op], attributes: dict[str, Any], legal: set[Stage]) -> None:
    element = F32 if op_class is ops.Sigmoid else I8
    for stage in Stage:
        builder = Builder("net", stage)
        x = builder.input("x", TensorType((1, 1, 1, 1), element))
        builder.output("y", builder.emit(op_class, x, **attributes))
        if stage in legal:
            builder.build()
        else:
            with pytest.raises(VerifyError, match="is not legal in the"):
                builder.build()


@pytest.mark.parametrize(
    ("array", "element", "reason"),
    [
        (np.array([7, 8], np.int8), I4, "spans 7 … 8, i4 holds -8 … 7"),
        (np.array([-128], np.int8), UniformType(I8, (1.0,), (0,), storage_minimum=-127), "holds -127 … 127"),
        (np.array([2], np.uint8), CodebookType(U4, (0.0, 1.0)), "holds 0 … 1"),
        (np.array([2], np.int16), I8, "does not fit"),
        (np.zeros(3, complex), None, "complex128 are not supported"),
    ],
)
def test_constants_hold_what_their_type_holds(array: Array, element: object, reason: str) -> None:
    builder = Builder()
    type = None if element is None else TensorType(array.shape, element)  # type: ignore[arg-type]  # an element type

    def build() -> None:
        builder.output("c", builder.constant(array, "c", type))
        builder.build()

    with pytest.raises(IrError, match=reason):
        build()


def test_the_builder_names_what_is_wrong() -> None:
    builder = Builder("9 lives")
    assert builder.name == "_9_lives"
    x = builder.input("x", ROW)
    cases: list[tuple[tuple[Value, ...], dict[str, Any], str]] = [
        ((x,), {"minimun": 0, "maximum": 1}, "did you mean 'minimum'"),
        ((x,), {"minimum": 0}, "needs the attribute maximum"),
        ((x,), {"minimum": "0", "maximum": 1}, "minimum is '0', should be float"),
        ((x, x), {"minimum": 0, "maximum": 1}, "is given 2 operands"),
        ((), {"minimum": 0, "maximum": 1}, "is given 0 operands"),
    ]
    for arguments, attributes, reason in cases:
        with pytest.raises(IrError) as caught:
            builder.emit(ops.Clamp, *arguments, **attributes)
        assert reason in str(caught.value)
    with pytest.raises(IrError, match="two inputs"):
        builder.input("x", ROW)
    with pytest.raises(IrError, match="use emit_many"):
        builder.emit(ops.Split, x, axis=1, sizes=(2, 2))
    with pytest.raises(IrError, match="3 names"):
        builder.emit_many(ops.Split, x, axis=1, sizes=(2, 2), names=("a", "b", "c"))
    names = [v.name for v in builder.emit_many(ops.Split, x, axis=1, sizes=(2, 2), names=("x", ""))]
    assert len({"x", *names}) == 3


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ({}, "missing inputs: x"),
        ({"x": np.zeros((1, 4), np.float32), "w": 1}, "unknown inputs: w"),
        ({"x": np.zeros(4, np.float32)}, r"shape \[4\], the model takes \[1, 4\]"),
        ({"x": np.zeros((1, 4), complex)}, "complex128"),
        ({"x": [["a"] * 4]}, "the model takes float32"),
        ({"x": [[1], [2, 3]]}, "is no array"),
    ],
)
def test_inputs_that_do_not_fit(inputs: dict[str, Array], reason: str) -> None:
    with pytest.raises(EvaluationError, match=reason):
        evaluate(module(), inputs)


def test_codes_that_do_not_fit() -> None:
    narrow = UniformType(I8, (1.0,), (0,), storage_minimum=-127)
    with pytest.raises(EvaluationError, match="holds -127 … 127"):
        evaluate(module(Stage.QUANTIZED, narrow), {"x": np.full((1, 4), -128, np.int8)})
    with pytest.raises(EvaluationError, match="elements float32"):
        evaluate(module(Stage.QUANTIZED, narrow), {"x": np.zeros((1, 4), np.float32)})
    with pytest.raises(EvaluationError, match="spans 0 … 300, i8 holds"):
        evaluate(module(Stage.INTEGER, I8), {"x": np.array([[0, 1, 2, 300]])})
    assert evaluate(module(Stage.INTEGER, I8), {"x": np.array([[0, 1, 2, 127]])})["out"].dtype == np.int8


@dataclass(frozen=True, kw_only=True)
class Faulty(Op):
    """An operation of somebody else whose evaluate goes wrong: `y = ?`."""

    name = "faulty"
    x = Operand(0)
    how: str = "shape"

    def infer(self) -> tuple[TensorType, ...]:
        return (self.x.type,)

    def evaluate(self, x: Array) -> Array:  # type: ignore[override]  # operands by name
        return {"shape": x[0], "memory": None}[self.how] if self.how != "divide" else np.array(1 // 0)


@pytest.mark.parametrize(
    ("how", "reason"), [("shape", "gave results of shapes"), ("divide", "failed"), ("memory", "gave")]
)
def test_a_faulty_operation_is_named(how: str, reason: str) -> None:
    builder = Builder()
    builder.output("y", builder.emit(Faulty, builder.input("x", ROW), how=how))
    with pytest.raises(EvaluationError, match=f"faulty {reason}"):
        evaluate(builder.build(), {"x": np.zeros((1, 4), np.float32)})


def test_the_observer_sees_every_value_once_in_order() -> None:
    seen: list[str] = []
    evaluate(module(), {"x": np.zeros((1, 4), np.float32)}, lambda value, array: seen.append(value.name))
    assert seen == ["x", "y", "z"]


def test_errors_tell_what_where_and_what_next() -> None:
    error = QccError("it is wrong", place="a.qir:3", op="%y = f(%x)", help="do better")
    assert str(error) == "a.qir:3: it is wrong\n  in: %y = f(%x)\n  help: do better"
    assert str(QccError("it is wrong")) == "it is wrong"

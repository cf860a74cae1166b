"""States: inputs and outputs that the caller ties together from one run to the next."""

from __future__ import annotations

import numpy as np
import pytest

from qcc.ir import (
    F32,
    I8,
    Builder,
    Dense,
    Module,
    Output,
    ParseError,
    State,
    TensorType,
    VerifyError,
    evaluate,
    evaluate_sequence,
    ops,
    parse_module,
    print_module,
    verify,
)

PAIR = TensorType((2,), F32)


def running_sum() -> Module:
    """Return y = sum so far + x; the one before the last is kept too."""
    b = Builder("net")
    x = b.input("x", PAIR)
    total = b.state("total", PAIR, np.array([1, 2], np.float32))
    before = b.state("before", PAIR, np.zeros(2, np.float32))
    y = b.emit(ops.Add, x, total, name="y")
    b.output("y", y)
    b.output("d", b.emit(ops.Sub, y, before, name="d"))
    b.output("total", y)
    b.output("before", total)
    return b.build()


def test_interface_of_the_caller() -> None:
    module = running_sum()
    assert [v.name for v in module.caller_inputs] == ["x"]
    assert [o.name for o in module.caller_outputs] == ["y", "d"]
    assert {n: a.tolist() for n, a in module.initial_states.items()} == {"total": [1, 2], "before": [0, 0]}


def test_text_and_back() -> None:
    module = running_sum()
    text = print_module(module)
    assert "  state %total = dense<[1.0, 2.0]>\n" in text
    assert parse_module(text) == module


def test_large_initial_data_is_a_resource() -> None:
    b = Builder("net")
    type = TensorType((100,), I8)
    s = b.state("s", type, np.arange(100, dtype=np.int8))
    b.output("y", b.emit(ops.Reshape, s, shape=(4, 25)))
    b.output("s", s)
    module = b.build()
    assert "state %s = dense_resource<s>" in print_module(module)
    assert parse_module(print_module(module)) == module


def test_a_run_reads_states_and_tells_what_they_become() -> None:
    module = running_sum()
    x = np.array([10, 20], np.float32)
    first = evaluate(module, {"x": x})
    assert first["y"].tolist() == [11, 22]
    assert first["total"].tolist() == [11, 22]
    assert first["before"].tolist() == [1, 2]
    given = evaluate(module, {"x": x, "total": np.array([5, 5], np.float32)})
    assert given["y"].tolist() == [15, 25]


def test_a_sequence_keeps_states() -> None:
    samples = [{"x": np.full(2, n, np.float32)} for n in (1, 2, 3)]
    found = list(evaluate_sequence(running_sum(), samples))
    assert [o["y"].tolist() for o in found] == [[2, 3], [4, 5], [7, 8]]
    assert [o["d"].tolist() for o in found] == [[2, 3], [3, 3], [5, 5]]


def _changed(**changes: object) -> Module:
    return running_sum().replace(**changes)


@pytest.mark.parametrize(
    ("states", "message"),
    [
        ((State("x", Dense(np.zeros(2, np.float32))),), "not both an input and an output"),
        ((State("y", Dense(np.zeros(2, np.float32))),), "not both an input and an output"),
        ((State("total", Dense(np.zeros(3, np.float32))),), "begins as float32"),
        ((State("total", Dense(np.zeros(2, np.int8))),), "begins as int8"),
        ((State("total", Dense(np.zeros(2, np.float32))),) * 2, "declared twice"),
    ],
)
def test_the_verifier_names_what_is_wrong(states: tuple[State, ...], message: str) -> None:
    with pytest.raises(VerifyError, match=message):
        verify(_changed(states=states))


def test_a_state_of_two_types() -> None:
    module = running_sum()
    b = Builder("net")
    x = b.input("x", TensorType((3,), F32))
    outputs = tuple(Output(o.name, x if o.name == "total" else o.value) for o in module.outputs)
    with pytest.raises(VerifyError, match="is read as tensor<2xf32> and becomes tensor<3xf32>"):
        verify(module.replace(inputs=(*module.inputs[1:], x), ops=(), outputs=(outputs[2], outputs[3])))


def test_errors_in_text_are_at_their_line() -> None:
    text = print_module(running_sum()).replace("state %total", "state %nothing")
    with pytest.raises(ParseError, match="%nothing is used before it is defined"):
        parse_module(text)

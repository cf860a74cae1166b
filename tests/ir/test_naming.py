"""Free names: the first that is free, in time linear in how many are asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from types import FrameType

import pytest
from onnx import helper

from qcc.frontends.onnx import import_model
from qcc.ir import F32, Builder, TensorType, UniqueNames, ops
from tests.frontends.onnx_models import model_of


class CountedName(str):
    """A name that counts how often a number is put behind it."""

    numbered = 0

    def __format__(self, spec: str) -> str:
        CountedName.numbered += 1
        return str(self)


def test_the_first_free_number() -> None:
    names = UniqueNames(["a_2"])
    assert [names.unique("a") for _ in range(4)] == ["a", "a_1", "a_3", "a_4"]
    names.take("b", "b_1")
    assert [names.unique("b"), names.unique("b_2"), names.unique("b")] == ["b_2", "b_2_1", "b_3"]
    assert names.unique("") == "v"
    assert "a_3" in names
    assert "a_5" not in names


def test_no_number_is_tried_twice() -> None:
    taken = [f"a_{i}" for i in range(500)]
    names, CountedName.numbered = UniqueNames(taken), 0
    found = {names.unique(CountedName("a")) for _ in range(1000)}
    assert len(found) == 1000
    assert not found & set(taken)
    assert CountedName.numbered <= 1000 + len(taken)


def calls(work: Callable[[], None]) -> int:
    """Return how many Python functions are called."""
    count = 0

    def profile(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def built(count: int) -> None:
    """Build a chain of operations whose results all wish the same name."""
    b = Builder()
    x = b.input("x", TensorType((1,), F32))
    for _ in range(count):
        x = b.emit(ops.Neg, x)
    b.output("y", x)
    b.build()


def imported(count: int) -> None:
    """Import a chain of nodes that read the same constant."""
    names = ["x", *(f"t{i}" for i in range(count))]
    kinds = ("Relu", "Neg", "Softsign")
    nodes = [helper.make_node(kinds[i % 3], [names[i]], [names[i + 1]]) for i in range(count)]
    import_model(model_of(nodes, {"x": [1, 2]}, [names[-1]]))


@pytest.mark.parametrize("work", [built, imported])
def test_twice_as_many_operations_take_twice_as_many_calls(work: Callable[[int], None]) -> None:
    few, many = (calls(partial(work, n)) for n in (60, 240))
    assert many < 4.4 * few

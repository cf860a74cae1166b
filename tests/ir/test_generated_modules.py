"""What must hold of every module, on random ones of each stage."""

import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qcc.ir import (
    Array,
    Module,
    Printer,
    Resources,
    Stage,
    Value,
    drop_dead,
    evaluate,
    parse_module,
    print_module,
    retype,
    rewrite,
    verify,
)
from tests.ir.strategies import inputs_for, modules

FAST = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
ANY_MODULE = st.sampled_from(Stage).flatmap(modules)


@pytest.mark.parametrize("stage", Stage)
def test_text_reads_back(stage: Stage) -> None:
    @FAST
    @given(modules(stage))
    def check(module: Module) -> None:
        text = print_module(module)
        again = parse_module(text)
        assert again == module
        assert hash(again) == hash(module)
        assert print_module(again) == text

    check()


@FAST
@given(ANY_MODULE)
def test_text_with_resources_beside_reads_back(module: Module) -> None:
    printer = Printer(Resources.BESIDE)
    text = printer.module(module)
    assert parse_module(text, printer.blobs) == module


@pytest.mark.parametrize("stage", Stage)
def test_evaluation_gives_the_declared_types_and_is_deterministic(stage: Stage) -> None:
    @FAST
    @given(modules(stage), st.integers(0, 2**32 - 1))
    def check(module: Module, seed: int) -> None:
        verify(module)
        inputs = inputs_for(module, seed)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            first = evaluate(module, inputs)
        second = evaluate(module, {name: array.copy() for name, array in inputs.items()})
        for output in module.outputs:
            array = first[output.name]
            assert array.shape == output.value.type.shape
            assert array.dtype == output.value.type.element.storage.dtype
            assert array.tobytes() == second[output.name].tobytes()

    check()


@FAST
@given(ANY_MODULE, st.integers(0, 2**32 - 1))
def test_codes_stay_within_their_type(module: Module, seed: int) -> None:
    def check(value: Value, array: Array) -> None:
        type = value.type
        if type.is_quantized:
            element = type.element
            low = getattr(element, "minimum", 0)
            high = getattr(element, "maximum", len(getattr(element, "entries", ())) - 1)
            assert np.min(array) >= low
            assert np.max(array) <= high

    evaluate(module, inputs_for(module, seed), check)


@FAST
@given(ANY_MODULE, st.integers(0, 2**32 - 1))
def test_dropping_dead_operations_changes_no_result(module: Module, seed: int) -> None:
    smaller = drop_dead(module.replace(outputs=module.outputs[-1:]))
    verify(smaller)
    assert len(smaller.ops) <= len(module.ops)
    inputs = inputs_for(module, seed)
    name = module.outputs[-1].name
    assert evaluate(smaller, inputs)[name].tobytes() == evaluate(module, inputs)[name].tobytes()


@FAST
@given(ANY_MODULE)
def test_rewriting_without_rules_changes_nothing(module: Module) -> None:
    again, report = rewrite(drop_dead(module), [], "nothing")
    assert again == drop_dead(module)
    assert not report.changed
    assert retype(module, {}) == module

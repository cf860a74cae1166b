"""Random models, quantized and compiled in every way, against the evaluator."""

from dataclasses import replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, note, settings
from hypothesis import strategies as st

from qcc.ir import F32, Builder, Module, Resources, TensorType, evaluate, ops, print_module
from qcc.targets import Target
from tests.e2e.batch import compile_batch
from tests.e2e.differential import (
    DEFAULT,
    TARGETS,
    Ways,
    check_model,
    differences,
    kinds_to_keep,
    planned,
    planned_float,
)
from tests.e2e.generated_models import grow, samples

EXAMPLES = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=20,
    suppress_health_check=list(HealthCheck),
)
MORE = settings(EXAMPLES, max_examples=40)

RUNNABLE = tuple(target for target in TARGETS if not target.missing_on_host())


@st.composite
def models(draw: st.DrawFn, steps: int = 8) -> Module:
    """Float models whose results are finite for the samples of seed 0."""
    module = grow(lambda low, high: draw(st.integers(low, high)), steps)
    note(print_module(module, Resources.ELIDED))
    return module


def is_finite(module: Module) -> bool:
    with np.errstate(all="ignore"):
        found = [evaluate(module, one) for one in samples(module, 0)]
    return all(np.isfinite(array).all() for outputs in found for array in outputs.values())


@st.composite
def ways(draw: st.DrawFn) -> Ways:
    """Options of recipes, and hardware that a target may describe."""
    types: dict[str, object] = {name: draw(st.booleans()) for name in ("symmetric", "power_of_two")}
    weights: dict[str, object] = {name: draw(st.booleans()) for name in ("per_channel", "narrow_range")}
    options: dict[str, dict[str, object]] = {
        "calibrate": {"observer": draw(st.sampled_from(["sqnr", "min-max", "percentile", "moving-average"]))},
        "nudge-zero-points": types,
        "quantize-weights": weights,
    }
    return Ways(options=options, hardware={"multiplier_bits": draw(st.sampled_from([31, 15, 8]))})


def check(module: Module, targets: tuple[Target, ...], how: Ways = DEFAULT) -> None:
    with TemporaryDirectory(prefix="qcc-") as folder:
        check_model(module, samples(module, 0), Path(folder), targets, how)


@EXAMPLES
@given(models().filter(is_finite))
def test_every_bit_on_every_target(module: Module) -> None:
    for op in module.ops:
        event(op.name)
    check(module, RUNNABLE)


@pytest.mark.slow
@EXAMPLES
@given(models().filter(kinds_to_keep).filter(is_finite), st.data())
def test_with_an_operation_kept_in_float(module: Module, data: st.DataObject) -> None:
    kept = data.draw(st.sampled_from(kinds_to_keep(module)))
    check(module, (data.draw(st.sampled_from(RUNNABLE)),), Ways(kept))


@pytest.mark.slow
@EXAMPLES
@given(models().filter(is_finite), ways(), st.sampled_from(RUNNABLE))
def test_every_recipe(module: Module, how: Ways, target: Target) -> None:
    check(module, (target,), how)


@pytest.mark.slow
@MORE
@given(models(12).filter(is_finite))
def test_more_models_on_every_target(module: Module) -> None:
    check(module, RUNNABLE)


@pytest.mark.slow
@MORE
@given(models(12).filter(kinds_to_keep).filter(is_finite), st.data())
def test_more_models_with_an_operation_kept_in_float(module: Module, data: st.DataObject) -> None:
    kept = data.draw(st.sampled_from(kinds_to_keep(module)))
    check(module, (data.draw(st.sampled_from(RUNNABLE)),), Ways(kept))


def test_the_generator_makes_every_operation_of_networks() -> None:
    found = set()
    for seed in range(400):
        found |= {op.name for op in grow(Random(seed).randint).ops}
    wanted = (
        "add argmax avg_pool2d batch_norm broadcast clamp concat constant conv2d conv_transpose2d div gather gelu "
        "hard_swish leaky_relu log matmul max_pool2d maximum minimum mul pad prelu reduce_max reduce_mean reduce_sum "
        "reshape resize sigmoid slice softmax split sqrt sub tanh transpose"
    )
    assert set(wanted.split()) - found == set()


def test_a_wrong_code_is_noticed(tmp_path: Path) -> None:
    """The library of one model is held against another whose bias differs by a step."""
    b = Builder("net")
    x = b.input("x", grow(lambda low, high: low).inputs[0].type)
    b.output("y", b.emit(ops.Mul, x, b.constant(np.full((1,), 1.5, np.float32))))
    ((module, target),) = planned(b.build(), samples(b.build(), 0), TARGETS[:1])
    batch = compile_batch([(module, target)], tmp_path)
    assert differences(batch, 0, samples(module, 0)) == []
    changed = [replace(op, output_zero_point=7) if isinstance(op, ops.Rescale) else op for op in module.ops]
    batch.modules = [module.replace(ops=tuple(changed))]
    assert "the evaluator says" in differences(batch, 0, samples(module, 0))[0]


def test_the_negative_of_zero_is_negative_zero(tmp_path: Path) -> None:
    b = Builder("net")
    b.output("y", b.emit(ops.Neg, b.input("x", TensorType((3,), F32))))
    targets = [target for target in (TARGETS[0], TARGETS[1]) if target in RUNNABLE]
    batch = compile_batch([planned_float(b.build(), target) for target in targets], tmp_path)
    for number in range(len(targets)):
        found = batch.run(number, {"x": np.array([0.0, -0.0, 1.0], np.float32)})["y"]
        assert np.signbit(found).tolist() == [True, False, True]

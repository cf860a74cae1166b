"""Observers and the pass `calibrate`: order, memory, errors."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcc.ir import F32, Array, Builder, CalibratedType, CalibrationError, Module, PassError, TensorType, ops
from qcc.passes import Calibrate, PassContext
from qcc.passes.observers import (
    BINS,
    Histogram,
    MeanExtremes,
    MinMax,
    MovingAverage,
    Percentile,
    RangeObserver,
    SignalToNoise,
)
from tests.passes.quantization import calibrated, classifier, f32, random_samples

arrays = st.lists(
    st.lists(st.floats(-(2.0**99), 2.0**99, width=32), min_size=1, max_size=9).map(lambda x: np.array(x, np.float32)),
    min_size=1,
    max_size=8,
)


def seen(observer: RangeObserver, samples: list[Array]) -> RangeObserver:
    for sample in samples:
        observer.update(sample)
    return observer


@given(arrays, st.randoms(use_true_random=False))
def test_ranges_do_not_depend_on_the_order(samples: list[Array], rng: random.Random) -> None:
    shuffled = samples.copy()
    rng.shuffle(shuffled)
    for make in (MinMax, MeanExtremes, SignalToNoise, lambda: Percentile(99.0), lambda: Percentile(60.0)):
        assert seen(make(), samples).range() == seen(make(), shuffled).range()


def counted(samples: list[Array]) -> Histogram:
    histogram = Histogram()
    for sample in samples:
        histogram.count(sample, float(sample.min()), float(sample.max()))
    return histogram


@given(arrays, st.randoms(use_true_random=False))
def test_histograms_do_not_depend_on_the_order(samples: list[Array], rng: random.Random) -> None:
    shuffled = samples.copy()
    rng.shuffle(shuffled)
    a, b = counted(samples), counted(shuffled)
    assert a.exponent == b.exponent
    assert np.array_equal(a.counts, b.counts)
    assert a.counts.sum() == sum(s.size for s in samples)


def test_histogram_of_grown_bins_is_that_of_the_final_bins() -> None:
    rng = np.random.default_rng(0)
    samples = [(rng.normal(size=500) * 10.0**power).astype(np.float32) for power in (-3, 0, -1, 2)]
    found = counted(samples)
    data = np.concatenate(samples).astype(np.float64)
    width = 2.0**found.exponent / BINS
    bins = np.trunc(data / width).astype(int) + BINS - (data < 0)
    assert np.array_equal(found.counts, np.bincount(bins, minlength=2 * BINS))


def test_percentile_leaves_out_the_tails() -> None:
    data = np.concatenate([np.linspace(-1, 1, 100_000), [-50.0, 80.0]]).astype(np.float32)
    low, high = seen(Percentile(99.99), [data]).range()
    width = 128 / BINS
    assert -1 - width <= low <= -1 + width
    assert 1 - width <= high <= 1 + width
    assert seen(Percentile(100), [data]).range() == (-50.0, 80.0)


def test_mean_of_extremes_is_the_moving_average_averaged_over_all_orders() -> None:
    from itertools import permutations

    samples = [np.array([-a, a + 1], np.float32) for a in (1.0, 5.0, 2.0, 9.0)]
    averages = [seen(MovingAverage(0.25), list(order)).range() for order in permutations(samples)]
    assert seen(MeanExtremes(), samples).range() == pytest.approx(tuple(np.mean(averages, axis=0)))
    assert len(set(averages)) > 1  # the moving average itself depends on the order


def test_moving_average_by_hand() -> None:
    samples = [np.array([0.0, 4.0]), np.array([-2.0, 8.0])]
    assert seen(MovingAverage(0.5), samples).range() == (-1.0, 6.0)


def network() -> Module:
    b = Builder("net")
    x = b.input("x", f32(1, 3))
    doubled = b.emit(ops.Mul, x, b.constant(np.array([2], np.float32), "two"), name="doubled")
    b.output("y", b.emit(ops.Exp, doubled, name="y"))
    return b.build()


def run(samples: list[dict[str, Array]], **options: object) -> Module:
    options = {"observer": "min-max", **options}
    return Calibrate(**options).run(network(), calibrated(samples))  # type: ignore[arg-type]  # options of any type


def sample(*values: float) -> dict[str, Array]:
    return {"x": np.array([values], np.float32)}


def test_types_hold_the_ranges_and_constants_keep_theirs() -> None:
    module = run([sample(0, 1, -1), sample(0.5, 0, 0)])
    assert module.values["doubled"].type.element == CalibratedType(-2.0, 2.0)
    assert module.values["x"].type.element == CalibratedType(-1.0, 1.0)
    assert module.values["two"].type == TensorType((1,), F32)


@pytest.mark.parametrize("observer", ["sqnr", "min-max", "percentile", "moving-average"])
def test_the_calibrated_module_does_not_depend_on_the_order_of_the_samples(observer: str) -> None:
    module = classifier()
    samples = random_samples(module, 7)
    calibrate = Calibrate(observer=observer, percentile=99.0)  # type: ignore[arg-type]  # one of the names
    expected = calibrate.run(module, calibrated(samples))
    for order in ([6, 5, 4, 3, 2, 1, 0], [3, 0, 6, 1, 5, 2, 4]):
        assert calibrate.run(module, calibrated([samples[i] for i in order])) == expected


def test_progress_is_reported_for_each_sample() -> None:
    context = calibrated([sample(0, 1, 2)] * 3)
    steps: list[int] = []
    context.progress = lambda what, done, total: steps.append(done)
    Calibrate().run(network(), context)
    assert steps == [0, 1, 2, 3]


def test_zero_range_is_reported_and_legal() -> None:
    context = calibrated([sample(0, 0, 0)])
    module = Calibrate().run(network(), context)
    assert module.values["x"].type.element == CalibratedType(0.0, 0.0)
    (remark,) = context.remarks
    assert (remark.subject, remark.severity) == ("x, doubled", "warning")
    assert remark.message.startswith("are 0 in all 1 calibration samples")


@pytest.mark.parametrize(("magnitude", "warned"), [(1e-38, True), (1e-17, True), (1e-15, False)])
def test_a_range_too_small_for_any_scale_is_reported(magnitude: float, warned: bool) -> None:
    context = calibrated([sample(0, magnitude, -magnitude / 2)])
    Calibrate().run(network(), context)
    assert [r.subject for r in context.remarks] == (["x, doubled"] if warned else [])
    assert all("too small for codes" in r.message and r.severity == "warning" for r in context.remarks)


def test_many_values_that_are_zero_make_one_warning() -> None:
    builder = Builder()
    value = builder.input("x", TensorType((1, 3), F32))
    for index in range(300):
        value = builder.emit(ops.Neg, value, name=f"v{index}")
    builder.output("y", value)
    context = calibrated([sample(0, 0, 0)])
    Calibrate().run(builder.build(), context)
    (remark,) = context.remarks
    assert remark.subject == "x, v0, v1, v2, v3 and 296 more values"


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([], "holds no sample"),
        ([sample(0, 1, 2), sample(0, float("nan"), 1)], "calibration sample 1: input 'x' holds NaN"),
        ([sample(0, float("inf"), 1)], "calibration sample 0: input 'x' holds infinity"),
        ([sample(1, 1, 1), sample(300, 1, 1)], r"calibration sample 1: %y \(exp\) becomes infinity"),
        ([{"x": np.zeros((1, 4), np.float32)}], r"calibration sample 0: input 'x' has shape \[1, 4\]"),
        ([{"z": np.zeros((1, 3), np.float32)}], "calibration sample 0: unknown inputs: z"),
        ([{}], "calibration sample 0: missing inputs: x"),
    ],
)
def test_bad_data_is_an_error_that_says_where(samples: list[dict[str, Array]], message: str) -> None:
    with pytest.raises(CalibrationError, match=message):
        run(samples)


def test_no_data_is_an_error_with_the_flag_to_give() -> None:
    with pytest.raises(CalibrationError, match="--calibration"):
        Calibrate().run(network(), PassContext())


@pytest.mark.parametrize("options", [{"percentile": 20.0}, {"momentum": 2.0}, {"observer": "entropy"}])
def test_bad_options_are_errors(options: dict[str, object]) -> None:
    with pytest.raises(PassError):
        run([sample(0, 1, 2)], **options)


def test_the_sqnr_observer_finds_the_range_of_least_error() -> None:
    data = np.random.default_rng(0).laplace(size=200_000).astype(np.float32)
    data[:4] = [60, 61, -80, 62]
    low, high = seen(SignalToNoise(255), [data]).range()

    def error(a: float, b: float) -> float:
        step = (b - a) / 255
        return float(np.square(data - np.clip(np.rint(data / step) * step, a, b)).mean())

    grid = np.linspace(0.05, 1, 20)
    assert error(low, high) < 0.8 * error(-80, 62)
    assert error(low, high) < 1.02 * min(error(-80 * a, 62 * b) for a in grid for b in grid)


def test_a_sample_of_large_values_does_not_drown_the_others() -> None:
    rng = np.random.default_rng(0)
    usual = [rng.normal(size=1000).astype(np.float32) for _ in range(20)]
    low, high = seen(SignalToNoise(), [*usual, usual[0] * 100]).range()
    assert -80 < low < -3
    assert 3 < high < 80


def test_what_is_compared_keeps_its_extremes() -> None:
    b = Builder("net")
    x = b.input("x", f32(1, 400))
    hidden = b.emit(ops.Abs, x, name="hidden")
    logits = b.emit(ops.Neg, hidden, name="logits")
    flat = b.emit(ops.Reshape, logits, shape=(400,), name="flat")
    b.output("y", b.emit(ops.Softmax, flat, name="y"))
    data = np.random.default_rng(0).normal(size=(1, 400)).astype(np.float32)
    data[0, 7] = 50.0
    module = Calibrate(observer="percentile", percentile=99.0).run(b.build(), calibrated([{"x": data}]))
    elements = {v.name: v.type.element for v in module.values.values()}
    assert elements["logits"] == elements["flat"] == CalibratedType(-50.0, -float(np.abs(data).min()))
    assert elements["x"] == CalibratedType(float(data.min()), 50.0)
    hidden_range = elements["hidden"]
    assert isinstance(hidden_range, CalibratedType)
    assert hidden_range.maximum < 40


@given(arrays)
def test_percentile_of_everything_is_the_extremes(samples: list[Array]) -> None:
    assert seen(Percentile(100), samples).range() == seen(MinMax(), samples).range()

"""From calibrated to quantized types: interfaces, float regions, constants, errors."""

from __future__ import annotations

import numpy as np
import pytest

from qcc.ir import Array, Builder, Module, Op, PassError, Value, evaluate, ops, parse_module, print_module
from qcc.passes import KEEP_FLOAT, HardwareSpec, NudgeZeroPoints, PassContext
from tests.passes.quantization import SYMMETRIC, classifier, codes_of, f32, ops_named, quantized, random_samples, run

KEPT = ((KEEP_FLOAT, "a test wants it"),)


def finish(b: Builder, *outputs: Value) -> tuple[Module, list[dict[str, Array]]]:
    for value in outputs:
        b.output(value.name, value)
    module = b.build()
    return module, random_samples(module, 6)


def test_a_float_region_has_one_conversion_for_each_value_that_crosses_it() -> None:
    b = Builder("net")
    x = b.input("x", f32(1, 8))
    a = b.emit(ops.Abs, x, name="a")
    e = b.emit(ops.Exp, a, name="e", notes=KEPT)
    g = b.emit(ops.Add, e, a, name="g", notes=KEPT)
    h = b.emit(ops.Reciprocal, g, name="h", notes=KEPT)
    y = b.emit(ops.Add, h, a, name="y")
    z = b.emit(ops.Mul, h, y, name="z")
    module, samples = finish(b, y, z)
    result = quantized(module, samples)
    assert [op.operands[0].name for op in ops_named(result, ops.Dequantize)] == ["a"]
    assert [op.operands[0].name for op in ops_named(result, ops.Quantize)] == ["h"]
    integer = run(result, "insert-rescale,fuse-tables,prove-accumulators")
    assert parse_module(print_module(integer)) == integer
    for sample in samples:
        found, expected = (evaluate(m, codes_of(m, sample)) for m in (integer, result))
        assert all(np.abs(found[k].astype(int) - expected[k]).max() <= 1 for k in expected)
        real = evaluate(module, sample)
        for output in integer.outputs:
            to = output.value.type.uniform()
            assert np.abs(to.dequantize(found[output.name]) - real[output.name]).max() < 8 * to.scale


def test_the_interface_is_float_where_only_float_operations_touch_it() -> None:
    b = Builder("net")
    x, w = b.input("x", f32(1, 8)), b.input("w", f32(1, 8))
    e = b.emit(ops.Exp, x, name="e", notes=KEPT)
    a = b.emit(ops.Mul, e, w, name="a")
    y = b.emit(ops.Exp, a, name="y", notes=KEPT)
    module, samples = finish(b, y, a)
    result = run(quantized(module, samples), "insert-rescale")
    assert [v.type.is_quantized for v in result.inputs] == [False, True]
    assert [o.value.type.is_quantized for o in result.outputs] == [False, True]
    assert result.inputs[0].type == f32(1, 8)
    found = evaluate(result, codes_of(result, samples[0]))["y"]
    assert found == pytest.approx(evaluate(module, samples[0])["y"], rel=0.1)


def test_a_model_kept_in_float_as_a_whole_stays_as_it_is() -> None:
    b = Builder("net")
    y = b.emit(ops.Exp, b.emit(ops.Abs, b.input("x", f32(3)), name="a", notes=KEPT), name="y", notes=KEPT)
    module, samples = finish(b, y)
    result = run(quantized(module, samples), "insert-rescale,fuse-tables,prove-accumulators")
    assert [op.name for op in result.ops] == ["abs", "exp"]
    assert result.outputs[0].value.type == f32(3)


def test_constants_of_sharing_operations_get_the_shared_parameters() -> None:
    b = Builder("net")
    x = b.input("x", f32(1, 4))
    constant = b.constant(np.array([[5.0, -3.0]], np.float32), "c")
    y = b.emit(ops.Concat, x, constant, axis=1, name="y")
    module, samples = finish(b, y)
    result = quantized(module, samples)
    (concat,) = ops_named(result, ops.Concat)
    assert {v.type.element for v in (*concat.operands, *concat.results)} == {concat.results[0].type.element}
    integer = run(result, "insert-rescale")
    found = evaluate(integer, codes_of(integer, samples[0]))["y"]
    to = integer.outputs[0].value.type.uniform()
    assert to.dequantize(found)[0, 4:] == pytest.approx([5, -3], abs=to.scale / 2)


def test_the_same_constant_may_be_read_as_real_and_as_codes() -> None:
    b = Builder("net")
    x = b.input("x", f32(4))
    constant = b.constant(np.array([1, -1, 2, 0], np.float32), "c")
    y = b.emit(ops.Maximum, b.emit(ops.Add, x, constant, name="s"), constant, name="y")
    z = b.emit(ops.Div, constant, b.emit(ops.Exp, x, name="e"), name="z")
    module, samples = finish(b, y, z)
    integer = run(quantized(module, samples), "insert-rescale,prove-accumulators")
    for sample in samples:
        found, real = evaluate(integer, codes_of(integer, sample)), evaluate(module, sample)
        for output in integer.outputs:
            to = output.value.type.uniform()
            assert np.abs(to.dequantize(found[output.name]) - real[output.name]).max() < 8 * to.scale


def test_operations_without_integer_form_are_listed_with_what_to_do() -> None:
    b = Builder("net")
    x = b.input("x", f32(1, 4))
    p = b.emit(ops.Pow, x, x, name="p")
    c = b.emit(ops.BatchNorm, p, *(b.constant(np.ones(4, np.float32)) for _ in range(4)), name="c")
    module, _ = finish(b, c)
    with pytest.raises(PassError) as caught:
        NudgeZeroPoints().run(module, PassContext())
    text = str(caught.value)
    assert "2 operations have no integer form" in text
    assert "pow %p: its exponent is not a constant number" in text
    assert "batch_norm %c" in text
    assert "--keep-float pow --keep-float batch_norm" in text


def test_values_without_a_range_are_listed() -> None:
    b = Builder("net")
    y = b.emit(ops.Exp, b.input("x", f32(4)), name="y")
    module, _ = finish(b, y)
    with pytest.raises(PassError, match="without a range: %x, %y"):
        NudgeZeroPoints().run(module, PassContext())


def uniform_types(module: Module) -> list[Op]:
    return [op for op in module.ops if op.results[0].type.is_quantized and not isinstance(op, ops.Constant)]


def test_hardware_and_options_choose_the_scheme() -> None:
    module = classifier()
    samples = random_samples(module, 4)
    symmetric = quantized(module, samples, SYMMETRIC)
    assert {op.results[0].type.uniform().zero_point for op in uniform_types(symmetric)} == {0}
    power = quantized(module, samples, HardwareSpec(power_of_two_scales=True))
    scales = [s for v in power.values.values() if v.type.is_quantized for s in v.type.uniform().scales]
    assert all(np.frexp(s)[0] == 0.5 for s in scales)
    for hardware in (SYMMETRIC, HardwareSpec(power_of_two_scales=True), HardwareSpec(multiplier_bits=15)):
        integer = run(
            quantized(module, samples, hardware), "insert-rescale,prove-accumulators", PassContext(hardware=hardware)
        )
        found, real = evaluate(integer, codes_of(integer, samples[0])), evaluate(module, samples[0])
        to = integer.outputs[1].value.type.uniform()
        difference = to.dequantize(found["logits"]) - real["logits"]
        assert np.square(difference).mean() < 0.02 * np.square(real["logits"]).mean()

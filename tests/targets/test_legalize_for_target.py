"""What a target refuses."""

from dataclasses import replace

import numpy as np
import pytest

from qcc.ir import F32, I16, Module, PassError, ScalarType, Stage, TargetError, ops, parse_module, replace_op
from qcc.passes import HardwareSpec, PassContext
from qcc.targets import LegalizeForTarget, Target
from tests.targets.integer_modules import NetBuilder, residual_net


def context(**hardware: object) -> PassContext:
    target = Target.parse("x86_64-linux-gnu+avx512-vnni")
    return PassContext(target=replace(target, hardware=HardwareSpec(programmable=False, **hardware)))  # type: ignore[arg-type]  # by name


def test_a_module_that_fits_stays_as_it_is() -> None:
    module = residual_net()
    assert LegalizeForTarget().run(module, context()) is module


@pytest.mark.parametrize(
    ("hardware", "reason"),
    [
        ({"symmetric_activations": True}, "activations must be symmetric, their zero point is -3"),
        ({"weight_type": I16}, "weights must be i16, they are i8"),
        ({"accumulator": I16}, "sums are i32, the target accumulates in i16"),
        ({"rounding": "half_even"}, "the target rounds half_even, not half_up"),
        ({"power_of_two_scales": True}, "multipliers must be powers of two"),
        ({"multiplier_bits": 15}, "multipliers must be below 2^15, one is "),
    ],
)
def test_every_operation_that_breaks_the_hardware_specification_is_listed(
    hardware: dict[str, object], reason: str
) -> None:
    with pytest.raises(TargetError) as caught:
        LegalizeForTarget().run(residual_net(), context(**hardware))
    assert reason in caught.value.message
    listed = int(caught.value.message.split("can't run ")[1].split()[0])
    assert caught.value.message.count("\n    in: %") == listed >= 1
    assert "--keep-float" in caught.value.help


def changed(module: Module, name: str, **attributes: object) -> Module:
    """Return the module with attributes of the operation that defines `name` changed."""
    return module.replace(
        ops=tuple(replace_op(op, **attributes) if op.results[0].name == name else op for op in module.ops)
    )


def test_weights_beyond_the_narrow_range() -> None:
    net = NetBuilder()
    x = net.b.emit(ops.Reshape, net.input("x", 1, 4), name="flat", shape=(1, 4))
    w = net.b.constant(np.full((4, 2), -128, np.int8), "w")
    net.output("y", net.rescale(net.b.emit(ops.Matmul, x, w, name="acc", weight_zero_point=3), "y", 0.01))
    with pytest.raises(TargetError, match="-127 … 127") as caught:
        LegalizeForTarget().run(net.build(), context())
    assert "their zero point is 3" in caught.value.message
    LegalizeForTarget().run(net.build(), context(narrow_range_weights=False, symmetric_weights=False))


@pytest.mark.parametrize(
    ("operands", "reason"),
    [
        ("%x, %m, %any", "multipliers and shifts must be constants"),
        ("%x, %m, %minus", "shifts must lie within 0 … 62, they are -1 … -1"),
        ("%x, %m, %large", "shifts must lie within 0 … 62, they are 63 … 63"),
    ],
)
def test_a_rescale_that_no_code_computes(operands: str, reason: str) -> None:
    module = parse_module(f"""module @m stage integer {{
      input %x : tensor<4xi8>
      input %any : tensor<i8>
      %m = constant() {{value = dense<5>}} : tensor<i32>
      %minus = constant() {{value = dense<-1>}} : tensor<i8>
      %large = constant() {{value = dense<63>}} : tensor<i8>
      %y = rescale({operands}) {{to = i8, minimum = -128, maximum = 127}} : tensor<4xi8>
      output %y as "y"
    }}""")
    with pytest.raises(TargetError, match=reason):
        LegalizeForTarget().run(module, context())


@pytest.mark.parametrize(
    ("number", "reason"), [("inf", "must be finite"), ("nan", "must be finite"), ("", "constants")]
)
@pytest.mark.parametrize("op", ["rescale_float(%x, %f, %f)", "sum_float(%x, %x, %one, %one, %f)"])
def test_floats_that_no_code_computes_with(op: str, number: str, reason: str) -> None:
    factor = f"%f = constant() {{value = dense<{number}>}}" if number else "input %f"
    module = parse_module(f"""module @m stage integer {{
      input %x : tensor<4xi8>
      {factor} : tensor<f32>
      %one = constant() {{value = dense<1.0>}} : tensor<f32>
      %y = {op} {{to = i8, minimum = -128, maximum = 127}} : tensor<4xi8>
      output %y as "y"
    }}""")
    with pytest.raises(TargetError, match=reason):
        LegalizeForTarget().run(module, context())


@pytest.mark.parametrize(
    ("floats", "weight", "reason"),
    [
        ((F32,), "input %w : tensor<1x1x1x1xf32>", "must be constants"),
        ((), "%w = constant() {value = dense<[[[[1.0]]]]>} : tensor<1x1x1x1xf32>", "does not compute in IEEE f32"),
    ],
)
def test_sums_in_an_order_that_no_code_keeps(floats: tuple[ScalarType, ...], weight: str, reason: str) -> None:
    text = """module @m stage integer {
      input %x : tensor<1x2x2x1xf32>
      WEIGHT
      %y = conv2d(%x, %w)ORDER : tensor<1x2x2x1xf32>
      output %y as "y"
    }""".replace("WEIGHT", weight)
    without = PassContext(hardware=HardwareSpec(ieee_floats=floats))
    with pytest.raises(TargetError, match=reason):
        LegalizeForTarget().run(parse_module(text.replace("ORDER", " {sum_block = 8}")), without)
    LegalizeForTarget().run(parse_module(text.replace("ORDER", "")), without)


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ("input %t : tensor<256xi32>", "tables must be constants"),
        (f"%t = constant() {{value = dense<{[0] * 256}>}} : tensor<256xi32>", "exponentials must not be negative"),
    ],
)
def test_a_table_that_no_code_looks_up(table: str, reason: str) -> None:
    module = parse_module(f"""module @m stage integer {{
      input %x : tensor<4xi8>
      {table}
      %y = softmax_table(%x, %t) : tensor<4xi8>
      output %y as "y"
    }}""")
    with pytest.raises(TargetError, match=reason):
        LegalizeForTarget().run(module, context())


def test_a_quantized_module_is_not_ready() -> None:
    with pytest.raises(PassError, match="no integer arithmetic"):
        LegalizeForTarget().run(Module("m", Stage.QUANTIZED, (), (), ()), context())

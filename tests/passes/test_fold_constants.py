"""Constants fold to what the evaluator says, within a size."""

import numpy as np

from qcc.ir import parse_module
from qcc.passes import Canonicalize, FoldConstants, PassContext
from tests.passes.equivalence import assert_identical, op_names, qir

C = "%c = constant() {value = dense<[1.0, -2.0, 3.0]>} : tensor<3xf32>"


def test_chains_fold_to_what_the_evaluator_says() -> None:
    before = qir(
        C,
        "%a = exp(%c) : tensor<3xf32>",
        "%b = reshape(%a) {shape = [3, 1]} : tensor<3x1xf32>",
        "%p, %q = split(%b) {axis = 0, sizes = [1, 2]} : tensor<1x1xf32>, tensor<2x1xf32>",
        'output %q as "y"',
        'output %p as "z"',
    )
    after = FoldConstants().run(before, PassContext())
    assert {op.name for op in after.ops} == {"constant"}
    assert_identical(before, after)


def test_a_constant_that_would_grow_stays_with_a_remark() -> None:
    before = qir(
        C,
        "input %x : tensor<1000x3xf32>",
        "%b = broadcast(%c) {shape = [1000, 3]} : tensor<1000x3xf32>",
        "%y = add(%x, %b) : tensor<1000x3xf32>",
        'output %y as "y"',
    )
    context = PassContext()
    assert op_names(FoldConstants(max_bytes=11999).run(before, context)) == ["broadcast", "add"]
    assert "12000 bytes, more than max_bytes=11999" in str(context.remarks[0])
    assert op_names(FoldConstants(max_bytes=12000).run(before, PassContext())) == ["add"]


def test_a_constant_that_does_not_grow_folds_whatever_its_size() -> None:
    before = qir(C, "%a = neg(%c) : tensor<3xf32>", 'output %a as "y"')
    assert op_names(FoldConstants(max_bytes=0).run(before, PassContext())) == []


def test_what_costs_more_than_asked_for_stays_with_a_remark() -> None:
    before = qir(
        "%x = constant() {value = dense<[[1.0, 2.0]]>} : tensor<1x2xf32>",
        "%w = constant() {value = dense<[[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]>} : tensor<2x3xf32>",
        "%y = matmul(%x, %w) : tensor<1x3xf32>",
        'output %y as "y"',
    )
    context = PassContext()
    assert op_names(FoldConstants(max_macs=5).run(before, context)) == ["matmul"]
    assert "6 multiply-accumulates, more than max_macs=5" in str(context.remarks[0])
    assert op_names(FoldConstants(max_macs=6).run(before, PassContext())) == []


def test_codes_stay_codes() -> None:
    before = parse_module(
        "module @m stage quantized {\n"
        "%c = constant() {value = dense<[1, -2]>} : tensor<2x!quant.uniform<i8:f32, 0.5:1>>\n"
        "%d = dequantize(%c) : tensor<2xf32>\n"
        "%e = neg(%d) : tensor<2xf32>\n"
        'output %e as "y"\n}\n'
    )
    context = PassContext()
    assert FoldConstants().run(before, context) == before
    assert "kept as codes" in str(context.remarks[0])


def test_quantizing_a_constant_folds() -> None:
    before = parse_module(
        "module @m stage quantized {\n"
        "%c = constant() {value = dense<[1.0, -2.0]>} : tensor<2xf32>\n"
        "%d = quantize(%c) {to = !quant.uniform<i8:f32, 0.5:1>} : tensor<2x!quant.uniform<i8:f32, 0.5:1>>\n"
        'output %d as "y"\n}\n'
    )
    after = FoldConstants().run(before, PassContext())
    assert [op.name for op in after.ops] == ["constant"]
    assert after.outputs[0].value.type == before.outputs[0].value.type
    assert_identical(before, after)


def test_equal_constants_become_one() -> None:
    before = qir(
        "input %x : tensor<3xf32>",
        C,
        C.replace("%c", "%d"),
        C.replace("%c", "%e").replace("3.0", "4.0"),
        "%a = maximum(%x, %c) : tensor<3xf32>",
        "%b = minimum(%a, %d) : tensor<3xf32>",
        "%y = prelu(%b, %e) : tensor<3xf32>",
        'output %y as "y"',
    )
    after = Canonicalize().run(before, PassContext())
    assert sum(op.name == "constant" for op in after.ops) == 2
    assert_identical(before, after)


def test_constants_that_differ_in_a_bit_stay_apart() -> None:
    before = qir(
        "input %x : tensor<1xf32>",
        "%c = constant() {value = dense<[0.0]>} : tensor<1xf32>",
        "%d = constant() {value = dense<[-0.0]>} : tensor<1xf32>",
        "%a = div(%c, %x) : tensor<1xf32>",
        "%y = div(%d, %x) : tensor<1xf32>",
        'output %a as "a"',
        'output %y as "y"',
    )
    after = Canonicalize().run(before, PassContext())
    assert sum(op.name == "constant" for op in after.ops) == 2
    assert np.signbit(after.definitions["d"].attributes()["value"].array).all()

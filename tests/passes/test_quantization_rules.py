"""The rules of `absorb-quantization` on text: every module gives the same bits before and after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import onnx
import pytest

from qcc.frontends.onnx import import_model
from qcc.ir import Array, Module, Stage, evaluate, parse_module
from qcc.passes import AbsorbQuantization, PassContext, PassManager, absorb_quantization
from tests.frontends.quantized_onnx import Graph, Parameters, float_operations, integer_module

WIDE = "!quant.uniform<i32:f32, 1.0>"


@dataclass(frozen=True)
class Conversion:
    """A pair of quantize and dequantize to be found again.

    Attributes:
        attributes: of its quantize, as text.
        scale: of its codes.
    """

    attributes: str
    scale: float

    def of(self, x: str, name: str) -> str:
        """Return the pair as text."""
        return pair(x, name, self.scale, self.attributes)

    def finer(self, x: str, name: str) -> str:
        """Return an ordinary pair of a quarter of the scale, whose values are ties of this one's."""
        return pair(x, name, self.scale / 4)

    @property
    def ties(self) -> Array:
        """Real numbers at and near its ties."""
        return (np.arange(-60, 60, dtype=np.float32) * np.float32(self.scale / 4)).reshape(1, 120)


def pair(x: str, name: str, scale: float, attributes: str = "") -> str:
    """Return a quantize and a dequantize."""
    to = f"!quant.uniform<i8:f32, {scale}>"
    return f"""
      %{name}q = quantize(%{x}) {{to = {to}{attributes}}} : tensor<1x120x{to}>
      %{name} = dequantize(%{name}q) : tensor<1x120xf32>"""


def module(*lines: str) -> Module:
    """Return a module of the float stage that returns %y."""
    body = "\n".join(lines)
    return parse_module(f'module @m stage float {{\n{body}\n  output %y as "y"\n}}\n')


def before_and_after(source: Module, x: Array) -> tuple[Array, Array]:
    """Return what a module gives as it is, and once conversions are absorbed."""
    absorbed = PassManager([AbsorbQuantization(interface=False)]).run(source, PassContext())
    assert absorbed.stage is Stage.QUANTIZED
    first, second = (evaluate(m, {v.name: x for v in source.inputs})["y"] for m in (source, absorbed))
    return first, second


INPUT = "  input %x : tensor<1x120xf32>"
MOVED = """
      %r = transpose(%x) {permutation = [1, 0]} : tensor<120x1xf32>
      %t = reshape(%r) {shape = [1, 120]} : tensor<1x120xf32>"""
PLUS = "  %y = add(%a, %b) : tensor<1x120xf32>"
TWICE = "  %s = add(%a, %a) : tensor<1x120xf32>"
SPELLED: dict[str, Callable[[Conversion], Module]] = {
    "alone": lambda c: module(INPUT, c.of("x", "y")),
    "behind movement": lambda c: module(INPUT, MOVED, c.of("t", "y")),
    "of a constant": lambda c: module(
        INPUT, f"  %c = constant() {{value = dense<{c.ties.tolist()}>}} : tensor<1x120xf32>", c.of("c", "b"),
        c.finer("x", "a"), PLUS,
    ),
    "beside an ordinary one": lambda c: module(INPUT, pair("x", "a", c.scale), c.of("x", "b"), PLUS),
    "of a quantized value": lambda c: module(INPUT, c.finer("x", "a"), c.of("a", "y")),
    "of a sum": lambda c: module(INPUT, c.finer("x", "a"), TWICE, c.of("s", "y")),
}  # fmt: skip
CONVERSIONS = {
    "half away": Conversion(', rounding = "half_away"', 1.0),
    "by reciprocal": Conversion(", by_reciprocal = true", 0.3),
}


@pytest.mark.parametrize("name", CONVERSIONS)
@pytest.mark.parametrize("where", SPELLED)
def test_a_quantize_keeps_its_rounding(where: str, name: str) -> None:
    conversion, spell = CONVERSIONS[name], SPELLED[where]
    first, second = before_and_after(spell(conversion), conversion.ties)
    np.testing.assert_array_equal(first, second)
    ordinary, _ = before_and_after(spell(replace(conversion, attributes="")), conversion.ties)
    assert not np.array_equal(first, ordinary), "the inputs tell the roundings apart"


@pytest.mark.parametrize("name", CONVERSIONS)
def test_an_input_that_is_quantized_otherwise_stays_real(name: str) -> None:
    conversion = CONVERSIONS[name]
    source = module(INPUT, conversion.of("x", "a"), TWICE, pair("s", "y", 1.0))
    absorbed = PassManager([AbsorbQuantization()]).run(source, PassContext())
    assert absorbed.inputs[0].type.is_float


CODES = f"  input %x : tensor<6x{WIDE}>"
REAL = "  %d = dequantize(%x) : tensor<6xf32>"
INTEGER = "  %i = storage_cast(%x) : tensor<6xi32>"
OF_WIDE_CODES = {
    "argmax": module(CODES, REAL, "  %y = argmax(%d) {axis = 0, keep_dims = false} : tensor<i64>"),
    "maximum": module(CODES, REAL, "  %y = reduce_max(%d) {axes = [0]} : tensor<1xf32>"),
    "maximum of integers": module(CODES, INTEGER, "  %y = reduce_max(%i) {axes = [0]} : tensor<1xi32>"),
    "pad": module(CODES, INTEGER, "  %y = pad(%i) {low = [0], high = [2], value = 16777217.0} : tensor<8xi32>"),
}


@pytest.mark.parametrize("name", OF_WIDE_CODES)
def test_codes_of_32_bits_are_not_what_binary32_tells_apart(name: str) -> None:
    codes = np.array([2**24, 2**24 + 1, -(2**31), 5, 2**24, 1 - 2**31], np.int32)
    np.testing.assert_array_equal(*before_and_after(OF_WIDE_CODES[name], codes))


def ladder(steps: int) -> onnx.ModelProto:
    """Each step is read by the next and by a quantize: the quantizes become one a step at a time, from below."""
    g, p, outputs = Graph(), Parameters(np.uint8, 0.02, 3), list[str]()
    x = g.input("x", (2, 2))
    for _ in range(steps):
        order = g.constant(np.array([1, 0]))
        outputs.append(g.quantize(g.node("Gather", x, order, axis=0), p))
        x = g.node("Gather", x, order, axis=1)
    return g.model(*outputs, g.quantize(x, p))


def test_conversions_move_until_they_stand_still() -> None:
    assert float_operations(integer_module(ladder(25))) == []


def test_conversions_that_still_move_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(absorb_quantization, "ROUNDS", 3)
    context = PassContext()
    AbsorbQuantization().run(import_model(ladder(5), "test.onnx"), context)
    (message,) = [r.message for r in context.remarks if r.severity == "warning" and "rounds" in r.message]
    assert message.startswith("conversions still move after 3 rounds")

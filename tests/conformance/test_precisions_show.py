"""The generated cases tell apart in which precision ratios of scales are formed: in another one a case has other bits.

The compiler's own rules are changed, in memory; that the right ones have the bits of the engines is test_conformance's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from qcc.ir import ops
from qcc.passes.realization import ort_elements, ort_products, realizer
from qcc.passes.realization.tflite import arithmetic, codes, products, sums
from qcc.passes.realization.xnnpack import arithmetic as xnn_arithmetic
from qcc.passes.realization.xnnpack import products as xnn_products
from tests.conformance.cases import FAMILIES, Case
from tests.conformance.subject import Outputs, compare_runs, evaluated, imported, realized

Change = Callable[[pytest.MonkeyPatch], None]


class OtherPrecision:
    """NumPy with another binary32 or binary64; what is converted at last, by `asarray`, keeps its type."""

    def __init__(self, **types: Any) -> None:
        self.types = types

    def __getattr__(self, name: str) -> Any:
        return self.types.get(name, getattr(np, name))

    def asarray(self, values: Any, dtype: Any = None) -> Any:
        """Convert as NumPy."""
        real = {changed: getattr(np, name) for name, changed in self.types.items()}
        return np.asarray(values, real.get(dtype, dtype))


def in_module(*modules: Any, **types: Any) -> Change:
    """Return a change of the types that modules compute with."""

    def change(patch: pytest.MonkeyPatch) -> None:
        for module in modules:
            patch.setattr(module, "np", OtherPrecision(**types))

    return change


def rule(op: type, profile: str, other: Any) -> Change:
    """Return a change of a rule for another profile's."""
    return lambda patch: patch.setitem(realizer._RULES, (op, profile), other)


def product_narrow(narrow: bool) -> Change:
    """Return a change of whether convolutions and layers multiply scales in binary32."""
    return lambda patch: patch.setattr(products, "_narrow_product", lambda *operands: narrow)


def reference_layer(patch: pytest.MonkeyPatch) -> None:
    """Multiply scales in binary32 for the binary64 rescale of LiteRT's reference layer."""
    patch.setattr(products, "product_scales", lambda op: narrow_scales(op).astype(np.float64))


def narrow_scales(op: Any) -> Any:
    return np.float32(op.x.type.uniform().scale) * np.array(op.weight.type.uniform().scales, np.float32)


WIDE, NARROW = {"float32": np.float64}, {"float64": np.float32}
SIGNED, EVERY, BYTES = ("int8", "int16"), ("int8", "int16", "uint8"), ("int8", "uint8")

MUTATIONS: list[tuple[str, Sequence[str], str, Change]] = [
    ("MUL", EVERY, "tflm", rule(ops.Mul, "tflm", arithmetic.multiply_narrow)),
    ("MUL", EVERY, "litert-ref", rule(ops.Mul, "litert-ref", arithmetic.multiply)),
    ("MUL", BYTES, "litert-xnn", in_module(xnn_arithmetic, **WIDE)),
    ("MUL", BYTES, "ort", in_module(ort_elements, **WIDE)),
    ("ADD", EVERY, "tflm", rule(ops.Add, "tflm", arithmetic.subtract)),
    ("SUB", EVERY, "tflm", rule(ops.Sub, "tflm", arithmetic.add)),
    ("SUB", EVERY, "litert-ref", rule(ops.Sub, "litert-ref", arithmetic.subtract)),
    ("PRELU", BYTES, "tflm", rule(ops.Prelu, "tflm", codes.prelu_narrow)),
    ("PRELU", BYTES, "litert-ref", rule(ops.Prelu, "litert-ref", codes.prelu)),
    ("RELU", EVERY, "litert-ref", in_module(codes, **WIDE)),
    ("RELU6", EVERY, "litert-ref", in_module(codes, **WIDE)),
    ("RELU_N1_TO_1", BYTES, "litert-ref", in_module(codes, **WIDE)),
    ("LEAKY_RELU", EVERY, "tflm", in_module(codes, **WIDE)),
    ("QUANTIZE", ("int8→int8", "int16→int8", "int16→int16", "uint8→int8"), "tflm", in_module(codes, **NARROW)),
    ("MEAN", EVERY, "tflm", in_module(sums, **NARROW)),
    ("SUM", EVERY, "tflm", in_module(sums, **NARROW)),
    ("FULLY_CONNECTED", EVERY, "tflm", product_narrow(False)),
    ("FULLY_CONNECTED", SIGNED, "tflm", product_narrow(True)),
    ("FULLY_CONNECTED", BYTES, "litert-ref", reference_layer),
    ("BATCH_MATMUL", SIGNED, "tflm", product_narrow(False)),
    ("BATCH_MATMUL", SIGNED, "litert-ref", product_narrow(False)),
    *((op, SIGNED, "tflm", product_narrow(True)) for op in ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")),
    *((op, ("uint8",), "tflm", product_narrow(False)) for op in ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")),
    *(
        (op, BYTES, profile, in_module(module, **WIDE))
        for op in ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED")
        for profile, module in (("litert-xnn", xnn_products), ("ort", ort_products))
    ),
]


def outcomes(cases: Sequence[Case], profile: str) -> list[list[Outputs]]:
    return [evaluated(realized(imported(case.model), profile), case.runs) for case in cases]


@pytest.mark.slow
@pytest.mark.parametrize(("op", "kinds", "profile", "change"), MUTATIONS, ids=lambda v: v if isinstance(v, str) else "")
def test_another_precision_shows(
    monkeypatch: pytest.MonkeyPatch, op: str, kinds: Sequence[str], profile: str, change: Change
) -> None:
    hidden = []
    for kind in kinds:
        cases = FAMILIES[op].near_ties(kind)
        right = outcomes(cases, profile)
        with monkeypatch.context() as patch:
            change(patch)
            changed = outcomes(cases, profile)
        if not any(compare_runs(a, b).wrong for a, b in zip(changed, right, strict=True)):
            hidden.append(kind)
    assert hidden == []

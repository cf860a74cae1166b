"""One operation at a time: build it, run it, or expect it to be refused."""

from typing import Any

import numpy as np
import pytest

from qcc.ir import (
    SCALAR_TYPES,
    Array,
    Builder,
    ElementType,
    IrError,
    Op,
    Stage,
    TensorType,
    Value,
    evaluate,
    parse_module,
    print_module,
)

Given = Array | TensorType


def type_of(given: Given) -> TensorType:
    """The type given, or that of the array."""
    if isinstance(given, TensorType):
        return given
    element = next(t for t in SCALAR_TYPES.values() if t.dtype == given.dtype and not t.is_narrow)
    return TensorType(given.shape, element)


def values(*given: Given) -> list[Value]:
    """A value for each type or array."""
    return [Value(f"x{number}", type_of(g)) for number, g in enumerate(given)]


def infer(op_class: type[Op], *given: Given, **attributes: Any) -> TensorType:
    """The type of the only result."""
    (found,) = op_class(operands=tuple(values(*given)), **attributes).infer()
    return found


def refused(reason: str, op_class: type[Op], *given: Given, **attributes: Any) -> None:
    """Expect an IrError, at construction or inference, whose text matches."""
    with pytest.raises(IrError, match=reason):
        op_class(operands=tuple(values(*given)), **attributes).infer()


def run(op_class: type[Op], *given: Array, **options: Any) -> Array:
    """Return the only result of `run_many`."""
    (found,) = run_many(op_class, *given, **options)
    return found


def run_many(
    op_class: type[Op],
    *given: Array,
    stage: Stage = Stage.FLOAT,
    inputs: tuple[ElementType | None, ...] = (),
    result: ElementType | None = None,
    constants: tuple[int, ...] = (),
    **attributes: Any,
) -> list[Array]:
    """Evaluate a module of one operation, read back from its text.

    Args:
        inputs: element types of the operands where they are not those of the arrays.
        result: element type of the result, where it is not the inferred one.
        constants: operands that are constants of the module, by position.
    """
    builder = Builder("one", stage)
    operands = []
    fed: dict[str, Array] = {}
    for number, array in enumerate(given):
        element = inputs[number] if number < len(inputs) else None
        type = type_of(array) if element is None else TensorType(array.shape, element)
        if number in constants:
            operands.append(builder.constant(array, f"c{number}", type))
            continue
        operands.append(builder.input(f"x{number}", type))
        fed[f"x{number}"] = array
    types = None
    if result is not None:
        types = tuple(t.with_element(result) for t in op_class(operands=tuple(operands), **attributes).infer())
    found = builder.emit_many(op_class, *operands, types=types, **attributes)
    for number, value in enumerate(found):
        builder.output(f"y{number}", value)
    module = parse_module(print_module(builder.build()))
    outputs = evaluate(module, fed)
    return list(outputs.values())


def random_floats(*shape: int, seed: int = 0) -> Array:
    """Normally distributed binary32 numbers."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def random_codes(*shape: int, low: int = -128, high: int = 127, dtype: str = "int8", seed: int = 0) -> Array:
    """Uniformly distributed integers, bounds included."""
    return np.random.default_rng(seed).integers(low, high, shape, endpoint=True).astype(dtype)

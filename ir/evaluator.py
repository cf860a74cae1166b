"""The reference evaluator: runs a module of any stage on NumPy. In the integer stage it defines the bits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np

from .errors import EvaluationError, IrError
from .module import Module
from .op import Op
from .printer import print_op
from .types import Array, CodebookType, TensorType, UniformType
from .value import Value

Observer = Callable[[Value, Array], None]


def evaluate(module: Module, inputs: Mapping[str, Array], observe: Observer | None = None) -> dict[str, Array]:
    """Return the outputs of `module` by name.

    Args:
        inputs: one array for each input, of its shape; codes (storage type) for quantized inputs. A state that is left
            out is as it is before the first run; the outputs tell what it becomes (see `evaluate_sequence`).
        observe: called with each value and its data as soon as it is known, inputs and constants included.
    """
    values = check_inputs(module, inputs)
    for value in module.inputs:
        if observe is not None:
            observe(value, values[value.name])
    last_use = {v.name: index for index, op in enumerate(module.ops) for v in op.operands}
    for index, op in enumerate(module.ops):
        results = evaluate_op(op, [values[v.name] for v in op.operands])
        for value, array in zip(op.results, results, strict=True):
            values[value.name] = array
            if observe is not None:
                observe(value, array)
        for operand in op.operands:
            if last_use[operand.name] == index and operand.name not in module.output_names:
                values.pop(operand.name, None)
    return {o.name: values[o.value.name] for o in module.outputs}


def evaluate_sequence(
    module: Module, samples: Iterable[Mapping[str, Array]], observe: Observer | None = None
) -> Iterator[dict[str, Array]]:
    """Yield the outputs of one run after the other: each reads the states that the run before it left.

    Args:
        samples: the inputs of each run; states that a sample gives take the place of those of the run before.
        observe: as for `evaluate`.
    """
    states = module.initial_states
    for sample in samples:
        outputs = evaluate(module, {**states, **sample}, observe)
        states = {name: outputs[name] for name in states}
        yield outputs


def check_inputs(module: Module, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Return the inputs as arrays of their storage types; EvaluationError names what is missing or does not fit."""
    inputs = {**module.initial_states, **inputs}
    names = [v.name for v in module.inputs]
    unknown = sorted(set(inputs) - set(names))
    missing = [n for n in names if n not in inputs]
    if unknown or missing:
        what = "unknown inputs: " + ", ".join(unknown) if unknown else "missing inputs: " + ", ".join(missing)
        raise EvaluationError(what, help="the inputs are: " + ", ".join(names))
    checked = {}
    for value in module.inputs:
        try:
            array = np.asarray(inputs[value.name])
        except ValueError as error:
            help = "give nested lists of equal lengths, or an array"
            raise EvaluationError(f"input {value.name!r} is no array: {error}", help=help) from error
        if array.shape != value.type.shape:
            raise EvaluationError(
                f"input {value.name!r} has shape {list(array.shape)}, the model takes {list(value.type.shape)}"
            )
        dtype = value.type.element.storage.dtype
        if array.dtype != dtype and (value.type.is_quantized or not np.can_cast(array.dtype, dtype, "same_kind")):
            raise EvaluationError(f"input {value.name!r} has elements {array.dtype}, the model takes {dtype}")
        _check_codes(value, array)
        checked[value.name] = array.astype(dtype, copy=False)
    return checked


def _check_codes(value: Value, array: Array) -> None:
    """Raise EvaluationError where integers do not fit the element type of an input."""
    element = value.type.element
    if element.storage.is_float or not array.size or array.dtype.kind not in "iu":
        return
    low, high = element.storage.minimum, element.storage.maximum
    if isinstance(element, UniformType):
        low, high = element.minimum, element.maximum
    if array.min() < low or array.max() > high:
        message = f"input {value.name!r} spans {array.min()} … {array.max()}, {element} holds {low} … {high}"
        raise EvaluationError(message, help="quantize real numbers with the type of the input first")


def evaluate_op(op: Op, operands: list[Array]) -> tuple[Array, ...]:
    """Return the results of one operation.

    An operation on quantized values means real arithmetic: operands are dequantized and results quantized, unless the
    operation works on codes or only moves elements of one type.
    """
    types = [v.type for v in op.operands]
    quantized = any(t.is_quantized for t in (*types, *(v.type for v in op.results)))
    same = len({t.element for t in (*types, *(v.type for v in op.results))}) == 1
    by_channel = any(isinstance(t.element, UniformType) and t.element.per_axis for t in types)
    direct = not quantized or op.boundary or op.reads_codes or (op.moves_data and same and not by_channel)
    try:
        if not direct:
            operands = [real(t, a) for t, a in zip(types, operands, strict=True)]
        with np.errstate(all="ignore"):  # infinities and NaN are values of IEEE arithmetic, not accidents
            results = op.evaluate(*operands)
    except (ArithmeticError, IndexError, IrError, MemoryError, TypeError, ValueError) as error:
        reason = error.message if isinstance(error, IrError) else str(error) or type(error).__name__
        raise EvaluationError(f"{op.name} failed: {reason}", place=op.location.node, op=print_op(op)) from error
    results = results if isinstance(results, tuple) else (results,)
    if [np.shape(r) for r in results] != [v.type.shape for v in op.results]:
        message = f"{op.name} gave results of shapes {[list(np.shape(r)) for r in results]}"
        raise EvaluationError(message, op=print_op(op), help="the class's evaluate does not agree with its infer")
    if direct:
        return tuple(
            np.asarray(r).astype(v.type.element.storage.dtype, copy=False)
            for v, r in zip(op.results, results, strict=True)
        )
    return tuple(stored(v.type, r) for v, r in zip(op.results, results, strict=True))


def real(type: TensorType, array: Array) -> Array:
    """Return the real values of a tensor: dequantized where it is quantized."""
    return type.element.dequantize(array) if isinstance(type.element, UniformType | CodebookType) else array


def stored(type: TensorType, array: Array) -> Array:
    """Return a real tensor as it is stored in `type`: quantized where that is quantized."""
    if isinstance(type.element, UniformType | CodebookType):
        return type.element.quantize(array)
    return np.asarray(array).astype(type.element.storage.dtype, copy=False)

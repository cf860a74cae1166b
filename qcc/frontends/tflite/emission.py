"""Emission: turns what importers ask for into operations, folds what is known at import, and keeps names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from qcc.ir import (
    F32,
    Array,
    Dense,
    ElementType,
    Module,
    Op,
    Output,
    Shape,
    Stage,
    State,
    TensorType,
    UniqueNames,
    Value,
    drop_dead,
    evaluate_op,
    replace_op,
    verify,
)
from qcc.ir.ops import Constant, Dequantize, StorageCast

from ..collector import Collector
from ..limits import check_size
from ..problem import Unsupported

#: Bytes of constants that a module may have, as a multiple of the file's size and at least.
_CONSTANT_SHARE, _CONSTANT_FREE = 16, 1 << 26

#: Operations that a module may have: at least, and one more for so many bytes of the file.
_OPERATIONS_FREE, _BYTES_AN_OPERATION = 1 << 14, 16

#: The profile that a quantized file's users validated: that of TensorFlow Lite for Microcontrollers.
ARITHMETIC = "tflm"


class Tensor:
    """A tensor while the model is imported: known data, or the value that will hold it, or both.

    Attributes:
        name: of the tensor in the model.
        type: with the file's scales.
        array: its data (codes where it is quantized), where that is known at import.
        value: the IR value, once something reads it at run time.
    """

    def __init__(self, name: str, type: TensorType, array: Array | None = None, value: Value | None = None) -> None:
        self.name = name
        self.type = type
        self.array = array
        self.value = value

    @property
    def shape(self) -> Shape:
        """Its shape."""
        return self.type.shape

    @property
    def rank(self) -> int:
        """Its number of dimensions."""
        return self.type.rank

    @property
    def element(self) -> ElementType:
        """Its element type."""
        return self.type.element

    @property
    def is_integer(self) -> bool:
        """True where it holds plain integers, which no scale makes real numbers."""
        return self.type.element.expressed.is_integer


class Emitter(Collector):
    """Collects the operations of a module.

    Args:
        name: of the module.
        file_size: bytes of the model file, which bound the constants.
    """

    def __init__(self, name: str, file_size: int) -> None:
        super().__init__(name)
        self._states: list[State] = []
        self._output_names = UniqueNames()
        self._operations_left = _OPERATIONS_FREE + file_size // _BYTES_AN_OPERATION
        self._constant_bytes_left = _CONSTANT_SHARE * file_size + _CONSTANT_FREE

    def input(self, name: str, type: TensorType) -> Tensor:
        """Add an input of the module."""
        self._inputs.append(Value(self._names.unique(name), type))
        return Tensor(name, type, value=self._inputs[-1])

    def state(self, name: str, type: TensorType, initial: Array) -> Tensor:
        """Add a state and return what a run reads of it."""
        tensor = self.input(name or "state", type)
        tensor.name = self._inputs[-1].name
        self._states.append(State(tensor.name, Dense(initial)))
        self._output_names.take(tensor.name)
        return tensor

    def next_state(self, name: str, type: TensorType, tensor: Tensor) -> None:
        """Add what a state becomes: a tensor's elements, of the type of the state."""
        if tensor.type != type:
            (tensor,) = self.emit(StorageCast, [tensor], {}) if tensor.type.is_quantized else (tensor,)
            (tensor,) = self.emit(StorageCast, [tensor], {"to": type.element}) if type.is_quantized else (tensor,)
        value = self.materialize(tensor)
        self._flush({})
        self._outputs.append(Output(name, value))

    def emit(
        self,
        op_class: type[Op],
        operands: Sequence[Tensor],
        attributes: dict[str, Any],
        elements: Sequence[ElementType | None] = (),
    ) -> tuple[Tensor, ...]:
        """Return the results of an operation: computed now where all operands are known, else emitted.

        Args:
            elements: element types of the results where they are not the inferred ones.
        """
        values = tuple(t.value or Value(f"operand{i}", t.type) for i, t in enumerate(operands))
        inferred = op_class(operands=values, **attributes).infer()
        given = [*elements, *(None,) * (len(inferred) - len(elements))]
        types = [t if e is None else t.with_element(e) for t, e in zip(inferred, given, strict=True)]
        check_size(types)
        if operands and all(t.array is not None for t in operands) and _foldable(op_class, operands, types):
            results = tuple(Value(f"result{i}", t) for i, t in enumerate(types))
            op = op_class(operands=values, results=results, **attributes)
            if self._fold_budget.take(op):
                return self._fold(op, operands)
        self._operations_left -= 1
        if self._operations_left < 0:
            raise Unsupported("the operations that the model becomes are many times more than its file tells")
        kept = self._keep(op_class, tuple(map(self.materialize, operands)), attributes, types)
        return tuple(Tensor(v.name, v.type, value=v) for v in kept)

    def _fold(self, op: Op, operands: Sequence[Tensor]) -> tuple[Tensor, ...]:
        types = [v.type for v in op.results]
        self.take_bytes(sum(t.bytes for t in types))
        values = tuple(Value(f"operand{i}", t.type) for i, t in enumerate(operands))
        arrays = evaluate_op(replace_op(op, operands=values), [t.array for t in operands if t.array is not None])
        return tuple(Tensor(self.hint, t, array=a) for t, a in zip(types, arrays, strict=True))

    def take_bytes(self, count: int) -> None:
        """Record that constants of `count` bytes are made; Unsupported where the file can't mean that many."""
        self._constant_bytes_left -= count
        if self._constant_bytes_left < 0:
            raise Unsupported("the constants that the model computes are many times larger than its file")

    def materialize(self, tensor: Tensor) -> Value:
        """Return the tensor's value, a constant if need be: floats as f32, and finite."""
        if tensor.value is not None:
            return tensor.value
        if tensor.array is None:
            raise Unsupported(f"{tensor.name!r} has no value")
        array, type = tensor.array, tensor.type
        if array.dtype.kind == "f":
            with np.errstate(over="ignore"):
                array, type = array.astype(np.float32), type.with_element(F32)
            if not np.isfinite(array).all():
                raise Unsupported(f"{tensor.name!r} holds a NaN or infinity")
        self.take_bytes(array.nbytes)
        tensor.type, tensor.value = type, Value(self._names.unique(tensor.name), type)
        self._keep_constant(tensor.value, tensor.name, array)
        return tensor.value

    def finish(self, names: Sequence[str], tensors: Sequence[Tensor]) -> list[Tensor]:
        """Append the node's operations; the results among `tensors` that they define get the model's names."""
        fresh = {v.name for op in self._pending if not isinstance(op, Constant) for v in op.results}
        renamed: dict[str, Value] = {}
        finished = []
        for name, tensor in zip(names, tensors, strict=True):
            value = tensor.value
            if value is not None and tensor.array is None and value.name in fresh:
                if value.name not in renamed:
                    renamed[value.name] = Value(self._names.unique(name), value.type)
                finished.append(Tensor(name, value.type, value=renamed[value.name]))
            elif tensor.array is not None and value is None:
                finished.append(Tensor(name, tensor.type, tensor.array))
            else:
                finished.append(tensor)
        self._flush(renamed)
        return finished

    def output(self, name: str, tensor: Tensor) -> None:
        """Add an output of the module, named as the file names it."""
        value = self.materialize(tensor)
        self._flush({})
        self._outputs.append(Output(self._output_names.unique(name or "output"), value))

    def build(self) -> Module:
        """Return the verified module, without operations whose results nothing reads."""
        module = drop_dead(self._module().replace(states=tuple(self._states)))
        if any(v.type.is_quantized for v in module.values.values()):
            module = module.replace(stage=Stage.QUANTIZED).with_attribute("arithmetic", ARITHMETIC)
        verify(module)
        return module


def _foldable(op_class: type[Op], operands: Sequence[Tensor], types: Sequence[TensorType]) -> bool:
    """True where the result does not depend on the arithmetic profile."""
    if not any(t.is_quantized for t in (*(o.type for o in operands), *types)):
        return True
    same = len({t.element for t in (*(o.type for o in operands), *types)}) == 1
    return op_class in (Dequantize, StorageCast) or (op_class.moves_data and same)

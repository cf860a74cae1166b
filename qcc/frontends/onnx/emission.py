"""Emission: turns what importers ask for into operations, folds what is known at import, and keeps names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from qcc.ir import (
    SCALAR_TYPES,
    Array,
    Module,
    Op,
    Output,
    ScalarType,
    Shape,
    TensorType,
    UniformType,
    Value,
    drop_dead,
    evaluate_op,
    replace_op,
    verify,
)

from ..collector import Collector
from ..limits import check_fold_size, check_size
from .problem import Problem, Unsupported


class Tensor:
    """A tensor while the model is imported: known data, or the value that will hold it, or both.

    Attributes:
        name: of the tensor in the model.
        array: its data, where that is known at import, in the model's own precision.
        value: the IR value, once something reads it at run time.
        note: how its data was changed when it was read.
        nameless: its name is not the model's; it takes that of the node's output that it becomes.
        narrow: the element type of known data where it is narrower than the NumPy type that holds it.
    """

    def __init__(
        self,
        name: str,
        array: Array | None = None,
        value: Value | None = None,
        note: str = "",
        nameless: bool = False,
        narrow: ScalarType | None = None,
    ) -> None:
        self.name = name
        self.array = array
        self.value = value
        self.note = note
        self.nameless = nameless
        self.narrow = narrow

    @property
    def shape(self) -> Shape:
        """Its shape."""
        return self.type.shape if self.array is None else self.array.shape

    @property
    def rank(self) -> int:
        """Its number of dimensions."""
        return len(self.shape)

    @property
    def type(self) -> TensorType:
        """Its type: that of the data where this is known, so perhaps f16 or f64."""
        if self.array is not None:
            return TensorType(self.array.shape, self.narrow or scalar_type(self.array.dtype))
        if self.value is None:
            raise Unsupported(f"{self.name!r} has no value")
        return self.value.type

    @property
    def element(self) -> ScalarType:
        """Its element type."""
        return self.type.element.expressed


def scalar_type(dtype: np.dtype[Any]) -> ScalarType:
    """Return the IR's type of a NumPy type; Unsupported where it has none."""
    for scalar in SCALAR_TYPES.values():
        if scalar.dtype == dtype and not scalar.is_narrow:
            return scalar
    raise Unsupported(f"elements of type {dtype} are not supported")


def narrow_type(scalar: ScalarType) -> ScalarType | None:
    """Return the type where NumPy has none of its width, else None."""
    return scalar if scalar.is_narrow else None


class Emitter(Collector):
    """Collects the operations of a module.

    Args:
        name: of the module.
        reserved: names of the model's tensors, kept free for them.
    """

    def __init__(self, name: str, reserved: Iterable[str]) -> None:
        self._unclaimed = set(reserved)
        super().__init__(name, self._unclaimed)
        self.problems: list[Problem] = []
        self._folded: dict[Any, tuple[tuple[Tensor, ...], tuple[Tensor, ...]]] = {}

    def input(self, name: str, type: TensorType) -> Tensor:
        """Add an input of the module."""
        self._unclaimed.discard(name)
        self._inputs.append(Value(name, type))
        return Tensor(name, value=self._inputs[-1])

    def emit(self, op_class: type[Op], operands: Sequence[Tensor], attributes: dict[str, Any]) -> tuple[Tensor, ...]:
        """Return the results of an operation: computed now where all operands are known, else emitted."""
        if operands and all(t.array is not None for t in operands):
            folded = self._fold(op_class, tuple(operands), attributes)
            if folded is not None:
                return folded
        values = tuple(self.materialize(t) for t in operands)
        types = op_class(operands=values, **attributes).infer()
        check_size(types)
        return tuple(Tensor(v.name, value=v) for v in self._keep(op_class, values, attributes, types))

    def _fold(
        self, op_class: type[Op], operands: tuple[Tensor, ...], attributes: dict[str, Any]
    ) -> tuple[Tensor, ...] | None:
        """Return what the evaluator computes of known operands, once; None where that would cost too much."""
        key = (op_class, tuple(sorted(attributes.items())), tuple(map(id, operands)))
        if key in self._folded:
            return self._folded[key][1]
        values = tuple(Value(f"operand{i}", t.type) for i, t in enumerate(operands))
        op = op_class(operands=values, **attributes)
        results = tuple(Value(f"result{i}", t) for i, t in enumerate(op.infer()))
        check_fold_size(sum(v.type.size for v in results))
        op = replace_op(op, results=results)
        if not self._fold_budget.take(op):
            return None
        arrays = evaluate_op(op, [t.array for t in operands if t.array is not None])
        moved = operands[0] if op.moves_data and len(operands) == 1 else None
        name, note = (moved.name, moved.note) if moved else (f"{self.hint}_{op.name}", "")
        folded = tuple(
            Tensor(name, array=a, note=note, nameless=True, narrow=narrow_type(v.type.element.storage))
            for a, v in zip(arrays, results, strict=True)
        )
        self._folded[key] = (operands, folded)  # the operands stay alive, so their ids stay theirs
        return folded

    def materialize(self, tensor: Tensor) -> Value:
        """Return the tensor's value, a constant if need be: floats as f32, and finite."""
        if tensor.value is not None:
            return tensor.value
        array, note = tensor.array, tensor.note
        if array is None:
            raise Unsupported(f"{tensor.name!r} has no value")
        self._check_finite(tensor.name, array)
        if array.dtype.kind == "f" and array.dtype != np.float32:
            note = note or f"{array.dtype} to f32"
            with np.errstate(over="ignore"):
                array = array.astype(np.float32)
            self._check_finite(tensor.name, array)
        notes = (("converted", note),) if note else ()
        type = TensorType(array.shape, tensor.narrow or scalar_type(array.dtype))
        tensor.value = Value(self._claim(tensor.name), type)
        self._keep_constant(tensor.value, tensor.name, array, notes)
        return tensor.value

    def coded_constant(self, name: str, codes: Array, type: UniformType) -> Tensor:
        """Return a constant of codes in a quantized type."""
        value = Value(self._claim(name), TensorType(codes.shape, type))
        self._keep_constant(value, name, codes)
        return Tensor(name, value=value)

    def _check_finite(self, name: str, array: Array) -> None:
        if array.dtype.kind != "f":
            return
        nans, infinities = int(np.isnan(array).sum()), int(np.isinf(array).sum())
        counts = [f"{n} {what}" for n, what in ((nans, "NaN"), (infinities, "infinite")) if n]
        if counts:
            text = " and ".join(counts)
            self.problems.append(Problem(f"tensor {name!r}", f"{text} of its {array.size} elements"))

    def _claim(self, name: str) -> str:
        """Return `name` where it is the model's and not yet used, else a free one like it."""
        if name in self._unclaimed:
            self._unclaimed.discard(name)
            return name
        return self._names.unique(name)

    def finish(self, names: Sequence[str], tensors: Sequence[Tensor]) -> list[Tensor]:
        """Append the node's operations; the results among `tensors` that they define get the model's names."""
        fresh = {v.name for op in self._pending for v in op.results}
        renamed: dict[str, Value] = {}
        finished = []
        for name, tensor in zip(names, tensors, strict=True):
            value = tensor.value
            if value is not None and tensor.array is None and name and value.name in fresh:
                if value.name not in renamed:
                    self._unclaimed.discard(name)
                    renamed[value.name] = Value(name, value.type)
                tensor = Tensor(name, value=renamed[value.name])
            elif value is None and tensor.nameless and name:
                tensor.name, tensor.nameless = name, False
            finished.append(tensor)
        self._flush(renamed)
        return finished

    def output(self, name: str, tensor: Tensor) -> None:
        """Add an output of the module."""
        value = self.materialize(tensor)
        self._flush({})
        self._outputs.append(Output(name, value))

    def build(self) -> Module:
        """Return the verified module, without operations whose results nothing reads."""
        module = drop_dead(self._module())
        verify(module)
        return module

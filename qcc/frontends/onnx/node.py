"""A node as importers see it: inputs, attributes with their types, and a way to emit operations."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import onnx
from onnx import AttributeProto

from qcc.ir import Array, Op, ScalarType

from ..axes import normalized_axes, normalized_axis
from ..node_inputs import NodeInputs, known
from .emission import Emitter, Tensor
from .problem import Unsupported

__all__ = ["Node", "known", "normalized_axes", "normalized_axis"]


class Node(NodeInputs[Tensor]):
    """One node of the model.

    Attributes:
        op_type: ONNX's name of the operation.
        opset: version of ONNX's operator set that the model uses.
        outputs: names of the results, empty where an optional one is left out.
    """

    def __init__(self, proto: onnx.NodeProto, opset: int, inputs: Sequence[Tensor | None], emitter: Emitter) -> None:
        super().__init__(inputs)
        self.op_type = proto.op_type
        self.opset = opset
        self.outputs = list(proto.output)
        self.emitter = emitter
        self._attributes = {a.name: a for a in proto.attribute}
        self._unread = set(self._attributes)

    def with_inputs(self, *inputs: Tensor | None, opset: int | None = None) -> Node:
        """Return the node reading other inputs, for an importer that it shares its attributes with."""
        other = copy.copy(self)
        other.inputs = list(inputs)
        other.opset = self.opset if opset is None else opset
        return other

    def without(self, name: str) -> Node:
        """Return the node without an attribute that has been taken care of."""
        other = copy.copy(self)
        other._attributes = {n: a for n, a in self._attributes.items() if n != name}
        return other

    def optional_constant(self, index: int, what: str) -> Array | None:
        """Return the data of an optional input that must be known at import."""
        tensor = self.optional(index)
        return None if tensor is None else known(tensor, f"input {index} ({what})")

    def constant_ints(self, index: int, what: str) -> tuple[int, ...] | None:
        """Return an optional list of integers that must be known at import."""
        array = self.optional_constant(index, what)
        if array is not None and array.dtype.kind not in "iu":
            raise Unsupported(f"input {index} ({what}) holds {array.dtype}, it must hold integers")
        return None if array is None else tuple(int(i) for i in array.reshape(-1))

    def wants(self, index: int) -> bool:
        """True where something may read output `index`."""
        return index < len(self.outputs) and self.outputs[index] != ""

    def has(self, name: str) -> bool:
        """True where attribute `name` is given."""
        return name in self._attributes

    def get_int(self, name: str, default: int | None = None) -> int:
        """Return an integer attribute; without a default it must be given."""
        return int(self._get(name, AttributeProto.INT, "i", default))

    def get_float(self, name: str, default: float) -> float:
        """Return a float attribute."""
        return float(self._get(name, AttributeProto.FLOAT, "f", default))

    def get_string(self, name: str, default: str) -> str:
        """Return a string attribute."""
        value = self._get(name, AttributeProto.STRING, "s", default)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)

    def get_ints(self, name: str, default: Sequence[int] = ()) -> tuple[int, ...]:
        """Return a list of integers."""
        return tuple(self._get(name, AttributeProto.INTS, "ints", default))

    def get_floats(self, name: str) -> tuple[float, ...]:
        """Return a list of floats."""
        return tuple(self._get(name, AttributeProto.FLOATS, "floats", ()))

    def get_tensor(self, name: str) -> onnx.TensorProto:
        """Return a tensor attribute."""
        tensor: onnx.TensorProto = self._get(name, AttributeProto.TENSOR, "t", None)
        return tensor

    def ignore(self, *names: str) -> None:
        """Say that these attributes change nothing here."""
        self._unread.difference_update(names)

    def refuse_unread(self) -> None:
        """Raise Unsupported where an attribute was given that nothing has read."""
        if self._unread:
            raise Unsupported(f"attributes not supported: {', '.join(sorted(self._unread))}")

    def _get(self, name: str, kind: Any, field: str, default: Any) -> Any:
        self._unread.discard(name)
        attribute = self._attributes.get(name)
        if attribute is None:
            if default is None:
                raise Unsupported(f"attribute {name!r} is missing")
            return default
        if attribute.type != kind:
            raise Unsupported(f"attribute {name!r} is not of type {AttributeProto.AttributeType.Name(kind).lower()}")
        return getattr(attribute, field)

    def emit(self, op_class: type[Op], *operands: Tensor, **attributes: Any) -> Tensor:
        """Return the one result of an operation (see `Emitter.emit`)."""
        (result,) = self.emitter.emit(op_class, operands, attributes)
        return result

    def emit_many(self, op_class: type[Op], *operands: Tensor, **attributes: Any) -> tuple[Tensor, ...]:
        """Return the results of an operation."""
        return self.emitter.emit(op_class, operands, attributes)

    def known(self, array: Array, narrow: ScalarType | None = None) -> Tensor:
        """Return a tensor of data that is known; `narrow` is its element type where NumPy has none."""
        return Tensor(f"{self.emitter.hint}_constant", array=array, nameless=True, narrow=narrow)

    def like(self, array: Array, tensor: Tensor) -> Tensor:
        """Return a tensor of known data that takes the place of `tensor`, whose name it keeps."""
        return Tensor(tensor.name, array=array, note=tensor.note, nameless=True, narrow=tensor.narrow)

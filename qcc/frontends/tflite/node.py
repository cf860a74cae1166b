"""An operator as importers see it: inputs, options, what the file says of its results, and a way to emit operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from qcc.ir import SCALAR_TYPES, Array, ElementType, Op, TensorType, UniformType
from qcc.ir.ops import Clamp, StorageCast, Tanh
from qcc.passes import KERNEL, UNDELEGATED

from ..node_inputs import NodeInputs
from ..problem import Unsupported
from . import schema
from .defects import Defects
from .emission import Emitter, Tensor
from .model_file import FileOperator, FileTensor
from .tensor_types import element_type, scalar_type

if TYPE_CHECKING:
    from .variables import Variables

#: The bounds of fused activations that are limits.
CLAMPS: dict[str, tuple[float, float]] = {
    "RELU": (0.0, float("inf")),
    "RELU_N1_TO_1": (-1.0, 1.0),
    "RELU6": (0.0, 6.0),
}


class OptionReader:
    """The options of an operator by name, as the schema's table of its operation has them."""

    def __init__(self, operator: FileOperator) -> None:
        self._options = schema.OPTIONS.get(operator.name)
        self._table = operator.options
        if self._options and self._table and operator.options_type not in (0, self._options.number):
            raise Unsupported(f"its options are of kind {operator.options_type}, not {self._options.number}")

    def option(self, name: str) -> Any:
        """Return a number, text or list of the options, the schema's default where the file does not give it."""
        if self._options is None:
            raise Unsupported("has no options")
        field = self._options.fields[name]
        if self._table is None:
            return {"i*": (), "s": ""}.get(field.kind, field.default)
        if field.kind == "i*":
            return self._table.integers(field.slot)
        if field.kind == "s":
            return self._table.text(field.slot)
        return self._table.scalar(field.slot, field.kind, field.default)

    def choice(self, name: str, choices: Sequence[str]) -> str:
        """Return the name of an enumeration's number."""
        number = int(self.option(name))
        if not 0 <= number < len(choices):
            raise Unsupported(f"option {name!r} is {number}, which is not known")
        return choices[number]

    def key(self) -> str:
        """Return the name of the variable that a VAR_HANDLE stands for: that in its container."""
        container, name = str(self.option("container")), str(self.option("shared_name"))
        return f"{container}/{name}" if container else name


class Node(OptionReader, NodeInputs[Tensor]):
    """One operator of the model.

    Attributes:
        name: of the operation.
        label: how messages name the operator.
        outputs: what the file says of the results.
        defects: where to record what is wrong but clear.
        variables: what the model keeps from run to run.
        undelegated: why XNNPACK leaves the operator to LiteRT's kernels, where what it reads is the reason.
    """

    def __init__(
        self,
        operator: FileOperator,
        label: str,
        inputs: Sequence[Tensor | None],
        outputs: Sequence[FileTensor],
        emitter: Emitter,
        defects: Defects,
        variables: Variables,
    ) -> None:
        OptionReader.__init__(self, operator)
        NodeInputs.__init__(self, inputs)
        self.name = operator.name
        self.label = label
        self.outputs = list(outputs)
        self.emitter = emitter
        self.defects = defects
        self.variables = variables
        self.undelegated = ""

    def integers(self, index: int, what: str) -> tuple[int, ...]:
        """Return a list of integers that must be known at import."""
        array = self.constant(index, what)
        if array.dtype.kind not in "iu" or array.size > 1 << 16:
            raise Unsupported(f"input {index} ({what}) holds {array.size} {array.dtype}, not a list of integers")
        return tuple(int(i) for i in array.reshape(-1))

    def integer(self, index: int, what: str) -> int:
        """Return an integer that must be known at import."""
        numbers = self.integers(index, what)
        if len(numbers) != 1:
            raise Unsupported(f"input {index} ({what}) has {len(numbers)} numbers, not one")
        return numbers[0]

    def activation(self) -> str:
        """Return the name of the fused activation."""
        return self.choice("fused_activation_function", schema.ACTIVATIONS)

    def element(self, index: int = 0) -> ElementType:
        """Return the element type that the file gives a result."""
        tensor = self.outputs[index]
        element = element_type(tensor, scalar_type(tensor.type), tensor.shape, self.defects)
        if isinstance(element, UniformType) and element.per_axis:
            raise Unsupported(f"{tensor.label} is computed and quantized by channel, which is not supported")
        return element

    @property
    def notes(self) -> tuple[tuple[str, str], ...]:
        """Which kernel computes the node, for operations of the IR that several kernels compute."""
        named = (KERNEL, self.name)
        return (named, (UNDELEGATED, self.undelegated)) if self.undelegated else (named,)

    @property
    def is_quantized(self) -> bool:
        """True where the first result is quantized."""
        return isinstance(self.element(), UniformType)

    def emit(self, op_class: type[Op], *operands: Tensor, **attributes: Any) -> Tensor:
        """Return the one result of an operation, of the inferred type (see `Emitter.emit`)."""
        (result,) = self.emitter.emit(op_class, operands, attributes)
        return result

    def emit_as(self, element: ElementType, op_class: type[Op], *operands: Tensor, **attributes: Any) -> Tensor:
        """Return the one result of an operation, of an element type."""
        (result,) = self.emitter.emit(op_class, operands, attributes, [element])
        return result

    def result(self, op_class: type[Op], *operands: Tensor, **attributes: Any) -> Tensor:
        """Return the one result of an operation, of the element type that the file gives the node's first result."""
        return self.emit_as(self.element(), op_class, *operands, **attributes)

    def activated(self, op_class: type[Op], *operands: Tensor, **attributes: Any) -> Tensor:
        """Return the node's result with its fused activation, in the operation where that has a clamp."""
        activation = self.activation()
        if activation == "NONE":
            return self.result(op_class, *operands, **attributes)
        if activation in CLAMPS and op_class.fusable_clamp and not self.input(0).is_integer:
            return self.result(op_class, *operands, clamp=CLAMPS[activation], **attributes)
        return self.behind(activation, self.result(op_class, *operands, **attributes))

    def behind(self, activation: str, x: Tensor) -> Tensor:
        """Return an activation of a result, as an operation of its own that keeps its type."""
        if activation == "NONE":
            return x
        if activation in CLAMPS:
            minimum, maximum = CLAMPS[activation]
            return self.emit_as(x.element, Clamp, x, minimum=minimum, maximum=maximum, notes=self.notes)
        if activation == "TANH" and not isinstance(x.element, UniformType):
            return self.emit(Tanh, x)
        raise Unsupported(f"the fused activation {activation} is not supported")

    def known(self, array: Array, element: ElementType | None = None) -> Tensor:
        """Return a tensor of data that is known: of plain numbers, or codes of an element type."""
        if element is None:
            element = next(t for t in SCALAR_TYPES.values() if t.bits != 4 and t.dtype == array.dtype)
        return Tensor(f"{self.emitter.hint}_constant", TensorType(array.shape, element), array=array)

    def derived(self, tensor: Tensor, array: Array, element: ElementType) -> Tensor:
        """Return a tensor of known data that takes the place of `tensor`, whose name it keeps."""
        return Tensor(tensor.name, TensorType(array.shape, element), array=np.ascontiguousarray(array))

    def alike(self, x: Tensor) -> Tensor:
        """Return an operand with the first result's parameters: kernels take the codes as they are."""
        element, own = self.element(), x.element
        if own == element or not isinstance(own, UniformType) or own.storage != element.storage:
            return x
        self.defects.add(self.label, f"the scale or zero point of {x.name!r} is not that of the result; codes are kept")
        return self.reinterpreted(x, element)

    def reinterpreted(self, x: Tensor, element: ElementType) -> Tensor:
        """Return the same codes under another type of the same storage."""
        if x.element == element:
            return x
        plain = self.emit(StorageCast, x) if isinstance(x.element, UniformType) else x
        return self.emit(StorageCast, plain, to=element) if isinstance(element, UniformType) else plain

"""UNIDIRECTIONAL_SEQUENCE_LSTM, unrolled over the steps of its sequence.

Integer layers are composed of operations on quantized values, of the types inside TensorFlow Lite Micro's kernel
(ARITHMETIC §3.30), so that its bits follow from those of the operations: gates are 16-bit numbers of 12 fraction bits
before their function and of 15 behind it.
"""

from __future__ import annotations

from dataclasses import dataclass

from qcc.ir import I16, I64, ElementType, UniformType
from qcc.ir.ops import Add, Clamp, Concat, Matmul, Mul, Reshape, Sigmoid, Slice, Tanh

from ...problem import Unsupported
from ..emission import Tensor
from ..node import Node
from ..variables import Handle
from .parameters import bias_operand, weight_operand

#: Steps of a sequence, each of which becomes operations of its own.
STEP_LIMIT = 1024

#: Positions of the operands of the gates: weights of the input, weights of the hidden state, bias.
_GATES = {"input": (1, 5, 12), "forget": (2, 6, 13), "cell": (3, 7, 14), "output": (4, 8, 15)}

#: Operands of layers with peepholes, projections and layer normalization.
_UNSUPPORTED = {9: "peepholes", 10: "peepholes", 11: "peepholes", 16: "a projection", 20: "layer normalization"}

_BEFORE = UniformType(I16, (2.0**-12,), (0,))
_BEHIND = UniformType(I16, (2.0**-15,), (0,))


@dataclass(frozen=True)
class _Gate:
    """Weights of a gate as matrices K×N, and its bias."""

    input_weight: Tensor
    hidden_weight: Tensor
    bias: Tensor | None


@dataclass(frozen=True)
class _Layer:
    """What a step needs: the node, its gates, and how cell states are limited."""

    node: Node
    gates: dict[str, _Gate]
    clip: float
    quantized: bool

    def step(self, x: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """Return hidden and cell state behind one step."""
        forget, enter, leave = (self._gate(g, x, hidden, Sigmoid) for g in ("forget", "input", "output"))
        candidate = self._gate("cell", x, hidden, Tanh)
        kept = self._emit(cell.element, Mul, forget, cell)
        added = self._emit(cell.element, Mul, enter, candidate)
        new = self._emit(cell.element, Add, kept, added)
        if self.clip > 0:
            new = self._emit(cell.element, Clamp, new, minimum=-self.clip, maximum=self.clip)
        shown = self._emit(_BEHIND, Tanh, new)
        return self._emit(hidden.element, Mul, leave, shown), new

    def _gate(self, name: str, x: Tensor, hidden: Tensor, function: type[Sigmoid] | type[Tanh]) -> Tensor:
        gate = self.gates[name]
        wide = self.quantized and x.element.storage == I16
        sums = {"notes": self.node.notes, **({"accumulator": I64} if wide else {})}
        operands = (x, gate.input_weight) if gate.bias is None else (x, gate.input_weight, gate.bias)
        seen = self._emit(_BEFORE, Matmul, *operands, **sums)
        remembered = self._emit(_BEFORE, Matmul, hidden, gate.hidden_weight, **sums)
        return self._emit(_BEHIND, function, self._emit(_BEFORE, Add, seen, remembered))

    def _emit(self, element: ElementType, op_class: type, *operands: Tensor, **attributes: object) -> Tensor:
        """Return a result, of an element type where the layer is quantized."""
        if not self.quantized:
            return self.node.emit(op_class, *operands, **attributes)
        return self.node.emit_as(element, op_class, *operands, **attributes)


def sequence_lstm(node: Node) -> Tensor:
    """UNIDIRECTIONAL_SEQUENCE_LSTM without peepholes, projection and layer normalization; states are variables."""
    x = node.input(0)
    for index, what in _UNSUPPORTED.items():
        if node.optional(index) is not None:
            raise Unsupported(f"{what} are not supported" if what == "peepholes" else f"{what} is not supported")
    if x.rank != 3 or node.activation() != "TANH" or float(node.option("proj_clip")):
        raise Unsupported(f"takes sequences and the activation TANH, not {list(x.shape)} and {node.activation()}")
    handles = [node.input(index, "state") for index in (18, 19)]
    time_major = bool(node.option("time_major"))
    steps, batch = (x.shape[0], x.shape[1]) if time_major else (x.shape[1], x.shape[0])
    if not 1 <= steps <= STEP_LIMIT:
        raise Unsupported(f"a sequence of {steps} steps, 1 … {STEP_LIMIT} are supported")
    hidden, cell = (_state(node, handle) for handle in handles)
    layer = _Layer(
        node,
        {name: _gate(node, x, hidden, *places) for name, places in _GATES.items()},
        float(node.option("cell_clip")),
        node.is_quantized,
    )
    axis, found = (0 if time_major else 1), []
    for step in range(steps):
        starts, sizes = [0, 0, 0], list(x.shape)
        starts[axis], sizes[axis] = step, 1
        part = node.emit(Slice, x, starts=tuple(starts), sizes=tuple(sizes), strides=(1, 1, 1))
        hidden, cell = layer.step(node.emit(Reshape, part, shape=(batch, x.shape[2])), hidden, cell)
        shape = (1, batch, hidden.shape[1]) if time_major else (batch, 1, hidden.shape[1])
        found.append(node.emit(Reshape, hidden, shape=shape))
    for handle, state in zip(handles, (hidden, cell), strict=True):
        node.variables.write(handle.key if isinstance(handle, Handle) else "", state)
    if len(found) == 1:
        return found[0]
    return node.emit_as(hidden.element, Concat, *found, axis=axis)


def _state(node: Node, handle: Tensor) -> Tensor:
    if not isinstance(handle, Handle) or handle.variable is None:
        raise Unsupported("its states are no variable tensors")
    return node.variables.read(handle.key, handle.variable)


def _gate(node: Node, x: Tensor, hidden: Tensor, of_input: int, of_hidden: int, of_bias: int) -> _Gate:
    if node.optional(of_input) is None:
        raise Unsupported("coupled input and forget gates are not supported")
    weights = [weight_operand(node, node.input(index), 0, (1, 0)) for index in (of_input, of_hidden)]
    return _Gate(weights[0], weights[1], bias_operand(node, of_bias, x, weights[0], 1))


IMPORTERS = {"UNIDIRECTIONAL_SEQUENCE_LSTM": sequence_lstm}

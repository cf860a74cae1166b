"""The interface of a compiled module: its inputs and outputs as the C API and the manifest show them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from qcc.ir import SCALAR_TYPES, Module, ScalarType, TargetError, TensorType, UniformType

from .c_text import c_type, identifiers


@dataclass(frozen=True)
class Port:
    """An input or an output.

    Attributes:
        name: as the module has it.
        identifier: the member of the C structure.
        type: the tensor.
    """

    name: str
    identifier: str
    type: TensorType

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy type of the elements as they are stored."""
        return self.type.element.storage.dtype

    @property
    def c_type(self) -> str:
        """The C type of the elements."""
        return c_type(self.dtype)

    @property
    def bytes(self) -> int:
        """Bytes of the tensor."""
        return self.type.size * self.dtype.itemsize

    @property
    def quantization(self) -> UniformType | None:
        """How codes stand for real numbers, None for plain numbers."""
        return self.type.element if isinstance(self.type.element, UniformType) else None

    @staticmethod
    def of(entry: Mapping[str, Any]) -> Port:
        """Return the port that an entry of a manifest describes; KeyError, TypeError or ValueError if it is none."""
        dtype = np.dtype(entry["type"])
        scalar = _scalar(dtype, int(entry.get("bits", 0)))
        shape = tuple(entry["shape"])
        if entry["scale"] is None:
            return Port(entry["name"], entry["c_name"], TensorType(shape, scalar))
        element = UniformType(scalar, (entry["scale"],), (entry["zero_point"],))
        return Port(entry["name"], entry["c_name"], TensorType(shape, element))

    def manifest(self) -> dict[str, Any]:
        """Return the entry of the manifest; scale and zero point are null for plain numbers."""
        quantization = self.quantization
        return {
            "name": self.name,
            "c_name": self.identifier,
            "shape": list(self.type.shape),
            "type": self.dtype.name,
            "scale": None if quantization is None else quantization.scale,
            "zero_point": None if quantization is None else quantization.zero_point,
            **({"bits": self.type.element.storage.bits} if self.type.element.storage.is_narrow else {}),
        }


def _scalar(dtype: np.dtype[Any], bits: int) -> ScalarType:
    """Return the scalar type held in `dtype`: that of `bits` bits, where it is narrower."""
    (scalar,) = (t for t in SCALAR_TYPES.values() if t.dtype == dtype and (t.bits == bits if bits else not t.is_narrow))
    return scalar


@dataclass(frozen=True)
class Interface:
    """Inputs and outputs of a module, in order, and its states, wide elements first: nothing lies between them."""

    name: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    states: tuple[Port, ...] = ()

    @property
    def state_bytes(self) -> int:
        """Bytes of the structure that holds the states."""
        return sum(port.bytes for port in self.states)

    @property
    def state_offsets(self) -> dict[str, int]:
        """Where in that structure each state begins, by name."""
        ends = list(accumulate((port.bytes for port in self.states), initial=0))
        return {port.name: at for port, at in zip(self.states, ends, strict=False)}


def interface_of(module: Module) -> Interface:
    """Return the interface of a module; a TargetError names an input or output that C can't pass."""
    inputs = {v.name: v.type for v in module.caller_inputs}
    outputs = {o.name: o.value.type for o in module.caller_outputs}
    kept = [module.input_named(s.name) for s in module.states]
    states = {v.name: v.type for v in sorted(kept, key=lambda v: -v.type.element.storage.dtype.itemsize)}
    if not outputs:
        raise TargetError(f"module {module.name!r} has no output", help="name at least one output")
    return Interface(module.name, _ports(inputs, "input"), _ports(outputs, "output"), _ports(states, "state"))


def states_entry(interface: Interface) -> dict[str, Any]:
    """Return what the manifest says of the states; nothing where there are none."""
    if not interface.states:
        return {}
    return {"states": [port.manifest() for port in interface.states], "state_bytes": interface.state_bytes}


def _ports(types: dict[str, TensorType], what: str) -> tuple[Port, ...]:
    names = identifiers(types)
    ports = tuple(Port(name, names[name], tensor) for name, tensor in types.items())
    for port in ports:
        element = port.type.element
        if isinstance(element, UniformType) and element.per_axis:
            raise TargetError(f"{what} {port.name!r} has one scale a channel", help="quantize it per tensor")
        c_type(element.storage.dtype)
    return ports

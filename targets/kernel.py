"""Kernels: the units of a module that become one C function each, and what lowering makes of them.

`partition` cuts an integer-stage module (or a float region) into kernels by the `fusion` names that `fuse-epilogue`
gave; `lower_kernel` turns one kernel into a TIR function whose parameters are plain pointers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from qcc.ir import Array, IrError, Module, Op, Value, free_name
from qcc.ir.ops import Constant, Reshape, StorageCast

#: Operations that make no kernel: their result is their operand's memory under another type or shape.
ALIASES = (StorageCast, Reshape)

OpT = TypeVar("OpT", bound=Op)


@dataclass(frozen=True)
class Kernel:
    """Operations that become one C function.

    Attributes:
        name: a C identifier, unique in the module.
        ops: in order, the anchor first; constants are not among them.
        inputs: tensors read from memory, in order of first use.
        constants: data of the constant operands, by value name, in the shape that the operation sees.
        outputs: tensors written.
    """

    name: str
    ops: tuple[Op, ...]
    inputs: tuple[Value, ...]
    constants: Mapping[str, Array] = field(hash=False)
    outputs: tuple[Value, ...]

    @property
    def anchor(self) -> Op:
        """The first operation, which decides on the loop nest."""
        return self.ops[0]

    def anchor_as(self, kind: type[OpT]) -> OpT:
        """Return the anchor, which the nest at work takes only of this kind."""
        if not isinstance(self.anchor, kind):
            raise IrError(f"{self.anchor.name} is not computed by the nest of {kind.__name__}")
        return self.anchor

    @cached_property
    def definitions(self) -> dict[str, Op]:
        """The operation of this kernel that defines each value, by value name."""
        return {value.name: op for op in self.ops for value in op.results}

    @cached_property
    def read_inside(self) -> frozenset[str]:
        """Names of the values that operations of this kernel read."""
        return frozenset(value.name for op in self.ops for value in op.operands)

    @property
    def description(self) -> str:
        """What the kernel computes and where it came from, one line, for comments in generated code."""
        names = " + ".join(op.name for op in self.ops)
        nodes = dict.fromkeys(op.location.node for op in self.ops if op.location.node)
        return f"{names} ({', '.join(nodes)})" if nodes else names

    @cached_property
    def in_place_inputs(self) -> tuple[Value, ...]:
        """Inputs whose memory the output may share: each of their elements is read before only it is overwritten."""
        if len(self.outputs) != 1 or not all(op.elementwise for op in self.ops):
            return ()
        output = self.outputs[0].type
        width = output.element.storage.bits
        return tuple(v for v in self.inputs if v.type.shape == output.shape and v.type.element.storage.bits == width)


@dataclass(frozen=True)
class ConstantArgument:
    """Data that goes to flash as it is: packed weights, folded biases, multipliers, tables.

    Attributes:
        name: a C identifier, unique within its kernel.
        array: the bytes in the order in which the code reads them.
        comment: what they are, for readers of the generated code.
    """

    name: str
    array: Array = field(hash=False, compare=False)
    comment: str = ""


@dataclass(frozen=True)
class LoweredKernel:
    """A kernel as TIR.

    Attributes:
        function: a TIR PrimFunc that returns nothing; its parameters are one pointer for each of `arguments`.
        arguments: inputs, constants, then outputs.
    """

    function: Any
    arguments: tuple[Value | ConstantArgument, ...]


def partition(module: Module) -> list[Kernel]:
    """Return the kernels of `module` in the order in which they run.

    Operations of one `fusion` name make one kernel, which runs where its last operation stands; an operation without
    a name makes a kernel of its own. Constants, storage casts and reshapes make none.
    """
    groups: dict[str, list[Op]] = {}
    last: dict[str, int] = {}
    for index, op in enumerate(module.ops):
        if isinstance(op, (Constant, *ALIASES)):
            continue
        key = op.fusion or f"\0{index}"
        groups.setdefault(key, []).append(op)
        last[key] = index
    names: set[str] = set()
    return [_kernel(module, key, tuple(groups[key]), names) for key in sorted(groups, key=last.__getitem__)]


def alias_source(module: Module, value: Value) -> Value:
    """Return the value whose memory `value` is: `value` itself unless storage casts and reshapes lead to it."""
    op = module.definition(value)
    while isinstance(op, ALIASES):
        value = op.operands[0]
        op = module.definition(value)
    return value


def constant_data(module: Module, value: Value) -> Array | None:
    """Return the data of a value that is a constant, also behind storage casts and reshapes; else None."""
    data = module.constant(alias_source(module, value))
    return None if data is None else data.reshape(value.type.shape)


def _kernel(module: Module, key: str, ops: tuple[Op, ...], taken: set[str]) -> Kernel:
    """Return the kernel of `ops`, with what it reads and writes."""
    defined = {v.name for op in ops for v in op.results}
    inputs: dict[str, Value] = {}
    constants: dict[str, Array] = {}
    for value in (v for op in ops for v in op.operands if v.name not in defined):
        data = constant_data(module, value)
        if data is None:
            inputs.setdefault(value.name, value)
        else:
            constants.setdefault(value.name, data)
    wish = ops[0].name + "_" + ops[-1].results[0].name if key.startswith("\0") else key
    return Kernel(_unique(wish, taken), ops, tuple(inputs.values()), constants, _outputs(module, ops))


def _outputs(module: Module, ops: tuple[Op, ...]) -> tuple[Value, ...]:
    """Return the results of `ops` that something outside of them reads; the last result where nothing does."""
    inside = {id(op) for op in ops}

    def escapes(value: Value) -> bool:
        users: Iterable[Op] = module.users.get(value.name, ())
        return value.name in module.output_names or any(id(user) not in inside for user in users)

    found = tuple(v for op in ops for v in op.results if escapes(v))
    return found or ops[-1].results[-1:]


def _unique(wish: str, taken: set[str]) -> str:
    """Return `wish` as a C identifier that is not taken, and take it."""
    base = re.sub(r"_+", "_", re.sub(r"\W", "_", wish, flags=re.ASCII)).strip("_") or "kernel"
    base = f"k_{base}" if base[0].isdigit() else base
    name = free_name(base, taken)
    taken.add(name)
    return name


def lower_kernel(kernel: Kernel, target: Any) -> LoweredKernel:
    """Return `kernel` as TIR for `target`: its instructions' dot-product nests where they fit, else scalar nests.

    Args:
        kernel: of an integer-stage module or a float region.
        target: what the code is for; its `instructions` are a `VectorLevel`, or None for plain C.
    """
    from qcc.targets.select_nest import select_nest

    return select_nest(kernel, target)

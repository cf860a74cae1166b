"""`plan-memory`: where each tensor lies in the arena."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from qcc.ir import Module, PassError, Stage, TensorType, Value, VerifyError, replace_op
from qcc.passes import Pass, PassContext, register_pass

from .arena import Buffer, check_packing, lower_bound, pack, peak
from .kernel import Kernel, alias_source, partition

ARENA_BYTES = "arena.bytes"
"""Module attribute: size of the arena."""
ARENA_LOWER_BOUND = "arena.lower-bound"
"""Module attribute: the largest sum of tensors that must be alive together."""
ARENA_ALIGNMENT = "arena.alignment"
"""Module attribute: what offsets, and the arena's address, are multiples of."""

OUTSIDE = -1
"""Offset of a value that is not in the arena: the caller's, a constant, or kept in registers."""


@register_pass
@dataclass(frozen=True)
class PlanMemory(Pass):
    """Give each tensor in the arena an offset; report the peak and its lower bound.

    A tensor is alive from the kernel that writes it to the last that reads it, also under another type or shape.
    Tensors that live together do not overlap. A kernel that works element by element writes over an operand that dies
    with it. Inputs and outputs belong to the caller.

    Before:
        module @m stage integer {
          input %x : tensor<8xi8>
          %a = clamp(%x) {minimum = -100.0, maximum = 100.0} : tensor<8xi8> fusion("a")
          %b = clamp(%a) {minimum = 0.0, maximum = 127.0} : tensor<8xi8> fusion("b")
          %y = concat(%a, %b) {axis = 0} : tensor<16xi8> fusion("y")
          output %y as "y"
        }

    After:
        module @m stage integer {
          attribute "arena.bytes" = "72"
          attribute "arena.lower-bound" = "16"
          attribute "arena.alignment" = "64"
          input %x : tensor<8xi8>
          %a = clamp(%x) {minimum = -100.0, maximum = 100.0} : tensor<8xi8> fusion("a") at [0]
          %b = clamp(%a) {minimum = 0.0, maximum = 127.0} : tensor<8xi8> fusion("b") at [64]
          %y = concat(%a, %b) {axis = 0} : tensor<16xi8> fusion("y") at [-1]
          output %y as "y"
        }

    Attributes:
        alignment: of offsets and of the arena, a power of two; 0 for the target's.
    """

    name: ClassVar[str] = "plan-memory"
    accepts: ClassVar[frozenset[Stage]] = frozenset({Stage.INTEGER, Stage.FLOAT})
    alignment: int = 0

    def run(self, module: Module, context: PassContext) -> Module:
        """Return the module with offsets, and the arena's size among its attributes."""
        alignment = self.alignment or (context.target.alignment if context.target is not None else 16)
        if alignment < 1 or alignment & (alignment - 1):
            raise PassError(f"alignment {alignment} is not a power of two", place=str(self), help="try alignment=16")
        memory = Memory(module, partition(module))
        buffers = memory.buffers
        packed = pack(buffers, alignment)
        size, bound = peak(buffers, packed), lower_bound(buffers)
        planned = _with_offsets(module, {v: packed[b] for v, b in memory.buffer_of.items()})
        for key, number in ((ARENA_BYTES, size), (ARENA_LOWER_BOUND, bound), (ARENA_ALIGNMENT, alignment)):
            planned = planned.with_attribute(key, str(number))
        check_plan(planned)
        shared = sum(v != b for v, b in memory.buffer_of.items())
        message = f"{size} bytes for {len(buffers)} buffers ({bound} must be alive together); {shared} tensors in place"
        context.remark(self.name, "arena", message)
        return planned


class Memory:
    """Which tensors are in the arena, and when.

    Attributes:
        buffer_of: the buffer of each tensor in the arena, by the name of the value that owns it; tensors written in
            place have their operand's.
        buffers: the buffers, in order of their first step.
    """

    def __init__(self, module: Module, kernels: list[Kernel]) -> None:
        self.module = module
        self.kernels = kernels
        self.returned = {alias_source(module, o.value).name for o in module.outputs}
        self.last_use = self._last_uses()
        self.buffer_of: dict[str, str] = {}
        self.buffers: list[Buffer] = []
        self._assign()

    def source(self, value: Value) -> str:
        """Return the name of the value that owns the memory of `value`."""
        return alias_source(self.module, value).name

    def _last_uses(self) -> dict[str, int]:
        """Return the last kernel that reads each tensor."""
        return {self.source(v): step for step, kernel in enumerate(self.kernels) for v in kernel.inputs}

    def _assign(self) -> None:
        spans: dict[str, list[int]] = {}
        for step, kernel in enumerate(self.kernels):
            for value in kernel.outputs:
                if value.name in self.returned:
                    continue
                last = max(step, self.last_use.get(value.name, step))
                shared = self._operand_to_overwrite(step, kernel)
                if shared is None:
                    self.buffer_of[value.name] = value.name
                    spans[value.name] = [stored_bytes(value.type), step, last]
                else:
                    self.buffer_of[value.name] = shared
                    spans[shared][2] = max(spans[shared][2], last)
        self.buffers = [Buffer(name, *span) for name, span in spans.items()]

    def _operand_to_overwrite(self, step: int, kernel: Kernel) -> str | None:
        """Return the buffer of an input that dies with `kernel` and that its output may lie over."""
        allowed = {v.name for v in kernel.in_place_inputs}
        for value in kernel.in_place_inputs:
            source = self.source(value)
            readers = [v.name for v in kernel.inputs if self.source(v) == source]
            if source in self.buffer_of and self.last_use[source] == step and allowed.issuperset(readers):
                return self.buffer_of[source]
        return None


def stored_bytes(tensor: TensorType) -> int:
    """Return the bytes that a tensor occupies in memory; elements of fewer than 8 bits take a byte each."""
    return tensor.size * tensor.element.storage.dtype.itemsize


def _with_offsets(module: Module, offsets: dict[str, int]) -> Module:
    """Return the module with the offsets of owners, and of what is the same memory, on all operations."""

    def offset(value: Value) -> int:
        return offsets.get(alias_source(module, value).name, OUTSIDE)

    return module.replace(ops=tuple(replace_op(op, offsets=tuple(map(offset, op.results))) for op in module.ops))


def arena_bytes(module: Module) -> int:
    """Return the size of the arena of a planned module; a PassError if `plan-memory` did not run."""
    text = module.attribute(ARENA_BYTES)
    if not text.isdigit():
        raise PassError("the module's memory is not planned", help="run plan-memory first")
    return int(text)


def check_plan(module: Module) -> None:
    """Check the offsets of a planned module anew: VerifyError names tensors that overlap while both are needed.

    A tensor may lie exactly over an operand of the kernel that writes it, where that kernel works element by element
    and nothing needs the operand afterwards.
    """
    size, alignment = arena_bytes(module), int(module.attribute(ARENA_ALIGNMENT, "1"))
    memory = Memory(module, partition(module))
    offsets = {v.name: at for op in module.ops for v, at in zip(op.results, op.offsets, strict=True)}
    for name, buffer in memory.buffer_of.items():
        if offsets[name] != offsets[buffer]:
            raise VerifyError(f"%{name} does not lie over %{buffer}, which it replaces", help="run plan-memory again")
    check_packing(memory.buffers, offsets, alignment)
    if peak(memory.buffers, offsets) > size:
        raise VerifyError(f"the arena of {size} bytes is too small for the module", help="run plan-memory again")

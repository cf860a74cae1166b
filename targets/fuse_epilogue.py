"""`fuse-epilogue`: which operations become one kernel."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from qcc.ir import ANY_STAGE, Builder, Module, Op, Stage, Value, c_identifier, ops, replace_op
from qcc.passes import Pass, PassContext, register_pass

#: Operations that element-by-element ones can follow in one kernel.
ANCHORS = (
    ops.Conv2d,
    ops.ConvTranspose2d,
    ops.Matmul,
    ops.Pool,
    ops.Reduction,
)

#: Conversions that work element by element too, though their operands are codes.
CONVERSIONS = (ops.Quantize, ops.Dequantize)

NAME_LENGTH = 40
"""Longest name of a kernel; names of some frontends are paths."""


@register_pass
@dataclass(frozen=True)
class FuseEpilogue(Pass):
    """Give operations that become one kernel the same `fusion` name.

    A kernel is one anchor (convolution, matmul, pool, reduction), first, with the element-by-element operations behind
    it; or element-by-element operations alone. Only its last result exists in memory: every other result has one
    use, within the kernel, is no output and has the shape of the last. Where two anchors meet in an addition, the
    later one takes it, and the other ends at its narrowest result. Constants take no part.

    The operations of a kernel come to stand together, the anchor first.

    Before:
        module @m stage integer {
          input %x : tensor<1x4xi8>
          %w = constant() {value = dense<[[1, 2], [3, 4], [5, 6], [7, 8]]>} : tensor<4x2xi8>
          %a = matmul(%x, %w) : tensor<1x2xi32>
          %m = constant() {value = dense<1073741824>} : tensor<i32>
          %s = constant() {value = dense<34>} : tensor<i8>
          %y = rescale(%a, %m, %s) {to = i8, minimum = -128, maximum = 127} : tensor<1x2xi8>
          output %y as "y"
        }

    After:
        module @m stage integer {
          input %x : tensor<1x4xi8>
          %w = constant() {value = dense<[[1, 2], [3, 4], [5, 6], [7, 8]]>} : tensor<4x2xi8>
          %m = constant() {value = dense<1073741824>} : tensor<i32>
          %s = constant() {value = dense<34>} : tensor<i8>
          %a = matmul(%x, %w) : tensor<1x2xi32> fusion("a")
          %y = rescale(%a, %m, %s) {to = i8, minimum = -128, maximum = 127} : tensor<1x2xi8> fusion("a")
          output %y as "y"
        }

    Attributes:
        max_inputs: most tensors that one kernel reads.
        max_operations: most operations of one kernel, which bounds how deep its expressions nest.
    """

    name: ClassVar[str] = "fuse-epilogue"
    accepts: ClassVar[frozenset[Stage]] = ANY_STAGE
    max_inputs: int = 8
    max_operations: int = 32

    def run(self, module: Module, context: PassContext) -> Module:
        """Return the module with fusion names."""
        groups = _Groups(module, self.max_inputs, self.max_operations)
        for op in reversed(module.ops):
            if _is_elementwise(op):
                groups.extend(op)
        groups.shorten()
        return groups.apply()


def _is_elementwise(op: Op) -> bool:
    """True where each element of the result depends on one element of each operand."""
    return (op.elementwise or isinstance(op, CONVERSIONS)) and len(op.results) == 1


class _Groups:
    """Operations by the last operation of their kernel; operations are known by their first result's name."""

    def __init__(self, module: Module, max_inputs: int, max_operations: int) -> None:
        self.module = module
        self.max_inputs = max_inputs
        self.max_operations = max_operations
        self.position = {op.results[0].name: index for index, op in enumerate(module.ops) if op.results}
        self.last: dict[str, str] = {}
        self.members: dict[str, set[str]] = {}
        self.anchors: dict[str, str] = {}

    def extend(self, op: Op) -> None:
        """Take the producers of the operands of `op` into its group, the later anchor first."""
        own = op.results[0].name
        last = self.last.setdefault(own, own)
        self.members.setdefault(last, {own})
        for value in sorted(op.operands, key=lambda v: self.position.get(v.name, -1), reverse=True):
            producer = self.module.definition(value)
            if producer is None or not self._private(value, op) or not self._has_room(last, producer):
                continue
            if _is_elementwise(producer):
                self._join(last, value)
            elif isinstance(producer, ANCHORS) and last not in self.anchors:
                self.anchors[last] = value.name
                self._join(last, value)

    def _private(self, value: Value, user: Op) -> bool:
        """True where `value` needs no memory if its producer joins its user."""
        same_shape = value.type.shape == user.results[0].type.shape
        return self.module.use_count(value) == 1 and same_shape

    def _join(self, last: str, value: Value) -> None:
        self.last[value.name] = last
        self.members[last].add(value.name)

    def _has_room(self, last: str, producer: Op) -> bool:
        """True where the group stays within its bounds with `producer` in it."""
        if len(self.members[last]) >= self.max_operations:
            return False
        return self._inputs_with(last, producer) <= self.max_inputs

    def _inputs_with(self, last: str, producer: Op) -> int:
        """Return how many tensors the group would read with `producer` in it."""
        names = {*self.members[last], producer.results[0].name}
        read = {v.name for name in names for v in self.module.definitions[name].operands}
        return sum(self.module.constant(self.module.values[name]) is None for name in read - names)

    def shorten(self) -> None:
        """Where an anchor could not join the group behind it, give it that group's operations up to the narrowest."""
        for op in self.module.ops:
            if not isinstance(op, ANCHORS) or op.results[0].name in self.last:
                continue
            chain = self._chain(op)
            if len(chain) > 1:
                self._move(chain)

    def _chain(self, anchor: Op) -> list[str]:
        """Return `anchor` and what follows it element by element, as far as the last of the narrowest results."""
        chain, widths = [anchor.results[0].name], [anchor.results[0].type.element.storage.bits]
        value = anchor.results[0]
        while len(chain) < self.max_operations:
            users = self.module.users.get(value.name, ())
            if len(users) != 1 or not self._private(value, users[0]) or not _is_elementwise(users[0]):
                break
            tensors = [v for v in users[0].operands if self.module.constant(v) is None]
            if len(tensors) != 1:
                break
            value = users[0].results[0]
            chain.append(value.name)
            widths.append(value.type.element.storage.bits)
        narrowest = max(index for index, bits in enumerate(widths) if bits == min(widths))
        return chain[: narrowest + 1]

    def _move(self, chain: list[str]) -> None:
        """Make `chain` a group of its own."""
        for name in chain:
            old = self.last.get(name)
            if old is not None and old in self.members:
                self.members[old].discard(name)
            self.last[name] = chain[-1]
        self.members[chain[-1]] = set(chain)
        self.anchors[chain[-1]] = chain[0]

    def apply(self) -> Module:
        """Return the module with fusion names, each group together at the place of its last operation."""
        names = self._names()
        waiting: dict[str, list[Op]] = {}
        placed: list[Op] = []
        for op in self.module.ops:
            own = op.results[0].name if op.results else ""
            last = self.last.get(own, own)
            if last not in names:
                placed.append(op)
                continue
            named = replace_op(op, fusion=names[last], location=op.location.by(FuseEpilogue.name))
            waiting.setdefault(last, []).append(named)
            if own == last:
                group = waiting.pop(last)
                group.sort(key=lambda o: o.results[0].name != self.anchors.get(last))
                placed.extend(group)
        return self.module.replace(ops=tuple(placed))

    def _names(self) -> dict[str, str]:
        """Return the fusion name of each kernel by its last operation: after the anchor, or the last operation."""
        unique = Builder()
        names = {}
        for op in self.module.ops:
            own = op.results[0].name if op.results else ""
            if isinstance(op, (ops.Constant, ops.Reshape, ops.StorageCast)) or self.last.get(own, own) != own:
                continue
            names[own] = unique.unique(_kernel_name(self.anchors.get(own, own)))
        return names


def _kernel_name(value_name: str) -> str:
    """Return a C identifier made of a value's name, of bounded length."""
    text = re.sub(r"_+", "_", c_identifier(value_name)).strip("_")[:NAME_LENGTH].rstrip("_")
    return text if text and not text[0].isdigit() else f"k_{text}"

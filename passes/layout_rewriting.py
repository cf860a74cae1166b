"""The rewriting of a module to the layouts that were chosen."""

from __future__ import annotations

import numpy as np

from qcc.ir import Builder, Module, Op, Output, Value, drop_dead, replace_op
from qcc.ir.ops import Constant, Matmul, Reshape, Transpose

from .layout_assignment import LayoutAssignment
from .layout_classes import Permutation, inverse
from .relayout import permuted_attributes, permuted_constant, permuted_operands


def apply_layouts(module: Module, layouts: LayoutAssignment, name: str) -> Module:
    """Return the module with every value in the layout assigned to it; `name` is that of the pass."""
    rewriting = _Rewriting(module, layouts, name)
    for op in module.ops:
        rewriting.visit(op)
    outputs = tuple(Output(o.name, rewriting.original(o.value, None)) for o in module.outputs)
    return drop_dead(module.replace(ops=tuple(rewriting.builder.ops), outputs=outputs))


class _Rewriting:
    """Emits operations; knows each value in its original layout, in its assigned one, or in both."""

    def __init__(self, module: Module, layouts: LayoutAssignment, name: str) -> None:
        self.module = module
        self.layouts = layouts
        self.name = name
        self.builder = Builder(module.name, module.stage)
        for value in module.values:
            self.builder.unique(value)
        self._original: dict[str, Value] = {v.name: v for v in module.inputs}
        self._assigned: dict[str, Value] = {}
        self._transposes: dict[tuple[str, Permutation], Value] = {}
        #: By name of a flattened value: the shape and the permutation of what was flattened.
        self._flattened: dict[str, tuple[tuple[int, ...], Permutation]] = {}

    def visit(self, op: Op) -> None:
        """Emit `op` as the layouts ask."""
        if isinstance(op, Transpose) and self.layouts.is_flexible(op):
            self._define(op.result, self.assigned(op.x, op))
        elif self.layouts.is_flexible(op):
            self._emit_flexible(op)
        elif isinstance(op, Reshape) and self._can_flatten(op):
            self._emit_flatten(op)
        elif isinstance(op, Matmul) and op.x.name in self._flattened:
            self._emit_matmul(op)
        else:
            operands = tuple(self.original(v, op) for v in op.operands)
            self.builder.append(replace_op(op, operands=operands) if operands != op.operands else op)
            self._original.update((v.name, v) for v in op.results)

    def original(self, value: Value, user: Op | None) -> Value:
        """Return `value` in its original layout, transposed back for `user` where it is not at hand."""
        if value.name not in self._original:
            back = inverse(self.layouts.permutation(value))
            self._original[value.name] = self._transpose(self._assigned[value.name], back, value, user)
        return self._original[value.name]

    def assigned(self, value: Value, user: Op) -> Value:
        """Return `value` in the layout assigned to it, transposed for `user` where it is not at hand."""
        permutation = self.layouts.permutation(value)
        if permutation == tuple(range(len(permutation))):
            return self.original(value, user)
        if value.name not in self._assigned:
            self._assigned[value.name] = self._transpose(self._original[value.name], permutation, value, user)
        return self._assigned[value.name]

    def _transpose(self, x: Value, permutation: Permutation, value: Value, user: Op | None) -> Value:
        known = self._transposes.get((x.name, permutation))
        if known is not None:
            return known
        source = user or self.module.definition(value)
        location = {} if source is None else {"location": source.location.by(self.name)}
        name = f"{value.name}_transposed"
        result = self.builder.emit(Transpose, x, name=name, permutation=permutation, **location)
        self._transposes[x.name, permutation] = result
        return result

    def _define(self, value: Value, found: Value) -> None:
        permutation = self.layouts.permutation(value)
        layout = self._original if permutation == tuple(range(len(permutation))) else self._assigned
        layout[value.name] = found

    def _emit_flexible(self, op: Op) -> None:
        permutation = self.layouts.permutation(op.results[0])
        permuted = permuted_operands(op)
        operands = tuple(
            self._operand(value, permutation, op) if value in permuted else self.original(value, op)
            for value in op.operands
        )
        moved = permutation != tuple(range(len(permutation)))
        results = tuple(
            value.with_type(value.type.with_shape(tuple(value.type.shape[axis] for axis in permutation)))
            for value in op.results
        )
        attributes = permuted_attributes(op, permutation) if moved else {}
        location = op.location.by(self.name) if moved else op.location
        self.builder.append(replace_op(op, operands=operands, results=results, location=location, **attributes))
        for value, result in zip(op.results, results, strict=True):
            self._define(value, result)

    def _operand(self, value: Value, permutation: Permutation, op: Op) -> Value:
        """Return an operand that has the axes of the result: constants are transposed here and now."""
        array = self.module.constant(value)
        if array is None:
            return self.assigned(value, op)
        moved = permuted_constant(array, permutation)
        if moved is array or permutation == tuple(range(len(permutation))):
            return self.original(value, op)
        type = value.type.with_shape(moved.shape)
        location = op.location.by(self.name)
        return self.builder.constant(np.ascontiguousarray(moved), value.name, type, location=location)

    def _can_flatten(self, op: Reshape) -> bool:
        """True where the value flattened is at hand in its assigned layout only, and the matmuls can take it so."""
        if op.result.name not in self.layouts.flattens or op.x.name not in self._assigned:
            return False
        batch_kept = self.layouts.permutation(op.x)[0] == 0 or op.x.type.shape[0] == 1
        return batch_kept and op.x.name not in self._original

    def _emit_flatten(self, op: Reshape) -> None:
        self.builder.append(replace_op(op, operands=(self._assigned[op.x.name],), location=op.location.by(self.name)))
        self._original[op.result.name] = op.result
        self._flattened[op.result.name] = (op.x.type.shape, self.layouts.permutation(op.x))

    # reshape(transpose(x, p)) · W' = reshape(x) · W where row i of W' is the row of W that belongs to element i
    def _emit_matmul(self, op: Matmul) -> None:
        shape, permutation = self._flattened[op.x.name]
        constant = self.module.definition(op.weight)
        if not isinstance(constant, Constant):  # checked when the flatten was accepted
            return
        rows = np.arange(op.weight.type.shape[0]).reshape(1, *shape[1:]).transpose(permutation).reshape(-1)
        location = constant.location.by(self.name)
        weight = self.builder.constant(constant.value.array[rows], op.weight.name, op.weight.type, location=location)
        rest = tuple(self.original(v, op) for v in op.operands[2:])
        x = self._original[op.x.name]
        self.builder.append(replace_op(op, operands=(x, weight, *rest), location=op.location.by(self.name)))
        self._original.update((v.name, v) for v in op.results)

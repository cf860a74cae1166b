"""The choice of a layout for every tensor that may have any.

Values that operations without a layout of their own join, through transposes too, form classes. Within a class one
layout fits all; where the class meets operations of fixed layout (convolutions, pools, matmuls, the interface) another
layout costs a transpose. Each class takes the layout that transposes the fewest bytes there.
"""

from __future__ import annotations

from qcc.ir import Module, Op, Value
from qcc.ir.ops import Matmul, Reshape, Transpose

from .layout_classes import LayoutClasses, Permutation, compose, inverse
from .movement_rules import moves_only_unit_axes
from .relayout import layout_members


class LayoutAssignment:
    """Which transposition each value of a module gets.

    Attributes:
        flexible: names of the first results of the operations that follow the layout of their operands.
        flattens: reshapes whose order of elements the weights of the matmuls behind them take up, by result name.
    """

    def __init__(self, module: Module) -> None:
        self.module = module
        self.flexible: set[str] = set()
        self.flattens = {op.result.name for op in module.ops if is_flatten_before_matmul(op, module)}
        self._classes = LayoutClasses()
        for op in module.ops:
            if self._join(op):
                self.flexible.add(op.results[0].name)
        self._frames = {root: self._choose(members) for root, members in self._classes.classes().items()}

    def permutation(self, value: Value) -> Permutation:
        """Return the permutation that `value` gets: its new form is transpose(value, permutation)."""
        if value.name not in self._classes.values:
            return tuple(range(value.type.rank))
        root, view = self._classes.find(value.name)
        return compose(view, self._frames[root])

    def is_flexible(self, op: Op) -> bool:
        """True where `op` works in the layout that its operands get."""
        return bool(op.results) and op.results[0].name in self.flexible

    def _join(self, op: Op) -> bool:
        """Join the classes of what `op` reads and defines; False where it keeps its layout."""
        if isinstance(op, Transpose) and self.module.constant(op.x) is None:
            return self._classes.relate(op.x, op.result, op.permutation)
        members = layout_members(op, self.module)
        if members is None:
            return False
        same = tuple(range(members[0].type.rank))
        return all(self._classes.relate(members[0], other, same) for other in members[1:])

    def _choose(self, members: list[str]) -> Permutation:
        """Return the transposition of the class's frame that costs least."""
        values = [self._classes.values[name] for name in members]
        same = tuple(range(values[0].type.rank))
        views = {value.name: self._classes.find(value.name)[1] for value in values}
        candidates = dict.fromkeys([*(inverse(views[v.name]) for v in values if self._is_anchor(v)), same])
        return min(candidates, key=lambda frame: sum(self._cost(v, compose(views[v.name], frame)) for v in values))

    def _is_anchor(self, value: Value) -> bool:
        return self._is_fixed(value) or value.name in self.module.output_names or bool(self._fixed_users(value))

    def _is_fixed(self, value: Value) -> bool:
        """True where `value` is an input or the result of an operation of fixed layout."""
        definition = self.module.definition(value)
        return definition is None or not self.is_flexible(definition)

    def _fixed_users(self, value: Value) -> list[Op]:
        return [op for op in self.module.users.get(value.name, ()) if not self.is_flexible(op)]

    def _cost(self, value: Value, permutation: Permutation) -> float:
        """Return the bytes that are transposed if `value` gets `permutation`; at the interface they count half.

        A value of fixed layout is transposed for its flexible users; a flexible one is transposed back for its fixed
        users, unless these only flatten it for a matmul.
        """
        shape = value.type.shape
        if moves_only_unit_axes(shape, permutation):
            return 0
        if self._is_fixed(value):
            return value.type.bytes / 2 if self.module.definition(value) is None else value.type.bytes
        users = self._fixed_users(value)
        keeps_batch = permutation[0] == 0 or shape[0] == 1
        flattened = [op for op in users if keeps_batch and op.results and op.results[0].name in self.flattens]
        if len(flattened) < len(users):
            return value.type.bytes
        return value.type.bytes / 2 if value.name in self.module.output_names else 0


def is_flatten_before_matmul(op: Op, module: Module) -> bool:
    """True where `op` flattens all but the first axis and only matmuls with constant matrices read the result."""
    if not isinstance(op, Reshape) or op.result.type.rank != 2 or op.result.name in module.output_names:
        return False
    if op.x.type.rank < 3 or op.x.type.shape[0] != op.result.type.shape[0] or module.constant(op.x) is not None:
        return False
    users = module.users.get(op.result.name, ())
    return bool(users) and all(
        isinstance(user, Matmul)
        and user.x.name == op.result.name
        and module.constant(user.weight) is not None
        and user.weight.type.rank == 2
        for user in users
    )

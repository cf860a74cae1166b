"""Groups of values that must have one scale and zero point: union-find over operations that share parameters.

A state is read as the same codes as it was left, so what it becomes is in the group of what reads it.
"""

from __future__ import annotations

from qcc.ir import Module, Op, Value

from .integer_forms import is_quantizable, is_real


class ParameterGroups:
    """The values of a module in groups that share parameters; a value alone is a group of its own.

    Operations kept in float share nothing.
    """

    def __init__(self, module: Module) -> None:
        self._parent: dict[str, str] = {}
        for op in module.ops:
            if shares(op):
                members = [v for v in (*op.operands, *op.results) if is_real(v)]
                for value in members[1:]:
                    self._parent[self.of(value.name)] = self.of(members[0].name)
        returned = {o.name: o.value for o in module.outputs}
        for state in module.states:
            self._parent[self.of(returned[state.name].name)] = self.of(state.name)

    def of(self, name: str) -> str:
        """Return the representative of the group of value `name`."""
        root = name
        while self._parent.get(root, root) != root:
            root = self._parent[root]
        while self._parent.get(name, name) != root and name != root:
            self._parent[name], name = root, self._parent[name]
        return root

    def members(self, values: list[Value]) -> dict[str, list[Value]]:
        """Return `values` by representative, in order."""
        found: dict[str, list[Value]] = {}
        for value in values:
            found.setdefault(self.of(value.name), []).append(value)
        return found


def shares(op: Op) -> bool:
    """True where `op` gives its operands and results one scale and zero point."""
    return op.shares_parameters and is_quantizable(op)

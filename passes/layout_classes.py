"""Which tensors share a layout: classes of values, each value a fixed transposition away from its class's frame."""

from __future__ import annotations

from qcc.ir import Value

Permutation = tuple[int, ...]


def compose(outer: Permutation, inner: Permutation) -> Permutation:
    """Return r with transpose(x, r) = transpose(transpose(x, outer), inner): r[i] = outer[inner[i]]."""
    return tuple(outer[axis] for axis in inner)


def inverse(permutation: Permutation) -> Permutation:
    """Return the permutation that undoes `permutation`."""
    return tuple(permutation.index(axis) for axis in range(len(permutation)))


class LayoutClasses:
    """Union-find over values with permutations.

    Each member v has a view f with frame(v) = transpose(v, f): all members of a class have equal axes in the frame.
    """

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}
        self._to_parent: dict[str, Permutation] = {}
        self.values: dict[str, Value] = {}

    def add(self, value: Value) -> None:
        """Make a value known, in a class of its own."""
        if value.name not in self._parent:
            self._parent[value.name] = value.name
            self._to_parent[value.name] = tuple(range(value.type.rank))
            self.values[value.name] = value

    def find(self, name: str) -> tuple[str, Permutation]:
        """Return the class of a value and its view of the frame."""
        root, view = name, self._to_parent[name]
        while self._parent[root] != root:
            root = self._parent[root]
            view = compose(view, self._to_parent[root])
        self._parent[name], self._to_parent[name] = root, view
        return root, view

    def relate(self, a: Value, b: Value, permutation: Permutation) -> bool:
        """Say that transpose(a, permutation) has the layout of b; False where that contradicts what is known."""
        self.add(a)
        self.add(b)
        root_a, view_a = self.find(a.name)
        root_b, view_b = self.find(b.name)
        # frame(a) = transpose(a, view_a), and b ≅ transpose(a, permutation) gives frame(b) = transpose(a, p∘view_b).
        through_b = compose(permutation, view_b)
        if root_a == root_b:
            return view_a == through_b
        # root_a's frame is a's through view_a; to reach b's frame from it, undo view_a first.
        self._parent[root_a] = root_b
        self._to_parent[root_a] = compose(inverse(view_a), through_b)
        return True

    def classes(self) -> dict[str, list[str]]:
        """Return the members of each class, by its root."""
        found: dict[str, list[str]] = {}
        for name in self._parent:
            found.setdefault(self.find(name)[0], []).append(name)
        return found

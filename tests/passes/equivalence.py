"""Two modules compute the same: exactly, or within a bound that follows from the number of roundings."""

from collections.abc import Sequence

import numpy as np

from qcc.ir import Array, Module, Pattern, Value, evaluate, parse_module, rewrite, verify

#: Half a unit in the last place of binary32: the relative error of one rounding.
U = 2.0**-24

#: Values at which arithmetic and functions change their ways.
EDGES = np.array([0, 1e-40, 1e-20, 0.1, 0.5, 1, 2.9999998, 3, 3.0000002, 5.9999995, 6, 20, 1e4, 1e30], np.float32)


def qir(*lines: str) -> Module:
    """Return the float module with these statements."""
    return parse_module("module @m stage float {\n" + "\n".join(lines) + "\n}\n")


def edge_values(count: int) -> Array:
    """Return `count` values: the edges and their negatives, then normally distributed ones."""
    edges = np.concatenate([EDGES, -EDGES])
    rest = np.random.default_rng(0).standard_normal(max(count - edges.size, 0)) * 4
    return np.concatenate([edges, rest])[:count].astype(np.float32)


def normal_inputs(module: Module, seed: int = 0) -> dict[str, Array]:
    """Return normally distributed inputs."""
    rng = np.random.default_rng(seed)
    return {v.name: rng.standard_normal(v.type.shape).astype(np.float32) for v in module.inputs}


def edge_inputs(module: Module) -> dict[str, Array]:
    """Return inputs full of edge values, each input's in an order of its own."""
    rng = np.random.default_rng(1)
    found = {}
    for index, value in enumerate(module.inputs):
        values = edge_values(value.type.size)
        found[value.name] = (rng.permutation(values) if index else values).reshape(value.type.shape)
    return found


def special_inputs(module: Module) -> dict[str, Array]:
    """Return inputs with infinities, NaN and signed zeros among normally distributed values."""
    found = normal_inputs(module, 2)
    for array in found.values():
        flat = array.reshape(-1)
        flat[: min(5, flat.size)] = [np.inf, -np.inf, np.nan, 0.0, -0.0][: flat.size]
    return found


def apply(module: Module, *rules: Pattern) -> tuple[Module, dict[str, int]]:
    """Return the module rewritten by the rules, and how often each applied."""
    changed, report = rewrite(module, rules, "test")
    verify(changed)
    return changed, report.applied


def assert_identical(before: Module, after: Module) -> None:
    """Check that two modules give the same bits for normal, edge and special inputs."""
    for inputs in (normal_inputs(before), edge_inputs(before), special_inputs(before)):
        expected, found = evaluate(before, inputs), evaluate(after, inputs)
        assert list(expected) == list(found)
        for name, array in expected.items():
            assert array.dtype == found[name].dtype
            np.testing.assert_array_equal(found[name], array)


def assert_close(before: Module, after: Module, inputs: dict[str, Array], roundings: int, *, local: bool) -> None:
    """Check that two modules differ by at most `roundings` roundings of the largest magnitude that occurs.

    Args:
        local: the output depends on each input element by element, and so does the bound; otherwise one magnitude,
            the largest of all, bounds every element.
    """
    values: list[Array] = []

    def observe(_value: Value, array: Array) -> None:
        values.append(np.abs(array.astype(np.float64)))

    expected, found = evaluate(before, inputs, observe), evaluate(after, inputs, observe)
    for name, array in expected.items():
        bound = roundings * U * magnitude(values, array.shape, local) + roundings * 2.0**-149
        error = np.abs(found[name].astype(np.float64) - array)
        assert np.all(error <= bound), f"{name}: {np.max(error / bound):.2f} times the bound"


def magnitude(values: Sequence[Array], shape: tuple[int, ...], local: bool) -> Array:
    """Return the largest magnitude, for each element where it is local."""
    if not local:
        return np.full(shape, max(float(v.max(initial=0)) for v in values))
    largest = np.zeros(shape)
    for value in values:
        if value.ndim <= len(shape) and np.broadcast_shapes(value.shape, shape) == shape:
            largest = np.maximum(largest, value)
    return largest


def op_names(module: Module) -> list[str]:
    """Return the names of the operations, constants left out."""
    return [op.name for op in module.ops if op.name != "constant"]


def assert_keeps_bits(rule: Pattern, lines: Sequence[str], left: Sequence[str]) -> None:
    """A rule applies once to the module of these statements, changes no bit, and leaves operations of these names."""
    before = qir(*lines)
    after, applied = apply(before, rule)
    assert applied == {type(rule).__name__: 1}
    assert op_names(after) == left
    assert_identical(before, after)

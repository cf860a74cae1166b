"""Model-local functions: expanded where they are called, after a check that this comes to an end."""

from __future__ import annotations

import onnx

from qcc.ir import FrontendError

#: Nodes that a model may have once its functions are expanded.
NODE_LIMIT = 1_000_000


def inline_functions(model: onnx.ModelProto, place: str) -> onnx.ModelProto:
    """Return the model without calls of its own functions.

    Raises:
        FrontendError: functions call each other in a circle, or expand to more nodes than `NODE_LIMIT`.
    """
    if not model.functions:
        return model
    bodies = {(f.domain, f.name): f for f in model.functions}
    sizes: dict[tuple[str, str], int] = {}
    active: set[tuple[str, str]] = set()
    for key in bodies:
        _measure(key, bodies, sizes, active, place)
    total = sum(sizes.get((n.domain, n.op_type), 1) for n in model.graph.node)
    if total > NODE_LIMIT:
        raise FrontendError(f"its functions expand to {total} nodes", place=place, help="the file is damaged")
    from onnx import inliner

    try:
        return inliner.inline_local_functions(model)
    except (RuntimeError, ValueError) as error:
        raise FrontendError(
            f"its functions can't be expanded: {error}", place=place, help="export the model without functions"
        ) from error


def _measure(
    root: tuple[str, str],
    bodies: dict[tuple[str, str], onnx.FunctionProto],
    sizes: dict[tuple[str, str], int],
    active: set[tuple[str, str]],
    place: str,
) -> None:
    """Fill in how many nodes `root` expands to, and all that it calls; iterative, since calls may be nested deeply."""
    stack = [root]
    while stack:
        key = stack[-1]
        if key in sizes:
            stack.pop()
            continue
        called = {(n.domain, n.op_type) for n in bodies[key].node} & bodies.keys()
        missing = [k for k in called if k not in sizes]
        if key in active and any(k in active for k in missing):
            raise FrontendError(f"function {key[1]!r} calls itself", place=place, help="the file is damaged")
        active.add(key)
        if missing:
            stack.extend(missing)
            continue
        sizes[key] = sum(sizes.get((n.domain, n.op_type), 1) for n in bodies[key].node)
        active.discard(key)
        stack.pop()

"""The structure of an ONNX graph: names defined once, inputs defined, nodes in an order in which they can run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import onnx

from qcc.ir import FrontendError

from .problem import Problem, raise_problems


def node_label(node: onnx.NodeProto, index: int) -> str:
    """Return the name of a node, or its operation and position where it has none."""
    return node.name or f"{node.op_type}_{index}"


def describe(node: onnx.NodeProto, index: int) -> str:
    """Return how messages name a node."""
    return f"{node.op_type or '(no operation)'} {node_label(node, index)!r}"


def ordered_nodes(graph: onnx.GraphProto, place: str) -> list[tuple[int, onnx.NodeProto]]:
    """Return the nodes, with their positions in the file, each after the nodes whose results it reads.

    Raises:
        FrontendError: a name is defined twice, or nowhere, or nodes read each other's results in a circle.
    """
    producers = _producers(graph, place)
    waiting: dict[int, int] = {}
    users: dict[int, list[int]] = {}
    for index, node in enumerate(graph.node):
        sources = {producers[name] for name in _reads(node) if producers.get(name, -1) >= 0}
        waiting[index] = len(sources)
        for source in sources:
            users.setdefault(source, []).append(index)
    ready = [i for i, count in waiting.items() if not count]
    order: list[int] = []
    position = 0
    while position < len(ready):
        current = ready[position]
        position += 1
        order.append(current)
        for user in users.get(current, ()):
            waiting[user] -= 1
            if not waiting[user]:
                ready.append(user)
    if len(order) < len(graph.node):
        circle = [describe(graph.node[i], i) for i, count in waiting.items() if count]
        shown = ", ".join(circle[:8]) + (", …" if len(circle) > 8 else "")
        raise FrontendError(f"nodes wait for each other in a circle: {shown}", place=place, help="the file is damaged")
    in_file_order = all(a < b for a, b in zip(_file_order(graph, producers), range(len(order)), strict=False))
    return [(i, graph.node[i]) for i in (range(len(order)) if in_file_order else order)]


def _file_order(graph: onnx.GraphProto, producers: dict[str, int]) -> Iterator[int]:
    """Yield, for each node, the position of the last node that it reads from; -1 where it reads from none."""
    for node in graph.node:
        yield max((producers.get(name, -1) for name in _reads(node)), default=-1)


def _reads(node: onnx.NodeProto) -> list[str]:
    """Return the names that a node reads; subgraphs do not count, since no operation that has one is supported."""
    return [name for name in node.input if name]


def _producers(graph: onnx.GraphProto, place: str) -> dict[str, int]:
    """Return which node defines each name, -1 for inputs and initializers."""
    problems: list[Problem] = []
    problems += [Problem(f"input {i}", "has no name") for i, v in enumerate(graph.input) if not v.name]
    initializers = [t.name for t in graph.initializer] + [t.values.name for t in graph.sparse_initializer]
    inputs = [v.name for v in graph.input]
    for names, kind in ((inputs, "input"), (initializers, "initializer")):
        problems += [Problem(f"{kind} {n!r}", "is there twice") for n, count in Counter(names).items() if count > 1]
    producers = dict.fromkeys((*inputs, *initializers), -1)
    for index, node in enumerate(graph.node):
        for name in node.output:
            if not name:
                continue
            if name in producers:
                problems.append(Problem(describe(node, index), f"its output {name!r} is already defined"))
            producers[name] = index
    for index, node in enumerate(graph.node):
        undefined = [name for name in _reads(node) if name not in producers]
        problems += [Problem(describe(node, index), f"reads {name!r}, which nothing defines") for name in undefined]
    for output in graph.output:
        if output.name not in producers:
            problems.append(Problem(f"output {output.name!r}", "nothing defines it"))
    raise_problems(problems, place)
    return producers

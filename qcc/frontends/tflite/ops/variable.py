"""Variables that are resources: VAR_HANDLE, READ_VARIABLE, ASSIGN_VARIABLE, CALL_ONCE."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qcc.ir import TensorType

from ...problem import Unsupported
from ..emission import Tensor
from ..node import Node
from ..variables import Handle


def _key(node: Node) -> str:
    handle = node.input(0, "variable")
    if not isinstance(handle, Handle):
        raise Unsupported("its first input is no variable")
    return handle.key


def handle(node: Node) -> Tensor:
    """VAR_HANDLE: the name of a variable."""
    return Handle(node.outputs[0].name, node.key())


def read(node: Node) -> Tensor:
    """READ_VARIABLE: what the variable is now, codes as they are."""
    type = TensorType(node.outputs[0].shape, node.element())
    return node.reinterpreted(node.variables.read(_key(node), type), type.element)


def assign(node: Node) -> Sequence[Tensor]:
    """ASSIGN_VARIABLE: what the variable becomes."""
    node.variables.write(_key(node), node.input(1, "value"))
    return ()


def call_once(node: Node) -> Sequence[Tensor]:
    """CALL_ONCE: initial data of variables."""
    node.variables.initialize(int(node.option("init_subgraph_index")))
    return ()


IMPORTERS: dict[str, Callable[[Node], Tensor | Sequence[Tensor]]] = {
    "ASSIGN_VARIABLE": assign,
    "CALL_ONCE": call_once,
    "READ_VARIABLE": read,
    "VAR_HANDLE": handle,
}

"""What runs a module in golden tests: the evaluator first, then every target at hand.

An executor takes a module and inputs (storage types) and returns the outputs by name, or None where it can't run this
module. All must agree bit by bit on integers. A target registers itself by an entry in `EXECUTORS`.
"""

from collections.abc import Callable, Mapping

from qcc.ir import Array, Module, evaluate

Executor = Callable[[Module, Mapping[str, Array]], dict[str, Array] | None]

EXECUTORS: dict[str, Executor] = {"evaluator": evaluate}

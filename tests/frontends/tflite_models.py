"""Small TFLite models for the tests of the frontend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qcc.frontends.tflite import ModelFile, import_model
from qcc.ir import Array, Module
from tests.conformance.tflite_builder import Tensor, TfliteBuilder

Operand = Sequence[int] | Array | None


@dataclass(frozen=True)
class OneOperation:
    """A model of one operation on real numbers.

    Attributes:
        name: of the operation.
        operands: a shape for an input of the model, an array for a constant, None for one that is left out.
        results: shapes of the results.
        attributes: options by the schema's names in snake case.
        integer_results: the results are of this type, not float32.
    """

    name: str
    operands: tuple[Operand, ...]
    results: tuple[tuple[int, ...], ...]
    attributes: dict[str, Any]
    result_type: str = "float32"

    def build(self) -> bytes:
        """Return the file."""
        b = TfliteBuilder()
        operands = [self._operand(b, i, o) for i, o in enumerate(self.operands)]
        results = [b.tensor(f"y{i}", shape, self.result_type) for i, shape in enumerate(self.results)]
        b.op(self.name, operands, results, **self.attributes)
        b.output(*results)
        return b.build()

    @staticmethod
    def _operand(b: TfliteBuilder, index: int, operand: Operand) -> Tensor | None:
        if operand is None:
            return None
        if isinstance(operand, np.ndarray):
            return b.constant(f"c{index}", operand)
        return b.input(f"x{index}", operand, "float32")

    def inputs(self, generator: np.random.Generator) -> dict[str, Array]:
        """Return random inputs."""
        shapes = {f"x{i}": o for i, o in enumerate(self.operands) if o is not None and not isinstance(o, np.ndarray)}
        return {name: generator.normal(0, 2, shape).astype(np.float32) for name, shape in shapes.items()}


def import_bytes(data: bytes, name: str = "m.tflite", **options: Any) -> Module:
    """Return the module of a file in memory."""
    return import_model(ModelFile(data, name), name, **options)

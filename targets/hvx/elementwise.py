"""Kernels of element-by-element operations alone, and the second loop of a kernel behind a matrix nest."""

from __future__ import annotations

import math

import numpy as np

from qcc.ir import Array, Value
from qcc.targets import tir
from qcc.targets.hexagon_instructions import LANES, VECTOR_BYTES
from qcc.targets.hvx.elements import Codes, NoVectorForm, VectorPlace, code_vector, loaded_codes
from qcc.targets.hvx.memory import Source, load_vector, store_bytes
from qcc.targets.kernel import LoweredKernel
from qcc.targets.portable.parameters import Parameters, storage_dtype
from qcc.targets.tir import Expr


def elementwise(parameters: Parameters) -> LoweredKernel | None:
    """The kernel in vectors; None where it has no vector form."""
    try:
        _write(parameters)
    except NoVectorForm:
        return None
    return parameters.finish()


def _write(parameters: Parameters) -> None:
    """Write the loop over all elements; inputs may be the output's memory."""
    kernel, body = parameters.kernel, parameters.body
    if len(kernel.outputs) != 1:
        raise NoVectorForm("several results")
    output = kernel.outputs[0]
    size, target = output.type.size, parameters.output(output)
    if storage_dtype(output.type) not in ("int8", "uint8") or not size:
        raise NoVectorForm(f"a result of {output.type}")
    sources: dict[str, Source] = {}
    for value in kernel.inputs:
        if value.type.size != size or storage_dtype(value.type) not in ("int8", "uint8"):
            raise NoVectorForm("an operand of another shape")
        sources[value.name] = Source.of(body, parameters.input(value), size)
    full, rest = divmod(size, VECTOR_BYTES)
    last = output.type.shape[-1] if output.type.rank else 1
    if full:
        with body.loop("block", full) as block:
            place = _Place(parameters, sources, (body.let("first", block * tir.constant(VECTOR_BYTES)), True), last)
            store_bytes(body, target, place.first, code_vector(place, output), VECTOR_BYTES)
    if rest:
        place = _Place(parameters, sources, (tir.constant(full * VECTOR_BYTES), False), last)
        store_bytes(body, target, place.first, code_vector(place, output), rest)


class _Place(VectorPlace):
    """The elements from `first` on, in the order of memory; `whole` where all 128 exist."""

    def __init__(
        self, parameters: Parameters, sources: dict[str, Source], start: tuple[Expr, bool], channels: int
    ) -> None:
        super().__init__(parameters)
        self.first, self.whole = start
        self._sources = sources
        self._channels = channels

    def load(self, value: Value) -> Codes:
        """Elements of a tensor of the result's size."""
        source = self._sources[value.name]
        if self.whole:
            vector = load_vector(source.buffer, self.first)
        else:
            vector = source.load(self.body, self.first)
        return loaded_codes(value, self.body.let("codes", vector))

    def lanes(self, name: str, array: Array) -> tuple[Expr, ...]:
        """A number, or one for each channel: repeated to every length that a vector can begin in."""
        if np.all(array == array.flat[0]):
            return (tir.splat(int(array.flat[0]), LANES),) * 4
        if math.prod(array.shape[:-1]) != 1 or array.shape[-1] != self._channels:
            raise NoVectorForm(f"a constant of shape {list(array.shape)}")
        repeated = np.resize(array.reshape(-1), self._channels + VECTOR_BYTES).astype(np.int32)
        table = self.parameters.table(name, repeated, fold=False)
        first = tir.remainder(self.first, self._channels)
        first = self.body.let("channel", first)
        return tuple(
            self.body.let(name, tir.load(table.buffer, first + tir.constant(part * LANES), LANES)) for part in range(4)
        )

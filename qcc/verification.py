"""Verification: a compiled library against the reference evaluator.

Every output that integers alone lead to is compared bit for bit. An output behind float arithmetic (a region kept in
float) can't promise bits, since C's float functions are not exact: it is compared within a tolerance, and the report
says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from qcc.ir import Array, Module, Op, evaluate_sequence

from .samples import Samples, to_codes

#: Relative to the largest magnitude of the output: what a chain of float operations may differ by.
FLOAT_TOLERANCE = 1e-4
#: Codes by which a quantized output behind float arithmetic may differ.
CODE_TOLERANCE = 2

Runner = Callable[[Iterable[Mapping[str, Array]]], Iterator[dict[str, Array]]]


@dataclass(frozen=True)
class Difference:
    """The first place where library and evaluator differ.

    Attributes:
        output: name of the output.
        sample: number of the run, from 0.
        index: of the element.
        expected: the evaluator's number.
        found: the library's number.
        count: how many elements of this output differ in this run.
    """

    output: str
    sample: int
    index: tuple[int, ...]
    expected: float
    found: float
    count: int

    def __str__(self) -> str:
        where = f"{self.output}[{', '.join(map(str, self.index))}]"
        return (
            f"sample {self.sample}: {where} is {self.found:g}, the evaluator says {self.expected:g}"
            f" ({self.count} elements of this output differ)"
        )


@dataclass(frozen=True)
class VerifyReport:
    """What was compared.

    Attributes:
        runs: of the model.
        elements: numbers compared.
        exact: outputs compared bit for bit.
        approximate: outputs behind float arithmetic, compared within the tolerance.
        difference: the first difference, or None.
    """

    runs: int
    elements: int
    exact: tuple[str, ...]
    approximate: tuple[str, ...]
    difference: Difference | None

    @property
    def passed(self) -> bool:
        """True where nothing differs."""
        return self.difference is None


def verify(module: Module, run: Runner, samples: Samples, progress: Callable[[], None] | None = None) -> VerifyReport:
    """Run every sample through `run` and the evaluator; stop at the first difference.

    `run` takes all samples as codes and gives the outputs of one after the other, as codes: an emulator starts once.
    States are outputs too: what they are behind each run is compared.
    """
    inexact = outputs_behind_floats(module)
    runs = elements = 0
    difference = None
    batches = samples.batches(module.caller_inputs)
    given = [{v.name: to_codes(batch[v.name], v.type) for v in module.caller_inputs} for batch in batches]
    for expected, found in zip(evaluate_sequence(module, given), run(given), strict=True):
        for name, array in expected.items():
            elements += array.size
            difference = difference or compare(name, runs, array, found[name], name in inexact)
        runs += 1
        if progress is not None:
            progress()
        if difference is not None:
            break
    names = [o.name for o in module.outputs]
    exact = tuple(n for n in names if n not in inexact)
    return VerifyReport(runs, elements, exact, tuple(n for n in names if n in inexact), difference)


def compare(name: str, run: int, expected: Array, found: Array, inexact: bool) -> Difference | None:
    """Return the first difference of one output: in any bit, or beyond the tolerance where `inexact`."""
    if inexact:
        differs = _beyond_tolerance(expected, found)
    elif expected.dtype.kind == "f":
        # The larger of 0 and −0 may be either, so the sign of a zero does not count.
        differs = (expected != found) & ~(np.isnan(expected) & np.isnan(found))
    else:
        differs = expected != found
    if not differs.any():
        return None
    index = np.unravel_index(int(np.argmax(differs)), expected.shape)
    place = tuple(int(i) for i in index)
    return Difference(name, run, place, float(expected[index]), float(found[index]), int(differs.sum()))


def _beyond_tolerance(expected: Array, found: Array) -> Array:
    if expected.dtype.kind != "f":
        distance = np.abs(expected.astype(np.int64) - found.astype(np.int64))
        return np.asarray(distance > CODE_TOLERANCE)
    finite = np.isfinite(expected)
    scale = float(np.max(np.abs(expected[finite]), initial=0.0))
    with np.errstate(invalid="ignore", over="ignore"):  # infinities, and differences beyond float32
        close = np.abs(expected - found) <= FLOAT_TOLERANCE * scale + np.finfo(np.float32).tiny
    return np.asarray(~np.where(finite, close, (expected == found) | (np.isnan(expected) & np.isnan(found))))


def outputs_behind_floats(module: Module) -> frozenset[str]:
    """Return the names of the outputs that float arithmetic leads to."""
    tainted: set[str] = set()
    while True:  # a state that floats lead to leads to what the next run reads from it
        for op in module.ops:
            if _rounds_floats(op) or any(v.name in tainted for v in op.operands):
                tainted.update(v.name for v in op.results)
        found = frozenset(o.name for o in module.outputs if o.value.name in tainted)
        states = found & module.initial_states.keys()
        if states <= tainted:
            return found
        tainted |= states


def _rounds_floats(op: Op) -> bool:
    if op.rounds_once or op.exact_floats or op.moves_data or op.reads_codes:
        return False
    return any(v.type.is_float for v in (*op.operands, *op.results))

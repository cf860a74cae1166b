"""The innermost loop of a dot product: how it walks over weights and activations.

LLVM makes good code of a plain counted loop where registers and addressing modes abound. On small machines it does
not: it keeps an index beside the pointers, unrolls a loop of known length completely and then holds all weights in
memory of the stack. There the loop is written as an expert would write it: `pointers` that move on and end the loop,
or a `hidden` count that the compiler can't know.

Pointers read memory that the function may have written through another variable, so they are for targets that compile
without type-based alias analysis.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from qcc.targets import tir
from qcc.targets.tir import Body, Buffer, Expr

Operand: TypeAlias = tuple[Buffer, Expr]
"""A buffer and the element where a step reads."""


@dataclass(frozen=True)
class StepLoop:
    """How the steps of a run are walked.

    Attributes:
        form: `counted`: an index, its range known; `hidden`: an index, its range not known to the compiler;
            `pointers`: one for each operand, the first one ends the loop.
        unroll: steps in one turn.
        least: fewest steps that make a loop; fewer follow one another.
    """

    form: Literal["counted", "hidden", "pointers"] = "counted"
    unroll: int = 1
    least: int = 1

    @contextmanager
    def turns(self, body: Body, operands: list[Operand], strides: list[int], steps: int) -> Iterator[list[Operand]]:
        """A loop over whole turns of `steps` steps; yields where the operands of a turn's first step are.

        An operand moves by its stride from step to step. Behind the loop `operands` are those of the step after it.
        """
        moves = [stride * self.unroll for stride in strides]
        count = steps // self.unroll
        if self.form == "pointers":
            with self._pointers(body, operands, moves, count) as moved:
                yield moved
            return
        extent = tir.hidden(tir.constant(count)) if self.form == "hidden" else count
        with body.loop("step", extent) as turn:
            yield [(b, o + turn * tir.constant(move)) for (b, o), move in zip(operands, moves, strict=True)]
        operands[:] = advanced(operands, moves, count)

    @contextmanager
    def _pointers(self, body: Body, operands: list[Operand], moves: list[int], count: int) -> Iterator[list[Operand]]:
        """The loop with a pointer for each operand, `count` turns, at least one."""
        kinds = [str(buffer.ty.dtype) for buffer, _ in operands]
        bytes_ = [move * np.dtype(kind).itemsize for move, kind in zip(moves, kinds, strict=True)]
        places = []
        for buffer, offset in operands:
            place = body.allocate("place", 1, "int32")
            body.store(place, 0, tir.address(buffer, offset, "int32"))
            places.append(place)
        end = body.let("end", tir.hidden(tir.load(places[0], 0) + tir.constant(bytes_[0] * count)))
        with body.repeat_until(lambda: tir.load(places[0], 0) == end):
            pointers = [body.let("pointers", tir.load(place, 0)) for place in places]
            yield _views(body, pointers, kinds)
            for place, pointer, move in zip(places, pointers, bytes_, strict=True):
                body.store(place, 0, pointer + tir.constant(move))
        operands[:] = _views(body, [tir.load(place, 0) for place in places], kinds)


def advanced(operands: Sequence[Operand], strides: Sequence[int], steps: int) -> list[Operand]:
    """The operands, each `steps` strides further on."""
    return [(b, o + tir.constant(stride * steps)) for (b, o), stride in zip(operands, strides, strict=True)]


def _views(body: Body, pointers: list[Expr], kinds: list[str]) -> list[Operand]:
    """Operands at addresses."""
    return [(body.view("at", p, 1, kind), tir.constant(0)) for p, kind in zip(pointers, kinds, strict=True)]

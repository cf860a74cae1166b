"""Single-operation models with inputs, made from a seed.

A case takes one of three flavours of scales: powers of two, which make the rescale's ties frequent (negative
accumulators on exact ties among them), arbitrary ones, or ones whose ratio is on either side of a tie by the precision
in which it is formed. Zero points are odd or at the end of the range, inputs hold extreme codes.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from tests.conformance.cases.near_ties import codes_near, near_tie_scale, rounds_up
from tests.conformance.tflite_builder import Array, Tensor, TfliteBuilder

T = TypeVar("T")

NEAR_TIES = 5
"""Which of eight cases has near-ties."""

ACTIVATIONS = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")


@dataclass(frozen=True)
class Case:
    """A model and the inputs of its runs.

    Attributes:
        op: the operation of the schema that it is about.
        kind: the types: `int8`, `uint8`, `int16`, …
        label: says which case it is, for messages.
    """

    op: str
    kind: str
    label: str
    model: bytes
    runs: tuple[dict[str, Array], ...]


class Maker:
    """A model under construction, with random choices from a seed."""

    def __init__(self, op: str, kind: str, number: int, near_ties: bool = False) -> None:
        self.op, self.kind, self.number = op, kind, number
        self.rng = np.random.default_rng(zlib.crc32(f"{op} {kind} {number}".encode()))
        self.powers = number % 2 == 0
        self.near_ties = near_ties
        self.radius: int | None = None  # of codes about their zero points, where there are near-ties; None: every code
        self.drawn: list[float] = []
        self.builder = TfliteBuilder(f"{op} {kind} {number}")
        self.grain = 32 if number % 4 == 0 else 1
        self.traits: list[str] = []

    def pick(self, *choices: T) -> T:
        """Return one of the choices."""
        return choices[int(self.rng.integers(len(choices)))]

    def size(self, low: int, high: int) -> int:
        """Return a size from low to high."""
        return int(self.rng.integers(low, high + 1))

    def stretched(self, about: float) -> float:
        """Return a scale, of an output; in one case of eight far from `about`, where engines change their ways."""
        if self.number % 8 == 7:
            factor = self.pick(2.0**-12, 2.0**-9, 2.0**9, 2.0**12)
            self.traits.append(f"stretched {factor:g}")
            about *= factor
        return about

    def scale(self, about: float) -> float:
        """Return a scale near `about`: a power of two, or any."""
        if self.powers:
            return 2.0 ** round(math.log2(about))
        while True:
            drawn = float(np.float32(about * math.exp(self.rng.uniform(-0.6, 0.6))))
            if not self.near_ties or not self.drawn or rounds_up(self.drawn[0], drawn):
                self.drawn.append(drawn)
                return drawn

    def scales(self, about: float, count: int) -> list[float]:
        """Return scales of channels."""
        if self.near_ties:
            one = self.scale(about)
            return [one * 2.0 ** self.rng.integers(-1, 2) for _ in range(count)]
        return [self.scale(about * 2.0 ** self.rng.integers(-2, 3)) for _ in range(count)]

    def output_scale(self, about: float, *scales: float, narrow_alone: bool = False, wide_sums: bool = False) -> float:
        """Return a scale near `about`, or one with which the ratio of one or two scales is near a tie.

        Args:
            narrow_alone: what is told apart, see `near_tie_scale`.
            wide_sums: whether sums have 64 bits.
        """
        if not self.near_ties:
            return self.scale(about)
        alone = narrow_alone or len(scales) == 1
        self.traits.append("near-ties")
        return near_tie_scale(self.rng, scales, alone, about if wide_sums else 0.0)

    def limits(self, type: str | None = None) -> tuple[int, int]:
        info = np.iinfo(type or self.kind)
        return int(info.min), int(info.max)

    def zero_point(self, type: str | None = None) -> int:
        """Return a zero point: odd, or at an end of the range; 0 for 16 bits."""
        type = type or self.kind
        if type == "int16":
            return 0
        low, high = self.limits(type)
        if self.near_ties:  # with results of both signs
            return int(self.rng.integers(low + 60, high - 60)) | 1
        return self.pick(low, high, *(int(z) | 1 for z in self.rng.integers(low, high, 6)))

    def codes(self, shape: Sequence[int], type: str | None = None, zero: int = 0) -> Array:
        """Return random codes, extreme ones among them; where the case has a radius those about a zero point."""
        type = type or self.kind
        if self.near_ties and self.radius is not None:
            return codes_near(self.rng, shape, type, zero, self.radius)
        low, high = self.limits(type)
        codes = self.rng.integers(low, high + 1, shape, dtype=np.int64)
        extreme = self.rng.random(shape) < 0.1
        return np.where(extreme, self.rng.choice([low, low + 1, high], shape), codes).astype(type)

    def weights(self, shape: Sequence[int]) -> Array:
        """Return symmetric 8-bit weights; coarse ones at times, which make more sums ties."""
        if self.near_ties and self.radius is not None:
            return codes_near(self.rng, shape, "int8", 0, self.radius)
        limit = 127 // self.grain
        return (self.rng.integers(-limit, limit + 1, shape) * self.grain).astype(np.int8)

    def input(self, name: str, shape: Sequence[int], about: float = 0.1, like: Tensor | None = None) -> Tensor:
        """Add an input; with `like` it has the parameters of another tensor."""
        scale, zero = (self.scale(about), self.zero_point()) if like is None else (like.scale, like.zero_point)
        return self.builder.input(name, shape, self.kind, scale, zero)

    def result(self, shape: Sequence[int], about: float = 0.1, like: Tensor | None = None, name: str = "y") -> Tensor:
        """Add a tensor of the operation's type; with `like` it has the parameters of another tensor."""
        if like is not None:
            return self.builder.tensor(name, shape, self.kind, like.scale, like.zero_point)
        return self.result_of(shape, self.scale(about), name)

    def result_of(self, shape: Sequence[int], scale: float, name: str = "y") -> Tensor:
        """Add a tensor of the operation's type with a scale."""
        return self.builder.tensor(name, shape, self.kind, scale, self.zero_point())

    def numbers(self, name: str, values: Any) -> Tensor:
        """Add an int32 constant: axes, shapes, paddings."""
        return self.builder.constant(name, np.asarray(values, np.int32))

    def activation(self) -> str:
        """Return a fused activation; none with near-ties, which some roundings show on one side of zero only."""
        found = self.pick(*ACTIVATIONS) if not self.near_ties else "NONE"
        self.traits.append(found)
        return found

    def case(self, *outputs: Tensor, runs: Sequence[dict[str, Array]] | None = None) -> Case:
        """Finish the model; by default it runs on random inputs and on extreme ones."""
        self.builder.output(*outputs)
        label = " ".join([self.op, self.kind, f"#{self.number}", "powers" if self.powers else "any", *self.traits])
        given = self._runs() if runs is None else runs
        return Case(self.op, self.kind, label, self.builder.build(), tuple(given))

    def _runs(self) -> list[dict[str, Array]]:
        random = {t.name: self.codes(t.shape, t.type, *t.zero_point[:1]) for t in self.builder.inputs}
        extreme = {}
        for t in self.builder.inputs:
            low, high = self.limits(t.type)
            zero = t.zero_point[0] if t.zero_point else 0
            choices = [low, low, high, high, min(max(zero - 1, low), high)]
            extreme[t.name] = self.rng.choice(choices, t.shape).astype(t.type)
        return [random, extreme]


Generator = Callable[[Maker], Case]


@dataclass(frozen=True)
class Family:
    """All cases of an operation.

    Attributes:
        kinds: the types that it is tried with.
        count: how many cases a type has.
    """

    op: str
    kinds: tuple[str, ...]
    generate: Generator
    count: int

    def cases(self, kind: str, count: int | None = None) -> list[Case]:
        """Return the first `count` cases of a type, all by default."""
        return [self.case(kind, number) for number in range(count or self.count)]

    def case(self, kind: str, number: int) -> Case:
        """Return one case."""
        return self.generate(Maker(self.op, kind, number, number % 8 == NEAR_TIES))

    def near_ties(self, kind: str) -> list[Case]:
        """Return the cases of a type whose scales tell precisions apart."""
        return [self.case(kind, number) for number in range(self.count) if number % 8 == NEAR_TIES]


FAMILIES: dict[str, Family] = {}


def family(op: str, *kinds: str, count: int = 12) -> Callable[[Generator], Generator]:
    """Register a function that makes the cases of an operation."""

    def register(generate: Generator) -> Generator:
        FAMILIES[op] = Family(op, kinds, generate, count)
        return generate

    return register

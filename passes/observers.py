"""Observers: what calibration remembers of the values that a tensor took.

Each observer sees one array a sample, needs memory that does not grow with the samples, and (the exponential moving
average excepted) gives bit for bit the same range whatever the order of the samples.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from qcc.ir import Array

#: Bins of a percentile observer on each side of zero.
BINS = 2048
_BINS_LOG2 = 11
#: Magnitudes below 2^−100 all fall into the first bin, so that scaling by a power of two is exact in binary32.
_SMALLEST_EXPONENT = -100


class RangeObserver(ABC):
    """Base: sees the arrays of one value, then gives its range."""

    def update(self, array: Array) -> None:
        """See one sample's array, finite and not empty."""
        self.see(array, float(array.min()), float(array.max()))

    @abstractmethod
    def see(self, array: Array, low: float, high: float) -> None:
        """See one sample's array, whose extremes are known."""

    @abstractmethod
    def range(self) -> tuple[float, float]:
        """Return the minimum and maximum found, after at least one update."""


class MinMax(RangeObserver):
    """The smallest and the largest element of all samples."""

    def __init__(self) -> None:
        self.minimum, self.maximum = math.inf, -math.inf

    def see(self, array: Array, low: float, high: float) -> None:
        """Widen the range to the array's extremes."""
        self.minimum = min(self.minimum, low)
        self.maximum = max(self.maximum, high)

    def range(self) -> tuple[float, float]:
        """Return the extremes."""
        return self.minimum, self.maximum


class MeanExtremes(RangeObserver):
    """The mean over the samples of each sample's smallest and largest element.

    It is what an exponential moving average of the extremes gives in expectation over all orders of the samples, and
    depends on no order itself: sums are exact rationals.
    """

    def __init__(self) -> None:
        self.count = 0
        self.minima, self.maxima = Fraction(0), Fraction(0)

    def see(self, array: Array, low: float, high: float) -> None:
        """Add the array's extremes to the sums."""
        self.count += 1
        self.minima += Fraction(low)
        self.maxima += Fraction(high)

    def range(self) -> tuple[float, float]:
        """Return the means, rounded once."""
        return float(self.minima / self.count), float(self.maxima / self.count)


class MovingAverage(RangeObserver):
    """Exponential moving average of each sample's extremes: `m ← m + c·(m_sample − m)`; the first sample initialises.

    Depends on the order of the samples. Source: Jacob et al. 2018, arXiv:1712.05877.
    """

    def __init__(self, momentum: float) -> None:
        self.momentum = momentum
        self.extremes: tuple[float, float] | None = None

    def see(self, array: Array, low: float, high: float) -> None:
        """Move toward the array's extremes."""
        if self.extremes is not None:
            low = self.extremes[0] + self.momentum * (low - self.extremes[0])
            high = self.extremes[1] + self.momentum * (high - self.extremes[1])
        self.extremes = low, high

    def range(self) -> tuple[float, float]:
        """Return the averages."""
        return self.extremes if self.extremes is not None else (0.0, 0.0)


class Histogram:
    """Counts of elements in bins.

    Histograms of magnitudes below and above zero, `BINS` equal bins each up to 2^exponent, the smallest power of two
    above every magnitude seen. When it grows by 2^d, each 2^d neighbouring bins become one: the bin of x at the larger
    exponent is ⌊⌊|x|·BINS/2^e⌋ / 2^d⌋ = ⌊|x|·BINS/2^(e+d)⌋, so the histogram is the same in every order.
    """

    def __init__(self) -> None:
        self.exponent = _SMALLEST_EXPONENT
        self.counts = np.zeros(2 * BINS, np.int64)  # bin i holds [i − BINS, i − BINS + 1)·width, above 0
        self.zeros = 0  # elements that are exactly 0, in bin BINS
        self.samples = 0

    def count(self, array: Array, low: float, high: float) -> None:
        """Count the elements of an array, whose extremes are `low` and `high`."""
        self.samples += 1
        x = np.ascontiguousarray(array, np.float32).reshape(-1)
        largest = max(high, -low)
        if largest > 0:
            self.grow(math.frexp(largest)[1])
        bins = np.multiply(x, np.float32(2.0 ** (_BINS_LOG2 - self.exponent))).astype(np.int32)  # toward zero
        if low >= 0:
            self.counts[BINS:] += np.bincount(bins, minlength=BINS)
        else:
            bins += BINS
            bins -= x < 0
            self.counts += np.bincount(bins, minlength=2 * BINS)
        self.zeros += x.size - int(np.count_nonzero(x))

    def grow(self, exponent: int) -> None:
        """Let the bins reach 2^exponent."""
        steps = min(exponent - self.exponent, _BINS_LOG2)
        if steps <= 0:
            return
        kept = BINS >> steps
        merged = self.counts.reshape(2 * kept, 1 << steps).sum(axis=1)
        self.counts = np.zeros(2 * BINS, np.int64)
        self.counts[BINS - kept : BINS + kept] = merged
        self.exponent = exponent

    @property
    def width(self) -> float:
        """Width of a bin."""
        return math.ldexp(1.0, self.exponent - _BINS_LOG2)


class Percentile(RangeObserver):
    """The range that leaves out at most `(100 − percentile) / 2` percent of all elements at each end.

    The ends are outer edges of bins. Source of the method: Wu et al. 2020, arXiv:2004.09602.
    """

    def __init__(self, percentile: float) -> None:
        self.percentile = percentile
        self.histogram = Histogram()
        self.extremes = MinMax()

    def see(self, array: Array, low: float, high: float) -> None:
        """Count the array's elements."""
        self.extremes.see(array, low, high)
        self.histogram.count(array, low, high)

    def range(self) -> tuple[float, float]:
        """Return the outer edges of the outermost bins kept, never beyond the true extremes."""
        counts, width = self.histogram.counts, self.histogram.width
        allowed = int(counts.sum() * ((100 - self.percentile) / 200))
        first = int(np.searchsorted(np.cumsum(counts), allowed, side="right"))
        last = 2 * BINS - 1 - int(np.searchsorted(np.cumsum(counts[::-1]), allowed, side="right"))
        minimum, maximum = self.extremes.range()
        return max(minimum, (first - BINS) * width), min(maximum, (last + 1 - BINS) * width)


class SignalToNoise(RangeObserver):
    """The range whose mean signal-to-quantization-noise ratio over the samples, in decibels, is largest.

    The noise of a range [a, b] with step s = (b − a)/levels is s²/12 for each element within (0 for an exact zero), and
    the squared distance to the nearer end for each element beyond. Since the ratio counts, and not the noise, neither
    samples of large values nor those of small values drown the others. Samples with the same binary exponent of their
    mean square share a histogram. Ends are edges of bins; each is chosen best for the other until neither moves.
    Source of the noise model: Nagel et al. 2021, arXiv:2106.08295.
    """

    def __init__(self, levels: int = 255) -> None:
        self.levels = levels
        self.extremes = MinMax()
        self.histograms: dict[int, Histogram] = {}  # by the binary exponent of a sample's mean square

    def see(self, array: Array, low: float, high: float) -> None:
        """Count the array's elements with those of samples alike."""
        self.extremes.see(array, low, high)
        largest = max(high, -low)
        if largest > 0:
            exponent = max(math.frexp(largest)[1], _SMALLEST_EXPONENT)
            unit = np.asarray(array, np.float32).reshape(-1) * np.float32(2.0**-exponent)  # no square overflows
            power = math.frexp(max(float(np.dot(unit, unit)) / unit.size, 2.0**-149))[1] + 2 * exponent
            self.histograms.setdefault(power, Histogram()).count(array, low, high)

    def range(self) -> tuple[float, float]:
        """Return the best range, never beyond the true extremes."""
        minimum, maximum = self.extremes.range()
        if not self.histograms:
            return minimum, maximum
        exponent = max(h.exponent for h in self.histograms.values())
        width = math.ldexp(1.0, exponent - _BINS_LOG2)
        noises = [self._noise(self.histograms[power], exponent) for power in sorted(self.histograms)]
        low = bound_low = min(math.ceil(max(-minimum, 0.0) / width), BINS)
        high = bound_high = min(math.ceil(max(maximum, 0.0) / width), BINS)
        for _ in range(BINS):
            before = low, high
            high = _best(sum(n.level(n.above, low) for n in noises), bound_high, empty=low == 0)
            low = _best(sum(n.level(n.below, high) for n in noises), bound_low, empty=high == 0)
            if (low, high) == before:
                break
        return max(minimum, -low * width), min(maximum, high * width)

    def _noise(self, histogram: Histogram, exponent: int) -> Noise:
        histogram.grow(exponent)
        counts = histogram.counts.astype(np.float64)
        counts[BINS] -= histogram.zeros
        within = counts.sum() / (12.0 * self.levels**2)
        below, above = clipping_errors(counts[:BINS][::-1]), clipping_errors(counts[BINS:])
        return Noise(histogram.samples, within, below, above)


@dataclass(frozen=True)
class Noise:
    """The noise of samples alike, in squared bins, as a function of the ends of a range, in bins from zero.

    Attributes:
        samples: how many there are.
        within: noise of the elements within a range of one bin; it grows with the square of the range.
        below, above: noise of the elements beyond the lower and the upper end.
    """

    samples: int
    within: float
    below: Array
    above: Array

    def level(self, moving: Array, other: int) -> Array:
        """Return samples · ln(noise) for each place of one end (whose clipping noise is `moving`), the other fixed."""
        fixed = self.below if moving is self.above else self.above
        edges = np.arange(moving.size)
        noise = moving + fixed[other] + self.within * (edges + float(other)) ** 2
        return np.asarray(self.samples * np.log(np.maximum(noise, np.finfo(np.float64).tiny)))


def _best(levels: Array | int, bound: int, empty: bool) -> int:
    """Return the place up to `bound` of the least noise; not 0 where that makes the range empty."""
    first = min(1, bound) if empty else 0
    return first + int(np.argmin(np.asarray(levels)[first : bound + 1]))


def clipping_errors(counts: Array) -> Array:
    """Return Σ n·(c − t)² over the bins beyond edge t, for t = 0 … bins, in bins; n are counts, c the bins' centres."""
    centres = np.arange(counts.size) + 0.5
    n, first, second = (np.append(np.cumsum((counts * centres**k)[::-1])[::-1], 0.0) for k in (0, 1, 2))
    edges = np.arange(counts.size + 1)
    return np.asarray(second - 2 * edges * first + edges**2 * n)

"""Timing of a compiled library: latency of one call, and throughput of several callers at the same time."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """What was measured.

    Attributes:
        calls: counted calls of all threads.
        threads: callers at the same time.
        minimum, median, percentile_95: seconds of one call.
        per_second: calls of all threads in a second of wall time.
        macs: multiply-accumulates of one call.
    """

    calls: int
    threads: int
    minimum: float
    median: float
    percentile_95: float
    per_second: float
    macs: int

    @property
    def gmacs_per_second(self) -> float:
        """10^9 multiply-accumulates a second, of all threads."""
        return self.macs * self.per_second / 1e9


def measure(make_call: Callable[[], Callable[[], None]], macs: int, threads: int, seconds: float) -> Timing:
    """Time calls for about `seconds`.

    Args:
        make_call: makes a callable for one thread, with buffers of its own, that runs the model once.
        macs: multiply-accumulates of one call.
        threads: callers at the same time; ctypes releases the interpreter's lock during a call.
        seconds: how long to measure, after a warm-up of a tenth of it.
    """
    calls = [make_call() for _ in range(threads)]
    durations: list[list[float]] = [[] for _ in range(threads)]
    barrier = threading.Barrier(threads)

    def work(number: int) -> None:
        _repeat(calls[number], seconds / 10)
        barrier.wait()
        durations[number] = _repeat(calls[number], seconds)

    workers = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    every = sorted(d for each in durations for d in each)
    rate = sum(len(each) / sum(each) for each in durations)
    tail = every[min(len(every) - 1, int(len(every) * 0.95))]
    return Timing(len(every), threads, every[0], statistics.median(every), tail, rate, macs)


def _repeat(call: Callable[[], None], seconds: float) -> list[float]:
    """Return the durations of calls repeated for `seconds`, at least three."""
    durations: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(durations) < 3:
        start = time.perf_counter()
        call()
        durations.append(time.perf_counter() - start)
    return durations

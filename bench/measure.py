"""The measuring frame: contenders in turns, item by item, in rounds.

    round 0   A A A A …   B B B B …   C C C C …     warm-up, thrown away
    round 1   B B B B …   C C C C …   A A A A …     who begins rotates
    round 2   C C C C …   A A A A …   B B B B …

Machines drift and share their cores, so absolute times mean little, and one after another nothing: every contender
runs in every round, a figure is the median over rounds, a ratio the median over rounds of the quotient within a round.
`back_to_back` keeps caches warm; `paced` waits between items, as sound does, and lets them go cold.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

NOISY = 0.1  # spread of round medians above which figures deserve a warning


@dataclass(frozen=True)
class Contender:
    """Something to measure.

    Attributes
    ----------
    name
        As it stands in tables.
    run
        Does the work of one item.
    items
        What it is fed, in turn.
    units
        Units of work per item; times are per unit.
    """

    name: str
    run: Callable[[Any], object]
    items: Sequence[Any]
    units: float = 1.0


@dataclass
class Timing:
    """Times of one contender, seconds per unit: one array of items per round."""

    name: str
    rounds: list[np.ndarray] = field(default_factory=list)

    def percentile(self, q: float) -> float:
        """Median over rounds of each round's percentile."""
        return float(np.median([np.percentile(times, q) for times in self.rounds]))

    @property
    def p50(self) -> float:
        """Seconds per unit, half of the items are faster."""
        return self.percentile(50)

    @property
    def p99(self) -> float:
        """Seconds per unit, one item in a hundred is slower."""
        return self.percentile(99)

    @property
    def spread(self) -> float:
        """Middle half of round medians over their median: how much the machine drifted."""
        low, middle, high = np.percentile([np.median(times) for times in self.rounds], [25, 50, 75])
        return float((high - low) / middle)

    def ratio(self, other: Timing, q: float = 50) -> float:
        """The contender's time over the other's, median over rounds of the quotient within each."""
        pairs = zip(self.rounds, other.rounds, strict=True)
        return float(np.median([np.percentile(a, q) / np.percentile(b, q) for a, b in pairs]))


def back_to_back(contenders: Sequence[Contender], rounds: int = 9) -> dict[str, Timing]:
    """Items one right after another."""
    return _interleaved(contenders, rounds, lambda contender: _timed(contender, 0.0))


def paced(contenders: Sequence[Contender], interval: float = 0.005, rounds: int = 3) -> dict[str, Timing]:
    """Items `interval` seconds apart."""
    return _interleaved(contenders, rounds, lambda contender: _timed(contender, interval))


def warning(timings: Sequence[Timing]) -> str:
    """What to distrust about these figures; empty where nothing is."""
    busy, cores = os.getloadavg()[0], os.cpu_count() or 1
    shaky = [timing.name for timing in timings if timing.spread > NOISY]
    reasons = []
    if busy > cores:
        reasons.append(f"load average {busy:.1f} on {cores} cores")
    if shaky:
        reasons.append(f"medians of rounds differ by more than {NOISY:.0%} for {', '.join(shaky)}")
    return f"noisy machine, trust ratios more than times: {'; '.join(reasons)}" if reasons else ""


def _interleaved(
    contenders: Sequence[Contender], rounds: int, run: Callable[[Contender], np.ndarray]
) -> dict[str, Timing]:
    timings = {contender.name: Timing(contender.name) for contender in contenders}
    for number in range(rounds + 1):
        first = number % len(contenders)
        for contender in [*contenders[first:], *contenders[:first]]:
            times = run(contender)
            if number:
                timings[contender.name].rounds.append(times)
    return timings


def _timed(contender: Contender, interval: float) -> np.ndarray:
    """Seconds per unit of each item."""
    run, clock = contender.run, time.perf_counter_ns
    times = np.empty(len(contender.items))
    due = time.perf_counter()
    for i, item in enumerate(contender.items):
        if interval:
            due += interval
            time.sleep(max(0.0, due - time.perf_counter()))
        begin = clock()
        run(item)
        times[i] = clock() - begin
    return times * 1e-9 / contender.units

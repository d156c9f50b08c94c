"""Clocks: what time it is, and what time a sample was.

A sound card counts samples with a crystal of its own, and callbacks bring them late, never early:

    UTC − sample / rate
        ▲        x                    x
        │  x   x    x      x   x  x      x     each x: a callback's stamp, `lateness` above the truth
        │ x  x   x     x  x  x      x  x    x
        │____x_______x______x____________x___  the truth: a line whose slope is the crystal's drift
        └────────────────────────────────────▶ sample

So the truth is the *lower envelope* of the stamps. `SampleClock` keeps the earliest stamp of every second and takes the
line below all of them whose summed distance is smallest: the edge of their lower convex hull that spans the mean sample
(Moon, Skelly and Towsley 1999, "Estimation and removal of clock skew from network delay measurements").
"""

from __future__ import annotations

import hashlib
import os
import time
from datetime import UTC, datetime
from itertools import pairwise
from typing import NamedTuple, Protocol

SECOND = 1_000_000_000
FLOOR_NS = 5_000_000  # converters and buses delay sound by some milliseconds that no stamp can tell
EARLY_NS = 20_000_000  # further doubt while too few stamps were seen
STEP_NS = 250_000_000  # a whole second of stamps this far off: the system clock was set, or sound came in a burst
UNKNOWN_DRIFT = 500e-6  # crystals and slewing system clocks stay within it
KNOWN_DRIFT = 50e-6  # what a measured rate may still wander by, with temperature
WINDOW = 256  # seconds of stamps that a fit looks back on
ENOUGH = 16  # seconds of stamps before a drift is believed
EPOCHS = 8  # epochs remembered: sound of older ones has left every buffer


def rfc3339(utc_ns: int) -> str:
    """UTC nanoseconds → ``2026-05-01T04:30:00.123Z``, floored to the millisecond."""
    seconds, rest = divmod(utc_ns, 1_000_000_000)
    stamp = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{stamp}.{rest // 1_000_000:03d}Z"


class Clock(Protocol):
    """Where time and chance come from; injected, so that tests and replays repeat exactly."""

    def monotonic_ns(self) -> int:
        """Nanoseconds that never go back."""

    def utc_ns(self) -> int:
        """Nanoseconds since 1970-01-01 UTC."""

    def suspended_ns(self) -> int:
        """Nanoseconds that the machine has slept since it was started; `monotonic_ns` leaves them out."""

    def entropy(self, count: int) -> bytes:
        """`count` random bytes, for names."""


class SystemClock:
    """The machine's own clock."""

    def monotonic_ns(self) -> int:
        """Nanoseconds that never go back."""
        return time.monotonic_ns()

    def utc_ns(self) -> int:
        """Nanoseconds since 1970-01-01 UTC, as far as the system knows."""
        return time.time_ns()

    def suspended_ns(self) -> int:
        """Nanoseconds asleep; 0 where the system does not tell."""
        if not hasattr(time, "CLOCK_BOOTTIME"):
            return 0
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.clock_gettime_ns(time.CLOCK_MONOTONIC)

    def entropy(self, count: int) -> bytes:
        """`count` bytes from the system's generator."""
        return os.urandom(count)


class ManualClock:
    """A clock that moves only when told to, and whose chance repeats.

    Parameters
    ----------
    utc_ns
        UTC at the beginning; `monotonic_ns` begins at 0.
    """

    def __init__(self, utc_ns: int = 1_700_000_000 * SECOND) -> None:
        self._start = utc_ns
        self._elapsed = self._stepped = self._slept = 0
        self._draws = 0

    def advance(self, ns: int) -> None:
        """Let `ns` nanoseconds pass."""
        if ns < 0:
            raise ValueError(f"time cannot run back by {ns} ns")
        self._elapsed += ns

    def step(self, ns: int) -> None:
        """Set the time of day forward or back by `ns`, as an administrator or an NTP client does."""
        self._stepped += ns

    def suspend(self, ns: int) -> None:
        """Let the machine sleep for `ns`."""
        self._slept += ns

    def monotonic_ns(self) -> int:
        """Nanoseconds advanced so far."""
        return self._elapsed

    def utc_ns(self) -> int:
        """Start, and nanoseconds advanced, slept and stepped so far."""
        return self._start + self._elapsed + self._slept + self._stepped

    def suspended_ns(self) -> int:
        """Nanoseconds slept so far."""
        return self._slept

    def entropy(self, count: int) -> bytes:
        """`count` bytes that depend only on how often they were asked for."""
        self._draws += 1
        return hashlib.shake_256(self._draws.to_bytes(8, "big")).digest(count)


class Stamp(NamedTuple):
    """A sample and by how much UTC was ahead of it, ns."""

    sample: int
    ahead: int


class Line(NamedTuple):
    """``UTC − sample / rate`` as ``ahead + slope · (sample − first)``, ns; `spread` is how far off stamps lie."""

    first: int
    last: int
    ahead: int
    slope: float
    spread: float


class SampleClock:
    """What UTC time each sample of a stream was.

    Memory is bounded: the earliest stamp of each of the last 256 seconds, for the last 8 epochs. One thread stamps,
    another asks; neither waits.

    Parameters
    ----------
    rate
        Samples per second, nominal.
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._current = Fit(rate, FLOOR_NS)
        self._fits: dict[str, Fit] = {}

    def begin(self, epoch: str, floor_ns: int = FLOOR_NS) -> None:
        """Forget the relation of samples to time: `epoch` has its own.

        Parameters
        ----------
        epoch
            The epoch that later stamps belong to.
        floor_ns
            Delay that stamps cannot see (converter, network); a lower bound of every uncertainty.
        """
        self._current = Fit(self.rate, floor_ns)
        recent = list(self._fits.items())[-(EPOCHS - 1) :]
        self._fits = {**dict(recent), epoch: self._current}

    def stamp(self, sample: int, utc_ns: int) -> None:
        """Say that all samples before `sample` had arrived at `utc_ns`."""
        self._current.stamp(sample, utc_ns)

    def fix(self, start_utc_ns: int, uncertainty: int = 0) -> None:
        """Say that sample 0 was at `start_utc_ns`, give or take `uncertainty` ns (a file with a known start)."""
        self._current.fixed = (start_utc_ns, uncertainty)

    def utc_ns(self, sample: int, epoch: str | None = None) -> tuple[int, int] | None:
        """Return UTC of a sample and its uncertainty, both in ns; None where nothing is known.

        Parameters
        ----------
        sample
            Index since the epoch's start.
        epoch
            The epoch it belongs to; None for the newest.
        """
        fit = self._current if epoch is None else self._fits.get(epoch)
        return fit.utc_ns(sample) if fit else None


class Fit:
    """The relation of one epoch."""

    def __init__(self, rate: int, floor_ns: int) -> None:
        self.fixed: tuple[int, int] | None = None
        self._rate = rate
        self._floor = floor_ns
        # Both are replaced, never changed: the other thread always sees a whole one.
        self._bins: tuple[Stamp, ...] = ()
        self._best: Stamp | None = None
        self._doubt = EARLY_NS
        self._fitted: tuple[tuple[Stamp, ...], Line] | None = None

    def stamp(self, sample: int, utc_ns: int) -> None:
        """Keep the stamp if it is the earliest of its second."""
        new = Stamp(sample, utc_ns - sample * SECOND // self._rate)
        best = self._best
        if best is None or sample // self._rate != best.sample // self._rate:
            if best is not None:
                self._keep(best)
            self._best = new
        elif new.ahead <= best.ahead:
            self._best = new

    def _keep(self, best: Stamp) -> None:
        step = abs(best.ahead - self._bins[-1].ahead) if self._bins else 0
        if step > STEP_NS:
            self._doubt = max(EARLY_NS, step)
            self._bins = (best,)
        else:
            self._bins = (*self._bins[-(WINDOW - 1) :], best)

    def utc_ns(self, sample: int) -> tuple[int, int] | None:
        """UTC and uncertainty of a sample, ns."""
        elapsed = sample * SECOND // self._rate
        if self.fixed:
            return self.fixed[0] + elapsed, self.fixed[1]
        stamps = self._bins or ((self._best,) if self._best else ())
        if not stamps:
            return None
        if len(stamps) < ENOUGH:
            line = earliest(stamps)
            doubt = self._doubt + UNKNOWN_DRIFT * abs(sample - line.first) * SECOND / self._rate
        else:
            line = self._envelope(stamps)
            outside = max(line.first - sample, sample - line.last, 0)
            doubt = 2 * line.spread + KNOWN_DRIFT * outside * SECOND / self._rate
        return elapsed + line.ahead + round(line.slope * (sample - line.first)), self._floor + round(doubt)

    def _envelope(self, stamps: tuple[Stamp, ...]) -> Line:
        """The envelope, computed once for every new second."""
        if self._fitted is None or self._fitted[0] is not stamps:
            self._fitted = (stamps, envelope(stamps))
        return self._fitted[1]


def earliest(stamps: tuple[Stamp, ...]) -> Line:
    """A line without drift through the earliest stamp."""
    sample, ahead = min(stamps, key=lambda stamp: stamp.ahead)
    return Line(sample, sample, ahead, 0.0, 0.0)


def envelope(stamps: tuple[Stamp, ...]) -> Line:
    """The line below all stamps with the smallest summed distance to them; two or more stamps, samples rising."""
    first, base = stamps[0]
    points = [(stamp.sample - first, stamp.ahead - base) for stamp in stamps]
    hull = lower_hull(points)
    mean = sum(x for x, _ in points) / len(points)
    left, right = next((a, b) for a, b in pairwise(hull) if b[0] >= mean)
    slope = (right[1] - left[1]) / (right[0] - left[0])
    offset = left[1] - slope * left[0]
    distances = sorted(y - offset - slope * x for x, y in points)
    return Line(first, stamps[-1].sample, base + round(offset), slope, distances[len(distances) // 2])


def lower_hull(points: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Lower convex hull of points with rising x (Andrew's monotone chain)."""
    hull: list[tuple[int, int]] = []
    for x, y in points:
        while len(hull) > 1 and _left_of_turn(hull[-2], hull[-1], (x, y)):
            hull.pop()
        hull.append((x, y))
    return hull


def _left_of_turn(a: tuple[int, int], b: tuple[int, int], c: tuple[int, int]) -> bool:
    """Whether b lies on or above the line from a to c."""
    return (b[0] - a[0]) * (c[1] - a[1]) <= (b[1] - a[1]) * (c[0] - a[0])

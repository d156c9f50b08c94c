"""What is wrong with a stream, by its samples and its clocks; each is said when it begins and when it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.blocks import Float32
from edge.clock import SECOND, Clock
from edge.status import StreamStatus

FULL_SCALE = 0.999
CLIPPED = 0.01  # of the samples of a second
CLIPPING_S = 5  # seconds in a row
ZEROS_S = 10.0
BEHIND_S, CAUGHT_UP_S = 5.0, 1.0
UNSCORED_S = 120.0  # of sound: longer than any model's window
STEP_NS = 250_000_000  # slewed clocks move by less within a second
SLEEP_NS = 1_000_000_000
QUIETEST_DBFS = -200.0


@dataclass(frozen=True, slots=True)
class Notice:
    """Something for a ``health`` event: `fault` names it, `active` tells whether it begins or ends."""

    fault: str
    active: bool
    reason: str
    detail: dict[str, Any]


class Levels:
    """Level, clipping and dead input, second by second.

    Parameters
    ----------
    rate
        Samples per second.
    status
        Where figures are shown.
    live
        A file may be silent or distorted; only live sound is complained about.
    """

    def __init__(self, rate: int, status: StreamStatus, live: bool) -> None:
        self._rate, self._status, self._live = rate, status, live
        self._count, self._square, self._low, self._high, self._clipped = 0, 0.0, np.inf, -np.inf, 0
        self._same, self._last = 0, np.float32(np.nan)
        self._clipping = 0
        self._dead = self._loud = False

    def push(self, samples: Float32) -> list[Notice]:
        """Take samples ``[N]``; tell what has begun or ended."""
        if not len(samples):
            return []
        low, high = samples.min(), samples.max()
        self._low, self._high = min(self._low, low), max(self._high, high)
        if max(-low, high) >= FULL_SCALE:
            self._clipped += int(np.count_nonzero(np.abs(samples) >= FULL_SCALE))
        self._square += float(np.dot(samples, samples))
        self._count += len(samples)
        self._same = self._same + len(samples) if low == high == self._last else len(samples) if low == high else 0
        self._last = samples[-1]
        self._status.zero_s = self._same / self._rate
        return self._second() if self._count >= self._rate else self._dead_or_alive()

    def _second(self) -> list[Notice]:
        status, mean = self._status, self._square / self._count
        status.level_dbfs = round(10 * float(np.log10(mean)), 1) if mean > 0 else QUIETEST_DBFS
        status.peak = float(max(-self._low, self._high))
        status.clipped += self._clipped
        self._clipping = self._clipping + 1 if self._clipped >= CLIPPED * self._count else 0
        self._count, self._square, self._low, self._high, self._clipped = 0, 0.0, np.inf, -np.inf, 0
        return [*self._dead_or_alive(), *self._too_loud()] if self._live else []

    def _dead_or_alive(self) -> list[Notice]:
        dead = self._status.zero_s >= ZEROS_S
        if dead == self._dead or not self._live:
            return []
        self._dead = dead
        reason = (
            f"every sample has been the same for {ZEROS_S:g} s: is the microphone muted, or its cable broken?"
            if dead
            else "there is sound again"
        )
        return [Notice("silence", dead, reason, {"seconds": round(self._status.zero_s, 1)})]

    def _too_loud(self) -> list[Notice]:
        loud = self._clipping >= CLIPPING_S or (self._loud and self._clipping > 0)
        if loud == self._loud:
            return []
        self._loud = loud
        reason = (
            f"more than {CLIPPED:.0%} of the samples have been at full scale for {CLIPPING_S} s: turn the gain down"
            if loud
            else "the input is below full scale again"
        )
        return [Notice("clipping", loud, reason, {"clipped_samples": self._status.clipped})]


class Lag:
    """Whether the machine keeps up with a live stream."""

    def __init__(self, status: StreamStatus) -> None:
        self._status, self._behind = status, False

    def push(self, seconds: float) -> list[Notice]:
        """Take what waits in the ring, seconds; tell what has begun or ended."""
        self._status.lag_s = round(seconds, 3)
        behind = seconds > (CAUGHT_UP_S if self._behind else BEHIND_S)
        if behind == self._behind:
            return []
        self._behind = behind
        reason = (
            f"detection is {seconds:.1f} s behind the sound and may lose some: too many streams or too large a model"
            if behind
            else "detection has caught up"
        )
        return [Notice("lag", behind, reason, {"seconds": round(seconds, 1)})]


class Verdicts:
    """Whether the models still judge what they are given: a stream that hears and decides nothing looks well else.

    Parameters
    ----------
    status
        Where figures are shown.
    models
        How many there are.

    Attributes
    ----------
    missing
        One of them says nothing.
    """

    def __init__(self, status: StreamStatus, models: int) -> None:
        self.missing = False
        self._status = status
        self._since = [0.0] * models

    def scored(self, model: int) -> None:
        """A model, by its place, has given scores."""
        self._since[model] = 0.0

    def push(self, seconds: Sequence[float]) -> list[Notice]:
        """Take what each model was given, seconds; tell what has begun or ended."""
        self._since = [since + given for since, given in zip(self._since, seconds, strict=True)]
        self._status.unscored_s = max(self._since)
        missing = self._status.unscored_s > UNSCORED_S
        if missing == self.missing:
            return []
        self.missing = missing
        reason = (
            f"a model has given no score for {UNSCORED_S:g} s of sound: nothing is detected; does its window fit?"
            if missing
            else "the models give scores again"
        )
        return [Notice("scores", missing, reason, {"seconds": round(self._status.unscored_s, 1)})]


class ClockWatch:
    """Whether the system clock was set, or the machine slept: between two looks UTC moves as the monotonic clock does.

    The clock of the samples is neither: it goes on by itself, so stream time is never set back.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead, self._slept = self._offset(), clock.suspended_ns()

    def look(self) -> list[Notice]:
        """Tell what happened since the last look."""
        ahead, slept = self._offset(), self._clock.suspended_ns()
        step, sleep = ahead - self._ahead, slept - self._slept
        self._ahead, self._slept = ahead, slept
        notices = []
        if sleep > SLEEP_NS:
            seconds = sleep / SECOND
            notices.append(Notice("sleep", False, f"the machine slept for {seconds:.1f} s", {"slept_s": seconds}))
        if abs(step - sleep) > STEP_NS:
            seconds = (step - sleep) / SECOND
            reason = f"the system clock was set by {seconds:+.3f} s; stream time goes on, times of events follow"
            notices.append(Notice("clock", False, reason, {"step_s": round(seconds, 3)}))
        return notices

    def _offset(self) -> int:
        return self._clock.utc_ns() - self._clock.monotonic_ns()

"""Double threshold (hysteresis), merge gap and minimum duration of one class, frame by frame.

on  ┄┄┄┄┄┄┄╭─╮┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄╭╮┄┄┄    a *run* is a stretch of frames ≥ off;
off ┄┄┄╭───╯ ╰──╮┄┄╭─╮┄┄┄┄┄┄┄╭╯╰╮┄┄    it counts if one of its frames is ≥ on
   ────╯        ╰──╯ ╰───────╯  ╰──    (the double threshold of card 43)
       |  run   |            |run|
       |←──────── event ────────→|     runs no further apart than the merge gap are one event,
                                       which counts if it lasts the minimum duration
    ╭──╮  ╭╮
    │  ╰▼─╯╰╮                          at a dip it ends and the next one begins: the score fell below a share of the
    ╯       ╰                          lower one of the peaks around, which is known once it has risen again
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from edge.blocks import Float32


@dataclass(frozen=True, slots=True)
class Frames:
    """A class's rule on its frame grid: thresholds, durations in frames, and the share of a peak that is a dip."""

    on: float
    off: float
    shortest: int
    bridge: int
    dip: float = 0.0


@dataclass(slots=True)
class Span:
    """Frames of an event so far: ``onset ≤ t < stop``, with peak, sum and number of the frames ≥ off."""

    onset: int
    stop: int
    peak: float = 0.0
    total: float = 0.0
    count: int = 0
    begun: bool = False

    @property
    def mean(self) -> float:
        """Mean score of the frames that count."""
        return self.total / max(1, self.count)

    def add(self, other: Span) -> None:
        """Take in a later span."""
        self.stop = other.stop
        self.peak = max(self.peak, other.peak)
        self.total += other.total
        self.count += other.count


class Step(NamedTuple):
    """What a frame `t` decides of the class of a column: that ``begin`` or ``end`` of an event, as it is then."""

    t: int
    kind: str
    column: int
    span: Span


class Dip:
    """Where an event falls into two: the lowest frame since its peak, once the score has risen far enough again.

    Parameters
    ----------
    rule
        `dip`, and the frames that the first part has at least.
    """

    def __init__(self, rule: Frames) -> None:
        self.rule = rule
        self.restart(0.0)

    def restart(self, peak: float) -> None:
        """Begin anew at a peak."""
        self._peak = self._low = peak
        self._since: Span | None = None

    def take(self, event: Span, frame: Span) -> Span | None:
        """Take a frame that the event has; at a dip it is left with what lies before, and the rest is returned."""
        score = frame.peak
        if self._since is None or score < self._low:
            if score >= self._peak:
                self._peak = score
            else:
                self._since, self._low = replace(frame), score
            return None
        self._since.add(frame)
        rest = self._since
        deep = self._low < self.rule.dip * min(self._peak, score)
        if deep and rest.onset - event.onset >= self.rule.shortest:
            event.stop, event.peak = rest.onset, self._peak
            event.total -= rest.total
            event.count -= rest.count
            self.restart(score)
            return rest
        if score >= self._peak:
            self.restart(score)
        return None


class Hysteresis:
    """State of one class between frames; `step` says what each frame decides."""

    def __init__(self, rule: Frames) -> None:
        self.rule = rule
        self._dip = Dip(rule) if rule.dip else None
        self.reset()

    def reset(self) -> None:
        """Forget the past."""
        self._run: Span | None = None
        self._event: Span | None = None

    @property
    def idle(self) -> bool:
        """Nothing is open: frames below `off` change nothing."""
        return self._run is None and self._event is None

    def step(self, t: int, score: float) -> Iterator[tuple[str, Span]]:
        """Take frame `t`; yields ``("begin", span)`` and ``("end", span)``."""
        if score >= self.rule.off:
            yield from self._loud(t, score)
            return
        self._run = None
        event = self._event
        if event and t + 1 - event.stop > self.rule.bridge:
            self._event = None
            if event.begun:
                yield "end", event

    def finish(self) -> Span | None:
        """The event that is open at the end of the piece, if it was announced."""
        event = self._event
        self.reset()
        return event if event and event.begun else None

    def _loud(self, t: int, score: float) -> Iterator[tuple[str, Span]]:
        frame = Span(t, t + 1, score, score, 1)
        if self._event and self._event.stop == t:
            self._event.add(frame)
            if self._dip and (rest := self._dip.take(self._event, frame)):
                yield "end", self._event
                self._event = rest
        else:
            # A run waits beside the event until a frame of it reaches `on`.
            if self._run:
                self._run.add(frame)
            else:
                self._run = frame
            if score < self.rule.on:
                return
            if self._event:
                self._event.add(self._run)
            else:
                self._event = self._run
            self._run = None
            if self._dip:
                self._dip.restart(self._event.peak)
        event = self._event
        if not event.begun and event.stop - event.onset >= self.rule.shortest:
            event.begun = True
            yield "begin", event


class Thresholds:
    """Classes that begin and end each on its own.

    Parameters
    ----------
    rules
        Of each column.
    """

    def __init__(self, rules: Sequence[Frames]) -> None:
        self._machines = [Hysteresis(rule) for rule in rules]
        self._off = np.array([rule.off for rule in rules], np.float32)

    def reset(self) -> None:
        """Forget the past."""
        for machine in self._machines:
            machine.reset()

    def push(self, smooth: Float32, first: int) -> Iterator[Step]:
        """What frames ``[T, C]`` from `first` on decide, column by column."""
        # Most classes are silent most of the time: they cost one comparison per block, all together.
        loud = np.any(smooth >= self._off, axis=0).tolist()
        for column, machine in enumerate(self._machines):
            if machine.idle and not loud[column]:
                continue
            for t, score in enumerate(smooth[:, column].tolist(), first):
                for kind, span in machine.step(t, score):
                    yield Step(t, kind, column, replace(span))

    def finish(self) -> Iterator[tuple[int, Span]]:
        """Columns and events that are open at the end of the piece."""
        for column, machine in enumerate(self._machines):
            span = machine.finish()
            if span:
                yield column, span

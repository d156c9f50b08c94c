"""The second stage: a model that hears only where the scores of another one say so.

    score of the first        . . . . # # . . . . . . .       # at or above `above`
    condition holds           . < b < # # h h . . . . .       from `before` ahead of them to `hold` behind
    heard `when` it holds         |---------|
    heard `unless` it holds   ----|         |----------

Sound waits until the scores have decided about it, so what is heard depends on the scores alone and not on when they
came or how sound was cut into blocks. Each stretch is a piece of its own to the model, on the grid of the epoch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np

from edge.blocks import AudioBlock, Event, ScoreBlock
from edge.config.streams import Second
from edge.decode.decoder import PAUSE
from edge.decode.event import EventMaker
from edge.inference.card import Stateful
from edge.inference.model import Model
from edge.pipeline import Pipeline
from edge.resample import convert
from edge.supervise.gate import CLOSED, cut, joined

Span = tuple[int, int]  # first sample and the one behind the last


class Stretches:
    """Keeps sound until it is known whether it shall be heard.

    Parameters
    ----------
    rate
        Samples per second of the source.
    second
        The condition, and how it is meant.
    column
        Of its class in the scores.
    """

    def __init__(self, rate: int, second: Second, column: int) -> None:
        condition = second.condition
        self._rate, self._column, self._above = rate, column, condition.above
        self._wanted = second.when is not None
        self._before, self._hold = round(condition.before * rate), round(condition.hold * rate)
        self.reset()

    def reset(self) -> None:
        """Forget the past: what comes next is a new piece."""
        self._kept: deque[AudioBlock] = deque()
        self._told: list[ScoreBlock] = []
        self._spans: list[Span] = []  # where the condition holds, in order and apart
        self._begun = False
        self._at = self._end = 0  # kept samples
        self._judged = self._covered = 0  # where the next score begins at the earliest, and what scores have spoken of
        self._open = False

    def push(self, block: AudioBlock) -> None:
        """Keep samples that follow the last ones."""
        if not self._begun:
            self._begun = True
            self._at = self._judged = self._covered = block.start
        self._kept.append(block)
        self._end = block.stop

    def scores(self, block: ScoreBlock) -> None:
        """Learn raw scores ``[T, C]`` of the model that gives cause; they may come before `push` has the sound."""
        if len(block.scores):
            self._told.append(block)

    def decided(self, final: bool = False) -> Iterator[AudioBlock | None]:
        """Give what shall be heard as far as that is known, None behind each stretch.

        Parameters
        ----------
        final
            No scores will come of what is kept.
        """
        for block in self._told:
            self._learn(block)
        self._told.clear()
        if final:
            self._leave_unjudged(self._end)
        certain = self._end if final else min(self._end, self._judged - self._before)
        while True:
            holds, stop = self._stretch()
            stop = min(stop, self._end if holds else certain)
            if stop <= self._at:
                return
            taken = self._take(stop)
            if holds is self._wanted:
                self._open = True
                yield from joined(taken)
            elif self._open:
                self._open = False
                yield CLOSED

    def _learn(self, block: ScoreBlock) -> None:
        self._leave_unjudged(self._source(block, 0))
        for row in np.flatnonzero(~(block.scores[:, self._column] < self._above)).tolist():  # also what is no number
            start, stop = self._source(block, row), self._source(block, row, behind=True)
            self._hold_from(start - self._before, stop + self._hold)
        last = len(block.scores) - 1
        self._covered = max(self._covered, self._source(block, last, behind=True))
        self._judged = self._source(block, last + 1)

    def _stretch(self) -> tuple[bool, int]:
        """Whether the condition holds for the next sample, as far as is known, and where that changes."""
        while self._spans and self._spans[0][1] <= self._at:
            self._spans.pop(0)
        if not self._spans:
            return False, self._end
        start, stop = self._spans[0]
        return (True, stop) if start <= self._at else (False, start)

    def _take(self, stop: int) -> list[AudioBlock]:
        taken = []
        while self._at < stop:
            block = self._kept.popleft()
            size = min(stop, block.stop) - block.start
            taken.append(cut(block, 0, size))
            self._at = block.start + size
            if size < len(block.samples):
                self._kept.appendleft(cut(block, size, len(block.samples)))
        return taken

    def _hold_from(self, start: int, stop: int) -> None:
        if self._spans and start <= self._spans[-1][1]:
            self._spans[-1] = (min(start, self._spans[-1][0]), max(stop, self._spans[-1][1]))
        else:
            self._spans.append((start, stop))

    def _leave_unjudged(self, stop: int) -> None:
        """What no score speaks of cannot be known to be free of what shall not be heard."""
        if not self._wanted and stop > self._covered:
            self._hold_from(self._covered, stop)
        self._covered = max(self._covered, stop)

    def _source(self, block: ScoreBlock, row: int, behind: bool = False) -> int:
        """Source sample at which a score's sound begins, or the one behind it."""
        start = (block.first_frame + row) * block.hop
        return convert(start + max(block.span, block.hop) if behind else start, block.rate, self._rate, up=behind)


class SecondStage:
    """A pipeline that hears stretches; `push` and `flush` come after those of the model that gives cause.

    Parameters
    ----------
    pipeline
        Of the second model.
    stretches
        What it hears.
    """

    def __init__(self, pipeline: Pipeline, stretches: Stretches) -> None:
        self._pipeline, self._stretches = pipeline, stretches
        self._heard = 0

    @property
    def maker(self) -> EventMaker:
        """Makes its events."""
        return self._pipeline.maker

    def scores(self, block: ScoreBlock) -> None:
        """Learn raw scores of the model that gives cause."""
        self._stretches.scores(block)

    def push(self, block: AudioBlock) -> list[Event]:
        """Events that are decided now."""
        self._stretches.push(block)
        return self._hear(final=False)

    def flush(self, reason: str) -> list[Event]:
        """Decide what the end of the piece decides, and end open events for `reason`."""
        events = self._hear(final=True) + self._pipeline.flush(reason)
        self._stretches.reset()
        return events

    def take_heard(self) -> int:
        """Samples that its model was given since this was asked last."""
        heard, self._heard = self._heard, 0
        return heard

    def _hear(self, final: bool) -> list[Event]:
        events: list[Event] = []
        for block in self._stretches.decided(final):
            if block is None:
                events += self._pipeline.flush(PAUSE)
            else:
                self._heard += len(block.samples)
                events += self._pipeline.push(block)
        return events


def column_of(second: Second, models: list[list[str]]) -> tuple[int, int] | None:
    """Which of the models, by their labels, knows the class of the condition, and in which column; None for none."""
    label = second.condition.label
    return next(((number, labels.index(label)) for number, labels in enumerate(models) if label in labels), None)


def wait_s(model: Model) -> float:
    """Seconds of sound that a score of a model waits for."""
    stream, hop = model.card.stream, model.card.frontend.hop if model.card.frontend else 1
    frames = stream.chunk + stream.delay * stream.rate if isinstance(stream, Stateful) else stream.length
    return frames * hop / model.card.input.rate

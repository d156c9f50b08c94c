"""One of several states always holds, and only a change of it is told (card 26: the hive's state).

    highest, if it reaches `on`   A A A A B A A ? B B ┆      ┆ B B B B …      ? doubtful    ┆ ┆ not judged
    state told                        A A A A A A A A ┆      ┆ A A B B        minimum dwell of 4 frames
                                      ▲ begin A                    ▲ end A, begin B

A state is told once its class was the highest of all for the minimum dwell, uninterrupted by another one that is sure.
What is doubtful or was not judged neither counts nor interrupts. The event begins with the first of these frames, the
one before it ends with the last frame in which its class was the highest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from edge.blocks import Float32
from edge.decode.threshold import Frames, Span, Step


class States:
    """The state between frames.

    Parameters
    ----------
    rules
        Of each column: `on`, the least score that tells a state, and `shortest`, the dwell in frames.
    """

    def __init__(self, rules: Sequence[Frames]) -> None:
        self._rules = list(rules)
        self.reset()

    def reset(self) -> None:
        """Forget the past."""
        self._now: tuple[int, Span] | None = None
        self._rival: tuple[int, Span] | None = None

    def push(self, smooth: Float32, first: int) -> Iterator[Step]:
        """What frames ``[T, C]`` from `first` on decide."""
        highest = np.argmax(smooth, axis=1)
        scores = np.take_along_axis(smooth, highest[:, None], axis=1)[:, 0]
        for t, (column, score) in enumerate(zip(highest.tolist(), scores.tolist(), strict=True), first):
            if score >= self._rules[column].on:
                yield from self._step(t, column, score)

    def finish(self) -> Iterator[tuple[int, Span]]:
        """The state that holds at the end, if any was told."""
        now = self._now
        self.reset()
        if now:
            yield now

    def _step(self, t: int, column: int, score: float) -> Iterator[Step]:
        frame = Span(t, t + 1, score, score, 1)
        if self._now and self._now[0] == column:
            self._now[1].add(frame)
            self._rival = None
            return
        if self._rival and self._rival[0] == column:
            self._rival[1].add(frame)
        else:
            self._rival = (column, frame)
        if self._rival[1].count < self._rules[column].shortest:
            return
        if self._now:
            yield Step(t, "end", self._now[0], replace(self._now[1]))
        self._now, self._rival = self._rival, None
        yield Step(t, "begin", column, replace(self._now[1]))

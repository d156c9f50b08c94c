"""Models that carry state from step to step: the chunk is fixed, the frames come as they like.

    frames      | context |---chunk---|
                          | context |---chunk---|            `context` frames of the past before each chunk, zeros first
    states        initial ─▶ step ─▶ step ─▶ …               named outputs fed back as named inputs
    scores      x x 0 1 2 | 3 4 5 6 7 | …  flush ▶ 8 9       the first `delay` rows are dropped

At a flush the graph is fed silence until every score whose frames are all real has come out. Scores that are finer than
what the network hears at once come in grains, and those of an unfinished grain do not come out::

    frames      |---grain---|---grain---|--          grain 4, rate 2
    scores      0     1     2     3                  no score 4: its frames are there, those of its grain are not
"""

from __future__ import annotations

from collections.abc import Callable

from edge.blocks import Float32
from edge.errors import CardError
from edge.inference.card import Card, Stateful
from edge.inference.graph import Shared
from edge.inference.scorer import Scorer


class StatefulScorer(Scorer):
    """One step a chunk, with carried state; score ``k`` speaks of frames ``k · rate`` to ``(k + 1) · rate``."""

    def __init__(self, card: Card, shared: Shared, silence: Float32 | Callable[[], Float32]) -> None:
        if not isinstance(card.stream, Stateful):
            raise CardError(f"{card.name}: `stream.mode` must be stateful, got window")
        super().__init__(card, shared, silence)
        self._stream = card.stream
        self.length = self.hop = card.stream.chunk
        self.grid = self._grain = card.stream.grain or card.stream.rate
        self.score_hop = self.span = card.stream.rate * self._feature_hop

    def reset(self, epoch: str, first_frame: int) -> None:
        """Forget all and expect frame `first_frame` of `epoch` next."""
        super().reset(epoch, first_frame)
        self._last: int | None = None  # rows that are wanted in all, once a flush knows

    @property
    def _buffer(self) -> Float32:
        return self.graph.frames[self.card.input.context :]

    def _run(self) -> tuple[int, int]:
        feeds, context = self.graph.feeds, self.card.input.context
        if self._stream.position:
            feeds[self._stream.position].fill(self._steps * self.length)
        self.graph.run()
        if context:  # frames[length:] are the last `context` ones of context + chunk
            self.graph.frames[:context] = self.graph.frames[self.length :].copy()
        done, delay, rows = self._steps * self.graph.rows, self._stream.delay, self.graph.rows
        stop = rows if self._last is None else min(rows, self._last + delay - done)
        return min(rows, max(0, delay - done)), stop

    def _owed(self, padded: bool) -> int:  # noqa: ARG002  # silence completes its scores, none speaks of it
        self._last = self._frames // self._grain * (self._grain // self._stream.rate)
        if self._stream.end:
            self.graph.feeds[self._stream.end].fill(self._frames)
        if not self._last:
            return 0
        return max(0, -(-(self._last + self._stream.delay) // self.graph.rows) - self._steps)

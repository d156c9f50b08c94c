"""One stream, wired: source samples in, events out. No threads, no clocks of its own, no hidden state."""

from __future__ import annotations

from collections.abc import Callable

from edge.blocks import AudioBlock, Event, ScoreBlock
from edge.decode.decoder import Decoder, Detection
from edge.decode.event import EventMaker
from edge.inference.card import Decode
from edge.inference.model import Model
from edge.listener import Listener, Listens


class Pipeline:
    """Listener → decoder of one stream.

    Parameters
    ----------
    model
        The loaded model; several pipelines may share it.
    maker
        Makes this stream's events; its rate is the source's.
    rules
        Decision rules; the model card's where None.
    on_scores
        Called with each block of scores before the decoder sees it.
    padded
        Whether silence may fill up a last window; see `edge.inference.scorer.Scorer.flush`.
    listener
        What gives the scores; the model alone where None. Then labels and rules are still the model's.
    """

    def __init__(
        self,
        model: Model,
        maker: EventMaker,
        rules: Decode | None = None,
        on_scores: Callable[[ScoreBlock], None] | None = None,
        padded: bool = True,
        listener: Listens | None = None,
    ) -> None:
        self.maker = maker
        self._on_scores = on_scores
        self._listener = listener or Listener(model, maker.rate, padded)
        self._decoder = Decoder(model.labels, rules or model.card.decode)
        self._epoch = self._heard = ""  # of the piece, of the last one
        self._next = 0

    @property
    def position(self) -> tuple[str, int]:
        """Epoch and index of the next expected source sample."""
        return self._epoch, self._next

    def push(self, block: AudioBlock) -> list[Event]:
        """Events that this block decides; a gap or a new epoch first ends what was open."""
        events: list[Event] = []
        if (block.epoch, block.start) != (self._epoch, self._next):
            if self._epoch or block.gap or block.epoch != self._heard:  # else a gate has opened again
                events += self.flush("gap")
            if block.gap:
                events.append(self.maker.gap(block))
            self._reset(block.epoch, block.start)
        self._next = block.stop
        return events + self._events(self._decide(self._listener.push(block)))

    def flush(self, reason: str) -> list[Event]:
        """Decide what the end of the piece decides, and end open events for `reason`."""
        found = self._decide(self._listener.flush()) if self._epoch else []
        self._epoch = ""  # a second flush can only end a state that outlasted the first
        return self._events(found + self._decoder.flush(reason))

    def _reset(self, epoch: str, start: int) -> None:
        self._epoch = self._heard = epoch
        self._next = start
        self._listener.reset(epoch, start)
        self._decoder.reset(epoch)

    def _decide(self, blocks: list[ScoreBlock]) -> list[Detection]:
        found: list[Detection] = []
        for block in blocks:
            if self._on_scores:
                self._on_scores(block)
            found += self._decoder.push(block)
        return found

    def _events(self, found: list[Detection]) -> list[Event]:
        return [self.maker.detection(self._heard, detection, self._listener.rate) for detection in found]

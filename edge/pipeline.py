"""One stream, wired: source samples in, events out. No threads, no clocks of its own, no hidden state."""

from __future__ import annotations

from collections.abc import Callable

from edge.blocks import AudioBlock, Event, ScoreBlock
from edge.decode.decoder import Decoder, Detection
from edge.decode.event import EventMaker
from edge.frontend.stream import FrontEnd, Waveform
from edge.inference.card import Decode
from edge.inference.model import Model
from edge.resample import Resampler


class Pipeline:
    """Resampler → front end → scorer → decoder of one stream.

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
    """

    def __init__(
        self,
        model: Model,
        maker: EventMaker,
        rules: Decode | None = None,
        on_scores: Callable[[ScoreBlock], None] | None = None,
        padded: bool = True,
    ) -> None:
        self.maker = maker
        self._on_scores, self._padded = on_scores, padded
        self._resampler = Resampler(maker.rate, model.card.input.rate, model.spec.resampler if model.spec else "HQ")
        self._front = FrontEnd(model.spec) if model.spec else Waveform(model.card.input.rate)
        self._scorer = model.stream()
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
        return events + self._events(self._detect(self._resampler.push(block)))

    def flush(self, reason: str) -> list[Event]:
        """Decide what the end of the piece decides, and end open events for `reason`."""
        found: list[Detection] = []
        if self._epoch:
            found += self._detect(self._resampler.flush())
            found += self._decide(self._scorer.push(self._front.flush()))
            found += self._decide(self._scorer.flush(self._padded))
        self._epoch = ""  # a second flush can only end a state that outlasted the first
        return self._events(found + self._decoder.flush(reason))

    def _reset(self, epoch: str, start: int) -> None:
        self._epoch = self._heard = epoch
        self._next = start
        self._resampler.reset(epoch, start)
        model_start = self._resampler.next
        self._front.reset(epoch, model_start)
        self._scorer.reset(epoch, -(-model_start // self._hop))
        self._decoder.reset(epoch)

    @property
    def _hop(self) -> int:
        return self._front.spec.hop if isinstance(self._front, FrontEnd) else 1

    def _detect(self, block: AudioBlock) -> list[Detection]:
        features = self._front.push(block)
        return self._decide(self._scorer.push(features)) if len(features.frames) else []

    def _decide(self, scores: ScoreBlock) -> list[Detection]:
        if self._on_scores and len(scores.scores):
            self._on_scores(scores)
        return self._decoder.push(scores)

    def _events(self, found: list[Detection]) -> list[Event]:
        return [self.maker.detection(self._heard, detection, self._resampler.rate) for detection in found]
